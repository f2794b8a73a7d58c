"""Tables of the labeling rooms: a file per noun. Writes go through labeling.services."""

from .activity import AuditEvent, AuditSeal, MailStatus, Notification, action_in_words
from .adjudication import Adjudication
from .answer_index import AnswerBand, AnswerIndex, PromptBand
from .appeal import Appeal, AppealStatus
from .assignment import NO_DEADLINE, Assignment, AssignmentStatus, Draft, Skip, SkipReason
from .batch import Batch, BatchStatus, Layout, Task, TaskCompletion, TaskKind, TaskPurpose, TaskStatus
from .comment import Comment, CommentThread
from .dataset import (
    UNJUDGED,
    Dataset,
    DatasetExport,
    DatasetExportStatus,
    DatasetKind,
    DatasetVersion,
    DatasetVersionStatus,
    RecipeRevision,
)
from .dataset_sizes import DatasetSizes
from .figure import Figure
from .form import Form, FormVersion
from .form_definition import Choice, DefinitionError, FormDefinition, Question, Scale
from .gold import GoldAnswer, GoldResult
from .guideline import Guideline, GuidelineAcknowledgement, GuidelineVersion
from .imports import ImportKind, ImportRecord, ImportStatus, ImportUpload
from .ledger import (
    REVIEW_WORK,
    Activity,
    LedgerDay,
    LedgerEntry,
    Rate,
    RateUnit,
    work_choices,
    work_label,
)
from .preparation import Preparation, PreparationStatus
from .project import Invitation, Membership, MembershipStatus, Project, Role
from .project_settings import ProjectSettings
from .prompt import Completion, CompletionOrigin, Prompt, text_digest
from .qualification import (
    MemberLanguage,
    Qualification,
    QualificationStatus,
    ScreeningSet,
    ScreeningStatus,
)
from .quality import QualityReport, TaskAgreement
from .review import Review, ReviewDecision
from .saved_view import DefaultView, SavedView
from .score import CompletionScore
from .span_note import SpanNote
from .submission import (
    Demonstration,
    JudgmentOrigin,
    Ranking,
    ReviewReason,
    Submission,
    SubmissionReceipt,
    SubmissionStatus,
)
from .webhook import DeliveryStatus, Webhook, WebhookDelivery

__all__ = [
    "UNJUDGED",
    "NO_DEADLINE",
    "REVIEW_WORK",
    "Activity",
    "AnswerBand",
    "AnswerIndex",
    "Adjudication",
    "Appeal",
    "AppealStatus",
    "Assignment",
    "AssignmentStatus",
    "AuditEvent",
    "AuditSeal",
    "Batch",
    "BatchStatus",
    "Choice",
    "Comment",
    "CommentThread",
    "Completion",
    "CompletionOrigin",
    "CompletionScore",
    "Dataset",
    "DatasetExport",
    "DatasetExportStatus",
    "DatasetKind",
    "DatasetSizes",
    "DatasetVersion",
    "DatasetVersionStatus",
    "DefaultView",
    "DefinitionError",
    "DeliveryStatus",
    "Demonstration",
    "Draft",
    "Figure",
    "Form",
    "FormDefinition",
    "FormVersion",
    "GoldAnswer",
    "GoldResult",
    "Guideline",
    "GuidelineAcknowledgement",
    "GuidelineVersion",
    "ImportKind",
    "ImportRecord",
    "ImportStatus",
    "ImportUpload",
    "Invitation",
    "JudgmentOrigin",
    "Layout",
    "LedgerDay",
    "LedgerEntry",
    "MemberLanguage",
    "MailStatus",
    "Membership",
    "MembershipStatus",
    "Notification",
    "Preparation",
    "PreparationStatus",
    "Project",
    "ProjectSettings",
    "Prompt",
    "PromptBand",
    "Qualification",
    "QualificationStatus",
    "QualityReport",
    "Question",
    "Ranking",
    "Rate",
    "RateUnit",
    "Review",
    "RecipeRevision",
    "ReviewDecision",
    "ReviewReason",
    "Role",
    "SavedView",
    "Scale",
    "ScreeningSet",
    "ScreeningStatus",
    "Skip",
    "SkipReason",
    "SpanNote",
    "Submission",
    "SubmissionReceipt",
    "SubmissionStatus",
    "Task",
    "TaskAgreement",
    "TaskCompletion",
    "TaskKind",
    "TaskPurpose",
    "TaskStatus",
    "text_digest",
    "Webhook",
    "WebhookDelivery",
    "action_in_words",
    "work_choices",
    "work_label",
]

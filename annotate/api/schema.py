"""What the OpenAPI schema says about errors: every operation may answer in the one shape."""

from __future__ import annotations

from typing import Any

ERROR_SCHEMA = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message", "field", "hint", "details", "request_id"],
            "properties": {
                "code": {"type": "string", "description": "Stable, for programs.", "example": "invalid"},
                "message": {"type": "string", "description": "One sentence, for people."},
                "field": {"type": "string", "nullable": True},
                "hint": {"type": "string", "nullable": True, "description": "What to do about it."},
                "details": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": {
                            "field": {"type": "string", "nullable": True},
                            "row": {"type": "integer", "nullable": True},
                            "message": {"type": "string"},
                            "start": {"type": "integer", "description": "Where in the field's text."},
                            "end": {"type": "integer"},
                            "check": {"type": "string", "description": "Which check found it."},
                        },
                    },
                },
                "request_id": {"type": "string", "nullable": True},
            },
        }
    },
}
# A set of choices is called what the code calls it; equal field names would otherwise make "Status580Enum".
ENUM_NAMES = {
    "ActivityEnum": "labeling.models.ledger.Activity",
    "AppealStatusEnum": "labeling.models.appeal.AppealStatus",
    "AssignmentStatusEnum": "labeling.models.assignment.AssignmentStatus",
    "BatchStatusEnum": "labeling.models.batch.BatchStatus",
    "CheckpointKindEnum": "training.models.CheckpointKind",
    "CompletionOriginEnum": "labeling.models.prompt.CompletionOrigin",
    "DatasetExportStatusEnum": "labeling.models.dataset.DatasetExportStatus",
    "DatasetKindEnum": "labeling.models.dataset.DatasetKind",
    "DatasetVersionStatusEnum": "labeling.models.dataset.DatasetVersionStatus",
    "DeliveryStatusEnum": "labeling.models.webhook.DeliveryStatus",
    "FollowUpStatusEnum": "training.models.FollowUpStatus",
    "ImportKindEnum": "labeling.models.imports.ImportKind",
    "ImportStatusEnum": "labeling.models.imports.ImportStatus",
    "JudgmentOriginEnum": "labeling.models.submission.JudgmentOrigin",
    "LayoutEnum": "labeling.models.batch.Layout",
    "MailStatusEnum": "labeling.models.activity.MailStatus",
    "MembershipStatusEnum": "labeling.models.project.MembershipStatus",
    "PreparationStatusEnum": "labeling.models.preparation.PreparationStatus",
    "QualificationStatusEnum": "labeling.models.qualification.QualificationStatus",
    "ReviewDecisionEnum": "labeling.models.review.ReviewDecision",
    "ReviewReasonEnum": "labeling.models.submission.ReviewReason",
    "RateUnitEnum": "labeling.models.ledger.RateUnit",
    "RoleEnum": "labeling.models.project.Role",
    "RoundStatusEnum": "training.models.RoundStatus",
    "RoundStepKindEnum": "training.models.RoundStepKind",
    "RoundStepStatusEnum": "training.models.RoundStepStatus",
    "RunInputRoleEnum": "training.models.RunInputRole",
    "RunStatusEnum": "training.models.RunStatus",
    "ScreeningStatusEnum": "labeling.models.qualification.ScreeningStatus",
    "SkipReasonEnum": "labeling.models.assignment.SkipReason",
    "StageEnum": "training.models.Stage",
    "SubmissionStatusEnum": "labeling.models.submission.SubmissionStatus",
    "TaskKindEnum": "labeling.models.batch.TaskKind",
    "TaskPurposeEnum": "labeling.models.batch.TaskPurpose",
    "TaskStatusEnum": "labeling.models.batch.TaskStatus",
}
METHODS = {"get", "post", "put", "patch", "delete"}


def add_error_responses(result: dict[str, Any], generator, request, public: bool) -> dict[str, Any]:
    """drf-spectacular hook: a `default` response with the error shape on each operation."""
    result.setdefault("components", {}).setdefault("schemas", {})["Error"] = ERROR_SCHEMA
    reference = {
        "description": "Anything that went wrong.",
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
    }
    for operations in result.get("paths", {}).values():
        for method, operation in operations.items():
            if method in METHODS:
                operation.setdefault("responses", {}).setdefault("default", reference)
    return result

"""Columns of the lists' CSV files: a heading, and how a row of the list answers it."""

from __future__ import annotations

import json

from .list_pages import Column
from .models import DeliveryStatus, ReviewReason, Submission, SubmissionStatus
from .people_report import PersonFigures

PROJECTS: list[Column] = [
    ("name", lambda row: row.name),
    ("slug", lambda row: row.slug),
    ("description", lambda row: row.description),
    ("role", lambda row: row.role),
    ("open", lambda row: row.open_slots),
    ("made", lambda row: row.created_at),
    ("archived", lambda row: row.archived_at),
]
NOTIFICATIONS: list[Column] = [
    ("id", lambda row: row.pk),
    ("text", lambda row: row.text),
    ("project", lambda row: row.project.name if row.project else ""),
    ("kind", lambda row: row.kind),
    ("told", lambda row: row.created_at),
    ("read", lambda row: row.read_at),
]
PROMPTS: list[Column] = [
    ("id", lambda row: row.pk),
    ("prompt", lambda row: row.preview),
    ("category", lambda row: row.category),
    ("language", lambda row: row.language),
    ("turns", lambda row: len(row.messages)),
    ("completions", lambda row: row.completion_count),
    ("judgments", lambda row: row.judgment_count),
    ("added", lambda row: row.created_at),
]
BATCHES: list[Column] = [
    ("id", lambda row: row.pk),
    ("name", lambda row: row.name),
    ("kind", lambda row: row.kind),
    ("status", lambda row: row.status),
    ("slots", lambda row: row.slot_count),
    ("submitted", lambda row: row.submitted_count),
    ("in_work", lambda row: row.in_work_count),
    ("overlap", lambda row: row.overlap),
    ("review_rate", lambda row: row.review_rate),
    ("priority", lambda row: row.priority),
    ("deadline", lambda row: row.deadline_at),
    ("made", lambda row: row.created_at),
]
HISTORY: list[Column] = [
    ("id", lambda row: row.pk),
    ("prompt", lambda row: row.prompt.preview),
    ("kind", lambda row: row.kind),
    ("status", lambda row: row.status),
    ("revision", lambda row: row.revision_count),
    ("active_seconds", lambda row: row.active_seconds),
    ("submitted", lambda row: row.created_at),
    ("decided", lambda row: row.decided_at),
]
REVIEW: list[Column] = [
    ("id", lambda row: row.pk),
    ("prompt", lambda row: row.prompt.preview),
    ("kind", lambda row: row.kind),
    ("reason", lambda row: row.review_reason),
    ("person", lambda row: "" if _is_unscored(row) else _author(row)),
    ("batch", lambda row: row.task.batch.name if row.task else ""),
    ("revision", lambda row: row.revision_count),
    ("submitted", lambda row: row.created_at),
]
SUBMISSIONS: list[Column] = [
    ("id", lambda row: row.pk),
    ("prompt", lambda row: row.prompt.preview),
    ("kind", lambda row: row.kind),
    ("status", lambda row: row.status),
    ("review", lambda row: row.verdict),
    ("person", lambda row: row.annotator.name if row.annotator else ""),
    ("batch", lambda row: row.task.batch.name if row.task else ""),
    ("revision", lambda row: row.revision_count),
    ("active_seconds", lambda row: row.active_seconds),
    ("submitted", lambda row: row.created_at),
    ("decided", lambda row: row.decided_at),
]
APPEALS: list[Column] = [
    ("id", lambda row: row.pk),
    ("submission", lambda row: row.submission_id),
    ("prompt", lambda row: row.submission.prompt.preview),
    ("author", lambda row: row.author.name),
    ("text", lambda row: row.text),
    ("against", lambda row: row.review.decision),
    ("reviewer", lambda row: row.review.reviewer.name),
    ("status", lambda row: row.status),
    ("answer", lambda row: row.note),
    ("answered_by", lambda row: row.decided_by.name if row.decided_by else ""),
    ("made", lambda row: row.created_at),
    ("answered", lambda row: row.decided_at),
]
KNOWN_ANSWERS: list[Column] = [
    ("task", lambda row: row.pk),
    ("prompt", lambda row: row.prompt.preview),
    ("kind", lambda row: row.kind),
    ("purpose", lambda row: row.purpose),
    ("retired", lambda row: row.gold_answer.retired_at),
    ("minimum_score", lambda row: row.gold_answer.minimum_score),
    ("answers", lambda row: row.result_count),
    ("passed", lambda row: row.passed_count),
    ("missed", lambda row: row.missed_count),
    ("mean_agreement", lambda row: row.mean_agreement),
]
DISAGREEMENTS: list[Column] = [
    ("task", lambda row: row.task_id),
    ("prompt", lambda row: row.task.prompt.preview),
    ("category", lambda row: row.task.prompt.category),
    ("batch", lambda row: row.task.batch.name),
    ("people", lambda row: row.people),
    ("comparisons", lambda row: row.comparisons),
    ("agreement", lambda row: row.value),
    ("flags", lambda row: " ".join(key for key in row.flags.split("|") if key)),
]
SKIPPED_TASKS: list[Column] = [
    ("task", lambda row: row.pk),
    ("prompt", lambda row: row.prompt.preview),
    ("kind", lambda row: row.kind),
    ("batch", lambda row: row.batch.name),
    ("skips", lambda row: row.skip_count),
    ("parked", lambda row: row.parked_at),
]
TASKS: list[Column] = [
    ("task", lambda row: row.pk),
    ("prompt", lambda row: row.prompt.preview),
    ("status", lambda row: row.status),
    ("overlap", lambda row: row.overlap),
    ("submitted", lambda row: row.submission_count),
    ("skips", lambda row: row.skip_count),
]
COMMENTS: list[Column] = [
    ("id", lambda row: row.pk),
    ("submission", lambda row: row.submission_pk),
    ("task", lambda row: row.task_id),
    ("prompt", lambda row: (row.submission or row.task).prompt.preview),
    ("person", lambda row: row.person.name if row.person else ""),
    ("state", lambda row: "open" if row.is_open else "resolved"),
    ("comments", lambda row: row.comment_count),
    ("begun", lambda row: row.started_at),
    ("last_word_by", lambda row: row.last_author.name),
    ("last_word", lambda row: row.last_comment_at),
    ("resolved_by", lambda row: row.resolved_by.name if row.resolved_by else ""),
    ("resolved", lambda row: row.resolved_at),
]
IMPORTS: list[Column] = [
    ("id", lambda row: row.pk),
    ("file", lambda row: row.filename),
    ("kind", lambda row: row.kind),
    ("format", lambda row: row.format),
    ("status", lambda row: row.status),
    ("rows", lambda row: row.rows_read),
    ("added", lambda row: row.rows_added),
    ("there_already", lambda row: row.rows_already_there),
    ("left_out", lambda row: row.rows_left_out),
    ("bytes", lambda row: row.size_bytes),
    ("sha256", lambda row: row.sha256),
    ("licence", lambda row: row.licence),
    ("by", lambda row: row.created_by.name if row.created_by else ""),
    ("uploaded", lambda row: row.created_at),
    ("finished", lambda row: row.finished_at),
]
DATASETS: list[Column] = [
    ("id", lambda row: row.pk),
    ("name", lambda row: row.name),
    ("kind", lambda row: row.kind),
    ("versions", lambda row: row.version_count),
    ("last_frozen", lambda row: row.last_at),
]
WEBHOOKS: list[Column] = [
    ("id", lambda row: row.pk),
    ("address", lambda row: row.url),
    ("events", lambda row: " ".join(row.events)),
    ("active", lambda row: row.is_active),
    ("disabled", lambda row: row.disabled_at),
    ("disabled_reason", lambda row: row.disabled_reason),
    ("failing_since", lambda row: row.failing_since),
    ("added", lambda row: row.created_at),
]
DELIVERIES: list[Column] = [
    ("id", lambda row: row.pk),
    ("delivery", lambda row: row.uuid),
    ("event", lambda row: row.event),
    ("status", lambda row: row.status),
    ("attempts", lambda row: row.attempts),
    ("answer", lambda row: row.response_status),
    ("milliseconds", lambda row: row.milliseconds),
    ("error", lambda row: row.error),
    ("made", lambda row: row.created_at),
    ("last_tried", lambda row: row.last_tried_at),
    ("next_try", lambda row: row.next_try_at if row.status == DeliveryStatus.WAITING else None),
    ("finished", lambda row: row.finished_at),
]
AUDIT: list[Column] = [
    ("id", lambda row: row.pk),
    ("when", lambda row: row.created_at),
    ("who", lambda row: row.actor.name if row.actor else "system"),
    ("action", lambda row: row.action),
    ("object", lambda row: row.object_type),
    ("object_id", lambda row: row.object_id),
    ("data", lambda row: json.dumps(row.data, ensure_ascii=False, sort_keys=True)),
]
SKIPS: list[Column] = [
    ("task", lambda row: row.task_id),
    ("prompt", lambda row: row.task.prompt.preview),
    ("kind", lambda row: row.task.kind),
    ("reason", lambda row: row.reason),
    ("note", lambda row: row.note),
    ("when", lambda row: row.created_at),
]
ENTRIES: list[Column] = [
    ("id", lambda row: row.pk),
    ("day", lambda row: row.day),
    ("time_zone", lambda row: row.timezone),
    ("person", lambda row: row.user.name),
    ("work", lambda row: row.work),
    ("activity", lambda row: row.activity),
    ("for", lambda row: row.get_activity_display()),
    ("seconds", lambda row: row.seconds),
    ("claimed_seconds", lambda row: row.claimed_seconds),
    ("pieces", lambda row: row.pieces),
    ("reason", lambda row: row.reason),
    ("by", lambda row: row.created_by.name if row.created_by else ""),
    ("source", lambda row: row.source),
]
PAYROLL: list[Column] = [
    ("person", lambda row: row.user.name),
    ("pseudonym", lambda row: row.user.pseudonym),
    ("work", lambda row: row.work),
    ("days", lambda row: row.days),
    ("seconds", lambda row: row.seconds),
    ("hours", lambda row: row.hours),
    ("pieces", lambda row: row.pieces),
    ("rate", lambda row: row.rate.amount if row.rate else None),
    ("unit", lambda row: row.rate.unit if row.rate else ""),
    ("rate_valid_from", lambda row: row.rate.valid_from if row.rate else ""),
    ("amount", lambda row: row.amount),
    ("currency", lambda row: row.rate.currency if row.rate else ""),
]


def review(reason: str) -> list[Column]:
    """As the page: who wrote what waits for a score is not shown before it has one."""
    if reason != ReviewReason.GOLD_UNSCORED:
        return REVIEW
    return [(name, (lambda row: "") if name == "person" else read) for name, read in REVIEW]


def _is_unscored(row: Submission) -> bool:
    return row.review_reason == ReviewReason.GOLD_UNSCORED and row.status == SubmissionStatus.AWAITING_REVIEW


def _author(row: Submission) -> str:
    return row.annotator.name if row.annotator else ""


def payroll(first, last) -> list[Column]:
    """The period stands in each line, so that files of several months can be put together."""
    return [("from", lambda row: first), ("to", lambda row: last), *PAYROLL]


def people() -> list[Column]:
    columns: list[Column] = [
        ("name", lambda row: row.member.user.name),
        ("pseudonym", lambda row: row.member.user.pseudonym),
        ("role", lambda row: row.member.role),
        ("status", lambda row: row.member.status),
        ("pieces", lambda row: row.piece_count),
        ("reviewed", lambda row: row.review.reviewed),
        ("accepted_as_it_was", lambda row: row.review.accepted),
        ("fixed", lambda row: row.review.fixed),
        ("not_reviewed", lambda row: row.review.unreviewed),
        ("acceptance", lambda row: row.acceptance),
        ("agreement", lambda row: row.figure.agreement if row.figure else None),
        ("agreement_low", lambda row: row.figure.agreement_low if row.figure else None),
        ("agreement_high", lambda row: row.figure.agreement_high if row.figure else None),
        ("agreement_pairs", lambda row: row.figure.agreement_pairs if row.figure else None),
        ("position_first_wins", lambda row: row.figure.position if row.figure else None),
        ("position_pairs", lambda row: row.figure.position_pairs if row.figure else None),
        ("labeling_seconds", lambda row: row.seconds),
        ("pieces_an_active_hour", lambda row: row.pace),
        ("reviews", lambda row: row.reviews),
        ("review_seconds", lambda row: row.review_seconds),
        ("seconds_today", lambda row: row.today_seconds),
        ("seconds_this_week", lambda row: row.week_seconds),
        ("skipped", lambda row: row.skip_count),
        ("skip_reasons", _skip_reasons),
        ("last_work", lambda row: row.member.last_active_at),
        ("gold_passed", lambda row: row.gold.passed if row.gold else None),
        ("gold_seen", lambda row: row.gold.seen if row.gold else None),
    ]
    return columns


def _skip_reasons(row: PersonFigures) -> str:
    return "; ".join(f"{reason}: {count}" for reason, _, count in row.skip_reasons)

"""Looking at an uploaded file before anything is stored: how its first rows would be read, and what is wrong
with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from annotate.errors import DomainError, Invalid
from annotate.words import _
from labeling.formats import (
    DemonstrationRecord,
    Detection,
    FormatError,
    RankingRecord,
    Record,
    detect,
    read_file,
)
from labeling.models import ImportKind, ImportRecord

from . import import_files
from .answer_checks import look_of_imports
from .import_rows import prepare

PREVIEW_ROWS = 5
ROWS_LOOKED_AT = 500  # of files whose rows make sense together only

# What a person may map their columns to, per kind; the first ones are the usual ones.
MAPPABLE_FIELDS: dict[str, tuple[str, ...]] = {
    ImportKind.PROMPTS: ("prompt", "instruction", "input", "messages", "system", "category", "language"),
    ImportKind.DEMONSTRATIONS: (
        "prompt", "completion", "instruction", "input", "output", "messages", "question", "answers", "system",
        "category", "language",
    ),
    ImportKind.COMPARISONS: (
        "prompt", "chosen", "rejected", "margin", "response_a", "response_b", "output_1", "output_2",
        "preference", "completion", "label", "score", "question", "answers", "preferred_output",
        "non_preferred_output", "completions", "ranking", "ranks", "margins", "category", "language",
    ),
    ImportKind.COMPLETIONS: (
        "prompt", "instruction", "input", "output", "completion", "label", "score", "generator", "question",
        "answers", "completions", "ranking", "ranks", "margins", "system", "category", "language",
    ),
}  # fmt: skip


# The same fields by what they are for, as the page shows them.
FIELD_GROUPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (_("The prompt"), ("prompt", "instruction", "input", "messages", "question", "system")),
    (
        _("The answers"),
        (
            "completion", "output", "answers", "chosen", "rejected", "response_a", "response_b", "output_1",
            "output_2", "preferred_output", "non_preferred_output", "completions", "generator",
        ),
    ),
    (
        _("Which is better"),
        ("preference", "label", "score", "margin", "ranking", "ranks", "margins"),
    ),
    (_("About the row"), ("category", "language")),
)  # fmt: skip


@dataclass
class PreviewRow:
    """One row as it would be stored. `completions`: {"text", "generator", "rank"}, rank 1 = best, None =
    unrankable."""

    messages: Sequence[dict[str, str]]
    category: str
    metadata: dict[str, Any]
    answer: str = ""
    completions: list[dict[str, Any]] = field(default_factory=list)
    is_ranked: bool = False


@dataclass
class Preview:
    """What an import would make of the file's first rows. `problem` is set where they cannot be read that
    way."""

    detection: Detection | None = None
    rows: list[PreviewRow] = field(default_factory=list)
    problem: DomainError | None = None


def preview_import(
    *,
    import_record: ImportRecord,
    kind: str,
    format: str = "",
    column_mapping: Mapping[str, str] | None = None,
    leave_out_faulty_rows: bool = False,
) -> Preview:
    """The first rows as they would be stored; reads only the beginning of the file, stores nothing.

    Rows that may be left out are passed over, and the first fault among them is the `problem` all the same.
    """
    check_kind(kind)
    preview = Preview()
    path, name = import_files.path_of(import_record), import_record.filename
    try:
        preview.detection = detect(path, filename=name, kind=kind)
        faults: list[FormatError] = []
        records = read_file(
            path,
            filename=name,
            kind=kind,
            format=format or None,
            columns=checked_columns(column_mapping),
            on_fault=faults.append if leave_out_faulty_rows else None,
            most_rows=ROWS_LOOKED_AT,
        )
        look = look_of_imports(import_record.project)
        for record in records:
            prepare(record, name, look)  # for what would be refused
            preview.rows.append(_shown(record))
            if len(preview.rows) == PREVIEW_ROWS:
                break
        if faults:
            preview.problem = to_domain_error(faults[0])
    except FormatError as error:
        preview.problem = to_domain_error(error)
    except FileNotFoundError:
        preview.problem = file_gone(import_record)
    return preview


def _shown(record: Record) -> PreviewRow:
    row = PreviewRow(record.messages, record.category, record.metadata)
    if isinstance(record, DemonstrationRecord):
        row.answer = record.text
    elif isinstance(record, RankingRecord):
        row.is_ranked = record.tiers is not None
        ranks = record.ranks or [None] * len(record.completions)
        row.completions = [
            {"text": completion.text, "generator": completion.generator, "rank": rank}
            for completion, rank in zip(record.completions, ranks, strict=True)
        ]
    return row


def to_domain_error(error: FormatError) -> Invalid:
    """The same sentence as a domain error, with row and field for programs."""
    message = str(error).removesuffix(f" {error.hint}") if error.hint else str(error)
    return Invalid(
        message,
        code="import_failed",
        field=error.field,
        hint=error.hint,
        details=[{"field": error.field, "row": error.row, "message": message}],
    )


def file_gone(import_record: ImportRecord) -> DomainError:
    said = _("The file %(name)s is no longer on this machine.")
    problem = said % {"name": import_record.filename}
    return DomainError(problem, code="file_gone", hint="Upload it again.")


def check_kind(kind: str) -> None:
    if kind not in ImportKind.values:
        raise Invalid(_("Choose one of %(known)s.") % {"known": ", ".join(ImportKind.values)}, field="kind")


def checked_columns(mapping: Mapping[str, str] | None) -> dict[str, str] | None:
    """The mapping without empty choices. Raises Invalid where it is not text to text."""
    if not mapping:
        return None
    if not isinstance(mapping, Mapping) or not all(
        isinstance(v, str) for item in mapping.items() for v in item
    ):
        raise Invalid("The mapping gives our field a column of the file.", field="column_mapping")
    return {ours: theirs for ours, theirs in mapping.items() if theirs.strip()} or None

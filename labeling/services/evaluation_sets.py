"""Evaluation sets: imports whose prompts may not be trained on.

One is all prompts that its file names. Those that were in the project before it are stored as the prompts of
another import, so the file itself is read, which is kept under its digest; and the rows as they were stored
belong to it too, since a fix may have rewritten them on their way in.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from django.db.models import Sum

from annotate.errors import Invalid
from annotate.words import _
from labeling.formats import FormatError, read_file
from labeling.models import ImportRecord, ImportStatus, Project, Prompt
from labeling.preparation import unit_of_record

from . import import_files
from .import_preview import checked_columns, file_gone, to_domain_error

MOST_EVALUATION = 1_000_000  # rows of evaluation sets that rows are held against


def check_evaluation(project: Project, imports: Collection[int]) -> None:
    """Raises Invalid where one is no finished import of the project, and where they hold too many rows."""
    wanted = set(imports)
    known = project.imports.filter(pk__in=wanted, status=ImportStatus.SUCCEEDED)
    if len(wanted) != known.count():
        raise Invalid(_("Choose finished imports of this project."), field="evaluation")
    rows = known.aggregate(rows=Sum("rows_read"))["rows"] or 0
    if rows > MOST_EVALUATION:
        raise Invalid(
            _("Evaluation sets of %(rows)s rows together; %(most)s is the most.")
            % {"rows": f"{rows:,}", "most": f"{MOST_EVALUATION:,}"},
            field="evaluation",
            hint=_("Choose fewer of them, or split the file."),
        )


def require_evaluation(fixes: Collection[str], evaluation: Collection[int]) -> None:
    """Raises Invalid where the rows of a file, which has no sides, would be held against nothing."""
    if "drop_leaks" in fixes and not evaluation:
        raise Invalid(
            _("drop_leaks holds the rows of a file against evaluation sets, and none is named."),
            field="evaluation",
            hint=_("Name the imports that may not be trained on."),
        )


def prompts_of(project: Project, imports: Collection[int]) -> Iterator[str]:
    """The texts of all their prompts; some come twice. Raises DomainError where a file is gone."""
    stored = Prompt.objects.filter(project=project, import_record__in=list(imports)).order_by("pk")
    for messages in stored.values_list("messages", flat=True).iterator(chunk_size=500):
        yield "\n".join(each["content"] for each in messages)
    for record in project.imports.filter(pk__in=list(imports)).order_by("pk"):
        yield from _named_by(record)


def _named_by(record: ImportRecord) -> Iterator[str]:
    try:
        records = read_file(
            import_files.path_of(record),
            filename=record.filename,
            kind=record.kind,
            format=record.format or None,
            columns=checked_columns(record.column_mapping),
            on_fault=_pass_over,
        )
        for each in records:
            yield unit_of_record(each).prompt
    except FormatError as error:
        raise to_domain_error(error) from error
    except FileNotFoundError as error:
        raise file_gone(record) from error


def _pass_over(_error: FormatError) -> None:
    """What could not be read was left out when the file was brought in."""

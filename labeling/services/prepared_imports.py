"""An import with fixes of the preparation report chosen beforehand."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, BinaryIO

from labeling.models import ImportRecord, Project

from . import imports
from .evaluation_sets import check_evaluation, require_evaluation
from .preparation_options import checked_fixes
from .preparations import choose_fixes


def start_prepared_import(
    *,
    project: Project,
    kind: str,
    file: BinaryIO,
    filename: str,
    acting_user,
    fixes: Iterable[str] = (),
    context: int | None = None,
    evaluation: Iterable[int] = (),
    licence: str = "",
    **reading: Any,
) -> ImportRecord:
    """As `imports.start_import`, with `fixes` carried out. `evaluation`: imports whose prompts drop_leaks
    leaves out. `reading` is its format, column_mapping, leave_out_faulty_rows and dry_run. Raises Invalid
    before anything is stored where a fix or an evaluation set is unknown, or none is named."""
    fixes = checked_fixes(fixes)
    check_evaluation(project, evaluation := tuple(evaluation))
    require_evaluation(fixes, evaluation)
    import_record = imports.upload_file(
        project=project, kind=kind, file=file, filename=filename, acting_user=acting_user, licence=licence
    )
    choose_fixes(import_record=import_record, fixes=fixes, context=context, evaluation=evaluation)
    imports.confirm_import(import_record=import_record, acting_user=acting_user, **reading)
    return imports.run_or_ring(import_record=import_record)

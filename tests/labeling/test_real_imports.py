"""Real files through the one service that page, API and command share: stored as reading says, and once.

There only where the shared data folder is; its larger files are read in tests/formats/test_real_files.py. With
REAL_DATA_ALL=1 every file is brought in.
"""

from __future__ import annotations

import os

import pytest

from labeling.models import ImportStatus
from labeling.services import imports
from tests.formats.real_files import FOLDER, case_of, data_files

SMALL = 40_000  # bytes as they lie there
FILES = [
    path
    for path in data_files()
    if os.environ.get("REAL_DATA_ALL") or (FOLDER / path).stat().st_size < SMALL
    if not path.startswith("blocklists/") or path.endswith("/en")
]


def bring_in(cast, path: str):
    case = case_of(path)
    with (FOLDER / path).open("rb") as file:
        return imports.start_import(
            project=cast.project, kind=case.kind, file=file, filename=path.rsplit("/", 1)[-1],
            acting_user=cast.admin, format=case.format, column_mapping=case.columns,
            leave_out_faulty_rows=bool(case.refusal), licence="as the manifest says",
        )  # fmt: skip


if FILES:

    @pytest.mark.parametrize("path", FILES)
    def test_a_real_file_comes_in_once(cast, path):
        case = case_of(path)
        record = bring_in(cast, path)
        record = imports.run_import(import_record=record)  # for those that would wait for a worker
        if case.refusal and not case.records:
            assert (record.status, case.refusal in record.error["message"] + str(record.error["hint"])) == (
                ImportStatus.FAILED,
                True,
            )
            return
        assert record.status == ImportStatus.SUCCEEDED, record.error
        assert case.records in (None, record.rows_read - record.rows_left_out)
        assert (record.rows_left_out, record.rows_added > 0) == (case.left_out, True)
        again = imports.run_import(import_record=bring_in(cast, path))
        assert (again.rows_added, again.rows_read) == (0, record.rows_read)

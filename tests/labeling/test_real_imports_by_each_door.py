"""Real files through the browser, the API and the command: the same rows, or the same sentence.

There only where the shared data folder is. Every malformed file, every document of the JSON test suite, and
the smallest file of each case of tests/formats/real_files.py; with REAL_DATA_ALL=1 every file of the folder.
All are read in tests/formats/test_real_files.py, and the small ones stored in test_real_imports.
"""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.urls import reverse

from labeling.formats import FormatError, read_file
from labeling.models import Completion, ImportRecord, ImportStatus, Prompt, Submission
from labeling.services import background
from tests.formats.real_files import (
    CASES,
    FOLDER,
    Case,
    case_of,
    data_files,
    json_suite,
    malformed_files,
)

pytestmark = pytest.mark.slow
MOST_BYTES = 1_500_000


def chosen_files() -> dict[str, str]:
    """{pattern of a case: the path of its smallest file}, or {path: path} of all there are."""
    if os.environ.get("REAL_DATA_ALL"):
        return {path: path for path in data_files()}
    by_size = sorted(data_files(), key=lambda path: ((FOLDER / path).stat().st_size, path), reverse=True)
    found = {case_of(path).pattern: path for path in by_size if (FOLDER / path).stat().st_size < MOST_BYTES}
    return {case.pattern: found[case.pattern] for case in CASES if case.pattern in found}


def by_browser(admin, slug: str, path: Path, case: Case) -> str:
    """What the page shows afterwards."""
    fields = {"kind": case.kind, "files": SimpleUploadedFile(path.name, path.read_bytes())}
    page = admin.post(reverse("labeling:import_new", args=[slug]), fields)
    if not path.stat().st_size:  # a form takes no empty file
        assert page.status_code == 422
        return page.content.decode()
    assert page.status_code == 302, page.content.decode()[-2000:]
    assert admin.get(page["Location"]).status_code == 200  # the preview, before anything is chosen
    record = ImportRecord.objects.order_by("pk").last()
    chosen = {"kind": case.kind, "format": case.format or ""}
    chosen |= {f"map-{ours}": theirs for ours, theirs in case.columns.items()}
    if case.left_out:
        chosen["leave_out_faulty_rows"] = "on"
    admin.post(reverse("labeling:import_confirm", args=[slug, record.pk]), chosen)
    background.sweep()
    return admin.get(page["Location"]).content.decode()


def by_api(admin, slug: str, path: Path, case: Case) -> str:
    fields = {"kind": case.kind, "file": SimpleUploadedFile(path.name, path.read_bytes())}
    fields |= {"format": case.format} if case.format else {}
    fields |= {"column_mapping": json.dumps(case.columns)} if case.columns else {}
    fields |= {"leave_out_faulty_rows": "true"} if case.left_out else {}
    answer = admin.post(f"/api/projects/{slug}/imports/", fields)
    assert answer.status_code in (201, 202, 400, 422), answer.content[:300]
    background.sweep()
    if answer.status_code == 202:  # much to read, also of a small file that unpacks to a large one
        answer = admin.get(f"/api/projects/{slug}/imports/{answer.json()['id']}/")
    return answer.content.decode()


def by_command(admin, slug: str, path: Path, case: Case) -> str:
    words = ["--project", slug, "--as", case.kind]
    words += ["--format", case.format] if case.format else []
    words += [word for ours, theirs in case.columns.items() for word in ("--map", f"{ours}={theirs}")]
    words += ["--leave-out-faulty"] if case.left_out else []
    out, err = io.StringIO(), io.StringIO()
    try:
        call_command("import_data", *words, str(path), stdout=out, stderr=err)
    except CommandError as error:
        return f"{err.getvalue()}{error}"
    return f"{out.getvalue()}{err.getvalue()}"


DOORS = [by_browser, by_api, by_command]
FILES = chosen_files()
if FILES:

    @pytest.mark.parametrize("door", DOORS)
    @pytest.mark.parametrize("path", FILES.values(), ids=list(FILES))
    def test_a_real_file_comes_in_by_this_door(admin, cast, path, door):
        case = case_of(path)
        said = door(admin, cast.project.slug, FOLDER / path, case)
        record = ImportRecord.objects.first()
        if case.refusal and not case.records:
            assert record is None or record.status == ImportStatus.FAILED
            assert record is None or case.refusal in record.error["message"] + str(record.error["hint"])
            assert case.refusal.split("'")[0].split('"')[0] in said
            return
        assert record is not None and record.status == ImportStatus.SUCCEEDED, said[-2000:]
        assert case.records in (None, record.rows_read - record.rows_left_out)
        assert (record.rows_left_out, record.rows_added > 0) == (case.left_out, True)

    @pytest.mark.parametrize("door", DOORS)
    @pytest.mark.parametrize("file", malformed_files(), ids=lambda file: file.name)
    def test_a_malformed_file_has_its_outcome_by_this_door(admin, cast, file, door):
        path = FOLDER / "malformed" / file.name
        said = door(admin, cast.project.slug, path, Case(file.name, file.kind))
        assert "Traceback" not in said
        record = ImportRecord.objects.first()
        if record is not None and record.status == ImportStatus.SUCCEEDED:
            assert record.rows_read == file.accepted
            return
        assert file.refused
        assert not any(model.objects.exists() for model in (Prompt, Submission, Completion))
        error = record.error if record is not None and record.error else {}  # an empty file has no record
        if file.row is not None:
            assert error["row"] == file.row and f"row {file.row}" in said
            assert file.field in (None, error["field"])
        assert file.name in said or not path.stat().st_size

    @pytest.mark.parametrize("door", DOORS)
    def test_the_json_test_suite_by_this_door(admin, cast, door):
        """Whether a document is a list of prompts is told alike by every door, and in a sentence why not."""
        for path in json_suite():
            try:
                rows = sum(1 for _ in read_file(path, kind="prompts"))
            except FormatError:
                rows = None
            before = ImportRecord.objects.count()
            said = door(admin, cast.project.slug, path, Case("*", "prompts"))
            record = ImportRecord.objects.order_by("pk").last()
            if rows is not None:
                assert (record.status, record.rows_read) == (ImportStatus.SUCCEEDED, rows), path.name
                continue
            assert "Traceback" not in said and (path.name in said or not path.stat().st_size), path.name
            assert ImportRecord.objects.count() == before or record.status == ImportStatus.FAILED, path.name
        assert Prompt.objects.exists()

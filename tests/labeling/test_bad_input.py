"""Every kind of bad file through the browser, the API and the command: refused or read as documented, with
file, row and field; nothing half-imported; memory bounded."""

from __future__ import annotations

import tracemalloc

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.urls import reverse

from labeling.formats.errors import printable
from labeling.models import Completion, Demonstration, ImportRecord, ImportStatus, Prompt, Submission
from labeling.services import background
from tests.formats.bad_files import BAD_FILES, BadFile

pytestmark = pytest.mark.slow

MOST_MEMORY = 64 * 2**20  # of Python's objects while a file of any size is read
EACH = [pytest.param(bad, id=bad.what) for bad in BAD_FILES]


def stored() -> list[int]:
    return [model.objects.count() for model in (Prompt, Submission, Demonstration, Completion)]


def check_record(bad: BadFile, record: ImportRecord) -> None:
    if bad.said:
        assert record.status == ImportStatus.FAILED
        assert bad.said in record.error["message"]
        assert (record.error["row"], record.error["field"]) == (bad.row, bad.field)
        assert record.error["file"] == bad.name
    else:
        assert (record.status, record.rows_added) == (ImportStatus.SUCCEEDED, bad.rows), record.error
    check_nothing_by_halves(bad)


def check_nothing_by_halves(bad: BadFile) -> None:
    assert stored() == [bad.rows, bad.rows, bad.rows, 0]


@pytest.mark.parametrize("bad", EACH)
def test_through_the_browser(admin, cast, bad):
    data = bad.make()
    page = admin.post(
        reverse("labeling:import_new", args=[cast.project.slug]),
        {"kind": "demonstrations", "files": SimpleUploadedFile(bad.name, data)},
    )
    if not data:  # a form takes no empty file
        assert page.status_code == 422
        assert stored() == [0, 0, 0, 0]
        return
    assert page.status_code == 302
    preview = admin.get(page["Location"])
    assert preview.status_code == 200
    assert stored() == [0, 0, 0, 0]
    record = ImportRecord.objects.get()
    admin.post(
        reverse("labeling:import_confirm", args=[cast.project.slug, record.pk]), {"kind": "demonstrations"}
    )
    background.sweep()  # what is large waits for a worker
    record.refresh_from_db()
    check_record(bad, record)
    shown = admin.get(page["Location"]).content.decode()
    assert "Traceback" not in shown
    if bad.said:
        assert printable(bad.said) in shown.replace("&#x27;", "'")


@pytest.mark.parametrize("bad", EACH)
def test_through_the_api(admin, cast, bad):
    answer = admin.post(
        f"/api/projects/{cast.project.slug}/imports/",
        {"kind": "demonstrations", "file": SimpleUploadedFile(bad.name, bad.make())},
    )
    assert answer.status_code in ((400, 422, 202) if bad.said else (201,)), answer.content[:300]
    background.sweep()
    if record := ImportRecord.objects.first():
        check_record(bad, record)
    check_nothing_by_halves(bad)


@pytest.mark.parametrize("bad", EACH)
def test_through_the_command_with_bounded_memory(cast, bad, tmp_path, capsys):
    path = tmp_path / bad.name
    path.write_bytes(bad.make())
    words = ["import_data", "--project", cast.project.slug, "--as", "demonstrations", str(path)]
    said = ""
    tracemalloc.start()
    try:
        call_command(*words)
    except CommandError as error:
        said = str(error)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    said += capsys.readouterr().err
    assert (bad.said in said, bool(said)) == (True, bool(bad.said))
    if bad.said and bad.row is not None:
        assert f"{bad.name}, row {bad.row}" in said
    if bad.field is not None:
        assert f"field {bad.field}" in said
    assert peak < MOST_MEMORY
    check_nothing_by_halves(bad)

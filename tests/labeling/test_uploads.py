"""A file sent piece by piece: acknowledged pieces stay, and an upload goes on where it stands."""

from __future__ import annotations

import datetime
import io
import os
import time

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from django.utils import timezone

from annotate.errors import Conflict, Invalid, NotFound
from labeling.models import ImportRecord, ImportStatus, ImportUpload
from labeling.services import background, import_files, imports, uploads

DATA = b"".join(b'{"prompt": "Question %d?"}\n' % n for n in range(40))
SIZE = len(DATA)


@pytest.fixture
def upload(cast):
    return begin(cast)


def begin(cast, user=None, size=SIZE):
    return uploads.begin_upload(
        project=cast.project, kind="prompts", filename="../rows.jsonl", size_bytes=size,
        acting_user=user or cast.admin, licence="CC0",
    )  # fmt: skip


def add(upload, offset, data):
    return uploads.add_piece(upload=upload, offset=offset, data=data, acting_user=upload.created_by)


def test_the_last_piece_makes_the_import(upload):
    assert add(upload, 0, DATA[:100]) is None
    assert add(upload, 100, DATA[100:300]) is None
    record = add(upload, 300, DATA[300:])
    assert (record.status, record.filename, record.licence) == (ImportStatus.UPLOADED, "rows.jsonl", "CC0")
    assert import_files.path_of(record).read_bytes() == DATA
    assert not ImportUpload.objects.exists()
    assert not uploads.path_of(ImportUpload(pk=upload.pk)).exists()
    imports.confirm_import(import_record=record, acting_user=upload.created_by)
    assert imports.run_import(import_record=record).rows_added == 40


def test_a_piece_that_does_not_begin_where_the_upload_stands_is_refused(upload):
    add(upload, 0, DATA[:100])
    for offset in (0, 50, 101):
        with pytest.raises(Conflict, match="stands at byte 100"):
            add(upload, offset, DATA[offset : offset + 10])
    assert upload.offset == 100


def test_bytes_that_were_never_acknowledged_are_written_over(upload):
    add(upload, 0, DATA[:100])
    with uploads.path_of(upload).open("ab") as file:  # a server killed between the disk and the row
        file.write(b"x" * 500)
    add(upload, 100, DATA[100:150])
    record = add(upload, 150, DATA[150:])
    assert import_files.path_of(record).read_bytes() == DATA


def test_an_upload_whose_last_answer_was_lost_is_finished_by_an_empty_piece(upload, monkeypatch):
    monkeypatch.setattr(uploads, "_finish", lambda *_: None)
    add(upload, 0, DATA)
    monkeypatch.undo()
    record = add(upload, len(DATA), b"")
    assert import_files.path_of(record).read_bytes() == DATA


def test_two_requests_never_write_into_one_another(upload):
    with (
        uploads._written_alone(upload),
        pytest.raises(Conflict, match="Another request is writing"),
    ):
        add(upload, 0, DATA[:10])


def test_sizes_are_bounded(cast, upload, settings):
    with pytest.raises(Invalid, match="would make"):
        add(upload, 0, DATA + b"x")
    with pytest.raises(Invalid, match="at most 4,194,304 bytes"):
        add(upload, 0, b"x" * (uploads.PIECE_BYTES + 1))
    settings.IMPORT_MAX_BYTES = 1_000
    with pytest.raises(Invalid, match="larger than 1,000 bytes"):
        begin(cast, size=1_001)
    with pytest.raises(Invalid, match="empty"):
        begin(cast, size=0)


def test_a_person_has_a_bounded_number_of_open_uploads(cast, monkeypatch):
    monkeypatch.setattr(uploads, "MOST_OPEN", 2)
    begin(cast), begin(cast)
    with pytest.raises(Conflict, match="2 unfinished uploads"):
        begin(cast)
    ImportUpload.objects.first().delete()
    begin(cast)


def test_the_sweep_removes_what_nobody_goes_on_with_and_only_that(cast, upload):
    other = begin(cast)
    for each in (upload, other):
        add(each, 0, DATA[:10])
    old = time.time() - 25 * 3600
    ImportUpload.objects.filter(pk=upload.pk).update(touched_at=timezone.now() - datetime.timedelta(hours=25))
    orphan, fresh = (import_files.folder() / name for name in (".incoming-old", ".incoming-new"))
    for path in (orphan, fresh):
        path.write_bytes(b"x")
    os.utime(orphan, (old, old))
    background.sweep()
    assert list(ImportUpload.objects.all()) == [other]
    assert [path.exists() for path in (uploads.path_of(upload), uploads.path_of(other), orphan, fresh)] == [
        False, True, False, True,
    ]  # fmt: skip
    fresh.unlink()


def test_a_file_that_lost_its_end_is_never_filled_with_zeros(upload):
    add(upload, 0, DATA[:300])
    os.truncate(uploads.path_of(upload), 100)  # a power cut, or a backup restored beside a newer database
    with pytest.raises(Conflict, match="byte 100"):
        add(upload, 300, DATA[300:])
    upload.refresh_from_db()
    assert upload.offset == 100
    record = add(upload, 100, DATA[100:])
    assert import_files.path_of(record).read_bytes() == DATA


def test_a_piece_of_an_upload_that_ended_meanwhile_is_not_found(upload):
    same = ImportUpload.objects.get(pk=upload.pk)
    add(upload, 0, DATA)
    with pytest.raises(NotFound):
        add(same, 0, DATA)
    assert not uploads.path_of(same).exists()


# --- Over the API -----------------------------------------------------------------------------------------
def patch(client, url, offset, data, media_type="application/offset+octet-stream"):
    headers = {} if offset is None else {"Upload-Offset": str(offset)}
    return client.patch(url, data, media_type, headers=headers)


def test_over_the_api_an_upload_is_begun_resumed_and_confirmed(cast, client):
    client.force_login(cast.admin)
    slug = cast.project.slug
    new = {"kind": "prompts", "filename": "rows.jsonl", "size_bytes": len(DATA), "licence": "CC0"}
    begun = client.post(reverse("api_uploads", args=[slug]), new, "application/json")
    assert (begun.status_code, begun.json()["offset"], begun.json()["piece_bytes"]) == (201, 0, 4 * 2**20)
    url = reverse("api_upload", args=[slug, begun.json()["id"]])
    assert patch(client, url, 0, DATA[:200]).json()["offset"] == 200
    assert patch(client, url, 0, DATA[:200]).status_code == 409
    assert client.get(url).json()["offset"] == 200
    last = patch(client, url, 200, DATA[200:])
    assert (last.status_code, last.json()["status"]) == (201, "uploaded")
    assert client.get(url).status_code == 404
    confirm = reverse("api_import_confirm", args=[slug, last.json()["id"]])
    assert client.post(confirm, {}, "application/json").json()["rows_added"] == 40


@pytest.mark.parametrize(
    ("offset", "media_type", "status"),
    [
        (None, "application/offset+octet-stream", 422),
        ("-1", "application/offset+octet-stream", 422),
        ("x", "application/offset+octet-stream", 422),
        (0, "application/json", 400),
        (0, "text/plain", 415),
    ],
)
def test_a_piece_that_is_none_is_refused(cast, client, upload, offset, media_type, status):
    client.force_login(cast.admin)
    url = reverse("api_upload", args=[cast.project.slug, upload.pk])
    assert patch(client, url, offset, b"xx", media_type).status_code == status
    upload.refresh_from_db()
    assert upload.offset == 0


def test_an_upload_is_its_maker_s_own(cast, client, upload):
    url = reverse("api_upload", args=[cast.project.slug, upload.pk])
    for person, status in ((cast.annotator, 403), (cast.outsider, 404)):
        client.force_login(person)
        assert client.get(url).status_code == status
        assert patch(client, url, 0, b"xx").status_code == status
        assert client.delete(url).status_code == status
    client.force_login(cast.admin)
    add(upload, 0, DATA[:10])
    assert client.delete(url).status_code == 204
    assert not uploads.path_of(upload).exists()
    assert not ImportRecord.objects.exists()


# --- Room on the disk -------------------------------------------------------------------------------------
def stored_files():
    return sorted(path.name for path in import_files.folder().rglob("*") if path.is_file())


def test_a_person_has_so_much_room_for_what_waits_and_is_told_what_to_do(cast, upload, settings):
    settings.IMPORT_WAITING_MAX_BYTES = 2 * SIZE  # an unfinished upload counts whole
    with pytest.raises(Invalid, match="would take up") as refused:
        begin(cast, size=SIZE + 1)
    assert (refused.value.code, refused.value.field) == ("no_room", "size_bytes")
    assert "discard" in str(refused.value.hint)
    assert begin(cast, user=cast.lead, size=2 * SIZE)  # another person has their own
    record = add(upload, 0, DATA)
    with pytest.raises(Invalid):
        begin(cast, size=SIZE + 1)  # it waits to be confirmed
    imports.confirm_import(import_record=record, acting_user=cast.admin)
    imports.run_import(import_record=record)
    assert begin(cast, size=SIZE + 1)  # what is in is not waiting any more


def test_a_project_has_so_much_room_for_all_its_files(cast, settings):
    settings.IMPORT_PROJECT_MAX_BYTES = SIZE + 10
    first = imports.upload_file(
        project=cast.project, kind="prompts", file=io.BytesIO(DATA), filename="a.jsonl", acting_user=None
    )
    before = stored_files()
    with pytest.raises(Invalid, match="files of this project"):
        imports.upload_file(
            project=cast.project, kind="prompts", file=io.BytesIO(b'{"prompt": "One?"}'),
            filename="b.jsonl", acting_user=cast.admin,
        )  # fmt: skip
    assert stored_files() == before  # nothing stays of what was refused
    imports.discard_import(import_record=first, acting_user=cast.admin)
    assert begin(cast, size=SIZE)


def test_a_form_with_a_file_there_is_no_room_for_says_so(admin, cast, settings):
    settings.IMPORT_WAITING_MAX_BYTES = 10
    file = SimpleUploadedFile("a.jsonl", DATA)
    answer = admin.post(
        reverse("labeling:import_new", args=[cast.project.slug]), {"kind": "prompts", "files": file}
    )
    assert answer.status_code == 422
    assert "at most 10 are allowed" in answer.content.decode()
    assert not ImportRecord.objects.exists()

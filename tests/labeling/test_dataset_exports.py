"""Prepared exports and downloads in parts: each byte once, by who may, and read by the libraries meant."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import zipfile
from datetime import timedelta

import pyarrow.parquet as pq
import pytest
from backports import zstd
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from annotate.errors import Conflict, Gone, Invalid, NotFound
from labeling.formats import read_file
from labeling.models import AuditEvent, DatasetExport, Notification
from labeling.services import background, dataset_exports, datasets, downloads
from labeling.services.dataset_exports import follow_link, make_link, prepare_export
from labeling.services.export_packing import as_array

from .judgments import make_demonstration, make_ranking
from .test_dataset_freeze import fill, make_version


@pytest.fixture
def version(cast):
    fill(cast, 12)
    return make_version(cast, fractions={"train": 0.7, "validation": 0.3})


def path_of(cast, version, rest="") -> str:
    return f"/projects/{cast.project.slug}/datasets/{version.dataset_id}/versions/{version.number}/{rest}"


def body(answer) -> bytes:
    return b"".join(answer.streaming_content)


# --- Parts ------------------------------------------------------------------------------------------------
def test_parts_join_to_the_whole_at_every_cut(admin, cast, version):
    url = path_of(cast, version, "download/")
    whole = admin.get(url, {"format": "canonical"})
    data = body(whole)
    assert data == b"".join(datasets.export_version(version=version, format="canonical"))
    assert (whole["Accept-Ranges"], whole["Content-Length"]) == ("bytes", str(len(data)))
    first_file = datasets.split_path(version=version, split="train").stat().st_size
    for cut in (1, first_file - 1, first_file, first_file + 1, len(data) - 1):
        start = admin.get(url, {"format": "canonical"}, headers={"Range": f"bytes=0-{cut - 1}"})
        rest = admin.get(
            url, {"format": "canonical"}, headers={"Range": f"bytes={cut}-", "If-Range": whole["ETag"]}
        )
        assert (start.status_code, rest.status_code) == (206, 206)
        assert rest["Content-Range"] == f"bytes {cut}-{len(data) - 1}/{len(data)}"
        assert body(start) + body(rest) == data


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Range": "bytes=5-4"}, 200),  # no range: ignored
        ({"Range": "bytes=-"}, 200),
        ({"Range": "lines=1-2"}, 200),
        ({"Range": "bytes=0-1,3-4"}, 200),  # several: answered whole
        ({"Range": "bytes=0-1", "If-Range": '"another"'}, 200),  # it changed: from the beginning
        ({"Range": "bytes=-5"}, 206),
        ({"Range": "bytes=0-99999999"}, 206),
        ({"Range": "bytes=99999999-"}, 416),
        ({"Range": "bytes=-0"}, 416),
        ({"If-None-Match": "*"}, 304),
    ],
)
def test_what_is_asked_for_in_other_ways(admin, cast, version, headers, status):
    url = path_of(cast, version, "download/")
    answer = admin.get(url, {"split": "train"}, headers=headers)
    assert answer.status_code == status
    data = datasets.split_path(version=version, split="train").read_bytes()
    assert answer["ETag"] == f'"{hashlib.sha256(data).hexdigest()}"'
    if status == 206:
        assert body(answer) == (data[-5:] if headers["Range"] == "bytes=-5" else data)
    if status == 416:
        assert answer["Content-Range"] == f"bytes */{len(data)}"


def test_a_question_about_the_file_has_its_size_and_no_bytes(admin, cast, version):
    answer = admin.head(path_of(cast, version, "download/"), {"split": "train"})
    data = datasets.split_path(version=version, split="train").read_bytes()
    assert (int(answer["Content-Length"]), body(answer)) == (len(data), b"")


# --- Prepared ---------------------------------------------------------------------------------------------
def test_a_prepared_file_is_the_streamed_one_with_a_hash(cast, version):
    export = prepare_export(version=version, format="messages", acting_user=cast.admin)
    path = dataset_exports.open_export(export=export)
    data = path.read_bytes()
    assert data == b"".join(datasets.export_version(version=version, format="messages"))
    assert (export.sha256, export.size_bytes) == (hashlib.sha256(data).hexdigest(), len(data))
    assert export.summary == {"read": 12, "written": 12, "left_out": {}}
    slug = cast.project.slug
    assert path.name == f"{slug}-set-v1-{version.sha256[:8]}.messages.jsonl"


def downloads_on_record() -> int:
    return AuditEvent.objects.filter(action="dataset.downloaded").count()


def test_a_download_in_parts_is_one_row_of_the_trail(admin, cast, version):
    export = prepare_export(version=version, format="messages", acting_user=cast.admin)
    url = reverse("labeling:dataset_export_file", args=[cast.project.slug, export.pk])
    whole = body(admin.get(url))
    event = AuditEvent.objects.get(action="dataset.downloaded")
    assert (event.actor, event.data["file_sha256"]) == (cast.admin, export.sha256)
    tag = f'"{export.sha256}"'
    assert admin.head(url).status_code == 200
    assert admin.get(url, headers={"If-None-Match": tag}).status_code == 304
    assert admin.get(url, headers={"Range": f"bytes={len(whole)}-"}).status_code == 416
    for start in (10, 200):
        part = admin.get(url, headers={"Range": f"bytes={start}-", "If-Range": tag})
        assert (part.status_code, body(part)) == (206, whole[start:])
    assert downloads_on_record() == 1
    admin.get(url)
    assert downloads_on_record() == 2  # begun anew: another download


def test_nobody_takes_a_file_in_parts_unseen(admin, cast, version):
    """All but the first byte is a download, too; and what somebody else has begun is not mine."""
    path = reverse("labeling:dataset_download", args=[cast.project.slug, version.dataset_id, version.number])
    datasets_of_lead = {"acting_user": cast.lead, "version": version, "format": "canonical", "split": None}
    downloads.record_download(**datasets_of_lead)
    admin.get(path, headers={"Range": "bytes=1-"})
    admin.get(path, headers={"Range": "bytes=7-"})
    assert downloads_on_record() == 2
    admin.get(path, {"split": "train"}, headers={"Range": "bytes=7-"})
    assert downloads_on_record() == 3
    AuditEvent.objects.filter(actor=cast.admin).update(created_at=timezone.now() - downloads.GOES_ON)
    admin.get(path, headers={"Range": "bytes=7-"})
    assert downloads_on_record() == 4


def test_the_same_again_is_the_same_file_and_a_deleted_one_is_made_anew_to_the_byte(cast, version):
    options = {"gzip": True}
    first = prepare_export(version=version, format="messages", options=options, acting_user=cast.admin)
    assert prepare_export(version=version, format="messages", options=options, acting_user=cast.lead) == first
    data = dataset_exports.open_export(export=first).read_bytes()
    assert gzip.decompress(data) == b"".join(datasets.export_version(version=version, format="messages"))
    dataset_exports._path(first).unlink()
    with pytest.raises(NotFound):
        dataset_exports.open_export(export=first)
    again = prepare_export(version=version, format="messages", options=options, acting_user=cast.admin)
    assert (again.pk, again.sha256) == (first.pk, first.sha256)
    assert DatasetExport.objects.count() == 1


@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_lines_are_one_array_wherever_they_were_cut(size):
    rows = [{"a": "x\ny"}, {"a": []}, {"b": None}]
    lines = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
    pieces = [lines[start : start + size] for start in range(0, len(lines), size)]
    assert json.loads(b"".join(as_array(pieces))) == rows
    assert json.loads(b"".join(as_array([]))) == []


def test_one_json_array_in_zstandard_holds_the_rows_and_is_imported_again(admin, cast, version):
    options = {"array": True, "zstandard": True}
    export = prepare_export(version=version, format="messages", options=options, acting_user=cast.admin)
    assert dataset_exports.filename_of(export).endswith(".json.zst")
    answer = admin.get(f"/projects/{cast.project.slug}/exports/{export.pk}/file/")
    assert answer["Content-Type"] == "application/zstd"
    packed = body(answer)
    lines = b"".join(datasets.export_version(version=version, format="messages")).splitlines()
    assert json.loads(zstd.decompress(packed)) == [json.loads(line) for line in lines]
    again = list(read_file(io.BytesIO(packed), filename="a.json.zst", kind="demonstrations"))
    assert len(again) == len(lines)
    dataset_exports._path(export).unlink()
    anew = prepare_export(version=version, format="messages", options=options, acting_user=cast.admin)
    assert anew.sha256 == export.sha256


def test_what_cannot_be_prepared_is_refused_with_the_field(cast, version):
    for format, options, field in (
        ("kwise", {}, "format"),
        ("messages", {"gzip": "yes"}, "options"),
        ("messages", {"array": 1}, "options"),
        ("messages", {"gzip": True, "zstandard": True}, "options"),
        ("prompt_response_csv", {"array": True}, "options"),
        ("messages", {"stop": "x"}, "options"),
        ("parquet", {"rows": "prompt_response_csv"}, "options"),
        ("parquet", {"gzip": True}, "options"),
        ("parquet", {"rows": "hh"}, "format"),
    ):
        with pytest.raises(Invalid) as caught:
            prepare_export(version=version, format=format, options=options, acting_user=cast.admin)
        assert caught.value.field == field
    with pytest.raises(Invalid, match="no split"):
        prepare_export(version=version, format="messages", split="x", acting_user=cast.admin)
    assert not DatasetExport.objects.exists()


def test_a_large_one_is_prepared_in_the_background_and_its_owner_is_told(cast, version, monkeypatch):
    monkeypatch.setattr(dataset_exports, "INLINE_ROWS", 1)
    export = prepare_export(version=version, format="messages", acting_user=cast.admin)
    assert export.status == "waiting"
    with pytest.raises(Conflict):
        dataset_exports.open_export(export=export)
    background.sweep()
    export.refresh_from_db()
    assert export.status == "ready"
    assert "ready to be downloaded" in Notification.objects.get(kind="dataset.exported").text


def test_one_that_dies_is_taken_up_again_and_given_up_after_three(cast, version, monkeypatch):
    export = prepare_export(version=version, format="messages", acting_user=cast.admin, in_background=True)
    DatasetExport.objects.filter(pk=export.pk).update(attempt=2)
    monkeypatch.setattr("labeling.services.progress.SILENT_SECONDS", -1.0)
    assert dataset_exports.lost_exports() == [export]
    DatasetExport.objects.filter(pk=export.pk).update(attempt=3)
    assert dataset_exports.lost_exports() == []
    export.refresh_from_db()
    assert (export.status, "died too often" in export.error) == ("failed", True)
    again = prepare_export(version=version, format="messages", acting_user=cast.admin)
    assert again.status == "ready"


def test_what_nobody_fetches_for_a_week_is_deleted(cast, version):
    export = prepare_export(version=version, format="messages", acting_user=cast.admin)
    path = dataset_exports._path(export)
    now = timezone.now()
    assert dataset_exports.forget_unused(now=now + timedelta(days=6)) == 0
    assert dataset_exports.forget_unused(now=now + timedelta(days=8)) == 1
    assert not path.exists()


# --- Parquet ----------------------------------------------------------------------------------------------
def unpacked(export, tmp_path):
    with zipfile.ZipFile(dataset_exports._path(export)) as archive:
        archive.extractall(tmp_path)
    return tmp_path


def test_parquet_is_read_back_by_pyarrow_as_the_rows_and_has_a_readme(cast, version, tmp_path, monkeypatch):
    monkeypatch.setattr("labeling.formats.parquet_out.write_shards.__kwdefaults__", {"rows_a_shard": 3})
    export = prepare_export(
        version=version, format="parquet", options={"rows": "messages"}, acting_user=cast.admin
    )
    folder = unpacked(export, tmp_path)
    for split in ("train", "validation"):
        paths = sorted((folder / "data").glob(f"{split}-*.parquet"))
        count = version.row_counts[split]
        assert len(paths) == -(-count // 3)
        assert paths[0].name == f"{split}-00000-of-{len(paths):05}.parquet"
        rows = [row for path in paths for row in pq.read_table(path).to_pylist()]
        expected = b"".join(datasets.export_version(version=version, format="messages", split=split))
        assert rows == [json.loads(line) for line in expected.splitlines()]
    readme = (folder / "README.md").read_text()
    assert "  - split: train\n    path: data/train-*.parquet" in readme
    assert f"SHA-256 of its manifest: `{version.sha256}`" in readme
    assert export.summary["written"] == 12


def test_parquet_of_rankings_holds_nulls_margins_that_only_some_have_and_lineage_as_text(cast, tmp_path):
    make_ranking(cast.project, cast.annotator, [[0], [1]], unrankable=(2,), margins=(1.0,))
    make_ranking(cast.project, cast.annotator, [[0, 1, 2]])
    version = make_version(cast, "comparison", fractions={"train": 1})
    export = prepare_export(version=version, format="parquet", acting_user=cast.admin)
    folder = unpacked(export, tmp_path)
    rows = pq.read_table(folder / "data" / "train-00000-of-00001.parquet").to_pylist()
    expected = list(datasets.open_split(version=version, split="train"))
    assert [json.loads(row.pop("source")) for row in rows] == [row.pop("source") for row in expected]
    assert rows == expected


def test_what_a_format_cannot_hold_is_counted_by_reason(cast):
    make_ranking(cast.project, cast.annotator, [[0, 1, 2]])
    make_ranking(cast.project, cast.annotator)
    version = make_version(cast, "comparison", fractions={"train": 1})
    reason = "all are tied, so that none is the better or the worse"
    for format, options in (("kto", {}), ("parquet", {"rows": "kto"})):
        export = prepare_export(version=version, format=format, options=options, acting_user=cast.admin)
        assert export.summary == {"read": 2, "written": 2, "left_out": {reason: 1}}


def test_parquet_is_made_the_same_again(cast, version):
    first = prepare_export(version=version, format="parquet", acting_user=cast.admin)
    dataset_exports._path(first).unlink()
    assert prepare_export(version=version, format="parquet", acting_user=cast.admin).sha256 == first.sha256


# --- Links ------------------------------------------------------------------------------------------------
@pytest.fixture
def export(cast, version):
    return prepare_export(version=version, format="messages", acting_user=cast.admin)


def test_a_link_needs_no_sign_in_is_audited_and_ends(cast, export):
    url, ends_at = make_link(export=export, acting_user=cast.admin, lasts=timedelta(hours=2))
    assert timedelta(hours=1, minutes=59) < ends_at - timezone.now() <= timedelta(hours=2)
    answer = Client().get(url, headers={"Range": "bytes=0-9"})
    assert (answer.status_code, body(answer)) == (206, dataset_exports._path(export).read_bytes()[:10])
    event = AuditEvent.objects.get(action="dataset.downloaded")
    assert (event.actor, event.data["by_link"]) == (cast.admin, True)


def test_an_ended_link_is_gone(cast, export, monkeypatch):
    url, ends_at = make_link(export=export, acting_user=cast.admin)
    token = url.strip("/").split("/")[-1]
    monkeypatch.setattr(dataset_exports.timezone, "now", lambda: ends_at + timedelta(seconds=1))
    with pytest.raises(Gone):
        follow_link(token=token)


def test_a_link_ends_with_the_right_to_download(cast, export):
    url, _ = make_link(export=export, acting_user=cast.admin)
    cast.project.memberships.filter(user=cast.admin).update(role="lead")
    assert Client().get(url).status_code == 403
    cast.project.memberships.filter(user=cast.admin).update(status="removed")
    assert Client().get(url).status_code == 403


def test_a_link_that_was_changed_or_lasts_too_long_is_none(cast, export):
    url, _ = make_link(export=export, acting_user=cast.admin)
    assert Client().get(url[:-3] + "xx/").status_code == 404
    assert Client().get("/downloads/x/").status_code == 404
    for lasts in (timedelta(days=8), timedelta(0)):
        with pytest.raises(Invalid):
            make_link(export=export, acting_user=cast.admin, lasts=lasts)


# --- Edges ------------------------------------------------------------------------------------------------
def test_on_the_page_a_file_is_prepared_downloaded_and_linked_to(admin, cast, version):
    page = path_of(cast, version, "exports/")
    form = {"format": "openai_legacy", "separator": "\\n->", "stop": "!", "leading_space": "on"}
    form["packing"] = "gzip"
    assert admin.post(page, form).status_code == 302
    export = DatasetExport.objects.get()
    assert export.options == {"gzip": True, "separator": "\n->", "stop": "!", "leading_space": True}
    shown = admin.get(page).content.decode()
    assert export.sha256 in shown
    file = f"/projects/{cast.project.slug}/exports/{export.pk}/"
    data = gzip.decompress(body(admin.get(f"{file}file/")))
    assert b'"prompt":"' in data
    assert b'\\n->"' in data
    linked = admin.post(f"{file}link/").content.decode()
    assert "/downloads/" in linked


def test_over_the_api_from_asking_to_a_part_of_the_file(api_client_of, cast, version):
    client = api_client_of(cast.admin)
    path = f"/api{path_of(cast, version)}"
    made = client.post(
        f"{path}exports/", {"format": "parquet", "options": {"rows": "messages"}}, format="json"
    )
    assert (made.status_code, made.json()["status"]) == (201, "ready")
    one = f"/api/projects/{cast.project.slug}/exports/{made.json()['id']}/"
    assert client.get(one).json()["sha256"] == made.json()["sha256"]
    assert [each["id"] for each in client.get(f"{path}exports/").json()] == [made.json()["id"]]
    whole = body(client.get(f"{one}file/"))
    assert hashlib.sha256(whole).hexdigest() == made.json()["sha256"]
    assert zipfile.ZipFile(io.BytesIO(whole)).testzip() is None
    part = client.get(f"{one}file/", headers={"Range": "bytes=-4", "If-Range": f'"{made.json()["sha256"]}"'})
    assert (part.status_code, body(part)) == (206, whole[-4:])
    link = client.post(f"{one}link/", {"seconds": 60}, format="json")
    assert (link.status_code, "/downloads/" in link.json()["url"]) == (201, True)
    assert client.post(f"{one}link/", {"seconds": 10**9}, format="json").status_code == 422
    assert client.post(f"{path}exports/", {"format": "nothing"}, format="json").status_code == 422
    names = {each["name"] for each in client.get(f"{path}formats/").json()}
    assert {"openai_legacy", "messages"} <= names
    lead = api_client_of(cast.lead)
    assert lead.get(f"{one}file/").status_code == 403


def test_rows_by_cursor_are_each_row_once_and_filters_narrow(api_client_of, cast):
    for number in range(7):
        make_demonstration(cast.project, cast.annotator if number % 3 else cast.peer, f"Text {number}.")
    version = make_version(cast, fractions={"train": 1})
    client = api_client_of(cast.lead)
    path = f"/api{path_of(cast, version)}rows/after/"
    seen, cursor = [], 0
    while cursor is not None:
        answer = client.get(path, {"cursor": cursor, "limit": 3}).json()
        seen += answer["results"]
        cursor = answer["next"]
    assert seen == list(datasets.open_split(version=version, split="train"))
    of_peer = client.get(path, {"annotator": cast.peer.pseudonym}).json()["results"]
    assert len(of_peer) == 3
    assert {row["source"]["annotator"] for row in of_peer} == {cast.peer.pseudonym}
    one = client.get(path, {"judgment": of_peer[0]["id"], "review": "none", "import": "none"}).json()
    assert one["results"] == of_peer[:1]
    assert client.get(path, {"prompt": of_peer[0]["prompt_id"], "batch": "0"}).json()["results"] == []
    assert client.get(path, {"cursor": 99}).json() == {"next": None, "results": []}


def test_nothing_is_left_of_an_attempt_that_was_killed(cast, version):
    export = prepare_export(version=version, format="messages", acting_user=cast.admin, in_background=True)
    left = dataset_exports.root() / f".building-{export.public_id}-7"
    left.mkdir(parents=True)
    dataset_exports.build_export(export=export)
    assert export.status == "ready"
    assert not left.exists()


def test_an_export_whose_file_is_gone_is_asked_anew_in_one_state(cast, version):
    asked = {"version": version, "format": "messages", "acting_user": cast.admin}
    export = prepare_export(**asked)
    dataset_exports.open_export(export=export).unlink()
    again = prepare_export(**asked, in_background=True)
    assert (again.pk, again.status, again.attempt, again.sha256) == (export.pk, "waiting", 0, "")
    assert prepare_export(**asked).sha256 == export.sha256


def test_a_number_longer_than_python_reads_is_no_range(admin, cast, version):
    url = path_of(cast, version, "download/")
    answer = admin.get(url, {"format": "canonical"}, headers={"Range": f"bytes=0-{'9' * 5_000}"})
    assert answer.status_code == 200

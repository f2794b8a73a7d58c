"""Every format, of every kind of dataset, goes on where a broken download stopped, page and API alike."""

from __future__ import annotations

import hashlib
import json

import pytest
from django.urls import reverse

from labeling.formats import formats_for
from labeling.models import AuditEvent, DatasetExport, DatasetExportStatus, DatasetKind
from labeling.services import background, dataset_exports, datasets, export_encoders
from labeling.services.export_writing import PARQUET, TOKENS
from tests.factories import make_prompt

from .judgments import make_demonstration, make_ranking
from .test_dataset_freeze import make_version

ROUTES = {"page": "labeling:dataset_download", "api": "api_version_download"}


@pytest.fixture(autouse=True)
def nobody_takes_it_up(monkeypatch):
    monkeypatch.setattr(background, "take_up_if_nobody_does", lambda row: None)


def make(cast, kind):
    for number in range(4):
        make_demonstration(cast.project, cast.annotator, f"Answer {number}, ünïcode 日本.")
        make_ranking(cast.project, cast.annotator)
        make_prompt(cast.project, f"What is {number}?")
    return make_version(cast, kind)


def path_of(cast, version, door):
    return reverse(ROUTES[door], args=[cast.project.slug, version.dataset_id, version.number])


def body(answer) -> bytes:
    return b"".join(answer.streaming_content)


def downloads_on_record() -> int:
    return AuditEvent.objects.filter(action="dataset.downloaded").count()


@pytest.mark.parametrize("kind", DatasetKind.values)
def test_a_broken_download_of_any_format_goes_on_and_is_one_row_of_the_trail(admin, cast, kind):
    version = make(cast, kind)
    formats = [each.name for each in formats_for(kind)]
    assert set(formats) >= {"canonical"}
    for format in [*formats, PARQUET]:
        answers = {door: _fetched_in_every_way(admin, cast, version, format, door) for door in ROUTES}
        assert answers["page"] == answers["api"]
    assert DatasetExport.objects.count() == len(formats)  # each once, none of the frozen files themselves


def _fetched_in_every_way(admin, cast, version, format, door):
    url, before = path_of(cast, version, door), downloads_on_record()
    whole = admin.get(url, {"format": format})
    data, tag = body(whole), whole["ETag"]
    assert (whole.status_code, whole["Accept-Ranges"]) == (200, "bytes")
    assert whole["Content-Length"] == str(len(data)) != "0"
    for start in (1, len(data) // 2, len(data) - 1):
        part = admin.get(url, {"format": format}, headers={"Range": f"bytes={start}-", "If-Range": tag})
        assert part.status_code == 206
        assert data[:start] + body(part) == data
    other = admin.get(url, {"format": format}, headers={"Range": "bytes=9-", "If-Range": '"x"'})
    assert (other.status_code, body(other)) == (200, data)
    beyond = admin.get(url, {"format": format}, headers={"Range": f"bytes={len(data)}-"})
    assert (beyond.status_code, beyond["Content-Range"]) == (416, f"bytes */{len(data)}")
    assert downloads_on_record() == before + 2  # the whole, and the one that began anew
    name = f"{cast.project.slug}-set-v1-{version.sha256[:8]}.{format}."
    assert name in whole["Content-Disposition"]
    if format not in (PARQUET, "canonical"):
        assert tag == f'"{hashlib.sha256(data).hexdigest()}"'
        assert data == b"".join(datasets.export_version(version=version, format=format))
    return data, tag, whole["Content-Type"], whole["Content-Disposition"]


class FakeEncoder:
    """A tokenizer's process that takes no time."""

    def checked(self, version, options):
        return options

    def encode(self, version, data, out, options):
        lines = data.read_bytes().splitlines()
        row = {"input_ids": [1, 2], "attention_mask": [1, 1], "labels": [-100, 2]}
        out.write_text("".join(json.dumps(row) + "\n" for _ in lines))
        return {"written": len(lines), "too_long": 0}


def test_token_ids_go_on_too(admin, cast, monkeypatch):
    monkeypatch.setattr(export_encoders, "_encoders", [FakeEncoder()])
    export = dataset_exports.prepare_export(
        version=make(cast, "sft"), format=TOKENS, acting_user=cast.admin, in_background=False
    )
    for route in ("labeling:dataset_export_file", "api_export_file"):
        url = reverse(route, args=[cast.project.slug, export.pk])
        data = body(admin.get(url))
        part = admin.get(url, headers={"Range": f"bytes={len(data) // 2}-", "If-Range": f'"{export.sha256}"'})
        assert (part.status_code, body(part)) == (206, data[len(data) // 2 :])


def test_a_file_that_was_deleted_meanwhile_goes_on_with_the_same_bytes(admin, cast):
    version = make(cast, "sft")
    url = path_of(cast, version, "page")
    whole = admin.get(url, {"format": "messages"})
    data = body(whole)
    dataset_exports._path(DatasetExport.objects.get()).unlink()
    part = admin.get(url, {"format": "messages"}, headers={"Range": "bytes=50-", "If-Range": whole["ETag"]})
    assert (part.status_code, body(part)) == (206, data[50:])


def test_a_large_one_is_written_meanwhile_and_asked_for_again(admin, cast, monkeypatch):
    version = make(cast, "sft")
    monkeypatch.setattr(dataset_exports, "INLINE_ROWS", 1)
    waits = admin.get(path_of(cast, version, "api"), {"format": "messages"})
    assert (waits.status_code, waits["Retry-After"]) == (202, "2")
    assert (waits.json()["status"], waits.json()["format"]) == ("waiting", "messages")
    page = admin.get(path_of(cast, version, "page"), {"format": "messages"}, follow=True)
    assert "is being written" in page.content.decode()
    assert page.redirect_chain[-1][0].endswith("/exports/")
    assert downloads_on_record() == 0
    background.sweep()
    for door in ROUTES:
        answer = admin.get(path_of(cast, version, door), {"format": "messages"})
        assert body(answer) == b"".join(datasets.export_version(version=version, format="messages"))
    # The frozen files themselves are there whatever their size.
    assert admin.get(path_of(cast, version, "api"), {"format": "canonical"}).status_code == 200


def test_one_that_failed_says_so_and_is_not_begun_again_by_every_question(admin, cast, monkeypatch):
    version = make(cast, "sft")
    monkeypatch.setattr(dataset_exports, "INLINE_ROWS", 1)
    admin.get(path_of(cast, version, "api"), {"format": "messages"})
    failed = {"status": DatasetExportStatus.FAILED, "error": dataset_exports.DIED}
    DatasetExport.objects.update(**failed)
    answer = admin.get(path_of(cast, version, "api"), {"format": "messages"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "export_failed")
    assert "died too often" in answer.json()["error"]["message"]
    assert DatasetExport.objects.get().status == DatasetExportStatus.FAILED


@pytest.mark.parametrize(("who", "status"), [("lead", 403), ("annotator", 403), ("outsider", 404)])
def test_who_may_not_download_gets_no_part_and_prepares_nothing(client, cast, who, status):
    version = make(cast, "sft")
    client.force_login(getattr(cast, who))
    for door in ROUTES:
        answer = client.get(
            path_of(cast, version, door), {"format": "messages"}, headers={"Range": "bytes=5-"}
        )
        assert answer.status_code == status
    assert not DatasetExport.objects.exists()


def test_the_manifest_goes_on_too(admin, cast):
    version = make(cast, "sft")
    for route in ("labeling:dataset_manifest", "api_version_manifest"):
        url = reverse(route, args=[cast.project.slug, version.dataset_id, version.number])
        data = body(admin.get(url))
        assert hashlib.sha256(data).hexdigest() == version.sha256
        part = admin.get(url, headers={"Range": "bytes=7-", "If-Range": f'"{version.sha256}"'})
        assert (part.status_code, body(part)) == (206, data[7:])

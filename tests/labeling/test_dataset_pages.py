"""Datasets in the browser: recipe, freeze, rows, verify, download."""

from __future__ import annotations

import hashlib
import json

import pytest
from django.test import AsyncClient

from labeling.models import AuditEvent, Dataset, DatasetVersion
from labeling.services import dataset_browse, datasets
from tests.factories import make_prompt

from .judgments import make_demonstration, make_ranking
from .test_dataset_freeze import make_version

RECIPE = {
    "sources": ["people", "imports"],
    "decisions": ["accepted", "fixed", "unreviewed"],
    "train": "80",
    "validation": "10",
    "test": "10",
}


def url(cast, rest: str = "") -> str:
    return f"/projects/{cast.project.slug}/datasets/{rest}"


def version_url(cast, version, rest: str = "") -> str:
    return url(cast, f"{version.dataset_id}/versions/{version.number}/{rest}")


def test_a_dataset_is_made_frozen_and_shown(admin, cast):
    make_demonstration(cast.project, cast.annotator, "A fine answer.")
    made = admin.post(url(cast, "new/"), {"name": "Mine", "kind": "sft", **RECIPE})
    frozen = admin.post(f"{made['Location']}freeze/", {"note": "first"})
    page = admin.get(frozen["Location"]).content.decode()
    version = DatasetVersion.objects.get()
    for expected in ("A fine answer.", version.sha256, cast.annotator.pseudonym, "first"):
        assert expected in page
    assert "data-bins" in page  # a histogram's legend says totals, not what the last bin holds
    assert f">{version.size_bytes / 1000:.1f}\N{NO-BREAK SPACE}kB<" in page


def test_the_count_follows_the_form(admin, cast):
    make_demonstration(cast.project, cast.annotator, prompt=make_prompt(cast.project, category="maths"))
    make_demonstration(cast.project, cast.annotator)
    query = {"kind": "sft", **RECIPE, "categories": ["maths"]}
    assert '<dd class="strong">1</dd>' in admin.get(url(cast, "count/"), query).content.decode()
    wrong = admin.get(url(cast, "count/"), query | {"train": "50"}).content.decode()
    assert "must make 100 %" in wrong


def test_shares_that_do_not_sum_up_are_refused_next_to_the_field(admin, cast):
    answer = admin.post(url(cast, "new/"), {"name": "Mine", "kind": "sft", **RECIPE, "test": "20"})
    assert answer.status_code == 422
    assert "must make 100 %" in answer.content.decode()
    assert not Dataset.objects.exists()


def test_an_empty_recipe_cannot_be_frozen(admin, cast):
    made = admin.post(url(cast, "new/"), {"name": "Mine", "kind": "sft", **RECIPE})
    answer = admin.post(f"{made['Location']}freeze/")
    assert answer.status_code == 422
    assert "no accepted demonstration" in answer.content.decode()


def test_rows_are_paged_and_searched(admin, cast):
    for number in range(45):
        make_demonstration(cast.project, cast.annotator, f"Answer number {number:02}.")
    version = make_version(cast, fractions={"train": 1})
    fragment = {"HX-Request": "true", "HX-Target": "rows"}
    pages = [
        admin.get(version_url(cast, version), {"page": page}, headers=fragment).content.decode()
        for page in (1, 2, 3)
    ]
    shown = [number for number in range(45) for page in pages if f"Answer number {number:02}." in page]
    assert shown == list(range(45))
    found = admin.get(version_url(cast, version), {"q": "NUMBER 17"}, headers=fragment).content.decode()
    assert "Answer number 17." in found
    assert "Answer number 16." not in found
    assert "<html" not in found


def test_a_version_beyond_what_a_search_counts_is_paged_to_its_end(admin, cast, monkeypatch):
    """A plain look is no search: it neither stops counting nor reads the rows before."""
    for number in range(25):
        make_demonstration(cast.project, cast.annotator, f"Answer {number}.")
    version = make_version(cast, fractions={"train": 1})
    monkeypatch.setattr(dataset_browse, "MOST_MATCHES", 2)
    monkeypatch.setattr(dataset_browse, "_matches", None)
    rows = admin.get(version_url(cast, version), {"split": "train", "page": "2"}).context["rows"]
    assert (rows.total, rows.pages, rows.is_cut) == (25, 2, False)
    assert [number for number, _ in rows.rows] == list(range(21, 26))


def test_verify_says_what_was_changed(admin, cast):
    make_demonstration(cast.project, cast.annotator)
    version = make_version(cast, fractions={"train": 1})
    good = admin.post(version_url(cast, version, "verify/"), follow=True).content.decode()
    assert "is as it was frozen" in good
    datasets.split_path(version=version, split="train").write_bytes(b"{}\n")
    bad = admin.post(version_url(cast, version, "verify/"), follow=True).content.decode()
    assert "train.jsonl was changed" in bad


def test_rows_that_are_no_longer_rows_do_not_break_the_page(admin, cast):
    make_demonstration(cast.project, cast.annotator)
    version = make_version(cast, fractions={"train": 1})
    datasets.split_path(version=version, split="train").write_bytes(b"\xff not JSON\n")
    for query in ({}, {"q": "text"}):
        answer = admin.get(version_url(cast, version), query)
        assert answer.status_code == 200
        assert "are not as they were frozen" in answer.content.decode()


def test_missing_files_are_said_and_the_page_still_shows(admin, cast):
    make_demonstration(cast.project, cast.annotator)
    version = make_version(cast)
    for split in ("train", "validation", "test"):
        datasets.split_path(version=version, split=split).unlink()
    answer = admin.get(version_url(cast, version))
    assert answer.status_code == 200
    assert "are not on this machine" in answer.content.decode()
    assert admin.get(version_url(cast, version, "download/")).status_code == 404


def test_a_download_is_named_after_what_it_is_and_on_record(admin, cast):
    make_ranking(cast.project, cast.annotator)
    version = make_version(cast, "comparison", "Round one", fractions={"train": 1})
    query = {"format": "preference", "split": "train"}
    answer = admin.get(version_url(cast, version, "download/"), query)
    rows = [json.loads(line) for line in b"".join(answer.streaming_content).splitlines()]
    name = f"{cast.project.slug}-round-one-v1-{version.sha256[:8]}-train.preference.jsonl"
    assert answer["Content-Disposition"] == f'attachment; filename="{name}"'
    assert [set(row) for row in rows] == [{"prompt", "chosen", "rejected"}] * 3
    event = AuditEvent.objects.get(action="dataset.downloaded")
    assert (event.actor, event.data["format"], event.data["split"]) == (cast.admin, "preference", "train")


def test_the_canonical_download_is_byte_for_byte_the_file(admin, cast):
    make_demonstration(cast.project, cast.annotator, "Ünïcode 日本 =1+1")
    version = make_version(cast, fractions={"train": 1})
    answer = admin.get(version_url(cast, version, "download/"), {"split": "train"})
    stored = datasets.split_path(version=version, split="train").read_bytes()
    assert b"".join(answer.streaming_content) == stored


def test_a_format_of_another_kind_is_refused_before_the_first_byte(admin, cast):
    make_demonstration(cast.project, cast.annotator)
    version = make_version(cast)
    answer = admin.get(version_url(cast, version, "download/"), {"format": "preference"})
    assert answer.status_code == 422
    assert not AuditEvent.objects.filter(action="dataset.downloaded").exists()


@pytest.mark.django_db(transaction=True)
async def test_under_asgi_a_download_comes_in_pieces():
    """Django would otherwise collect a plain iterator before it sends the first byte."""
    from asgiref.sync import sync_to_async
    from django.db import connections

    cast, version = await sync_to_async(_large_version)()
    client = AsyncClient()
    await sync_to_async(client.force_login)(cast.admin)
    answer = await client.get(version_url(cast, version, "download/"), {"format": "messages"})
    assert answer.is_async
    pieces = [piece async for piece in answer.streaming_content]
    assert len(pieces) > 2
    assert sum(piece.count(b"\n") for piece in pieces) == 5
    await sync_to_async(connections.close_all)()  # of the thread that the ORM ran in


def _large_version():
    from tests.cast import make_cast

    cast = make_cast()
    for number in range(5):
        make_demonstration(cast.project, cast.annotator, f"{number} " + "x" * 60_000)
    return cast, make_version(cast)


@pytest.mark.parametrize(
    ("who", "see", "download", "freeze"),
    [
        ("admin", 200, 200, 302),
        ("lead", 200, 403, 403),
        ("annotator", 403, 403, 403),
        ("outsider", 404, 404, 404),
    ],
)
def test_who_may_see_download_and_freeze(client, cast, who, see, download, freeze):
    make_demonstration(cast.project, cast.annotator)
    version = make_version(cast)
    client.force_login(getattr(cast, who))
    assert client.get(url(cast)).status_code == see
    assert client.get(version_url(cast, version)).status_code == see
    assert client.get(version_url(cast, version, "download/")).status_code == download
    assert client.post(url(cast, f"{version.dataset_id}/freeze/")).status_code == freeze


def test_a_dataset_of_another_project_is_not_found(admin, cast):
    dataset = datasets.create_dataset(
        project=cast.other_project, kind="sft", name="theirs", recipe={}, acting_user=cast.outsider
    )
    assert admin.get(url(cast, f"{dataset.pk}/")).status_code == 404
    assert admin.post(url(cast, f"{dataset.pk}/freeze/")).status_code == 404


@pytest.mark.parametrize("door", ["page", "api"])
def test_the_manifest_comes_down_with_the_bytes_that_the_hash_was_taken_of(admin, cast, door):
    make_demonstration(cast.project, cast.annotator)
    version = make_version(cast)
    address = version_url(cast, version, "manifest/")
    answer = admin.get(address if door == "page" else f"/api{address}")
    data = b"".join(answer.streaming_content)
    assert hashlib.sha256(data).hexdigest() == version.sha256
    assert (
        version.sha256[:8] in answer["Content-Disposition"]
        and "manifest.json" in answer["Content-Disposition"]
    )
    assert address in admin.get(version_url(cast, version)).content.decode()

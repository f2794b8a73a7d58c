"""Two versions row by row, and a version made anew without something."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
import uuid

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from annotate.errors import Conflict, Invalid
from labeling import tasks
from labeling.formats import SPLITS
from labeling.formats.differences import ABSENT, FieldDifference, field_differences
from labeling.models import Demonstration, Prompt
from labeling.services import background, dataset_comparing, dataset_diff, dataset_files, datasets
from labeling.services.dataset_rebuild import rebuild_without
from labeling.services.progress import SILENT_SECONDS, Progress
from tests.factories import publish_guideline
from tests.site_process import ROOT, database_url

from .judgments import make_demonstration, make_ranking
from .test_dataset_freeze import fill, make_version


def obvious(old, new):
    """{(change, id)}: the slow way, everything in memory."""
    sides = [
        {row["id"]: (split, row) for split in SPLITS for row in datasets.open_split(version=v, split=split)}
        for v in (old, new)
    ]
    before, after = sides
    found = {("removed", key) for key in before.keys() - after.keys()}
    found |= {("added", key) for key in after.keys() - before.keys()}
    return found | {("changed", key) for key in before.keys() & after.keys() if before[key] != after[key]}


def changes_of(found, **chosen):
    return {(each.change, each.id) for each in found.changes(limit=1_000, **chosen)}


@pytest.fixture
def two(cast):
    """v1 and v2: three rows added, one removed, two changed."""
    fill(cast, 30)
    first = make_version(cast)
    pks = list(Demonstration.objects.order_by("pk").values_list("pk", flat=True))
    Demonstration.objects.filter(pk__in=pks[:2]).update(text="Another answer.")
    gone = Demonstration.objects.get(pk=pks[5]).submission
    gone.status = "rejected"
    gone.save()
    fill(cast, 3)
    return first, datasets.freeze_dataset(dataset=first.dataset, acting_user=cast.admin)


def test_it_finds_what_the_obvious_way_finds(two):
    old, new = two
    found = dataset_diff.compare_versions(old=old, new=new)
    assert changes_of(found) == obvious(old, new)
    assert found.counts == {"added": 3, "removed": 1, "changed": 2}
    assert found.unchanged == 27


def test_the_other_way_round_added_is_removed(two):
    old, new = two
    there, back = (dataset_diff.compare_versions(old=a, new=b) for a, b in ((old, new), (new, old)))
    assert (back.counts["added"], back.counts["removed"]) == (there.counts["removed"], there.counts["added"])


def test_a_changed_row_says_which_field_and_how(two):
    found = dataset_diff.compare_versions(old=two[0], new=two[1])
    each = found.changes(change="changed", limit=1)[0]
    assert [(field.field, field.new) for field in each.fields] == [("messages.1.content", "Another answer.")]
    assert each.old["messages"][1]["content"] == each.fields[0].old


def test_pages_and_filters_show_every_change_once(two):
    found = dataset_diff.compare_versions(old=two[0], new=two[1])
    after, seen = 0, []
    while page := found.changes(after=after, limit=2):
        assert len(page) <= 2
        seen += [each.id for each in page]
        after = page[-1].place
    assert len(seen) == len(set(seen)) == 6
    by_split = [found.count(split=split) for split in SPLITS]
    assert sum(by_split) == 6  # nothing moved
    assert changes_of(found, change="removed") == {c for c in obvious(*two) if c[0] == "removed"}
    assert found.place_before(4) == found.changes(limit=4)[-1].place
    with pytest.raises(Invalid):
        found.changes(change="moved", limit=1)


def test_a_row_on_another_side_of_the_split_is_changed_in_split_alone(cast):
    fill(cast, 30)
    one, two = make_version(cast, name="a", salt="one"), make_version(cast, name="b", salt="two")
    found = dataset_diff.compare_versions(old=one, new=two)
    assert {"changed"} == {change for change, _ in changes_of(found)}
    assert all([f.field for f in each.fields] == ["split"] for each in found.changes(limit=99))
    assert changes_of(found) == obvious(one, two)


def test_other_kinds_and_unready_versions_are_refused(cast):
    fill(cast, 1)
    make_ranking(cast.project, cast.annotator)
    sft, pairs = make_version(cast), make_version(cast, "comparison", "pairs")
    with pytest.raises(Invalid, match="cannot be compared"):
        dataset_diff.compare_versions(old=sft, new=pairs)
    pairs.status = "freezing"
    with pytest.raises(Conflict):
        dataset_diff.compare_versions(old=pairs, new=sft)


def test_files_that_were_tampered_with_are_said_so(two):
    path = dataset_files.folder_of(two[1]) / "train.jsonl"
    path.write_bytes(b"{" + path.read_bytes())
    with pytest.raises(Conflict, match="not as they were frozen"):
        dataset_diff.compare_versions(old=two[0], new=two[1])


def test_a_comparison_is_made_once_and_forgotten_when_nobody_looks(two, monkeypatch):
    dataset_diff.compare_versions(old=two[0], new=two[1])
    made = []
    monkeypatch.setattr(dataset_diff, "_make", lambda *arguments: made.append(arguments))
    dataset_diff.compare_versions(old=two[0], new=two[1])
    assert made == []
    monkeypatch.undo()
    monkeypatch.setattr(dataset_diff, "KEPT_DAYS", -1)
    dataset_diff.compare_versions(old=two[1], new=two[0])
    assert len(list(dataset_diff.root().iterdir())) == 1


def test_field_by_field():
    old = {"a": {"b": [1, 2], "c": None}, "d": "x", "e": 1}
    new = {"a": {"b": [1, 3, 4]}, "d": "x", "e": True}
    assert list(field_differences(old, new)) == [
        FieldDifference("a.b.1", 2, 3),
        FieldDifference("a.b.2", ABSENT, 4),
        FieldDifference("a.c", None, ABSENT),
        FieldDifference("e", 1, True),
    ]
    assert FieldDifference("a", None, ABSENT).to_json() == {"field": "a", "old": None}


# --- Without something ------------------------------------------------------------------------------------
def test_without_one_person(cast):
    fill(cast, 4)
    for number in range(3):
        make_demonstration(cast.project, cast.peer, f"Of a peer {number}.")
    first = make_version(cast)
    made = rebuild_without(version=first, what="annotator", which=cast.peer.pseudonym, acting_user=cast.admin)
    assert (made.row_count, made.parent, made.number) == (4, first, 2)
    assert dataset_diff.compare_versions(old=first, new=made).counts == {
        "added": 0,
        "removed": 3,
        "changed": 0,
    }
    first.dataset.refresh_from_db()
    assert first.dataset.recipe["exclude_annotators"] == []  # the dataset's own recipe stays
    assert dataset_diff.default_older(made) == first


def test_without_one_guideline_version(cast):
    one, two = publish_guideline(cast.project), publish_guideline(cast.project)
    for version in (one, two, None):
        make_demonstration(cast.project, cast.annotator, guideline_version=version)
    first = make_version(cast)
    made = rebuild_without(version=first, what="guideline_version", which="2", acting_user=cast.admin)
    sources = [
        row["source"]["guideline_version"]
        for s in SPLITS
        for row in datasets.open_split(version=made, split=s)
    ]
    assert sorted(map(str, sources)) == ["1", "None"]
    again = rebuild_without(version=made, what="guideline_version", which="1", acting_user=cast.admin)
    assert again.row_count == 1  # what was left out before stays out


def test_without_one_file(cast, tmp_path):
    for name in ("a", "b"):
        path = tmp_path / f"{name}.jsonl"
        path.write_text(json.dumps({"prompt": f"{name}?", "completion": "Yes."}) + "\n")
        call_command(
            "import_data",
            "--project",
            cast.project.slug,
            "--as",
            "demonstrations",
            str(path),
            stdout=io.StringIO(),
        )
    make_demonstration(cast.project, cast.annotator)
    first = make_version(cast)
    record = cast.project.imports.get(filename="a.jsonl")
    made = rebuild_without(version=first, what="import", which=str(record.pk), acting_user=cast.admin)
    assert made.row_count == 2
    assert made.note == "v1 without a.jsonl"
    prompts = make_version(cast, "prompts", "prompts")
    without = make_version(cast, "prompts", "fewer", exclude_imports=[record.pk])
    assert prompts.row_count - without.row_count == 1
    assert Prompt.objects.count() == prompts.row_count


def test_what_is_not_inside_cannot_be_left_out(cast):
    fill(cast, 2)
    first = make_version(cast)
    for what, which in (("annotator", "nobody"), ("import", "7"), ("guideline_version", "x"), ("day", "1")):
        with pytest.raises(Invalid):
            rebuild_without(version=first, what=what, which=which, acting_user=cast.admin)
    with pytest.raises(Invalid, match="no accepted demonstration"):
        rebuild_without(
            version=first, what="annotator", which=cast.annotator.pseudonym, acting_user=cast.admin
        )


# --- Edges ------------------------------------------------------------------------------------------------
def version_path(cast, version) -> str:
    return f"projects/{cast.project.slug}/datasets/{version.dataset_id}/versions/{version.number}/"


def test_the_page_shows_words_that_changed_and_filters(admin, cast, two):
    page = admin.get(f"/{version_path(cast, two[1])}compare/").content.decode()
    assert "<ins>Another</ins>" in page
    assert "v1 → " in page
    removed = admin.get(f"/{version_path(cast, two[1])}compare/", {"change": "removed"}).content.decode()
    assert "<ins>" not in removed
    odd = {"change": "x", "split": "y", "page": "z", "against": "9" * 30}
    assert admin.get(f"/{version_path(cast, two[1])}compare/", odd).status_code == 200
    alone = admin.get(f"/{version_path(cast, two[0])}compare/").content.decode()
    assert "Nothing to compare with yet" in alone


def test_one_click_on_the_page_leaves_a_person_out_and_shows_the_difference(admin, cast):
    fill(cast, 2)
    make_demonstration(cast.project, cast.peer)
    version = make_version(cast)
    page = admin.get(f"/{version_path(cast, version)}").content.decode()
    assert 'value="' + cast.peer.pseudonym in page
    answer = admin.post(
        f"/{version_path(cast, version)}rebuild/", {"what": "annotator", "which": cast.peer.pseudonym}
    )
    shown = admin.get(answer["Location"])
    assert f"v1 without {cast.peer.pseudonym}" in shown.content.decode()
    assert shown.context["found"].counts["removed"] == 1


def test_the_api_answers_with_counts_a_cursor_and_both_rows(api_client_of, cast, two):
    client = api_client_of(cast.lead)
    url = f"/api/{version_path(cast, two[1])}diff/"
    first = client.get(url, {"limit": 4}).json()
    rest = client.get(url, {"limit": 4, "cursor": first["next"], "against": first["old"]}).json()
    assert first["counts"] == {"added": 3, "removed": 1, "changed": 2}
    assert (len(first["results"]), len(rest["results"]), rest["next"]) == (4, 2, None)
    changed = client.get(url, {"change": "changed"}).json()["results"][0]
    assert changed["fields_changed"][0]["field"] == "messages.1.content"
    assert client.get(url, {"against": "00000000-0000-0000-0000-000000000000"}).status_code == 404


def test_the_api_makes_a_version_without_a_person(api_client_of, cast):
    fill(cast, 2)
    make_demonstration(cast.project, cast.peer)
    version = make_version(cast)
    url = f"/api/{version_path(cast, version)}rebuild/"
    body = {"what": "annotator", "which": cast.peer.pseudonym}
    assert api_client_of(cast.lead).post(url, body).status_code == 403
    made = api_client_of(cast.admin).post(url, body)
    assert (made.status_code, made.json()["parent_id"]) == (201, str(version.public_id))
    assert sum(made.json()["row_counts"].values()) == 2


def test_the_command_says_counts_and_fields(two):
    out = io.StringIO()
    call_command("compare_datasets", str(two[0].public_id), two[1].sha256[:12], stdout=out)
    assert "3 added, 1 removed, 2 changed, 27 unchanged" in out.getvalue()
    assert "messages.1.content: 'Answer 0.' → 'Another answer.'" in out.getvalue()
    out = io.StringIO()
    call_command("compare_datasets", str(two[0].public_id), str(two[1].public_id), "--json", stdout=out)
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert lines[0]["counts"]["added"] == 3
    assert len(lines) == 7
    with pytest.raises(CommandError, match="no ready dataset version"):
        call_command("compare_datasets", "x" * 8, two[1].sha256[:12])


# --- Large versions ---------------------------------------------------------------------------------------
@pytest.fixture
def large(two, monkeypatch):
    """The two as if they were large; what rings a worker is noted and not heard."""
    rung = []
    monkeypatch.setattr(dataset_comparing, "INLINE_ROWS", 0)
    monkeypatch.setattr(dataset_comparing, "ring_on_commit", lambda *task: rung.append(task))
    monkeypatch.setattr(dataset_comparing.threading.Timer, "start", lambda timer: None)
    return (*two, rung)


def test_large_versions_are_compared_beside_the_request(admin, cast, large):
    old, new, rung = large
    page = f"/{version_path(cast, new)}compare/"
    for _ in range(2):  # asked for twice, begun once
        shown = admin.get(page).content.decode()
        assert "compared in the background" in shown
    assert rung == [("labeling.tasks.compare_versions", old.pk, new.pk)]
    tasks.compare_versions(old.pk, new.pk)
    answer = admin.get(page, headers={"HX-Request": "true", "HX-Target": "comparing"})
    assert answer["HX-Refresh"] == "true"
    assert "Unchanged" in admin.get(page).content.decode()
    found = dataset_comparing.comparison_of(old=old, new=new)
    assert changes_of(found) == obvious(old, new)


def test_the_page_and_the_api_say_how_far_it_is(admin, api_client_of, cast, large):
    old, new, _ = large
    dataset_comparing._heartbeat(old, new).tell("comparing", 1200, 5000, now=True)
    fragment = admin.get(
        f"/{version_path(cast, new)}compare/", headers={"HX-Request": "true", "HX-Target": "comparing"}
    )
    assert "1,200 of 5,000" in fragment.content.decode()
    assert "HX-Refresh" not in fragment
    path = f"/api/projects/{cast.project.slug}/datasets/{new.dataset_id}/versions/{new.number}/diff/"
    answer = api_client_of(cast.admin).get(path)
    assert (answer.status_code, answer["Retry-After"]) == (202, "2")
    assert answer.json() == {"phase": "comparing", "done": 1200, "total": 5000}
    dataset_comparing.build_comparison(old=old, new=new)  # somebody is at it
    assert not dataset_diff.is_made(old, new)


def test_why_large_versions_cannot_be_compared_is_told_once_and_tried_again(large):
    old, new, rung = large
    path = datasets.split_path(version=old, split="train")
    data = path.read_bytes()
    path.write_bytes(b"{" + data)
    dataset_comparing.build_comparison(old=old, new=new)
    with pytest.raises(Conflict, match="not as they were frozen"):
        dataset_comparing.comparison_of(old=old, new=new)
    path.write_bytes(data)
    assert dataset_comparing.comparison_of(old=old, new=new) == {"phase": "waiting", "done": 0, "total": None}
    assert len(rung) == 1


def grow_silent(old, new) -> None:
    path, then = dataset_comparing._heartbeat(old, new).path, time.time() - SILENT_SECONDS - 1
    os.utime(path, (then, then))


def test_a_comparison_that_nobody_took_up_is_made_by_the_sweep(large):
    old, new, _ = large
    dataset_comparing.comparison_of(old=old, new=new)
    assert dataset_comparing.revive_lost_comparisons() == 0  # it may be at work yet
    grow_silent(old, new)
    background.sweep()
    assert dataset_diff.is_made(old, new)
    assert dataset_comparing.revive_lost_comparisons() == 0


def test_a_comparison_that_dies_too_often_is_given_up_and_says_so(large):
    old, new, _ = large
    heartbeat = dataset_comparing._heartbeat(old, new)
    heartbeat.attempt = dataset_comparing.ATTEMPTS
    heartbeat.tell("comparing", 1, 2, now=True)
    grow_silent(old, new)
    assert dataset_comparing.revive_lost_comparisons() == 0
    with pytest.raises(Conflict, match="died too often"):
        dataset_comparing.comparison_of(old=old, new=new)


def test_a_comparison_that_breaks_is_not_begun_again_by_who_waits(large, monkeypatch):
    old, new, rung = large

    def fail(**_):
        raise OSError("no space left on device")

    monkeypatch.setattr(dataset_diff, "compare_versions", fail)
    dataset_comparing.comparison_of(old=old, new=new)
    with pytest.raises(OSError, match="no space"):
        dataset_comparing.build_comparison(old=old, new=new)
    with pytest.raises(Conflict, match="broke on our side"):
        dataset_comparing.comparison_of(old=old, new=new)
    assert len(rung) == 1


def test_a_comparison_of_a_version_that_is_gone_is_forgotten(db):
    for key in ("x", f"{uuid.uuid4()}-{uuid.uuid4()}"):
        Progress("comparison", key).tell("comparing", 1, 2, now=True)
        path = Progress("comparison", key).path
        os.utime(path, (0, 0))
        assert dataset_comparing.revive_lost_comparisons() == 0 and not path.exists()


KILLED = """
import sys, time, django
django.setup()
from labeling.models import DatasetVersion
from labeling.services import dataset_comparing, dataset_diff
def hang(*_, tell, **__):
    tell(1)
    print("at it", flush=True)
    time.sleep(600)
dataset_diff.compare_versions = hang
old, new = (DatasetVersion.objects.select_related("dataset__project").get(pk=pk) for pk in sys.argv[1:])
dataset_comparing.build_comparison(old=old, new=new)
"""


@pytest.mark.django_db(transaction=True)
def test_a_comparison_whose_process_is_killed_is_made_by_the_sweep(large):
    old, new, _ = large
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings", "DATABASE_URL": database_url()}
    child = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(old.pk), str(new.pk)],
        cwd=ROOT,
        env=environment | {"DATA_DIR": str(settings.DATA_DIR)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout.readline() == "at it\n"
    child.kill()
    child.wait()
    child.stdout.close()
    assert dataset_comparing._heartbeat(old, new).attempts() == 1
    background.sweep()
    assert not dataset_diff.is_made(old, new)  # it might be alive
    grow_silent(old, new)
    background.sweep()
    assert dataset_diff.is_made(old, new)


def test_rows_read_are_told_while_two_versions_are_compared(two, monkeypatch):
    monkeypatch.setattr(dataset_diff, "CHUNK", 2)
    old, new = two
    told = []
    dataset_diff.compare_versions(old=old, new=new, tell=told.append)
    assert told == sorted(told)
    assert old.row_count + new.row_count >= told[-1] > old.row_count

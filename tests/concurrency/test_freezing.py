"""A version is one moment of the database, while people in processes of their own go on submitting."""

from __future__ import annotations

import contextlib
from collections import Counter

import pytest

from labeling.models import Submission
from labeling.services import dataset_diff, datasets, selection_counts, verification
from labeling.services.recipes import Recipe
from tests.cast import make_cast
from tests.factories import make_demonstration_batch
from tests.labeling.judgments import make_demonstration

from .crew import Crew

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.database, pytest.mark.slow]
ACCEPTED = 3  # before; the other person does their tasks too
TASKS = 8 + ACCEPTED


@pytest.fixture
def at_work():
    """(dataset, crew): a person in another process about to write one answer after the other;
    three are accepted already."""
    cast = make_cast()
    make_demonstration_batch(cast.project, tasks=TASKS - ACCEPTED, review_rate=0)
    dataset = datasets.create_dataset(
        project=cast.project, kind="sft", name="live", acting_user=cast.admin, recipe={}
    )
    crew = Crew([{"do": "work", "project": cast.project.pk, "users": [cast.annotator.pk]}])
    for _ in range(ACCEPTED):
        make_demonstration(cast.project, cast.peer)
    return dataset, crew


def freeze_meanwhile(dataset, crew, monkeypatch) -> tuple[int, int]:
    """(rows counted when the snapshot begins, rows written): between the two people hand in."""
    counted: list[int] = []
    count, rows = datasets.count_selected, datasets.filtered_rows

    def count_and_note(*arguments):
        counted.append(count(*arguments))
        return counted[-1]

    def after_some_work(*arguments, **more):
        crew.go()
        for _ in range(3):  # a claim is said after the answer before it was stored: two are in
            crew.next_fact()
        return rows(*arguments, **more)

    monkeypatch.setattr(datasets, "count_selected", count_and_note)
    monkeypatch.setattr(datasets, "filtered_rows", after_some_work)
    version = datasets.freeze_dataset(dataset=dataset, acting_user=None, in_background=False)
    monkeypatch.undo()
    assert version.status == "ready", version.error
    return counted[-1], version.row_count


def test_what_is_handed_in_while_it_is_frozen_is_not_in_it(at_work, monkeypatch):
    dataset, crew = at_work
    counted, written = freeze_meanwhile(dataset, crew, monkeypatch)
    assert counted == written == ACCEPTED
    assert crew.processes[0].wait(timeout=400) == 0
    assert Submission.objects.count() == ACCEPTED + TASKS  # nobody was kept from working
    later = datasets.freeze_dataset(dataset=dataset, acting_user=None, in_background=False)
    first = dataset.versions.get(number=1)
    assert verification.verify_version(version=first) == []
    found = dataset_diff.compare_versions(old=first, new=later)
    # Some answers to the earlier batches wait for a review.
    accepted = Submission.objects.filter(status="accepted").count()
    assert found.counts == {"added": accepted - ACCEPTED, "removed": 0, "changed": 0}


def test_without_the_snapshot_it_would_be(at_work, monkeypatch):
    """The control: the race exists when the guard is off."""
    dataset, crew = at_work
    monkeypatch.setattr(datasets, "one_snapshot", contextlib.nullcontext)
    counted, written = freeze_meanwhile(dataset, crew, monkeypatch)
    assert crew.processes[0].wait(timeout=400) == 0
    assert counted == ACCEPTED < written


@pytest.mark.parametrize("is_guarded", [True, False])
def test_what_is_handed_in_between_two_counts_of_a_preview_is_in_neither(at_work, monkeypatch, is_guarded):
    """And the control: without one moment for both, more rows would be people's than there are."""
    dataset, crew = at_work
    count, begun = selection_counts._count_by_met, []

    def count_before_some_work(*arguments):
        found = count(*arguments)
        if not begun:
            begun.append(crew.go())
            for _ in range(3):
                crew.next_fact()
        return found

    monkeypatch.setattr(selection_counts, "_count_by_met", count_before_some_work)
    if not is_guarded:
        monkeypatch.setattr(selection_counts, "one_snapshot", contextlib.nullcontext)
    counts = selection_counts.preview_counts(dataset.project, "sft", Recipe(include_gold=True))
    assert crew.processes[0].wait(timeout=400) == 0
    assert (counts["rows"], counts["by_source"]["imports"] == 0) == (ACCEPTED, is_guarded)


@pytest.fixture
def frozen_by_three():
    """Versions after three processes asked for one at once: (pks they were told, {status: count})."""
    cast = make_cast()
    for number in range(3):
        make_demonstration(cast.project, cast.peer, f"Answer {number}.")
    dataset = datasets.create_dataset(
        project=cast.project, kind="sft", name="thrice", acting_user=cast.admin, recipe={}
    )

    def ask(do: str, key: str = ""):
        order = {"do": do, "project": cast.project.pk, "users": [cast.admin.pk]}
        crew = Crew([{**order, "dataset": dataset.pk, "key": key} for _ in range(3)])
        crew.go()
        told = [fact["version"] for fact in crew.facts()]
        return told, Counter(dataset.versions.values_list("status", flat=True)), dataset

    return ask


def test_asked_for_thrice_at_once_under_one_key_it_is_one_version(frozen_by_three):
    told, statuses, dataset = frozen_by_three("freeze", key="same")
    assert statuses == {"ready": 1}
    assert told == [dataset.versions.get().pk] * 3


def test_asked_for_thrice_at_once_without_a_key_one_is_made_and_two_name_it(frozen_by_three):
    told, statuses, dataset = frozen_by_three("freeze")
    assert statuses == {"ready": 1, "unchanged": 2} and len(set(told)) == 3
    made = dataset.versions.made().get()
    assert {each.same_as for each in dataset.versions.exclude(pk=made.pk)} == {made}


def test_without_the_guards_there_would_be_three(frozen_by_three):
    """The control."""
    _, statuses, dataset = frozen_by_three("freeze without guard")
    assert statuses == {"ready": 3}
    assert len(set(dataset.versions.values_list("sha256", flat=True))) == 1

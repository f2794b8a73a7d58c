"""A run that is ordered under one key by several processes at once is one, and all are told which."""

from __future__ import annotations

import pytest

from annotate.accounts.models import User
from tests.cast import make_cast
from tests.training.conftest import demonstration, make_version
from training.models import RunInput, TrainingOrder, TrainingRun

from .crew import Crew

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.database, pytest.mark.slow]
AT_ONCE = 4


@pytest.fixture
def ordered():
    """Ask at once, `keys` being those of the processes; what they were told."""
    cast = make_cast()
    version = make_version(cast.project, "sft", {"train": [demonstration(number) for number in range(4)]})

    def ask(do: str, keys: list[str]) -> list[dict]:
        order = {"do": do, "project": cast.project.pk, "users": [cast.admin.pk], "version": version.pk}
        crew = Crew([{**order, "key": key} for key in keys])
        crew.go()
        return crew.facts()

    return ask


def test_under_one_key_it_is_one_run_that_all_are_told(ordered):
    told = ordered("order", ["same"] * AT_ONCE)
    run = TrainingRun.objects.get()
    assert [fact["run"] for fact in told] == [str(run.pk)] * AT_ONCE
    assert sum(fact["is_new"] for fact in told) == 1
    assert list(TrainingOrder.objects.get().runs.all()) == [run]
    # Of what the slower ones had begun nothing is left.
    assert RunInput.objects.count() == 1 and run.number == 1
    assert run.event_count == run.events.count() == 1


def test_under_keys_of_their_own_each_is_a_run(ordered):
    told = ordered("order", [f"key-{number}" for number in range(AT_ONCE)])
    assert len({fact["run"] for fact in told}) == AT_ONCE
    assert sorted(TrainingRun.objects.values_list("number", flat=True)) == [1, 2, 3, 4]


def test_a_look_before_it_is_no_guard(ordered):
    """The control: each looks, finds nothing, and makes one."""
    told = ordered("order without guard", ["same"] * AT_ONCE)
    assert len({fact["run"] for fact in told}) == TrainingRun.objects.count() == AT_ONCE
    assert User.objects.filter(pk__in=TrainingRun.objects.values("created_by")).count() == 1

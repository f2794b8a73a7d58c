import pytest

from annotate.errors import Conflict, Invalid
from labeling.models import AssignmentStatus, Batch, TaskKind
from labeling.services import batches
from tests.factories import (
    make_completions,
    make_demonstration_batch,
    make_project,
    make_prompt,
    make_ranking_batch,
)

pytestmark = pytest.mark.django_db


def test_each_task_has_one_numbered_slot_per_person_of_its_overlap():
    batch = make_demonstration_batch(make_project(), tasks=2, overlap=3)
    slots = batch.assignments.order_by("task", "slot").values_list("slot", flat=True)
    assert list(slots) == [1, 2, 3, 1, 2, 3]


@pytest.mark.parametrize("k", [1, 10])
def test_a_ranking_task_shows_two_to_nine_completions(k):
    project = make_project()
    prompt = make_prompt(project)
    completions = [completion.pk for completion in make_completions(prompt, k)]
    with pytest.raises(Invalid, match="2 to 9"):
        batches.create_ranking_batch(
            project=project,
            name="Bad",
            completion_sets=[(prompt.pk, completions)],
            acting_user=project.created_by,
        )
    assert not Batch.objects.exists()


def test_completions_of_another_prompt_or_project_are_refused():
    project = make_project()
    prompt, other = make_prompt(project), make_prompt(project)
    foreign = make_prompt(make_project())
    for stranger in (other, foreign):
        ids = [make_completions(prompt, 1)[0].pk, make_completions(stranger, 1)[0].pk]
        with pytest.raises(Invalid, match="not an answer to prompt"):
            batches.create_ranking_batch(
                project=project,
                name="Bad",
                completion_sets=[(prompt.pk, ids)],
                acting_user=project.created_by,
            )


def test_an_empty_batch_is_refused_and_not_stored():
    project = make_project()
    with pytest.raises(Invalid, match="no prompts"):
        batches.create_demonstration_batch(
            project=project, name="Empty", prompts=[], acting_user=project.created_by
        )
    assert not Batch.objects.exists()


def test_sets_mix_generators_and_never_hold_one_text_twice():
    project = make_project()
    prompt = make_prompt(project)
    make_completions(prompt, ["a", "b", "c"], generator="sft")
    make_completions(prompt, ["d", "a", "e"], generator="ppo")
    sets = list(batches.completion_sets_for(project=project, size=4))
    texts = [[project.completions.get(pk=pk).text for pk in ids] for _, ids in sets]
    assert texts == [["a", "d", "b", "e"]]


def test_completions_that_a_task_ranks_already_are_left_out():
    project = make_project()
    make_ranking_batch(project, tasks=2)
    assert list(batches.completion_sets_for(project=project, size=4)) == []


def test_a_batch_from_what_waits_takes_each_prompt_once():
    project = make_project()
    for _ in range(5):
        make_prompt(project)
    wanted = {"project": project, "kind": TaskKind.DEMONSTRATION, "acting_user": project.created_by}
    first = batches.create_batch_from_waiting(name="First", limit=3, **wanted)
    second = batches.create_batch_from_waiting(name="Second", limit=3, **wanted)
    assert (first.tasks.count(), second.tasks.count()) == (3, 2)
    with pytest.raises(Invalid):
        batches.create_batch_from_waiting(name="Third", **wanted)


def test_a_closed_batch_voids_open_slots_and_stays_closed():
    batch = make_demonstration_batch(make_project(), tasks=2)
    by = {"acting_user": batch.created_by}
    batches.pause_batch(batch=batch, **by)
    batches.resume_batch(batch=batch, **by)
    batches.close_batch(batch=batch, **by)
    assert set(batch.assignments.values_list("status", flat=True)) == {AssignmentStatus.VOID}
    assert set(batch.tasks.values_list("status", flat=True)) == {"closed"}
    with pytest.raises(Conflict):
        batches.resume_batch(batch=batch, **by)


def test_a_new_priority_reaches_the_open_slots():
    batch = make_demonstration_batch(make_project(), tasks=2)
    batches.change_policy(
        batch=batch, priority=7, review_rate=0.5, deadline_at=None, acting_user=batch.created_by
    )
    assert set(batch.assignments.values_list("priority", flat=True)) == {7}

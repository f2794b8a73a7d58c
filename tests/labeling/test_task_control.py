"""What a lead does to tasks while people work."""

from __future__ import annotations

import pytest

from annotate.errors import Conflict, Invalid
from labeling import handout_reasons, task_reports
from labeling.models import Assignment, AuditEvent, Notification, Skip, Submission, Task
from labeling.services.assignments import claim_next, release_expired, skip_assignment
from labeling.services.batch_overlap import change_batch_overlap
from labeling.services.batches import change_policy, close_batch, pause_batch, resume_batch
from labeling.services.drafts import save_draft
from labeling.services.late import accept_late_draft
from labeling.services.people import pause_member
from labeling.services.task_control import (
    assign_task,
    change_overlap,
    change_priority,
    close_task,
    reopen_task,
    unassign_slot,
)
from tests.factories import make_demonstration_batch, make_ranking_batch

from .work import claim, do_next, expire, submit


def member(cast, user):
    return cast.project.memberships.get(user=user)


def give(cast, task, user):
    return assign_task(task=task, membership=member(cast, user), acting_user=cast.lead)


@pytest.fixture
def last_task(cast):
    """The last in line of three, with two slots."""
    return make_demonstration_batch(cast.project, tasks=3, overlap=2, review_rate=0).tasks.last()


def test_an_assigned_task_is_next_for_its_person_and_nobody_else(cast, last_task):
    change_overlap(task=last_task, overlap=1, acting_user=cast.lead)
    slot = give(cast, last_task, cast.annotator)
    others = {claim(cast.peer, cast.project).task_id}
    assert last_task.pk not in others
    mine = claim(cast.annotator, cast.project)
    assert (mine.pk, mine.presentation["why"]) == (slot.pk, "assigned")
    assert handout_reasons.explain_to_lead(mine) == "A lead gave it to them."


def test_an_assignment_is_told_and_written_down(cast, last_task):
    give(cast, last_task, cast.annotator)
    assert Notification.objects.get(user=cast.annotator, kind="task.assigned").text.startswith(str(cast.lead))
    event = AuditEvent.objects.get(action="task.assigned")
    assert (event.actor, event.data["user"]) == (cast.lead, cast.annotator.pseudonym)


def test_an_assigned_task_waits_for_its_person_when_they_let_it_go(cast, last_task):
    slot = give(cast, last_task, cast.annotator)
    expire(claim(cast.annotator, cast.project))
    release_expired()
    slot.refresh_from_db()
    assert (slot.status, slot.reserved_for) == ("open", cast.annotator)
    assert claim(cast.annotator, cast.project).pk == slot.pk


@pytest.mark.parametrize("code", ["has_it", "no_free_slot", "skipped", "person_away", "task_closed"])
def test_a_task_is_not_given_to_whom_it_cannot_go(cast, last_task, code):
    if code == "has_it":
        give(cast, last_task, cast.annotator)
    elif code == "no_free_slot":
        give(cast, last_task, cast.peer)
        give(cast, last_task, cast.lead)
    elif code == "skipped":
        Skip.objects.create(task=last_task, user=cast.annotator, reason="unclear")
    elif code == "person_away":
        pause_member(membership=member(cast, cast.annotator), acting_user=cast.admin)
    else:
        close_task(task=last_task, acting_user=cast.lead)
    with pytest.raises(Conflict) as caught:
        give(cast, last_task, cast.annotator)
    assert caught.value.code == code


def test_what_is_taken_back_goes_to_others_and_its_words_are_kept(cast, last_task):
    give(cast, last_task, cast.annotator)
    held = claim(cast.annotator, cast.project)
    save_draft(task=last_task, user=cast.annotator, body={"text": "Half a"}, revision=1)
    unassign_slot(assignment=held, acting_user=cast.lead)
    assert last_task.drafts.get(user=cast.annotator).body == {"text": "Half a"}
    assert claim(cast.annotator, cast.project).task_id != last_task.pk
    assert "What you wrote is kept" in Notification.objects.get(kind="task.unassigned").text


def test_work_on_a_task_taken_back_is_kept_for_a_lead(cast, last_task):
    give(cast, last_task, cast.annotator)
    held = claim(cast.annotator, cast.project)
    unassign_slot(assignment=held, acting_user=cast.lead)
    with pytest.raises(Conflict) as caught:
        submit(held, cast.annotator, text="All of it.")
    assert caught.value.code == "withdrawn"
    draft = last_task.drafts.get(user=cast.annotator)
    assert (draft.is_late, draft.body["text"]) == (True, "All of it.")
    accept_late_draft(draft=draft, acting_user=cast.lead)
    assert Submission.objects.get().annotator == cast.annotator


def test_a_lead_may_give_back_what_they_took(cast, last_task):
    give(cast, last_task, cast.annotator)
    unassign_slot(assignment=claim(cast.annotator, cast.project), acting_user=cast.lead)
    give(cast, last_task, cast.annotator)
    assert claim(cast.annotator, cast.project).task_id == last_task.pk


def test_returned_work_and_free_slots_are_not_taken_back(cast, last_task):
    free = last_task.assignments.first()
    with pytest.raises(Conflict) as caught:
        unassign_slot(assignment=free, acting_user=cast.lead)
    assert caught.value.code == "nobody_has_it"


def test_a_done_task_reopened_has_one_more_slot(cast):
    make_demonstration_batch(cast.project, tasks=1, review_rate=0)
    task = do_next(cast.annotator, cast.project).task
    reopen_task(task=task, acting_user=cast.lead)
    task.refresh_from_db()
    assert (task.status, task.overlap, task.done_at) == ("open", 2, None)
    assert claim(cast.peer, cast.project).task_id == task.pk


def test_a_closed_task_reopened_has_the_slots_it_had(cast, last_task):
    close_task(task=last_task, acting_user=cast.lead)
    assert set(last_task.assignments.values_list("status", flat=True)) == {"void"}
    reopen_task(task=last_task, acting_user=cast.lead)
    assert sorted(last_task.assignments.values_list("slot", "status")) == [(1, "open"), (2, "open")]


def test_a_task_of_a_closed_batch_is_not_reopened(cast, last_task):
    close_batch(batch=last_task.batch, acting_user=cast.lead)
    last_task.refresh_from_db()
    with pytest.raises(Conflict):
        reopen_task(task=last_task, acting_user=cast.lead)


def test_overlap_grows_and_shrinks_while_work_goes_on(cast):
    make_demonstration_batch(cast.project, tasks=1, overlap=1, review_rate=0)
    task = do_next(cast.annotator, cast.project).task
    change_overlap(task=task, overlap=3, acting_user=cast.lead)
    task.refresh_from_db()
    assert (task.status, task.assignments.live().count()) == ("open", 3)
    claim(cast.peer, cast.project)
    change_overlap(task=task, overlap=2, acting_user=cast.lead)
    assert task.assignments.live().count() == 2
    with pytest.raises(Conflict) as caught:
        change_overlap(task=task, overlap=1, acting_user=cast.lead)
    assert caught.value.code == "slots_taken"
    assert task.assignments.live().count() == 2


def test_lowered_to_what_is_submitted_a_task_is_done(cast):
    make_demonstration_batch(cast.project, tasks=1, overlap=2, review_rate=0)
    task = do_next(cast.annotator, cast.project).task
    change_overlap(task=task, overlap=1, acting_user=cast.lead)
    assert Task.objects.get(pk=task.pk).status == "done"


@pytest.mark.parametrize("overlap", [0, 21])
def test_overlap_has_bounds(cast, last_task, overlap):
    with pytest.raises(Invalid):
        change_overlap(task=last_task, overlap=overlap, acting_user=cast.lead)


def test_a_batch_keeps_what_people_have_taken(cast):
    batch = make_demonstration_batch(cast.project, tasks=3, overlap=2, review_rate=0)
    first, second = claim(cast.annotator, cast.project), claim(cast.peer, cast.project)
    assert first.task_id == second.task_id
    counts = change_batch_overlap(batch=batch, overlap=1, acting_user=cast.lead)
    assert counts == {"changed": 2, "kept": 1}
    assert [task.overlap for task in batch.tasks.order_by("pk")] == [2, 1, 1]
    live = [task.assignments.live().count() for task in batch.tasks.order_by("pk")]
    assert live == [2, 1, 1]
    change_batch_overlap(batch=batch, overlap=3, acting_user=cast.lead)
    assert {task.assignments.live().count() for task in batch.tasks.all()} == {3}


def test_a_tasks_own_priority_outlives_that_of_its_batch(cast, last_task):
    change_priority(task=last_task, priority=9, acting_user=cast.lead)
    change_policy(batch=last_task.batch, priority=5, review_rate=0, deadline_at=None, acting_user=cast.lead)
    assert claim(cast.annotator, cast.project).task_id == last_task.pk
    change_priority(task=last_task, priority=None, acting_user=cast.lead)
    assert set(last_task.assignments.values_list("priority", flat=True)) == {5}


def test_what_comes_back_has_the_priority_of_now(cast, last_task):
    held = claim(cast.annotator, cast.project)
    change_policy(batch=held.batch, priority=7, review_rate=0, deadline_at=None, acting_user=cast.lead)
    expire(held)
    release_expired()
    assert Assignment.objects.get(pk=held.pk).priority == 7


def test_a_resumed_batch_hands_out_what_it_held(cast, last_task):
    pause_batch(batch=last_task.batch, acting_user=cast.lead)
    assert set(Assignment.objects.values_list("is_held", flat=True)) == {True}
    resume_batch(batch=last_task.batch, acting_user=cast.lead)
    assert claim_next(user=cast.annotator, project=cast.project) is not None


def test_people_who_wrote_a_completion_are_no_candidates(cast):
    task = make_ranking_batch(cast.project, tasks=1).tasks.get()
    task.completions.update(author=cast.annotator)
    people = {each.user for each in task_reports.candidates(task)}
    assert cast.annotator not in people and cast.peer in people


def test_a_skipped_assigned_task_does_not_come_back(cast, last_task):
    slot = give(cast, last_task, cast.annotator)
    held = claim(cast.annotator, cast.project)
    skip_assignment(assignment=held, user=cast.annotator, reason="not_my_field")
    assert claim(cast.annotator, cast.project).task_id != slot.task_id

"""Work to be judged again: back to its author, or one slot more for somebody else."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from annotate.errors import Invalid
from labeling.models import (
    Assignment,
    AuditEvent,
    Batch,
    Membership,
    Notification,
    Prompt,
    Review,
    Submission,
    Task,
)
from labeling.services import requeue
from labeling.services.assignments import claim_next
from labeling.services.projects import update_settings
from labeling.services.requeue import requeue_submissions
from tests.factories import make_ranking_batch

from .ranked import rank
from .work import claim

pytestmark = [pytest.mark.django_db, pytest.mark.database]


@pytest.fixture
def submission(cast):
    make_ranking_batch(cast.project, tasks=1, k=3, overlap=1, review_rate=0)
    return rank(cast.annotator, cast.project, [[0], [1], [2]])


def again(cast, *submissions, mode="return", note="See version 2.", acting_user=None):
    return requeue_submissions(
        project=cast.project,
        submission_ids=[each.pk for each in submissions],
        mode=mode,
        note=note,
        acting_user=acting_user or cast.lead,
    )


def test_accepted_work_goes_back_to_its_author_who_gets_it_first(cast, submission):
    assert submission.status == "accepted"
    assert again(cast, submission).done == [submission.pk]
    assert Submission.objects.get().status == "returned"
    assert claim(cast.annotator, cast.project).pk == submission.assignment_id


def test_its_author_is_told_what_to_look_at_and_all_is_on_record(cast, submission):
    again(cast, submission)
    assert "See version 2." in Notification.objects.get(user=cast.annotator, kind="submission.returned").text
    assert Review.objects.get().note == "See version 2."
    event = AuditEvent.objects.get(action="submission.requeued")
    assert (event.actor, event.data["mode"]) == (cast.lead, "return")


def test_nobody_returns_their_own(cast, submission):
    [(pk, why)] = again(cast, submission, acting_user=cast.annotator).refused
    assert (pk, why) == (submission.pk, "Nobody decides on their own work.")
    assert Submission.objects.get().status == "accepted"


def test_one_that_cannot_be_returned_changes_nothing_and_stops_no_other(cast, submission):
    make_ranking_batch(cast.project, tasks=1, k=3, overlap=1, review_rate=0)
    other = rank(cast.peer, cast.project, [[0], [1], [2]])
    Membership.objects.filter(user=cast.annotator).update(status="paused")
    answer = again(cast, submission, other)
    assert answer.done == [other.pk]
    assert [pk for pk, _ in answer.refused] == [submission.pk]
    assert Submission.objects.get(pk=submission.pk).status == "accepted"  # not left reopened


def test_somebody_else_is_asked_too_and_what_was_said_stays(cast, submission):
    assert again(cast, submission, mode="new_slot", note="").done == [submission.pk]
    task = Task.objects.get()
    assert (task.overlap, task.status) == (2, "open")
    assert Submission.objects.get().status == "accepted"
    assert claim_next(user=cast.annotator, project=cast.project) is None
    assert claim(cast.peer, cast.project).task == task


def test_a_task_is_opened_once_however_many_of_its_judgments_are_chosen(cast):
    make_ranking_batch(cast.project, tasks=1, k=3, overlap=2, review_rate=0)
    both = [rank(user, cast.project, [[0], [1], [2]]) for user in (cast.annotator, cast.peer)]
    assert again(cast, *both, mode="new_slot").done == [each.pk for each in both]
    assert Assignment.objects.count() == 3
    assert len(again(cast, *both, mode="new_slot").refused) == 2  # it waits already


def test_the_new_slot_is_one_like_the_others(cast, submission):
    """Of the language, deadline and priority that its task has."""
    update_settings(project=cast.project, values={"match_languages": True}, acting_user=cast.admin)
    Prompt.objects.update(language="de")
    deadline = timezone.now() + timedelta(days=3)
    Batch.objects.update(deadline_at=deadline)
    Task.objects.update(priority=7)
    assert again(cast, submission, mode="new_slot").done == [submission.pk]
    slot = Assignment.objects.get(slot=2)
    assert (slot.language, slot.due_at, slot.priority, slot.purpose) == ("de", deadline, 7, "work")
    assert claim_next(user=cast.peer, project=cast.project) is None  # who has declared no language


def test_what_everybody_gets_and_what_many_judge_takes_no_more(cast, submission):
    Task.objects.update(purpose="gold")
    [(_, why)] = again(cast, submission, mode="new_slot").refused
    assert "slots are made as people come" in why
    Task.objects.update(purpose="work", overlap=20)
    [(_, why)] = again(cast, submission, mode="new_slot").refused
    assert why == "20 people judge its task already."
    assert Assignment.objects.count() == 1


def test_a_closed_batch_takes_no_more(cast, submission):
    submission.task.batch.status = "closed"
    submission.task.batch.save()
    assert "closed" in again(cast, submission, mode="new_slot").refused[0][1]
    assert Assignment.objects.count() == 1


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"note": " "}, "note"),
        ({"mode": "delete"}, "mode"),
        ({"submission_ids": []}, "submissions"),
        ({"submission_ids": [1, 10**9]}, "submissions"),
        ({"submission_ids": list(range(1, requeue.MOST_AT_ONCE + 2))}, "submissions"),
    ],
)
def test_what_makes_no_sense_is_refused(cast, submission, change, field):
    values = {"submission_ids": [submission.pk], "mode": "return", "note": "Again.", **change}
    with pytest.raises(Invalid) as error:
        requeue_submissions(project=cast.project, acting_user=cast.lead, **values)
    assert error.value.field == field


def test_work_of_another_project_is_unknown(cast, submission):
    with pytest.raises(Invalid, match="not of this project"):
        requeue_submissions(
            project=cast.other_project,
            submission_ids=[submission.pk],
            mode="return",
            note="Again.",
            acting_user=cast.outsider,
        )


def test_pasted_characters_are_stored_with_the_answer_and_kept_when_it_comes_back(cast, client):
    from tests.factories import make_demonstration_batch

    make_demonstration_batch(cast.project, tasks=1, overlap=1, review_rate=0)
    assignment = claim(cast.annotator, cast.project)
    client.force_login(cast.annotator)
    form = {"fence": assignment.fence, "idempotency_key": "k", "text": "Paris.", "pasted_characters": "6"}
    client.post(f"/projects/{cast.project.slug}/work/{assignment.pk}/submit/", form)
    submission = Submission.objects.get()
    assert submission.current.pasted_characters == 6
    again(cast, submission)
    claim(cast.annotator, cast.project)
    page = client.get(f"/projects/{cast.project.slug}/work/{assignment.pk}/")
    assert b'name="pasted_characters" value="6"' in page.content

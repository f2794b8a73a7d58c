"""Deadlines, languages, bounds of a day, calibration: who is handed what, and when not."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from annotate.errors import Conflict, Invalid
from labeling import handout_reasons
from labeling.models import Assignment, Batch, Draft
from labeling.services.assignments import claim_next
from labeling.services.batch_control import change_policy, hold_overdue
from labeling.services.caps import set_caps
from labeling.services.projects import update_settings
from labeling.services.qualification import confirm_language, declare_languages
from labeling.services.reviews import return_submission
from labeling.waiting import desk_of
from tests.factories import make_demonstration_batch, make_ranking_batch

from .work import claim, do_next, submit


def in_days(days: float):
    return timezone.now() + timedelta(days=days)


def settings(cast, **values) -> None:
    update_settings(project=cast.project, values=values, acting_user=cast.admin)


# --- Deadlines ---------------------------------------------------------------------------------------------
def test_among_equals_the_nearest_deadline_goes_first(cast):
    make_demonstration_batch(cast.project, tasks=1)
    later = make_demonstration_batch(cast.project, tasks=1, deadline_at=in_days(9))
    sooner = make_demonstration_batch(cast.project, tasks=1, deadline_at=in_days(2))
    order = [claim(user, cast.project) for user in (cast.annotator, cast.peer)]
    assert [each.batch for each in order] == [sooner, later]
    assert handout_reasons.explain_to_lead(order[0]) == handout_reasons.WHY_FOR_LEADS["deadline"]


def test_priority_goes_before_deadlines(cast):
    make_demonstration_batch(cast.project, tasks=1, deadline_at=in_days(1))
    urgent = make_demonstration_batch(cast.project, tasks=1, priority=1)
    assert claim(cast.annotator, cast.project).batch == urgent


def test_nothing_is_handed_out_after_the_deadline_until_it_is_put_off(cast):
    batch = make_demonstration_batch(cast.project, tasks=1, deadline_at=in_days(-0.01))
    assert claim_next(user=cast.annotator, project=cast.project) is None
    assert hold_overdue() == 1
    assert hold_overdue() == 0
    change_policy(batch=batch, priority=0, review_rate=0, deadline_at=in_days(1), acting_user=cast.lead)
    assert claim(cast.annotator, cast.project).batch == batch


# --- Languages ---------------------------------------------------------------------------------------------
@pytest.fixture
def german(cast):
    """A German task, then one of no stated language; the project matches languages."""
    batch = make_demonstration_batch(cast.project, tasks=2)
    task = batch.tasks.first()
    task.prompt.language = "de"
    task.prompt.save()
    settings(cast, match_languages=True)
    return task


def test_a_language_that_nobody_confirmed_is_not_handed_out(cast, german):
    member = cast.project.memberships.get(user=cast.annotator)
    declare_languages(membership=member, codes=["de"])
    assert claim(cast.annotator, cast.project).task_id != german.pk


def test_a_confirmed_language_is(cast, german):
    member = cast.project.memberships.get(user=cast.annotator)
    declare_languages(membership=member, codes=["de", "en"])
    confirm_language(membership=member, code="de", confirmed=True, acting_user=cast.lead)
    assert claim(cast.annotator, cast.project).task_id == german.pk


def test_declaring_anew_keeps_what_was_confirmed(cast):
    member = cast.project.memberships.get(user=cast.annotator)
    declare_languages(membership=member, codes=["de", "en"])
    confirm_language(membership=member, code="de", confirmed=True, acting_user=cast.lead)
    declare_languages(membership=member, codes=["de", "pt-BR"])
    assert {each.code: bool(each.confirmed_at) for each in member.languages.all()} == {
        "de": True,
        "pt-BR": False,
    }
    with pytest.raises(Invalid):
        declare_languages(membership=member, codes=["<b>"])


def test_where_languages_do_not_matter_everybody_gets_everything(cast, german):
    settings(cast, match_languages=False)
    assert claim(cast.annotator, cast.project).task_id == german.pk


def test_new_batches_tell_their_languages(cast, german):
    batch = make_demonstration_batch(cast.project, tasks=1)
    assert set(batch.assignments.values_list("language", flat=True)) == {""}
    assert set(german.assignments.values_list("language", flat=True)) == {"de"}


# --- Bounds of a day ---------------------------------------------------------------------------------------
def test_after_the_tasks_of_the_day_nothing_new_is_handed_out(cast):
    settings(cast, max_tasks_per_day=1)
    make_demonstration_batch(cast.project, tasks=3, review_rate=1)
    submission = do_next(cast.annotator, cast.project)
    with pytest.raises(Conflict) as caught:
        claim_next(user=cast.annotator, project=cast.project)
    assert caught.value.code == "day_is_full"
    # What is returned can still be mended.
    return_submission(submission=submission, revision=1, reviewer=cast.lead, note="Shorter.")
    assert claim(cast.annotator, cast.project).pk == submission.assignment_id


def test_after_the_hours_of_the_day_too(cast):
    settings(cast, max_hours_per_day=0.5)
    make_demonstration_batch(cast.project, tasks=2)
    held = claim(cast.annotator, cast.project)
    # Time counts as far as it can have been worked: the task has been in hand for an hour.
    hour_ago = timezone.now() - timedelta(hours=1)
    Assignment.objects.filter(pk=held.pk).update(leased_at=hour_ago)
    Draft.objects.filter(task=held.task).update(counted_from=hour_ago)
    submit(held, cast.annotator, active_seconds=1801)
    with pytest.raises(Conflict):
        claim_next(user=cast.annotator, project=cast.project)


def test_a_person_may_have_bounds_of_their_own(cast):
    settings(cast, max_tasks_per_day=1)
    make_demonstration_batch(cast.project, tasks=3)
    set_caps(
        membership=cast.project.memberships.get(user=cast.annotator),
        max_tasks_per_day=0,
        max_hours_per_day=None,
        acting_user=cast.lead,
    )
    do_next(cast.annotator, cast.project)
    assert claim_next(user=cast.annotator, project=cast.project) is not None


# --- Calibration -------------------------------------------------------------------------------------------
def test_everybody_gets_the_same_calibration_tasks_whatever_else_waits(cast):
    settings(cast, calibration_rate=0.9, gold_rate=0)
    calibration = make_ranking_batch(cast.project, tasks=2, purpose="calibration", review_rate=0)
    make_ranking_batch(cast.project, tasks=40, review_rate=0)
    for user in (cast.annotator, cast.peer):
        for _ in range(15):
            do_next(user, cast.project)
    for task in calibration.tasks.all():
        assert task.submissions.count() == 2
        assert task.assignments.live().count() == task.overlap == 2
    assert set(calibration.tasks.values_list("status", flat=True)) == {"open"}


def test_calibration_is_handed_out_when_nothing_else_is_left(cast):
    settings(cast, calibration_rate=0)
    batch = make_demonstration_batch(cast.project, tasks=1, purpose="calibration")
    assert desk_of(project=cast.project, user=cast.annotator, membership=None).total == 1
    first = claim(cast.annotator, cast.project)
    assert (first.batch, first.presentation["why"]) == (batch, "calibration")
    submit(first, cast.annotator)
    assert claim_next(user=cast.annotator, project=cast.project) is None


def test_a_calibration_slot_let_go_is_used_again(cast):
    from labeling.services.assignments import release_assignment

    make_demonstration_batch(cast.project, tasks=1, purpose="calibration")
    release_assignment(assignment=claim(cast.annotator, cast.project), user=cast.annotator)
    claim(cast.peer, cast.project)
    assert Assignment.objects.count() == 1


def test_a_batch_for_something_else_is_refused(cast):
    from labeling.services.batches import create_batch_from_waiting

    with pytest.raises(Invalid):
        create_batch_from_waiting(
            project=cast.project, name="x", kind="ranking", purpose="gold", acting_user=cast.lead
        )
    assert not Batch.objects.exists()

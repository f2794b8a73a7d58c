"""Screening: only screening work until one is qualified, a verdict by cut-offs or by a lead, retries."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from annotate.errors import Conflict, Invalid
from labeling import review_queues
from labeling.models import Notification, Qualification, ScreeningSet
from labeling.qualification_reports import everybody, standings
from labeling.services.assignments import claim_next
from labeling.services.gold import mark_gold, score_demonstration
from labeling.services.projects import update_settings
from labeling.services.qualification import close_screening_set, decide_qualification, open_screening_set
from tests.factories import make_demonstration_batch, make_ranking_batch

from .work import claim, do_next, ranking_of, submit


@pytest.fixture(autouse=True)
def asked_for(cast):
    values = {"require_qualification": True, "gold_rate": 0, "calibration_rate": 0, "new_person_reviews": 0}
    update_settings(project=cast.project, values=values, acting_user=cast.admin)


def ranking_set(cast, tasks: int = 4, attempt: int = 2, **policy) -> ScreeningSet:
    """A screening of rankings, one ordinary ranking waiting behind it."""
    batch = make_ranking_batch(cast.project, tasks=tasks, k=3, purpose="screening")
    for task in batch.tasks.all():
        ids = list(task.task_completions.values_list("completion_id", flat=True))
        mark_gold(task=task, tiers=[[pk] for pk in ids], acting_user=cast.lead)
    make_ranking_batch(cast.project, tasks=1)
    return open_screening_set(batch=batch, tasks_per_attempt=attempt, acting_user=cast.lead, **policy)


def rank(cast, user, *, rightly: bool):
    assignment = claim(user, cast.project)
    ids = [pk for [pk] in assignment.task.gold_answer.tiers]
    tiers = [[pk] for pk in (ids if rightly else ids[::-1])]
    return submit(assignment, user, **{**ranking_of(assignment, user), "tiers": tiers})


def standing(cast, user):
    member = cast.project.memberships.get(user=user)
    [found] = standings(project=cast.project, membership=member)
    return found


def test_who_is_not_qualified_gets_only_screening_and_reads_why(cast):
    ranking_set(cast)
    assert claim(cast.annotator, cast.project).task.purpose == "screening"
    assert "short screening: 2 tasks" in standing(cast, cast.annotator).text


def test_the_other_kind_of_work_is_not_kept_from_them(cast):
    ranking_set(cast)
    make_demonstration_batch(cast.project, tasks=1)
    assert claim(cast.annotator, cast.project, "demonstration").task.purpose == "work"


def test_who_reaches_the_cut_offs_is_qualified_at_once(cast):
    screening = ranking_set(cast)
    for _ in range(2):
        rank(cast, cast.annotator, rightly=True)
    qualification = Qualification.objects.get(screening_set=screening)
    assert (qualification.status, qualification.ranking_agreement) == ("passed", 1)
    assert claim(cast.annotator, cast.project).task.purpose == "work"
    assert standing(cast, cast.annotator).text == ""
    assert Notification.objects.filter(user=cast.annotator, kind="qualification.passed").count() == 1


def test_screening_work_is_accepted_silently_and_is_no_review(cast):
    ranking_set(cast)
    submission = rank(cast, cast.annotator, rightly=False)
    assert (submission.status, submission.review_reason) == ("accepted", "")


def test_who_falls_short_waits_and_then_gets_other_tasks(cast):
    ranking_set(cast)
    had = [rank(cast, cast.annotator, rightly=number == 0).task_id for number in range(2)]
    qualification = Qualification.objects.get()
    assert (qualification.status, qualification.ranking_agreement) == ("failed", 0.5)
    assert claim_next(user=cast.annotator, project=cast.project) is None
    assert "Try again from" in standing(cast, cast.annotator).text
    Qualification.objects.update(retry_at=timezone.now() - timedelta(minutes=1))
    again = claim(cast.annotator, cast.project)
    assert (again.task.purpose, again.task_id in had) == ("screening", False)
    ids = [pk for [pk] in again.task.gold_answer.tiers]
    submit(again, cast.annotator, **{**ranking_of(again, cast.annotator), "tiers": [[pk] for pk in ids]})
    rank(cast, cast.annotator, rightly=True)
    qualification.refresh_from_db()
    # The first attempt no longer counts.
    assert (qualification.status, qualification.attempt, qualification.ranking_agreement) == ("passed", 2, 1)


def test_without_days_a_lead_gives_the_retry(cast):
    screening = ranking_set(cast, retry_days=0)
    for _ in range(2):
        rank(cast, cast.annotator, rightly=False)
    assert claim_next(user=cast.annotator, project=cast.project) is None
    member = cast.project.memberships.get(user=cast.annotator)
    decide_qualification(screening=screening, membership=member, decision="retry", acting_user=cast.lead)
    assert claim(cast.annotator, cast.project).task.purpose == "screening"


@pytest.mark.parametrize(("decision", "purpose"), [("pass", "work"), ("fail", None)])
def test_a_lead_decides_at_any_time(cast, decision, purpose):
    screening = ranking_set(cast)
    member = cast.project.memberships.get(user=cast.annotator)
    decide_qualification(
        screening=screening, membership=member, decision=decision, note="We spoke.", acting_user=cast.lead
    )
    claimed = claim_next(user=cast.annotator, project=cast.project)
    assert (claimed and claimed.task.purpose) == purpose
    assert [row.status for row in everybody(screening) if row.membership == member] == [f"{decision}ed"]


def test_where_a_lead_decides_every_time_good_figures_wait(cast):
    ranking_set(cast, passes_automatically=False)
    for _ in range(2):
        rank(cast, cast.annotator, rightly=True)
    assert Qualification.objects.get().status == "undecided"
    assert Notification.objects.get(kind="qualification.undecided").user == cast.lead
    assert claim_next(user=cast.annotator, project=cast.project) is None


@pytest.mark.parametrize(("scores", "status"), [((6, 7), "passed"), ((5, 6), "failed")])
def test_demonstrations_are_scored_by_a_lead(cast, scores, status):
    batch = make_demonstration_batch(cast.project, tasks=2, purpose="screening")
    open_screening_set(batch=batch, tasks_per_attempt=2, acting_user=cast.lead)
    done = [do_next(cast.annotator, cast.project) for _ in scores]
    assert Qualification.objects.get().status == "undecided"
    # They stand in the one queue of what waits for a score, though they need no decision.
    waiting = review_queues.waiting(project=cast.project, reviewer=cast.lead, reason="gold_unscored")
    assert list(waiting) == done
    for submission, score in zip(done, scores, strict=True):
        score_demonstration(submission=submission, score=score, acting_user=cast.lead)
    assert not waiting.all().exists()
    assert Qualification.objects.get().status == status  # means of 6.5 and 5.5 against 6


def test_leads_are_not_screened(cast):
    ranking_set(cast)
    assert claim(cast.lead, cast.project).task.purpose == "work"


@pytest.mark.parametrize(("keep", "purpose"), [(True, "work"), (False, "screening")])
def test_a_new_set_recalibrates_where_the_lead_asks_for_it(cast, keep, purpose):
    screening = ranking_set(cast)
    member = cast.project.memberships.get(user=cast.annotator)
    decide_qualification(screening=screening, membership=member, decision="pass", acting_user=cast.lead)
    new = ranking_set(cast, keep_qualified=keep)
    assert ScreeningSet.objects.get(status="open") == new
    assert claim(cast.annotator, cast.project).task.purpose == purpose


def test_a_set_needs_known_answers_and_enough_tasks(cast):
    batch = make_ranking_batch(cast.project, tasks=2, purpose="screening")
    with pytest.raises(Conflict) as caught:
        open_screening_set(batch=batch, tasks_per_attempt=1, acting_user=cast.lead)
    assert caught.value.code == "answers_missing"
    with pytest.raises(Invalid):
        open_screening_set(batch=batch, tasks_per_attempt=3, acting_user=cast.lead)
    with pytest.raises(Conflict):
        open_screening_set(batch=make_ranking_batch(cast.project), acting_user=cast.lead)


def test_a_closed_set_keeps_nobody_from_work(cast):
    close_screening_set(screening=ranking_set(cast), acting_user=cast.lead)
    assert claim(cast.annotator, cast.project).task.purpose == "work"

"""Screening: only screening work until one is qualified, a verdict by cut-offs or by a lead, retries."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from annotate.errors import Conflict, Invalid
from labeling import review_queues
from labeling.models import Batch, Notification, Qualification, ScreeningSet
from labeling.qualification_reports import everybody, standings
from labeling.services.assignments import claim_next, skip_assignment
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


def rank(cast, user, *, rightly: bool, **fields):
    assignment = claim(user, cast.project)
    ids = [pk for [pk] in assignment.task.gold_answer.tiers]
    tiers = [[pk] for pk in (ids if rightly else ids[::-1])]
    return submit(assignment, user, **{**ranking_of(assignment, user), "tiers": tiers, **fields})


def skip(cast, user, reason: str = "not_my_field") -> None:
    skip_assignment(assignment=claim(user, cast.project), user=user, reason=reason)


def retry(cast, screening, user) -> None:
    member = cast.project.memberships.get(user=user)
    decide_qualification(screening=screening, membership=member, decision="retry", acting_user=cast.lead)


def told(user, kind: str) -> list[str]:
    return list(Notification.objects.filter(user=user, kind=kind).values_list("text", flat=True))


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
    retry(cast, screening, cast.annotator)
    assert claim(cast.annotator, cast.project).task.purpose == "screening"


def test_who_fails_with_no_tasks_left_is_not_promised_a_retry_and_leads_are_told(cast):
    ranking_set(cast, tasks=3)
    for _ in range(2):
        rank(cast, cast.annotator, rightly=False)
    qualification = Qualification.objects.get()
    assert (qualification.status, qualification.retry_at) == ("failed", None)
    assert "no tasks left for another attempt. A lead decides" in standing(cast, cast.annotator).text
    [words] = told(cast.annotator, "qualification.failed")
    assert "there are no tasks left for another attempt" in words
    [words] = told(cast.lead, "qualification.undecided")
    assert "Anna did not pass a screening, and no tasks are left" in words


def test_a_retry_that_was_promised_does_not_begin_without_tasks_for_all_of_it(cast):
    """As of verdicts before the set was looked at, or where tasks were closed since."""
    ranking_set(cast, tasks=3)
    for _ in range(2):
        rank(cast, cast.annotator, rightly=False)
    Qualification.objects.update(retry_at=timezone.now() - timedelta(minutes=1))
    assert claim_next(user=cast.annotator, project=cast.project) is None
    assert (Qualification.objects.get().status, Qualification.objects.get().attempt) == ("failed", 1)
    assert "no tasks left for another attempt" in standing(cast, cast.annotator).text


def test_a_lead_cannot_give_an_attempt_that_nobody_could_finish(cast):
    screening = ranking_set(cast, tasks=3)
    for _ in range(2):
        rank(cast, cast.annotator, rightly=False)
    with pytest.raises(Conflict) as caught:
        retry(cast, screening, cast.annotator)
    assert caught.value.code == "no_tasks_left"
    assert "1 are left, an attempt takes 2" in str(caught.value.message)
    assert Qualification.objects.get().status == "failed"


def test_a_skipped_screening_task_is_made_up_for_by_another(cast):
    ranking_set(cast, tasks=3)
    skip(cast, cast.annotator)
    for _ in range(2):
        rank(cast, cast.annotator, rightly=True)
    assert Qualification.objects.get().status == "passed"


@pytest.mark.parametrize("skips_first", [True, False], ids=["skipped, then done", "done, then skipped"])
def test_an_attempt_without_another_task_ends_and_a_lead_looks_at_it(cast, skips_first):
    screening = ranking_set(cast, tasks=2)
    steps = [lambda: skip(cast, cast.annotator), lambda: rank(cast, cast.annotator, rightly=True)]
    first, second = steps if skips_first else steps[::-1]
    first()
    assert Qualification.objects.get().status == "in_work"
    second()
    assert (Qualification.objects.get().status, Qualification.objects.get().ranking_agreement) == (
        "undecided",
        1,
    )
    assert "No more tasks of your ranking screening are left" in standing(cast, cast.annotator).text
    [words] = told(cast.lead, "qualification.undecided")
    assert "Anna cannot finish a screening" in words
    [row] = [each for each in everybody(screening) if each.membership.user == cast.annotator]
    assert (row.status, row.done, row.has_enough) == ("undecided", 1, False)


def test_a_paused_set_ends_no_attempt(cast):
    ranking_set(cast, tasks=2)
    Batch.objects.filter(purpose="screening").update(status="paused")
    assert claim_next(user=cast.annotator, project=cast.project) is None
    assert "None can be handed to you at the moment" in standing(cast, cast.annotator).text
    Batch.objects.update(status="open")
    rank(cast, cast.annotator, rightly=True)
    slot = claim(cast.annotator, cast.project)
    assert "None can be handed" not in standing(cast, cast.annotator).text  # the last is in their hands
    Batch.objects.update(status="paused")
    submit(slot, cast.annotator)
    assert Qualification.objects.get().status in ("passed", "failed")


def test_flags_do_not_count_where_only_the_order_is_known(cast):
    ranking_set(cast)
    for _ in range(2):
        first = claim(cast.annotator, cast.project).presentation["order"][0]
        rank(cast, cast.annotator, rightly=True, flags={first: ["impolite"]})
    qualification = Qualification.objects.get()
    assert (qualification.status, qualification.ranking_agreement) == ("passed", 1)
    assert qualification.flag_agreement is None


def test_flags_count_where_the_known_answer_checks_them(cast):
    screening = ranking_set(cast)
    for task in screening.batch.tasks.all():
        mark_gold(task=task, tiers=task.gold_answer.tiers, checks_flags=True, acting_user=cast.lead)
    for _ in range(2):
        first = claim(cast.annotator, cast.project).presentation["order"][0]
        rank(cast, cast.annotator, rightly=True, flags={first: ["impolite"]})
    qualification = Qualification.objects.get()
    assert (qualification.status, qualification.flag_agreement) == ("failed", 0)


def test_the_leads_page_says_how_many_attempts_there_are_and_who_has_none_left(cast, client):
    ranking_set(cast, tasks=3)
    for _ in range(2):
        rank(cast, cast.annotator, rightly=False)
    client.force_login(cast.lead)
    page = client.get(f"/projects/{cast.project.slug}/screening/").content.decode()
    assert "The set has tasks for 1 attempt of each person." in page
    assert "No tasks are left for another attempt" in page
    assert page.count('value="retry"') == 1  # for the peer, who has had none of them


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

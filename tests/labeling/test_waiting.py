"""The page of work counts what the next claims give, in every state that keeps work from somebody."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from annotate.errors import Conflict
from labeling.models import Qualification, ScreeningSet
from labeling.services.appeals import open_appeal
from labeling.services.assignments import claim_next, release_assignment, release_expired, skip_assignment
from labeling.services.drafts import save_draft
from labeling.services.projects import update_settings
from labeling.services.qualification import decide_qualification, open_screening_set
from labeling.services.reviews import return_submission
from labeling.services.task_control import assign_task
from tests.factories import make_demonstration_batch, make_ranking_batch, publish_guideline

from .work import claim, do_next, expire, submit, without_transaction_control


def settings(cast, **values) -> None:
    update_settings(project=cast.project, values=values, acting_user=cast.admin)


def screening(cast, tasks: int = 2, attempt: int = 2) -> ScreeningSet:
    settings(cast, require_qualification=True)
    batch = make_demonstration_batch(cast.project, tasks=tasks, purpose="screening")
    return open_screening_set(batch=batch, tasks_per_attempt=attempt, acting_user=cast.lead)


def decide(cast, screening_set: ScreeningSet, decision: str) -> None:
    member = cast.project.memberships.get(user=cast.annotator)
    decide_qualification(screening=screening_set, membership=member, decision=decision, acting_user=cast.lead)


def retry_day_has_come() -> None:
    Qualification.objects.update(retry_at=timezone.now() - timedelta(minutes=1))


def returned(cast):
    make_demonstration_batch(cast.project, tasks=1, review_rate=1)
    submission = do_next(cast.annotator, cast.project)
    return_submission(submission=submission, revision=1, reviewer=cast.lead, note="Shorter.")
    return submission


def only_a_screening(cast):
    screening(cast)


def a_screening_begun(cast):
    screening(cast, tasks=4)
    do_next(cast.annotator, cast.project)


def a_screening_in_hand(cast):
    screening(cast)
    claim(cast.annotator, cast.project)


def a_screening_beside_work_of_the_other_kind(cast):
    screening(cast)
    make_ranking_batch(cast.project, tasks=3)


def a_screening_before_work(cast):
    screening(cast)
    make_demonstration_batch(cast.project, tasks=3)


def a_screening_passed(cast):
    decide(cast, screening(cast), "pass")
    make_demonstration_batch(cast.project, tasks=3)


def a_screening_failed(cast):
    decide(cast, screening(cast), "fail")
    make_demonstration_batch(cast.project, tasks=3)


def a_retry_with_tasks(cast):
    a_screening_failed(cast)
    retry_day_has_come()


def a_retry_without_tasks(cast):
    found = screening(cast, tasks=3)
    for _ in range(2):
        do_next(cast.annotator, cast.project)
    decide(cast, found, "fail")
    retry_day_has_come()


def an_appeal(cast):
    open_appeal(submission=returned(cast), author=cast.annotator, text="It is short.")


def returned_and_skipped(cast):
    returned(cast)
    skip_assignment(
        assignment=claim(cast.annotator, cast.project), user=cast.annotator, reason="not_my_field"
    )


def a_full_day(cast):
    make_demonstration_batch(cast.project, tasks=4)
    do_next(cast.annotator, cast.project)
    settings(cast, max_tasks_per_day=1)


def a_full_day_with_a_task_in_hand(cast):
    make_demonstration_batch(cast.project, tasks=4)
    do_next(cast.annotator, cast.project)
    claim(cast.annotator, cast.project)
    settings(cast, max_tasks_per_day=1)


def a_full_day_and_a_task_given_by_name(cast):
    a_full_day(cast)
    task = cast.project.tasks.filter(status="open").last()
    assign_task(
        task=task, membership=cast.project.memberships.get(user=cast.annotator), acting_user=cast.lead
    )


def a_full_day_and_words_left_behind(cast):
    make_demonstration_batch(cast.project, tasks=1)
    do_next(cast.annotator, cast.project)
    words_left_behind(cast)
    settings(cast, max_tasks_per_day=1)


def words_left_behind(cast):
    make_demonstration_batch(cast.project, tasks=3)
    assignment = claim(cast.annotator, cast.project)
    save_draft(task=assignment.task, user=cast.annotator, body={"text": "Par"}, revision=1)
    expire(assignment)
    release_expired()


def a_screening_given_back_with_words(cast):
    screening(cast)
    assignment = claim(cast.annotator, cast.project)
    save_draft(task=assignment.task, user=cast.annotator, body={"text": "Par"}, revision=1)
    release_assignment(assignment=assignment, user=cast.annotator)


def calibration_behind_a_failed_screening(cast):
    a_screening_failed(cast)
    make_demonstration_batch(cast.project, tasks=2, purpose="calibration")


def calibration(cast):
    make_demonstration_batch(cast.project, tasks=2, purpose="calibration")
    make_demonstration_batch(cast.project, tasks=2, overlap=2)


STATES = {
    only_a_screening: [2, 0],
    a_screening_begun: [1, 0],
    a_screening_in_hand: [2, 0],
    a_screening_beside_work_of_the_other_kind: [2, 3],
    a_screening_before_work: [2, 0],
    a_screening_passed: [3, 0],
    a_screening_failed: [0, 0],
    a_retry_with_tasks: [2, 0],
    a_retry_without_tasks: [0, 0],
    an_appeal: [0, 0],
    returned_and_skipped: [0, 0],
    a_full_day: [0, 0],
    a_full_day_with_a_task_in_hand: [1, 0],
    a_full_day_and_a_task_given_by_name: [1, 0],
    a_full_day_and_words_left_behind: [1, 0],
    words_left_behind: [3, 0],
    a_screening_given_back_with_words: [2, 0],
    calibration_behind_a_failed_screening: [0, 0],
    calibration: [4, 0],
}


@pytest.fixture
def work_page(cast, client):
    client.force_login(cast.annotator)
    return lambda: client.get(reverse("labeling:work", args=[cast.project.slug]))


def claims_until_nothing_is_left(cast, kind: str) -> int:
    count = 0
    while True:
        try:
            assignment = claim_next(user=cast.annotator, project=cast.project, kind=kind)
        except Conflict as error:
            assert error.code == "day_is_full"
            return count
        if assignment is None:
            return count
        submit(assignment, cast.annotator)
        count += 1


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_the_page_counts_what_the_claims_give(cast, work_page, state):
    settings(cast, gold_rate=0, calibration_rate=0, repeat_rate=0)
    state(cast)
    answer = work_page()
    counted = [each.total for each in answer.context["waiting"]]
    assert counted == STATES[state]
    assert (b'data-shortcut="n"' in answer.content) == any(counted)
    given = [claims_until_nothing_is_left(cast, each.kind) for each in answer.context["waiting"]]
    assert given == counted


def test_with_a_screening_to_do_the_page_has_its_button_and_nothing_untrue(cast, work_page):
    screening(cast)
    page = work_page().content.decode()
    assert "short screening: 2 tasks" in page and "Start" in page
    assert "Nothing to do right now" not in page


def test_a_full_day_is_called_one_and_not_an_empty_queue(cast, work_page):
    a_full_day(cast)
    page = work_page().content.decode()
    assert "You have done 1 of 1 task of the day." in page
    assert "New tasks come tomorrow" in page
    assert "Everything that was open is done" not in page


def test_who_failed_is_not_told_that_tasks_will_appear(cast, work_page):
    a_screening_failed(cast)
    page = work_page().content.decode()
    assert "You did not pass the demonstration screening" in page
    assert "New tasks appear here" not in page


def test_start_with_nothing_left_says_so(cast, client):
    client.force_login(cast.annotator)
    answer = client.post(reverse("labeling:work_next", args=[cast.project.slug]), follow=True)
    assert "Nothing is left for you at this moment." in answer.content.decode()


def test_a_screening_behind_an_unread_guideline_asks_for_the_guideline(cast):
    screening(cast)
    publish_guideline(cast.project)
    with pytest.raises(Conflict) as caught:
        claim_next(user=cast.annotator, project=cast.project)
    assert caught.value.code == "guideline_not_acknowledged"


def test_nobody_is_asked_to_read_for_work_that_a_failed_screening_keeps_from_them(cast):
    a_screening_failed(cast)
    publish_guideline(cast.project)
    assert claim_next(user=cast.annotator, project=cast.project) is None


def test_to_look_at_the_page_begins_no_attempt(cast, work_page):
    a_retry_with_tasks(cast)
    work_page()
    assert (Qualification.objects.get().attempt, Qualification.objects.get().status) == (1, "failed")
    claim(cast.annotator, cast.project)
    assert (Qualification.objects.get().attempt, Qualification.objects.get().status) == (2, "in_work")


def test_the_page_keeps_its_number_of_queries(cast, work_page):
    make_demonstration_batch(cast.project, tasks=3)
    make_ranking_batch(cast.project, tasks=3)
    work_page()
    with CaptureQueriesContext(connection) as plain:
        work_page()
    screening(cast)
    with CaptureQueriesContext(connection) as screened:
        work_page()
    numbers = [len(without_transaction_control(each.captured_queries)) for each in (plain, screened)]
    assert numbers == [12, 14]

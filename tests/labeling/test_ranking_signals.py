"""Low agreement and a reward model's disagreement bring rankings before a reviewer; neither decides."""

from __future__ import annotations

import uuid

import pytest

from annotate.errors import Invalid
from labeling import review_queues
from labeling.models import CompletionScore, Submission
from labeling.services.reviews import (
    accept_submission,
    fix_submission,
    reject_submission,
)
from labeling.services.scores import record_scores
from labeling.services.undo import undo_decision
from tests.factories import make_completions, make_prompt, make_ranking_batch

from .work import claim, submit


def rank(user, project, order=None, **fields):
    """Submit the order of the task's completions by their position: [0, 1, 2] is as they were made."""
    slot = claim(user, project)
    ids = list(slot.task.task_completions.order_by("position").values_list("completion_id", flat=True))
    placed = [[ids[index]] for index in order or range(len(ids))]
    scores = dict.fromkeys(ids, 4)
    return submit(slot, user, tiers=placed, scores=scores, touched=ids, **fields)


@pytest.fixture
def strict(cast):
    cast.project.settings_json = {**cast.project.settings_json, "low_agreement_below": 0.5}
    cast.project.save()
    make_ranking_batch(cast.project, tasks=1, k=3, overlap=3, review_rate=0)
    return cast


def scored(cast, submission, scores, scorer=None):
    ids = list(submission.task.task_completions.order_by("position").values_list("completion_id", flat=True))
    rows = [{"completion_id": pk, "score": score} for pk, score in zip(ids, scores, strict=True)]
    return record_scores(project=cast.project, scorer_key=scorer or uuid.uuid4(), rows=rows)


def test_a_second_ranking_that_contradicts_the_first_waits_and_the_first_counts_on(strict):
    first = rank(strict.annotator, strict.project)
    second = rank(strict.peer, strict.project, [2, 1, 0])
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.status, first.agreement) == ("accepted", 0)
    assert (second.status, second.review_reason, second.agreement) == ("awaiting_review", "low_agreement", 0)
    assert second.decided_at is None


def test_one_above_the_threshold_counts_and_is_measured_all_the_same(strict):
    first = rank(strict.annotator, strict.project)
    second = rank(strict.peer, strict.project, [0, 2, 1])
    first.refresh_from_db()
    assert (second.status, second.agreement) == ("accepted", pytest.approx(2 / 3))
    assert first.agreement == pytest.approx(2 / 3)


def test_a_third_changes_the_agreement_of_the_others(strict):
    first = rank(strict.annotator, strict.project)
    rank(strict.peer, strict.project)
    third = rank(strict.lead, strict.project, [2, 1, 0])
    assert (Submission.objects.get(pk=first.pk).agreement, third.agreement) == (0.5, 0)


def test_a_rejected_ranking_is_no_longer_compared_with(strict):
    first = rank(strict.annotator, strict.project)
    second = rank(strict.peer, strict.project, [2, 1, 0])
    reject_submission(submission=second, revision=1, reviewer=strict.admin, note="Upside down.")
    assert Submission.objects.get(pk=first.pk).agreement is None


def test_a_fix_brings_the_agreement_up_to_date(strict):
    first = rank(strict.annotator, strict.project)
    second = rank(strict.peer, strict.project, [2, 1, 0])
    order = first.current.tiers
    fix_submission(submission=second, revision=1, reviewer=strict.admin, tiers=order)
    agreements = set(Submission.objects.values_list("agreement", flat=True))
    assert agreements == {1}


def test_a_flag_stays_the_reason_where_both_apply(strict):
    rank(strict.annotator, strict.project)
    second = rank(strict.peer, strict.project, [2, 1, 0], prompt_flags=["unsafe"])
    assert second.review_reason == "flagged"


def test_a_confident_conflict_is_shown_and_changes_no_status(cast):
    make_ranking_batch(cast.project, tasks=2, k=3, review_rate=0)
    contradicted, confirmed = (rank(cast.annotator, cast.project) for _ in range(2))
    assert scored(cast, contradicted, [-3, 0, 3]) == 3
    scored(cast, confirmed, [3, 0, -3])
    contradicted.refresh_from_db()
    assert (contradicted.status, contradicted.conflict_open) == ("accepted", True)
    assert contradicted.model_conflict == pytest.approx(0.99752738)  # sigmoid(6)
    waiting = review_queues.waiting(project=cast.project, reviewer=cast.lead, reason="model_disagrees")
    assert [row.pk for row in waiting] == [contradicted.pk]
    assert not review_queues.waiting(project=cast.project, reviewer=cast.lead).exists()


def test_an_unsure_model_is_not_heard(cast):
    make_ranking_batch(cast.project, tasks=1, k=2, review_rate=0)
    submission = rank(cast.annotator, cast.project)
    scored(cast, submission, [0, 1])  # sigmoid(1) = 0.73
    submission.refresh_from_db()
    assert (round(submission.model_conflict, 2), submission.conflict_open) == (0.73, False)


def test_scores_that_were_there_before_are_heard_when_the_ranking_comes_in(cast):
    make_ranking_batch(cast.project, tasks=1, k=2, review_rate=0)
    slot = claim(cast.annotator, cast.project)
    ids = list(slot.task.task_completions.order_by("position").values_list("completion_id", flat=True))
    rows = [{"completion_id": ids[0], "score": -4}, {"completion_id": ids[1], "score": 4}]
    record_scores(project=cast.project, scorer_key=uuid.uuid4(), rows=rows)
    submission = rank(cast.annotator, cast.project)
    assert (submission.status, submission.conflict_open) == ("accepted", True)


def test_a_reviewer_confirms_it_and_it_leaves_the_queue_for_good(cast):
    make_ranking_batch(cast.project, tasks=1, k=2, review_rate=0)
    submission = rank(cast.annotator, cast.project)
    scored(cast, submission, [-4, 4])
    submission.refresh_from_db()
    review = accept_submission(submission=submission, revision=1, reviewer=cast.lead)
    assert (review.queue_reason, review.status_before) == ("model_disagrees", "accepted")
    scored(cast, submission, [-5, 5])
    waiting = review_queues.waiting(project=cast.project, reviewer=cast.lead, reason="model_disagrees")
    assert not waiting.exists()


def test_taking_that_back_brings_it_before_reviewers_again(cast):
    make_ranking_batch(cast.project, tasks=1, k=2, review_rate=0)
    submission = rank(cast.annotator, cast.project)
    scored(cast, submission, [-4, 4])
    submission.refresh_from_db()
    review = accept_submission(submission=submission, revision=1, reviewer=cast.lead)
    undo_decision(review=review, reviewer=cast.lead)
    submission.refresh_from_db()
    assert (submission.status, submission.conflict_open) == ("accepted", True)


def test_scores_of_two_models_never_mix(cast):
    make_ranking_batch(cast.project, tasks=1, k=2, review_rate=0)
    submission = rank(cast.annotator, cast.project)
    scored(cast, submission, [100, 101])  # its scale is elsewhere
    scored(cast, submission, [5, -5])
    submission.refresh_from_db()
    assert submission.model_conflict == pytest.approx(4.5e-5, rel=0.01)


def test_the_same_scores_again_are_stored_once(cast):
    prompt = make_prompt(cast.project)
    rows = [{"completion_id": each.pk, "score": 1.5} for each in make_completions(prompt, 2)]
    scorer = uuid.uuid4()
    added = [record_scores(project=cast.project, scorer_key=scorer, rows=rows) for _ in range(2)]
    assert (added, CompletionScore.objects.count()) == ([2, 0], 2)


@pytest.mark.parametrize("score", [float("nan"), float("inf"), "3", True, None, 1e9])
def test_a_score_that_is_no_number_is_refused(cast, score):
    [completion] = make_completions(make_prompt(cast.project), 1)
    with pytest.raises(Invalid) as caught:
        record_scores(
            project=cast.project,
            scorer_key=uuid.uuid4(),
            rows=[{"completion_id": completion.pk, "score": score}],
        )
    assert caught.value.field == "score"
    assert not CompletionScore.objects.exists()


def test_completions_of_another_project_are_not_scored(cast):
    [foreign] = make_completions(make_prompt(cast.other_project), 1)
    with pytest.raises(Invalid):
        record_scores(
            project=cast.project,
            scorer_key=uuid.uuid4(),
            rows=[{"completion_id": foreign.pk, "score": 1.0}],
        )

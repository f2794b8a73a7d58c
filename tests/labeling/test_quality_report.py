"""The quality report: from stored judgments to numbers, claimed by one worker, behind or up to date."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from labeling.models import AuditEvent, QualityReport, Ranking, TaskAgreement
from labeling.quality_page import shared_only
from labeling.services import quality_reports, turns
from labeling.services.gold import mark_gold
from labeling.services.projects import update_settings
from labeling.services.qualification import open_screening_set
from labeling.services.quality_reports import due_reports, refresh_report, request_report
from labeling.services.reviews import fix_submission, reject_submission
from tests.factories import make_demonstration_batch, make_ranking_batch, make_user, publish_form

from .ranked import rank
from .work import claim, do_next, submit

pytestmark = pytest.mark.django_db


@pytest.fixture
def shared(cast):
    """Two people rank two tasks of three: alike in the first, one neighbouring pair swapped in the second."""
    make_ranking_batch(cast.project, tasks=2, k=3, overlap=2, review_rate=0)
    for user, second in ((cast.annotator, [[0], [1], [2]]), (cast.peer, [[1], [0], [2]])):
        rank(user, cast.project, [[0], [1], [2]])
        rank(user, cast.project, second)
    return cast.project


def test_the_headline_is_what_counting_by_hand_says(shared):
    agreement = refresh_report(project=shared).body["agreement"]
    # Six comparisons, one of them against: 5/6. tau-b: 1 and 1/3.
    assert agreement["pairwise_agreement"]["value"] == pytest.approx(5 / 6)
    assert agreement["pairwise_agreement"]["size"] == 6
    assert agreement["kendall_tau_b"]["value"] == pytest.approx(2 / 3)
    assert agreement["tasks"] == 2


def test_every_task_that_two_people_ranked_has_its_agreement(shared):
    refresh_report(project=shared)
    rows = list(TaskAgreement.objects.order_by("task").values_list("people", "comparisons", "value"))
    assert rows == [(2, 3, 1.0), (2, 3, pytest.approx(2 / 3))]


def test_people_stand_for_what_they_said_not_for_a_reviewers_fix(shared, cast):
    submission = shared.submissions.filter(annotator=cast.peer).order_by("pk").last()
    submission.status = "awaiting_review"
    submission.save()
    first, second, third = (tier[0] for tier in submission.current.tiers)
    fix_submission(submission=submission, revision=1, reviewer=cast.lead, tiers=[[third], [second], [first]])
    assert Ranking.objects.get(submission=submission, is_current=True).author == cast.lead
    assert refresh_report(project=shared).body["agreement"]["pairwise_agreement"]["value"] == pytest.approx(
        5 / 6
    )


def test_rejected_work_does_not_count_and_its_task_leaves_the_list(shared, cast):
    refresh_report(project=shared)
    submission = shared.submissions.filter(annotator=cast.peer).order_by("pk").last()
    submission.status = "awaiting_review"
    submission.save()
    reject_submission(submission=submission, revision=1, reviewer=cast.lead, note="At random.", reopen=False)
    assert refresh_report(project=shared).body["agreement"]["pairwise_agreement"]["value"] == 1
    assert TaskAgreement.objects.count() == 1


def test_the_report_names_people_by_id_and_each_cut_has_its_rows(shared, cast):
    by = refresh_report(project=shared).body["by"]
    assert {row["key"] for row in by["person"]} == {cast.annotator.pk, cast.peer.pk}
    [pair] = by["pair"]
    assert sorted(pair["key"]) == sorted([cast.annotator.pk, cast.peer.pk])
    assert [len(by[cut]) for cut in ("batch", "category", "guideline_version", "time")] == [1, 1, 1, 1]


def test_a_project_without_judgments_has_an_empty_report_and_no_error(cast):
    body = refresh_report(project=cast.project).body
    assert body["counts"] == {"rankings": 0, "demonstrations": 0, "people": 0}
    assert body["agreement"]["pairwise_agreement"]["value"] is None
    assert body["agreement"]["ceiling"] is None


# --- The project's own work ---------------------------------------------------------------------------------
def plain_settings(cast, **values):
    values = {"calibration_rate": 0, "gold_rate": 0, "new_person_reviews": 0, **values}
    update_settings(project=cast.project, values=values, acting_user=cast.admin)


def test_screening_is_not_the_projects_work(cast):
    """Two people do the same three screening tasks, one of them all the wrong way round."""
    plain_settings(cast, require_qualification=True)
    batch = make_ranking_batch(cast.project, tasks=3, k=3, purpose="screening")
    for task in batch.tasks.all():
        ids = list(task.task_completions.values_list("completion_id", flat=True))
        mark_gold(task=task, tiers=[[pk] for pk in ids], acting_user=cast.lead)
    open_screening_set(batch=batch, tasks_per_attempt=3, acting_user=cast.lead)
    for _ in range(3):
        rank(cast.annotator, cast.project, [[0], [1], [2]])
        rank(cast.peer, cast.project, [[2], [1], [0]])
    body = refresh_report(project=cast.project).body
    assert body["agreement"]["pairwise_agreement"]["value"] is None
    assert body["agreement"]["ceiling"] is None
    assert body["counts"]["rankings"] == 0
    assert body["by"]["person"] == body["meters"]["people"] == []
    assert not TaskAgreement.objects.exists()


def test_what_was_held_against_a_known_answer_is_about_the_person(cast, monkeypatch):
    """A task that two ranked as work, alike, becomes gold; a third person misses it. The work counts on."""
    plain_settings(cast, gold_rate=0.5)
    make_ranking_batch(cast.project, tasks=1, k=3, overlap=2, review_rate=0)
    for user in (cast.annotator, cast.peer):
        rank(user, cast.project, [[0], [1], [2]])
    task = cast.project.tasks.get()
    ids = list(task.task_completions.values_list("completion_id", flat=True))
    mark_gold(task=task, tiers=[[pk] for pk in ids], acting_user=cast.lead)
    make_ranking_batch(cast.project, tasks=2, k=3, review_rate=0)
    monkeypatch.setattr(turns, "draw", lambda: 0.0)
    third = make_user()
    cast.project.memberships.create(user=third, role="annotator")
    missed = rank(third, cast.project, [[2], [1], [0]])
    assert missed.gold_result.passed is False
    body = refresh_report(project=cast.project).body
    assert body["agreement"]["pairwise_agreement"]["value"] == 1
    assert [row["key"] for row in body["by"]["person"]] == sorted([cast.annotator.pk, cast.peer.pk])
    assert third.pk in {row["person"] for row in body["meters"]["people"]}
    assert set(shared_only(cast.project.submissions.all())) == set(task.submissions.exclude(pk=missed.pk))


def test_calibration_is_work(cast):
    plain_settings(cast, calibration_rate=0.9)
    make_ranking_batch(cast.project, tasks=1, k=3, purpose="calibration", review_rate=0)
    for user in (cast.annotator, cast.peer):
        rank(user, cast.project, [[0], [1], [2]])
    assert refresh_report(project=cast.project).body["agreement"]["pairwise_agreement"]["size"] == 3


# --- When and by whom -------------------------------------------------------------------------------------
def test_a_project_with_judgments_and_no_report_is_due(shared):
    assert due_reports() == [shared]
    quality_reports.refresh_due()
    assert QualityReport.objects.get().as_of is not None


def settle():
    """As if all that happened had happened an hour ago, and the report had rested."""
    AuditEvent.objects.update(created_at=timezone.now() - timedelta(hours=1))
    QualityReport.objects.update(next_at=timezone.now() - timedelta(seconds=1))


def test_it_is_due_again_only_when_a_submission_changed(shared, cast):
    settle()
    refresh_report(project=shared)
    settle()
    assert due_reports() == []
    make_demonstration_batch(shared, tasks=1, overlap=1, review_rate=0)
    do_next(cast.annotator, shared, "demonstration")
    assert due_reports() == [shared]


def test_it_rests_between_two_computations(shared, cast):
    refresh_report(project=shared)
    assert due_reports() == []  # though the last events may hide others that are not settled
    QualityReport.objects.update(next_at=timezone.now())
    assert due_reports() == [shared]


def test_an_older_layout_is_computed_anew(shared):
    settle()
    refresh_report(project=shared)
    settle()
    QualityReport.objects.update(layout=quality_reports.LAYOUT - 1)
    assert due_reports() == [shared]


def test_one_worker_computes_at_a_time_and_a_lost_one_is_replaced(shared):
    refresh_report(project=shared)
    QualityReport.objects.update(claimed_at=timezone.now())
    assert refresh_report(project=shared) is None
    QualityReport.objects.update(claimed_at=timezone.now() - timedelta(hours=1))
    assert refresh_report(project=shared) is not None


def test_a_worker_that_lost_its_claim_stores_nothing(shared, monkeypatch):
    report = refresh_report(project=shared)
    compute = quality_reports._compute

    def slow(project):
        QualityReport.objects.update(fence=report.fence + 7)
        return compute(project)

    monkeypatch.setattr(quality_reports, "_compute", slow)
    assert refresh_report(project=shared) is None
    assert QualityReport.objects.get().as_of == report.as_of


def test_a_computation_that_breaks_says_so_and_keeps_the_last_report(shared, monkeypatch):
    report = refresh_report(project=shared)

    def broken(project):
        raise RuntimeError("no such number")

    monkeypatch.setattr(quality_reports, "_compute", broken)
    with pytest.raises(RuntimeError):
        refresh_report(project=shared)
    now = QualityReport.objects.get()
    assert (now.error, now.body, now.claimed_at) == ("RuntimeError: no such number", report.body, None)
    QualityReport.objects.update(requested_at=timezone.now())
    assert quality_reports.refresh_due() == 0  # logged, not raised: other projects go on


def test_a_small_project_is_computed_while_one_waits_and_it_is_on_record(shared, cast):
    report = request_report(project=shared, acting_user=cast.lead)
    assert report.as_of is not None
    assert report.requested_at is None
    assert AuditEvent.objects.filter(action="quality.requested", actor=cast.lead).count() == 1


def test_a_large_project_is_left_to_a_worker(shared, cast, monkeypatch):
    rung = []
    monkeypatch.setattr(quality_reports, "AT_ONCE", 1)
    monkeypatch.setattr(quality_reports, "ring", lambda *args: rung.append(args))
    report = request_report(project=shared, acting_user=cast.lead)
    assert report.as_of is None
    assert rung == [("labeling.tasks.refresh_quality", shared.pk)]
    assert due_reports() == [shared]


def test_only_changed_tasks_are_written_again(shared, django_assert_num_queries):
    refresh_report(project=shared)
    tasks = quality_reports._compute(shared).tasks
    with django_assert_num_queries(1):
        quality_reports._store_tasks(shared.pk, tasks)


def test_scores_and_flags_are_those_of_the_projects_own_forms(cast):
    publish_form(cast.project, scale={"lowest": 0, "highest": 10})
    make_ranking_batch(cast.project, tasks=3, k=2, overlap=2, review_rate=0)
    for user in (cast.annotator, cast.peer):
        for number in range(2):
            rank_scored(user, cast.project, (10, number))
    publish_form(
        cast.project, scale={"lowest": 1, "highest": 5}, completion_flags=[{"key": "new", "label": "New"}]
    )
    for user in (cast.annotator, cast.peer):
        rank_scored(user, cast.project, (5, 1), flagged="new")
    ratings = refresh_report(project=cast.project).body["ratings"]
    scores = ratings["scores"]
    assert (scores["scale"], scores["left_out"]) == ([0, 10], 2)
    assert (scores["alpha_interval"]["value"], scores["alpha_interval"]["size"]) == (1, 4)
    [new] = [row for row in ratings["completion_flags"]["by_flag"] if row["key"] == "new"]
    assert new["alpha_nominal"]["size"] == 2  # the two completions of the task whose form asked for it
    [person, _] = QualityReport.objects.get().body["by"]["person"]
    assert (person["scores_alpha"]["value"], person["scores_alpha"]["size"]) == (1, 4)


def rank_scored(user, project, scores, flagged=""):
    """The next ranking task, its completions scored so in the task's own order, the first one flagged."""
    assignment = claim(user, project, "ranking")
    ids = list(assignment.task.task_completions.values_list("completion_id", flat=True))
    flags = {ids[0]: [flagged]} if flagged else {}
    submit(
        assignment, user, tiers=[[each] for each in ids], touched=ids,
        scores=dict(zip(ids, scores, strict=True)), flags=flags,
    )  # fmt: skip

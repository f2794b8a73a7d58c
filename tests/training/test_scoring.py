"""A reward model scores what people rank: rankings it contradicts come before reviewers, unchanged."""

from __future__ import annotations

import json

import pytest
from django.core.management import call_command
from django.urls import reverse

from annotate.errors import Conflict, Invalid
from labeling import review_queues
from labeling.models import Completion, CompletionScore, Project
from labeling.services.completions import record_completions
from labeling.services.scores import contradicted_by_models
from tests.factories import make_prompt, make_ranking_batch
from tests.labeling.test_ranking_signals import rank
from training import tasks
from training.models import FollowUpStatus, RunStatus, TrainingRun
from training.services import follow_ups
from training.services.runs import create_run
from training.services.scoring import score_completions

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.database]


@pytest.fixture
def ranked(cast, data_dir):
    """Two rankings of the same kind of texts, short, longer, longest: one puts the longest last, one first.
    The stand-in of the trainer scores by length, so that it contradicts the first."""
    make_ranking_batch(cast.project, tasks=2, k=3, review_rate=0)
    for task in cast.project.tasks.all():
        ids = task.task_completions.order_by("position").values_list("completion_id", flat=True)
        for place, pk in enumerate(ids, start=1):
            Completion.objects.filter(pk=pk).update(text="word " * place * 3)
    return rank(cast.annotator, cast.project, [0, 1, 2]), rank(cast.annotator, cast.project, [2, 1, 0])


def score(cast, checkpoint) -> TrainingRun:
    run = score_completions(project=cast.project, checkpoint=checkpoint, acting_user=cast.admin)
    work_on(run)
    return run


def work_on(run: TrainingRun) -> None:
    tasks.execute_run(str(run.pk))
    tasks.sweep()
    run.refresh_from_db()
    assert run.status == RunStatus.SUCCEEDED, run.error_message


def in_queue(cast) -> list[int]:
    rows = review_queues.waiting(project=cast.project, reviewer=cast.lead, reason="model_disagrees")
    return [row.pk for row in rows]


def test_a_ranking_that_the_model_contradicts_comes_before_reviewers_and_the_other_does_not(
    fake_trainer, cast, ranked, reward_checkpoint
):
    fake_trainer(steps=1)
    run = score(cast, reward_checkpoint)
    contradicted, confirmed = ranked
    assert in_queue(cast) == [contradicted.pk]
    contradicted.refresh_from_db()
    confirmed.refresh_from_db()
    assert (contradicted.status, confirmed.status) == ("accepted", "accepted")
    # Lengths 15, 30, 45 are the scores: the surest pair is 30 apart, the right way round in the other.
    assert contradicted.model_conflict == pytest.approx(1.0, abs=1e-12)
    assert confirmed.model_conflict < 0.5
    assert run.follow_up_status == FollowUpStatus.DONE
    assert "6 scores were handed to labeling" in run.follow_up_message
    assert "decided on: 1." in run.follow_up_message
    scores = CompletionScore.objects.filter(scorer_key=reward_checkpoint.pk)
    assert {(row.completion.text, row.score) for row in scores} == {
        ("word " * 3 * place, 15.0 * place) for place in (1, 2, 3)
    }
    assert set(scores.values_list("scorer_name", flat=True)) == {str(reward_checkpoint)}


def test_only_what_has_no_score_by_this_model_is_scored(fake_trainer, cast, ranked, reward_checkpoint):
    fake_trainer(steps=1)
    score(cast, reward_checkpoint)
    with pytest.raises(Conflict) as caught:
        score(cast, reward_checkpoint)
    assert caught.value.code == "nothing_to_score"
    make_ranking_batch(cast.project, tasks=1, k=2)
    run = score(cast, reward_checkpoint)
    rows = (follow_ups.run_directory(run) / "inputs" / "completions.jsonl").read_text().splitlines()
    assert len(rows) == 2
    assert CompletionScore.objects.count() == 8


def test_completions_that_nobody_ranks_and_empty_ones_are_left_out(
    fake_trainer, cast, ranked, reward_checkpoint
):
    fake_trainer(steps=1)
    prompt = make_prompt(cast.project)
    loose = {"prompt_id": prompt.pk, "text": "Unranked.", "generator": "x", "source_key": "loose"}
    record_completions(project=cast.project, rows=[loose])
    first = cast.project.tasks.order_by("pk").first().completions.order_by("pk").first()
    Completion.objects.filter(pk=first.pk).update(text=" ")
    run = score(cast, reward_checkpoint)
    assert CompletionScore.objects.count() == 5
    assert run.events.filter(data__message="1 empty completions get no score.").exists()


def test_a_second_click_while_one_is_under_way_is_refused(cast, ranked, reward_checkpoint):
    first = score_completions(project=cast.project, checkpoint=reward_checkpoint, acting_user=cast.admin)
    with pytest.raises(Conflict) as caught:
        score_completions(project=cast.project, checkpoint=reward_checkpoint, acting_user=cast.admin)
    assert (caught.value.code, str(first) in caught.value.message) == ("scoring_under_way", True)
    assert TrainingRun.objects.filter(stage="score").count() == 1


def test_a_language_model_scores_nothing(cast, ranked, checkpoint):
    with pytest.raises(Invalid) as caught:
        score_completions(project=cast.project, checkpoint=checkpoint, acting_user=cast.admin)
    assert caught.value.field == "reward_model"


def test_a_reward_run_scores_by_itself_when_it_has_succeeded(fake_trainer, cast, ranked, comparison_version):
    fake_trainer(steps=1)
    run = reward_run(cast, comparison_version)
    work_on(run)
    assert run.follow_up_status == FollowUpStatus.DONE
    scoring = TrainingRun.objects.get(stage="score")
    assert scoring.inputs.get().checkpoint == run.checkpoints.get()
    assert scoring.created_by == cast.admin
    work_on(scoring)
    assert in_queue(cast) == [ranked[0].pk]


def test_with_nothing_to_score_the_reward_run_is_no_failure(fake_trainer, cast, comparison_version):
    fake_trainer(steps=1)
    run = reward_run(cast, comparison_version)
    work_on(run)
    assert run.follow_up_status == FollowUpStatus.DONE
    assert "nothing to score" in run.follow_up_message
    assert not TrainingRun.objects.filter(stage="score").exists()


@pytest.mark.parametrize("plan", [{"score": 1}, {"sample": {}}, {"record": True}])
def test_a_plan_that_a_reward_run_does_not_know_is_refused(cast, comparison_version, plan):
    with pytest.raises(Invalid):
        reward_run(cast, comparison_version, follow_up=plan)


def test_a_worker_that_dies_while_handing_over_leaves_no_doubles(
    fake_trainer, cast, ranked, reward_checkpoint, monkeypatch
):
    fake_trainer(steps=1)
    run = score_completions(project=cast.project, checkpoint=reward_checkpoint, acting_user=cast.admin)
    tasks.execute_run(str(run.pk))

    def die(*args, **kwargs):
        raise MemoryError("killed")

    monkeypatch.setattr(follow_ups, "_done", die)
    with pytest.raises(MemoryError):
        follow_ups.finish_follow_up(run_id=run.pk)
    monkeypatch.undo()
    TrainingRun.objects.update(follow_up_lease_expires_at=None)
    tasks.sweep()
    run.refresh_from_db()
    assert (run.follow_up_status, CompletionScore.objects.count()) == (FollowUpStatus.DONE, 6)
    assert contradicted_by_models(Project.objects.get(pk=cast.project.pk)).count() == 1


def test_one_click_on_the_checkpoint_starts_it_and_the_page_says_what_hinders_the_next(
    client, cast, ranked, reward_checkpoint, checkpoint
):
    client.force_login(cast.admin)
    page = reverse("training:checkpoint_detail", args=[cast.project.slug, reward_checkpoint.pk])
    assert "Score what people rank" in client.get(page).content.decode()
    address = reverse("training:checkpoint_score", args=[cast.project.slug, reward_checkpoint.pk])
    run = TrainingRun.objects.filter(stage="score")
    response = client.post(address)
    assert response.status_code == 302
    assert response.url == reverse("training:run_detail", args=[cast.project.slug, run.get().number])
    assert client.get(response.url).status_code == 200
    again = client.post(address, follow=True)
    assert "is scoring with this reward model already" in again.content.decode()
    other = reverse("training:checkpoint_detail", args=[cast.project.slug, checkpoint.pk])
    assert "Score what people rank" not in client.get(other).content.decode()


@pytest.mark.parametrize("person", ["lead", "annotator", "outsider"])
def test_only_who_may_launch_runs_starts_it(client, cast, ranked, reward_checkpoint, person):
    client.force_login(getattr(cast, person))
    address = reverse("training:checkpoint_score", args=[cast.project.slug, reward_checkpoint.pk])
    assert client.post(address).status_code in (403, 404)
    assert not TrainingRun.objects.filter(stage="score").exists()


def test_the_api_starts_it_and_answers_with_the_run(client, cast, ranked, reward_checkpoint):
    client.force_login(cast.admin)
    address = f"/api/projects/{cast.project.slug}/checkpoints/{reward_checkpoint.pk}/score/"
    answer = client.post(address)
    assert (answer.status_code, answer.json()["stage"]) == (201, "score")
    again = client.post(address)
    assert (again.status_code, again.json()["error"]["code"]) == (409, "scoring_under_way")


def test_the_command_starts_it_too(cast, ranked, reward_checkpoint):
    slug, number = cast.project.slug, reward_checkpoint.run.number
    call_command("launch_run", project=slug, stage="score", reward_model=f"run:{number}")
    assert TrainingRun.objects.get(stage="score").inputs.get().checkpoint == reward_checkpoint


def test_the_form_of_a_reward_run_has_it_ticked(client, cast, comparison_version, checkpoint):
    client.force_login(cast.admin)
    address = reverse("training:run_new", args=[cast.project.slug]) + "?stage=reward"
    assert 'name="after_score"' in client.get(address).content.decode()
    data = {"train_data": comparison_version.pk, "model": str(checkpoint.pk)}
    client.post(address, {**data, "after_score": "on"})
    client.post(address, data)
    plans = TrainingRun.objects.filter(stage="reward", status="queued").order_by("number")
    assert list(plans.values_list("follow_up", flat=True)) == [{"score": True}, {}]


def reward_run(cast, version, follow_up=None) -> TrainingRun:
    return create_run(
        project=cast.project,
        stage="reward",
        hyperparameters={},
        inputs={"train_data": version},
        base_model="base",
        follow_up={"score": True} if follow_up is None else follow_up,
        acting_user=cast.admin,
    )


def test_what_a_damaged_run_left_is_said_and_can_be_tried_again(
    fake_trainer, cast, ranked, reward_checkpoint, data_dir
):
    fake_trainer(steps=1)
    run = score_completions(project=cast.project, checkpoint=reward_checkpoint, acting_user=cast.admin)
    tasks.execute_run(str(run.pk))
    path = data_dir / "runs" / str(run.pk) / "scores.jsonl"
    path.write_text(json.dumps({"completion_id": "one", "score": 1}) + "\n")
    tasks.sweep()
    run.refresh_from_db()
    assert (run.follow_up_status, CompletionScore.objects.count()) == (FollowUpStatus.FAILED, 0)

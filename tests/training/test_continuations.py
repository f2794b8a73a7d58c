"""Training anew and going on, ordered as one, measured by itself on the same held-out rows."""

from __future__ import annotations

import pytest
from django.core.management import call_command
from django.urls import reverse
from rest_framework.test import APIClient

from annotate.errors import Conflict, Invalid
from training.models import Checkpoint, FollowUpStatus, RunStatus, TrainingRun
from training.services import follow_ups
from training.services.continuations import (
    continuation_of,
    create_continuation,
    evaluations_of,
    verdict_of,
)
from training.services.runs import create_run

from .conftest import comparison, demonstration, make_sft_run, make_version

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.database]


def make_versions(project) -> dict:
    """Former rows, the new ones, and both together; each with held-out rows."""
    rows = [demonstration(number) for number in range(30)]
    parts = {"former": rows[:12], "new": rows[12:24], "all": rows[:24]}
    return {
        name: make_version(project, "sft", {"train": part[:-4], "test": part[-4:]}, name=name)
        for name, part in parts.items()
    }


@pytest.fixture
def versions(cast, data_dir) -> dict:
    return make_versions(cast.project)


@pytest.fixture
def former(cast, versions):
    """The checkpoint of an SFT run on the former rows, from a base model."""
    return succeed(make_sft_run(cast, versions["former"], hyperparameters={"epochs": 2, "batch_size": 4}))


def succeed(run: TrainingRun, kind: str = "causal_lm") -> Checkpoint:
    """As a worker leaves it: with a checkpoint, what follows waiting."""
    TrainingRun.objects.filter(pk=run.pk).update(
        status=RunStatus.SUCCEEDED, follow_up_status=FollowUpStatus.WAITING if run.follow_up else ""
    )
    return Checkpoint.objects.create(
        run=run, project=run.project, kind=kind, step=5, is_best=True, is_final=True,
        directory=f"checkpoints/{run.pk}", manifest_sha256="0" * 64,
    )  # fmt: skip


def order(cast, former, versions, **more):
    given = {f"{name}_data": version for name, version in versions.items()}
    return create_continuation(
        project=cast.project, stage="sft", start=former, acting_user=cast.admin, **given, **more
    )


@pytest.fixture
def pair(cast, former, versions):
    return order(cast, former, versions, mix_ratio=0.5, learning_rate_multiplier=0.25)


def finish(run: TrainingRun, kind: str = "causal_lm") -> None:
    succeed(run, kind)
    assert follow_ups.finish_follow_up(run_id=run.pk)
    run.refresh_from_db()
    assert run.follow_up_status == FollowUpStatus.DONE


def sources(run: TrainingRun) -> dict:
    return {row.role: row.dataset_version or row.checkpoint for row in run.inputs.all()}


def test_both_runs_are_ordered_with_the_former_hyperparameters(pair, former, versions):
    """A from what the former one began from, on all; B from the former one, on new rows and drawn ones."""
    assert sources(pair.anew) == {"train_data": versions["all"]} and pair.anew.base_model.endswith("/base")
    assert sources(pair.onward) == {
        "train_data": versions["new"], "model": former, "mix_data": versions["former"]
    }  # fmt: skip
    ours, theirs = pair.anew.hyperparameters, pair.onward.hyperparameters
    differing = {name: (ours[name], theirs[name]) for name in ours if ours[name] != theirs[name]}
    assert differing.pop("learning_rate_multiplier") == (1.0, 0.25)
    assert differing.pop("mix_ratio")[1] == 0.5
    assert not differing and ours["epochs"] == 2 and ours["batch_size"] == 4


def test_six_evaluations_follow_when_both_have_succeeded_and_not_before(pair, former):
    finish(pair.onward)
    assert not evaluations_of(pair)
    assert pair.onward.follow_up_message == f"The comparison waits for run {pair.anew.number}."
    finish(pair.anew)
    assert "6 evaluations" in pair.anew.follow_up_message
    pair = continuation_of(pair.anew)
    there = evaluations_of(pair)
    assert len(there) == 6 and {run.stage for run in there.values()} == {"evaluate"}
    assert sources(there["start", "former"]) == {"model": former, "demonstrations": pair.former}
    assert sources(there["onward", "new"])["model"].run == pair.onward


def test_a_follow_up_done_again_orders_nothing_twice(pair):
    finish(pair.anew)
    finish(pair.onward)
    for run in (pair.anew, pair.onward):
        TrainingRun.objects.filter(pk=run.pk).update(follow_up_status=FollowUpStatus.WAITING)
        assert follow_ups.finish_follow_up(run_id=run.pk)
    assert pair.anew.project.runs.filter(stage="evaluate").count() == 6


def measured(pair, losses: dict) -> None:
    for place, run in evaluations_of(pair).items():
        run.metrics, run.status = {"loss": losses[place]}, RunStatus.SUCCEEDED
        run.save()


LOSSES = {
    ("start", "former"): 1.0, ("start", "new"): 2.0,
    ("anew", "former"): 1.1, ("anew", "new"): 1.5,
    ("onward", "former"): 1.4, ("onward", "new"): 1.2,
}  # fmt: skip


def test_the_verdict_by_hand(pair):
    """Losses: A lost 0.1 of what was known, B 0.4; B is 0.3 ahead on the new rows, behind on the former."""
    finish(pair.anew)
    finish(pair.onward)
    assert not verdict_of(pair)["is_complete"]
    measured(pair, LOSSES)
    found = verdict_of(pair)
    assert found["is_complete"] and found["metric"] == "loss"
    assert found["forgotten"] == {"anew": pytest.approx(0.1), "onward": pytest.approx(0.4)}
    assert found["ahead"] == {"former": pytest.approx(-0.3), "new": pytest.approx(0.3)}


def test_the_page_says_what_was_forgotten(client, cast, pair):
    client.force_login(cast.admin)
    address = reverse("training:continuation", args=[cast.project.slug, pair.onward.number])
    assert "comes by itself" in client.get(address).content.decode()
    finish(pair.anew)
    finish(pair.onward)
    measured(pair, LOSSES)
    text = client.get(address).content.decode()
    assert "B forgot: its loss on former v1 is 0.4000 worse" in text
    assert "On new v1 going on (B) is ahead by 0.3000" in text
    assert "Models on the same held-out data" in text
    detail = reverse("training:run_detail", args=[cast.project.slug, pair.onward.number])
    assert reverse("training:continuation", args=[cast.project.slug, pair.onward.number]) in (
        client.get(detail).content.decode()
    )


def test_the_form_orders_the_pair(client, cast, former, versions):
    client.force_login(cast.admin)
    address = reverse("training:continuation_new", args=[cast.project.slug])
    assert "Start both runs" in client.get(address).content.decode()
    data = {f"{name}_data": version.pk for name, version in versions.items()}
    data |= {"start": str(former.pk), "mix_ratio": "0", "learning_rate_multiplier": "0.3"}
    response = client.post(address, data)
    pair = continuation_of(TrainingRun.objects.get(name__endswith="(B)"))
    assert response["Location"] == reverse(
        "training:continuation", args=[cast.project.slug, pair.anew.number]
    )
    refused = client.post(address, data | {"new_data": versions["former"].pk})
    assert refused.status_code == 422 and "nothing to compare" in refused.content.decode()


def test_the_api_orders_the_pair_and_tells_the_verdict(cast, former, versions):
    api = APIClient()
    api.force_authenticate(cast.admin)
    body = {"stage": "sft", "start": f"run:{former.run.number}", "mix_ratio": 1.0}
    body |= {f"{name}_data": f"{name}@v1" for name in versions}
    address = f"/api/projects/{cast.project.slug}/continuations/"
    answer = api.post(address, body, format="json")
    assert answer.status_code == 201, answer.content
    number = answer.json()["onward"]["number"]
    told = api.get(f"{address}{number}/").json()
    assert told["anew"]["number"] == number - 1 and told["verdict"]["is_complete"] is False
    assert api.get(f"{address}{former.run.number}/").status_code == 409


def test_the_command_orders_the_pair(cast, former, versions, capsys):
    call_command(
        "continue_training", project=cast.project.slug, stage="sft", start=f"run:{former.run.number}",
        former="former@v1", new="new@v1", all="all@v1", rate=0.5,
    )  # fmt: skip
    pair = continuation_of(TrainingRun.objects.get(name__endswith="(A)"))
    assert f"B: run {pair.onward.number} is queued" in capsys.readouterr().out
    assert pair.onward.hyperparameters["learning_rate_multiplier"] == 0.5


def test_a_reward_model_goes_on_with_the_head_it_has(cast, data_dir, checkpoint):
    rows = [comparison(number) for number in range(24)]
    parts = {"former": rows[:10], "new": rows[10:20], "all": rows[:20]}
    data = {
        f"{name}_data": make_version(
            cast.project, "comparison", {"train": part[:-3], "test": part[-3:]}, name=f"{name} ranked"
        )
        for name, part in parts.items()
    }
    first = create_run(
        project=cast.project, stage="reward", hyperparameters={}, acting_user=cast.admin,
        inputs={"train_data": data["former_data"], "model": checkpoint},
    )  # fmt: skip
    start = succeed(first, "reward_model")
    pair = create_continuation(
        project=cast.project, stage="reward", start=start, acting_user=cast.admin, **data
    )
    assert sources(pair.anew)["model"] == checkpoint and sources(pair.onward)["model"] == start
    for run in (pair.anew, pair.onward):
        finish(run, "reward_model")
    assert {run.stage for run in evaluations_of(pair).values()} == {"evaluate"}
    assert sources(evaluations_of(pair)["onward", "new"])["train_data"] == data["new_data"]


def refusal(cast, former, versions, **more) -> str:
    with pytest.raises(Invalid) as refused:
        order(cast, former, versions, **more)
    return refused.value.field


def test_what_cannot_be_compared_is_refused_with_its_field(cast, former, versions, checkpoint):
    assert refusal(cast, former, versions | {"new": versions["former"]}) == "new_data"
    assert refusal(cast, former, versions | {"all": versions["former"]}) == "all_data"
    assert refusal(cast, former, versions, hyperparameters={"mix_ratio": 2.0}) == "mix_ratio"
    assert refusal(cast, checkpoint, versions) == "anew_from"  # nobody knows what it began from
    versions["new"].recipe = {"salt": "another"}
    versions["new"].save()
    assert refusal(cast, former, versions) == "all_data"
    with pytest.raises(Conflict):
        continuation_of(former.run)

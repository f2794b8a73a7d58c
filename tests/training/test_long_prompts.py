"""Prompts that only under their template are too long for PPO or for sampling are refused before there is a
run, by form, API and command, with their number and the longest; what cannot be told there is left to it."""

from __future__ import annotations

import json
import threading
import time

import pytest
from django.core.management import CommandError, call_command
from django.db import transaction
from django.urls import reverse

from annotate.errors import Invalid
from labeling.models import DatasetVersion
from tests.factories import make_prompt
from training.models import TrainingRun
from training.services import long_prompts
from training.services.learning_curves import create_learning_curve
from training.services.locations import checkpoint_directory
from training.services.sampling import sample_completions

from .conftest import make_checkpoint, make_letters_model, make_version

pytestmark = [pytest.mark.django_db(transaction=True)]
# A letter is a token, the model reads 128; its template adds "User: ", an empty line and "Assistant: ".
ADDED = 19
FITS, BARELY = "x" * (128 - 20 - ADDED), "x" * (128 - 20 - ADDED + 1)


@pytest.fixture
def checkpoint(cast, data_dir):
    found = make_checkpoint(cast.project, user=cast.admin)
    make_letters_model(checkpoint_directory(found))
    return found


@pytest.fixture
def prompts(cast, data_dir):
    def make(*texts: str) -> DatasetVersion:
        made = [make_prompt(cast.project, text) for text in texts]
        rows = [{"id": str(p.pk), "prompt_id": str(p.pk), "messages": p.messages} for p in made]
        return make_version(cast.project, "prompts", {"train": rows}, name=f"prompts {made[0].pk}")

    return make


def said_once(text: str) -> None:
    assert "reads 108 tokens beside the answer: 1 of 2 prompts; the longest has 109 tokens." in text
    assert "lower max_new_tokens" in text
    assert not TrainingRun.objects.filter(status="queued").exists()


def test_the_form_of_sampling_refuses_one_that_is_too_long(client, cast, checkpoint, prompts):
    client.force_login(cast.admin)
    data = {"checkpoints": [str(checkpoint.pk)], "prompts_version": prompts(FITS, BARELY).pk}
    data |= {"split": "train", "completions_per_prompt": 2, "temperature": 1, "top_p": 1, "size": 2}
    data |= {"max_new_tokens": 20, "overlap": 1, "review_rate": 0}
    address = reverse("training:sample_new", args=[cast.project.slug])
    answer = client.post(address, data)
    assert answer.status_code == 422
    said_once(answer.content.decode())
    assert client.post(address, data | {"max_new_tokens": 19}).status_code == 302


def test_the_api_of_sampling_does_for_a_version_and_for_prompts(cast, api_client_of, checkpoint, prompts):
    version, api = prompts(FITS, BARELY), api_client_of(cast.admin)
    address = f"/api/projects/{cast.project.slug}/sample/"
    body = {"checkpoints": [str(checkpoint.pk)], "completions_per_prompt": 2}
    ids = list(cast.project.prompts.order_by("pk").values_list("pk", flat=True))
    for given in ({"prompts_version": str(version.public_id)}, {"prompt_ids": ids}):
        answer = api.post(address, body | given | {"hyperparameters": {"max_new_tokens": 20}})
        assert answer.status_code == 422
        error = answer.json()["error"]
        assert (error["code"], error["field"]) == ("bad_rows", "prompts")
        said_once(json.dumps(error))
        limit = {"max_new_tokens": 10, "maximum_prompt_length": 108}
        answer = api.post(address, body | given | {"hyperparameters": limit})
        assert answer.status_code == 422 and "reads 108 tokens" in answer.json()["error"]["message"]
    answer = api.post(address, body | given | {"hyperparameters": {"max_new_tokens": 19}})
    assert answer.status_code == 201, answer.content


def test_the_command_does(cast, checkpoint, prompts):
    given = ["launch_run", "--project", cast.project.slug, "--stage", "sample"]
    given += ["--dataset", str(prompts(FITS, BARELY).public_id), "--sample-from", str(checkpoint.pk)]
    given += ["--set", "completions_per_prompt=2", "--set", "max_new_tokens=20"]
    with pytest.raises(CommandError) as refused:
        call_command(*given)
    said_once(str(refused.value))
    call_command(*given, "--set", "max_new_tokens=19")
    assert TrainingRun.objects.filter(stage="sample").count() == 1


def test_an_answer_that_leaves_no_room_is_refused_by_its_field(cast, checkpoint, prompts):
    with pytest.raises(Invalid, match="reads 128 tokens: an answer of 128 leaves none") as refused:
        sample(cast, checkpoint, prompts("Hi."), max_new_tokens=128)
    assert refused.value.field == "max_new_tokens" and "64" in refused.value.hint


def sample(cast, checkpoint, version, **more):
    return sample_completions(
        project=cast.project, checkpoints=[checkpoint], prompts=version, completions_per_prompt=2,
        acting_user=cast.admin, **more,
    )  # fmt: skip


@pytest.fixture
def ppo(cast, checkpoint):
    """A PPO run as form, API and command are told of it: each says what came of it."""
    scorer = make_checkpoint(cast.project, kind="reward_model", stage="reward", user=cast.admin)

    def by_form(client, version) -> str:
        client.force_login(cast.admin)
        data = {"prompts": version.pk, "model": str(checkpoint.pk), "reward_model": str(scorer.pk)}
        data |= {"hp_maximum_new_tokens": "20", "hp_batch_size": "1", "after_completions": "4"}
        data |= {"hp_minibatch_size": "1", "after_temperature": "1.0"}
        answer = client.post(reverse("training:run_new", args=[cast.project.slug]) + "?stage=ppo", data)
        return answer.content.decode()

    def by_api(client, version) -> str:
        inputs = {"prompts": str(version.public_id), "model": str(checkpoint.pk)}
        body = {"stage": "ppo", "inputs": inputs | {"reward_model": str(scorer.pk)}}
        body["hyperparameters"] = {"maximum_new_tokens": 20, "batch_size": 1, "minibatch_size": 1}
        client.force_login(cast.admin)
        address = f"/api/projects/{cast.project.slug}/runs/"
        return client.post(address, json.dumps(body), content_type="application/json").content.decode()

    def by_command(client, version) -> str:
        given = ["launch_run", "--project", cast.project.slug, "--stage", "ppo"]
        given += ["--dataset", str(version.public_id), "--model", str(checkpoint.pk)]
        given += ["--reward-model", str(scorer.pk), "--set", "maximum_new_tokens=20"]
        try:
            call_command(*given, "--set", "batch_size=1", "--set", "minibatch_size=1")
        except CommandError as error:
            return str(error)
        return ""

    return {"form": by_form, "api": by_api, "command": by_command}


@pytest.mark.parametrize("door", ["form", "api", "command"])
def test_ppo_is_refused_where_every_prompt_is_too_long_and_else_leaves_them_out(client, ppo, prompts, door):
    said = ppo[door](client, prompts(BARELY, BARELY + "y"))
    assert "every prompt is longer than the 108 tokens" in said and "Shorten them" in said
    assert not TrainingRun.objects.filter(stage="ppo").exists()
    said = ppo[door](client, prompts(BARELY + "z", FITS))
    assert TrainingRun.objects.filter(stage="ppo").count() == 1, said


def test_the_count_is_remembered_until_the_model_is_another(cast, checkpoint, prompts, monkeypatch):
    version = prompts(FITS)
    sample(cast, checkpoint, version, max_new_tokens=20)
    run, asked = long_prompts.subprocess.run, []
    monkeypatch.setattr(long_prompts.subprocess, "run", lambda *a, **k: asked.append(a) or run(*a, **k))
    sample(cast, checkpoint, version, max_new_tokens=20)
    assert not asked
    template = checkpoint_directory(checkpoint) / "chat_template.jinja"
    said = "{% for turn in messages %}{{ turn.content }}{% endfor %}"
    template.write_text(said + "{% if add_generation_prompt %}" + "!" * 20 + "{% endif %}")
    with pytest.raises(Invalid, match="longest has 109"):
        sample(cast, checkpoint, version, max_new_tokens=20)
    assert asked


def late(*_given, **_named):
    raise long_prompts.subprocess.TimeoutExpired("python", 20)


def broken(*_given, **_named):
    return long_prompts.subprocess.CompletedProcess("python", -27, stdout="", stderr="")


@pytest.mark.parametrize("trouble", [late, broken])
def test_what_is_not_told_in_time_is_left_to_the_run_and_asked_anew(
    cast, checkpoint, prompts, monkeypatch, trouble
):
    version = prompts(BARELY)
    with monkeypatch.context() as patched:
        patched.setattr(long_prompts.subprocess, "run", trouble)
        sample(cast, checkpoint, version, max_new_tokens=20)
    with pytest.raises(Invalid, match="1 of 1 prompts"):
        sample(cast, checkpoint, version, max_new_tokens=20)


def test_while_others_ask_the_library_nobody_waits_long(cast, checkpoint, prompts, monkeypatch):
    monkeypatch.setattr(long_prompts, "PLACE_SECONDS", 0.05)
    monkeypatch.setattr(long_prompts, "places", threading.BoundedSemaphore(1))
    version = prompts(BARELY)
    with long_prompts.places:
        sample(cast, checkpoint, version, max_new_tokens=20)
    with pytest.raises(Invalid):
        sample(cast, checkpoint, version, max_new_tokens=20)


def test_nothing_is_counted_while_something_is_locked(cast, checkpoint, prompts, monkeypatch):
    """A learning curve counts before it begins, and asks nobody in its transaction."""
    version = prompts(BARELY)
    with transaction.atomic():
        sample(cast, checkpoint, version, max_new_tokens=20)
    assert TrainingRun.objects.filter(stage="sample").count() == 1
    turns = [{"role": "user", "content": "x" * 126}, {"role": "assistant", "content": "y"}]
    rows = [{"id": f"d{n}", "prompt_id": f"p{n}", "messages": turns, "source": {}} for n in range(8)]
    learnt = make_version(cast.project, "sft", {"train": rows})
    with pytest.raises(Invalid, match="every prompt is longer"):
        create_learning_curve(
            project=cast.project, stage="sft", hyperparameters={}, acting_user=cast.admin,
            inputs={"train_data": learnt, "model": checkpoint},
        )  # fmt: skip


def test_of_many_checkpoints_no_more_are_looked_into_than_there_is_time_for(
    cast, checkpoint, prompts, monkeypatch
):
    """One whose template is slow takes its time; ten of them would take ten times that from who waits."""
    others = [make_checkpoint(cast.project, user=cast.admin) for _ in range(2)]
    for each in others:
        make_letters_model(checkpoint_directory(each))
    looked_into = []

    def slowly(folder, *_given, **_named):
        looked_into.append(folder)
        time.sleep(0.06)

    monkeypatch.setattr(long_prompts, "_count", slowly)
    monkeypatch.setattr(long_prompts, "PATIENCE", 0.05)
    given = {"project": cast.project, "prompts": prompts(FITS), "acting_user": cast.admin}
    given |= {"completions_per_prompt": 2, "checkpoints": [checkpoint, *others]}
    assert sample_completions(**given).stage == "sample"
    assert len(looked_into) == 1
    with pytest.raises(Invalid, match="an answer of 128 leaves none"):
        sample_completions(**given, max_new_tokens=128)

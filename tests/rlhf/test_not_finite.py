"""NaN and infinity end a run within one step; the last finite checkpoint stays, and the culprit is named."""

import json
import random

import pytest
import torch
from safetensors.torch import load_file, save_file

from training.rlhf import checkpoints
from training.rlhf.chat import ChatEncoder, load_tokenizer
from training.rlhf.stages.language import LanguageTask
from training.rlhf.stages.reward import RankingTask

from .conftest import events, result, run_here

POISONED = "transformer.h.0.mlp.c_fc.weight"


def poisoned(model, tmp_path, name="poisoned"):
    """A copy of a model with one weight that is not a number."""
    import shutil

    folder = tmp_path / name
    shutil.copytree(model, folder)
    (folder / "manifest.json").unlink()
    tensors = load_file(folder / "model.safetensors")
    key = next(name for name in tensors if name.endswith("mlp.c_fc.weight"))
    tensors[key][0, 0] = torch.nan
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def assert_stopped(out, *words):
    assert result(out)["error"]["code"] == "not_finite"
    for word in words:
        assert word in result(out)["error"]["message"]
    assert all("NaN" not in json.dumps(event) for event in events(out))


def test_a_model_with_nan_stops_before_anything_is_saved(world, base_model, tmp_path):
    config = world.config("sft", model=str(poisoned(base_model, tmp_path)))
    assert run_here("sft", config, tmp_path / "r") == 3
    assert_stopped(tmp_path / "r", "the model's weights", POISONED)
    assert not checkpoints.whole_checkpoints(tmp_path / "r" / "checkpoints")


def test_a_loss_that_becomes_nan_keeps_the_last_finite_checkpoint(world, base_model, tmp_path, monkeypatch):
    whole = LanguageTask.losses
    calls = []

    def losses(self, rows):
        calls.append(1)
        for micro in whole(self, rows):
            yield micro._replace(loss=micro.loss * torch.nan) if len(calls) > 3 else micro

    monkeypatch.setattr(LanguageTask, "losses", losses)
    config = world.config("sft", model=str(base_model), save_every=1, keep_checkpoints=9)
    assert run_here("sft", config, tmp_path / "r") == 3
    assert_stopped(tmp_path / "r", "step 4", "one of row ")  # none of them alone gives it
    assert checkpoints.newest_verified(tmp_path / "r" / "checkpoints").name == "step-3"


def test_a_gradient_that_is_not_finite_is_named(world, base_model, tmp_path, monkeypatch):
    from training.rlhf.session import Session

    begin = Session.begin_step

    def begin_step(self):
        parameter = dict(self.modules["model"].named_parameters())["transformer.h.0.mlp.c_fc.weight"]
        parameter.register_hook(lambda gradient: gradient * torch.inf)
        return begin(self)

    monkeypatch.setattr(Session, "begin_step", begin_step)
    assert run_here("sft", world.config("sft", model=str(base_model)), tmp_path / "r") == 3
    assert_stopped(tmp_path / "r", "gradient", "transformer.h.0.mlp.c_fc.weight")


def test_a_reward_model_that_gives_nan_stops_ppo(world, sft_model, reward_model, tmp_path):
    config = world.config(
        "ppo",
        policy=str(sft_model),
        reward_model=str(poisoned(reward_model, tmp_path)),
        validation_prompts_file="",
    )
    assert run_here("ppo", config, tmp_path / "r") == 3
    assert_stopped(tmp_path / "r", "reward model's score", "episode")


def test_a_policy_with_nan_stops_while_it_writes(world, sft_model, reward_model, tmp_path):
    config = world.config("ppo", policy=str(poisoned(sft_model, tmp_path)), reward_model=str(reward_model))
    assert run_here("ppo", config, tmp_path / "r") == 3
    assert_stopped(tmp_path / "r", "logits", "a response to row ", world.prompts_held_out, POISONED)


def bad_row(monkeypatch, task, tokens):
    """As if a loss over a row of these tokens were infinite: whatever else is read beside it."""
    whole = task._measure

    def measure(self, batch, *more):
        found = whole(self, batch, *more)
        ids = (
            [ids for each in batch for ids in each.sequences]
            if isinstance(batch, list)
            else [batch.ids.flatten().tolist()]
        )
        if any(str(tokens)[1:-1] in str(each) for each in ids):
            if isinstance(found, dict):
                return found | {"loss": found["loss"] * torch.inf}
            return found._replace(loss_sum=found.loss_sum * torch.inf)
        return found

    monkeypatch.setattr(task, "_measure", measure)


@pytest.mark.parametrize("held_out", [False, True])
@pytest.mark.parametrize("packing", [False, True])
def test_the_row_of_the_file_is_named_also_where_others_were_dropped(
    world, base_model, tmp_path, monkeypatch, packing, held_out
):
    """Row 12 of 16; row 3 is too long and left out."""
    rows = [world.demonstration(random.Random(number)) for number in range(16)]
    rows[2]["messages"][1]["content"] = "The cat sleeps. " * 60
    rows[11]["messages"][1]["content"] = "Quite unheard of."
    file = world.write("bad-row.jsonl", rows)
    encoder = ChatEncoder(load_tokenizer(str(base_model)))
    bad_row(monkeypatch, LanguageTask, encoder.encode_answer("Quite unheard of."))
    chosen = {"validation_file": file, "evaluate_every": 1} if held_out else {"train_file": file}
    config = world.config("sft", model=str(base_model), packing=packing, batch_size=8, **chosen)
    assert run_here("sft", config, tmp_path / "r") == 3
    assert_stopped(tmp_path / "r", f"({'row 12 of ' + file})")


@pytest.mark.parametrize("held_out", [False, True])
def test_the_ranking_is_named(world, base_model, tmp_path, monkeypatch, held_out):
    rows = [world.ranking(random.Random(number)) for number in range(14)]
    rows[8]["completions"][1] = "Quite unheard of."
    file = world.write("bad-ranking.jsonl", rows)
    encoder = ChatEncoder(load_tokenizer(str(base_model)))
    bad_row(monkeypatch, RankingTask, encoder.encode_answer("Quite unheard of."))
    chosen = {"validation_file": file, "evaluate_every": 1} if held_out else {"train_file": file}
    config = world.config("reward", model=str(base_model), **chosen)
    assert run_here("reward", config, tmp_path / "r") == 3
    assert_stopped(tmp_path / "r", f"(row 9 of {file})")


def test_sampling_names_the_prompt(world, sft_model, tmp_path):
    """The first of the prompts read together; poisoned weights fail at all of them."""
    prompts = world.write(
        "asked.jsonl", [{"messages": [{"role": "user", "content": "What colour is the cat?"}]}]
    )
    folder = poisoned(sft_model, tmp_path)
    config = world.config("sample", checkpoints=[str(folder)], prompts_file=prompts)
    assert run_here("sample", config, tmp_path / "r") == 3
    assert_stopped(tmp_path / "r", "token 1 of", f"row 1 of {prompts}", POISONED)

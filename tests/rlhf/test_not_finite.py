"""NaN and infinity end a run within one step; the last finite checkpoint stays, and the culprit is named."""

import json

import torch
from safetensors.torch import load_file, save_file

from training.rlhf import checkpoints

from .conftest import events, result, run_here


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
    assert_stopped(tmp_path / "r", "rows")
    assert not checkpoints.whole_checkpoints(tmp_path / "r" / "checkpoints")


def test_a_loss_that_becomes_nan_keeps_the_last_finite_checkpoint(world, base_model, tmp_path, monkeypatch):
    from training.rlhf.stages.language import LanguageTask

    whole = LanguageTask.losses
    calls = []

    def losses(self, rows):
        calls.append(1)
        for micro in whole(self, rows):
            yield micro._replace(loss=micro.loss * torch.nan) if len(calls) > 3 else micro

    monkeypatch.setattr(LanguageTask, "losses", losses)
    config = world.config("sft", model=str(base_model), save_every=1, keep_checkpoints=9)
    assert run_here("sft", config, tmp_path / "r") == 3
    assert_stopped(tmp_path / "r", "step 4", "rows")
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
    assert_stopped(tmp_path / "r", "logits")

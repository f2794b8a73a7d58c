"""FSDP: two real processes that share out the weights give what one process gives, for SFT and reward."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from accelerate.commands.config.config_args import load_config_from_file
from safetensors.torch import load_file
from torch import nn

from training.rlhf.config import validate
from training.rlhf.errors import ConfigError
from training.rlhf.model_folders import check_folder
from training.rlhf.session import open_accelerator
from training.rlhf.sharding import CONFIG_FILE, blocks_of

from .conftest import ROOT, World, events, final_checkpoint, result, run_here
from .small_t5 import make_t5
from .test_kill_and_resume import assert_same_weights, cut_back
from .test_several_processes import assert_alike, configuration, poisoned, run_together

slow = [pytest.mark.serial, pytest.mark.slow]


@pytest.fixture(scope="module")
def launch(tmp_path_factory) -> list[str]:
    """accelerate with the shipped file, on the CPU (its flag --cpu would leave FSDP out)."""
    text = (ROOT / CONFIG_FILE).read_text()
    assert "use_cpu: false" in text
    file = tmp_path_factory.mktemp("launch") / "fsdp.yaml"
    file.write_text(text.replace("use_cpu: false", "use_cpu: true"))
    return ["-m", "accelerate.commands.launch", "--config_file", str(file), "-m"]


@pytest.fixture(scope="module")
def models(base_model, sft_model, reward_model) -> dict[str, Path]:
    return {"base": base_model, "sft": sft_model, "reward": reward_model}


def test_the_shipped_file_is_read_by_accelerates_own_loader():
    config = load_config_from_file(str(ROOT / CONFIG_FILE))
    assert config.distributed_type == "FSDP" and config.fsdp_config["fsdp_version"] == 2
    assert config.num_processes == 2 and str(config.mixed_precision) == "no"


def test_blocks_are_the_outermost_lists():
    inner = nn.ModuleList([nn.Linear(1, 1)])
    outer = nn.ModuleList([nn.Sequential(inner), nn.Linear(2, 2)])
    model = nn.Sequential(nn.Embedding(3, 1), nn.Sequential(outer))
    assert list(blocks_of(model)) == list(outer)


def differing(world: World, stage: str, models: dict[str, Path], case: str, tmp_path: Path) -> dict:
    config = configuration(world, stage, models)
    if case == "lora":
        config |= {"method": "lora", "lora_rank": 4}
    if case == "checkpointing":
        config |= {"gradient_checkpointing": True}
    if case == "t5":
        config |= {"model": str(make_t5(tmp_path / "t5", world.text)), "epochs": 1}
    return config


@pytest.mark.parametrize(
    ("stage", "case"),
    [
        pytest.param(stage, case, marks=slow)
        for stage, case in [("sft", ""), ("sft", "lora"), ("sft", "t5"), ("reward", ""), ("reward", "lora")]
    ],
)
def test_two_that_share_the_weights_give_what_one_gives(world, models, launch, tmp_path, stage, case):
    config = differing(world, stage, models, case, tmp_path)
    assert run_here(stage, config, tmp_path / "alone") == 0
    assert run_together(launch, stage, config, tmp_path / "together") == 0
    assert result(tmp_path / "together")["status"] == "succeeded"
    assert_alike(tmp_path / "together", tmp_path / "alone")
    told = [event["data"]["message"] for event in events(tmp_path / "together", "log")]
    assert any("shared out" in line for line in told)
    check_folder(final_checkpoint(tmp_path / "together"))
    names = [
        {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
        for folder in (final_checkpoint(tmp_path / "together"), final_checkpoint(tmp_path / "alone"))
    ]
    assert names[0] == names[1]


@pytest.mark.serial
@pytest.mark.slow
def test_resuming_is_exact_and_one_process_may_go_on(world, models, launch, tmp_path):
    config = configuration(world, "sft", models) | {"epochs": 2, "save_every": 2, "keep_checkpoints": 100}
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert run_together(launch, "sft", config, whole) == 0
    cut_back(whole, broken, keep_step=4)
    cut_back(whole, tmp_path / "alone", keep_step=4)
    assert run_together(launch, "sft", None, broken, "--resume") == 0
    assert_same_weights(final_checkpoint(whole), final_checkpoint(broken))
    assert run_here("sft", None, tmp_path / "alone", "--resume") == 0
    weights = [
        load_file(final_checkpoint(tmp_path / name) / "model.safetensors") for name in ("whole", "alone")
    ]
    for name, tensor in weights[0].items():
        torch.testing.assert_close(tensor, weights[1][name], rtol=1e-4, atol=1e-5)


@pytest.mark.serial
@pytest.mark.slow
def test_what_is_not_finite_in_one_process_ends_the_run_with_that_sentence(world, models, launch, tmp_path):
    config = poisoned(world, models, tmp_path)
    assert run_together(launch, "sft", config, tmp_path / "r") != 0
    error = result(tmp_path / "r")["error"]
    assert error["code"] == "not_finite" and "one of row " in error["message"]


def as_launched(monkeypatch, **environment: str) -> None:
    for name, value in {"WORLD_SIZE": "2", **environment}.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "1"}, "set fsdp_version: 2"),
        ({"ACCELERATE_USE_DEEPSPEED": "true"}, "DeepSpeed is not supported"),
        ({"ACCELERATE_USE_MEGATRON_LM": "true"}, "Megatron-LM is not supported"),
    ],
)
def test_what_the_launcher_cannot_have_is_refused(monkeypatch, environment, words):
    as_launched(monkeypatch, **environment)
    with pytest.raises(ConfigError, match=words):
        open_accelerator(validate("sft", {"model": "m", "train_file": "f"}), in_team=True, can_shard=True)


def test_ppo_says_that_it_shares_batches_only(monkeypatch):
    as_launched(monkeypatch, ACCELERATE_USE_FSDP="true", FSDP_VERSION="2")
    config = validate("ppo", {"policy": "p", "reward_model": "r", "prompts_file": "f"})
    with pytest.raises(ConfigError, match="this stage cannot: launch it without fsdp_config"):
        open_accelerator(config, in_team=True)

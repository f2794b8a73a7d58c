"""What a run would choose and need, said before there is a run; by the same sums as the run's own."""

from __future__ import annotations

import json
import math

import pytest

from training.rlhf import memory
from training.rlhf.cli import main
from training.rlhf.config import validate
from training.rlhf.errors import ConfigError
from training.rlhf.estimate import MIB, estimate

PLENTY = 2**40


@pytest.fixture
def free(monkeypatch):
    """Call it with the bytes that are free."""

    def be(count: float) -> None:
        monkeypatch.setattr(memory, "free_bytes", lambda device: int(count))

    return be


def sft(model, **more) -> dict:
    return {"model": str(model), "batch_size": 16, "maximum_length": 64, "micro_batch_tokens": 0} | more


def test_with_room_for_all_the_whole_batch_is_one_pass(base_model, free):
    free(PLENTY)
    found = estimate("sft", sft(base_model))
    assert (found["batch"], found["longest"], found["tokens"], found["passes"]) == (16, 64, 1024, 1)
    assert found["free_mib"] == PLENTY // MIB and found["refused"] == ""


def test_what_it_says_are_the_sums_of_a_run_on_the_same_rows(base_model, free):
    free(PLENTY)
    config = validate("sft", sft(base_model, train_file="x"))
    load = memory.load_of([64] * 16, [64] * 16, 16)
    sizes = [memory.language_model(str(base_model), config)]
    _, sums = memory.settled(config, load, sizes, 0, PLENTY, "cpu")
    found = estimate("sft", sft(base_model))
    assert found["needed_mib"] == math.ceil(sums.needed / MIB)
    assert found["parts"]["weights"] == math.ceil(sums.weights / MIB)


def test_with_less_room_a_batch_is_gathered_from_more_passes(base_model, free):
    free(PLENTY)
    config = validate("sft", sft(base_model, train_file="x"))
    load = memory.load_of([64] * 16, [64] * 16, 16)
    sizes = [memory.language_model(str(base_model), config)]
    _, sums = memory.settled(config, load, sizes, 0, PLENTY, "cpu")
    free((sums.fixed + 200 * sums.per_token) / memory.AUTO_USES)
    found = estimate("sft", sft(base_model))
    assert (found["tokens"], found["passes"], found["refused"]) == (192, math.ceil(1024 / 192), "")


def test_a_micro_batch_that_was_chosen_is_kept_and_refused_where_it_does_not_fit(base_model, free):
    free(PLENTY)
    assert estimate("sft", sft(base_model, micro_batch_tokens=128))["passes"] == 8
    free(MIB)
    assert "lora" in estimate("sft", sft(base_model, micro_batch_tokens=128))["refused"]


def test_rows_are_no_longer_than_the_model_reads(base_model, free):
    free(PLENTY)
    context = json.loads((base_model / "config.json").read_text())["n_positions"]
    assert estimate("sft", sft(base_model, maximum_length=100_000))["longest"] == context


def test_a_ranking_is_as_long_as_its_completions_together(sft_model, free):
    free(PLENTY)
    found = estimate("reward", sft(sft_model), completions=3)
    assert found["longest"] == 3 * 64 and found["tokens"] == 16 * 3 * 64


def test_ppo_counts_four_networks_and_the_cache_of_sampling(sft_model, reward_model, free):
    free(PLENTY)
    values = {"policy": str(sft_model), "reward_model": str(reward_model), "micro_batch_tokens": 0}
    values |= {"batch_size": 8, "minibatch_size": 4, "maximum_prompt_length": 20, "maximum_new_tokens": 12}
    found = estimate("ppo", values)
    assert (found["batch"], found["longest"], found["tokens"], found["passes"]) == (4, 32, 128, 1)
    assert found["parts"]["cache"] >= 1


@pytest.mark.parametrize("alike", [True, False])
def test_ppo_counts_the_value_model_that_a_run_would_have(sft_model, reward_model, free, monkeypatch, alike):
    """It starts from the policy where the reward model reads other tokens, however small that is."""
    from training.rlhf import estimate as module

    free(PLENTY)
    asked, real = [], module.network_sizes
    monkeypatch.setattr(
        module, "network_sizes", lambda *c, rereads: asked.append(rereads) or real(*c, rereads=rereads)
    )
    monkeypatch.setattr(module, "reads_alike", lambda policy, reward: alike)
    monkeypatch.setattr(module, "load_reader", shorter(module.load_reader, reward_model))
    values = {"policy": str(sft_model), "reward_model": str(reward_model), "maximum_new_tokens": 12}
    longest = estimate("ppo", values | {"batch_size": 8, "minibatch_size": 4})["longest"]
    assert (asked, longest) == ([not alike], 40 if alike else 64)


def shorter(load, model):
    """The same reader, but `model` reads 40 tokens."""
    return lambda name, **named: (
        (found := load(name, **named)) and (found[0], 40 if name == str(model) else found[1])
    )


def test_other_stages_and_wrong_fields_are_refused_by_name(base_model):
    with pytest.raises(ConfigError, match="stage"):
        estimate("sample", {})
    with pytest.raises(ConfigError, match="learning_rat"):
        estimate("sft", sft(base_model, learning_rat=1))


def test_the_command_prints_it_and_its_status_is_that_of_the_run(base_model, free, tmp_path, capsys):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(sft(base_model)))
    free(PLENTY)
    assert main(["estimate", "--stage", "sft", "--data", str(path)]) == 0
    assert json.loads(capsys.readouterr().out)["tokens"] == 1024
    free(MIB)
    assert main(["estimate", "--stage", "sft", "--data", str(path)]) == 2
    path.write_text("{")
    assert main(["estimate", "--stage", "sft", "--data", str(path)]) == 2
    assert "not JSON" in capsys.readouterr().err

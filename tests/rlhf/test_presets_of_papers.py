"""The papers' presets, value by value against what the papers state; and what is ours says so."""

from __future__ import annotations

import re

import pytest

from training.rlhf.config import PRESETS, validate

from .test_config import minimal

I, S, N = "InstructGPT", "Learning to summarize", "N+ details"  # noqa: E741 - as the papers are called in docs
OURS = "ours"  # named in the preset's description
PAPERS = ("instructgpt", "learning-to-summarize", "n-details")

# (stage, preset): {field: (value, where it is stated)}: what a run has, not only what the preset sets.
STATED = {
    ("sft", "instructgpt"): {
        "epochs": (16, f"{I} C.1"),
        "learning_rate": (9.65e-6, f"{I} C.1, 1.3B and 6B"),
        "batch_size": (32, f"{I} C.1, 1.3B and 6B"),
        "schedule": ("cosine", f"{I} C.1"),
        "minimum_rate_ratio": (0.1, f"{I} C.1: to 10 %"),
        "warmup_ratio": (0.0, f"{I} C.1: none"),
        "dropout": (0.2, f"{I} C.1, residual"),
        "adam_beta1": (0.9, f"{I} C"),
        "adam_beta2": (0.95, f"{I} C"),
        "maximum_length": (2048, f"{I} C: a context of 2k"),
    },
    ("sft", "learning-to-summarize"): {
        "batch_size": (128, f"{S} B.1"),
        "epochs": (1, f"{S} B.1"),
        "learning_rate": (6.35e-5, f"{S} B.1, 1.3B"),
        "schedule": ("cosine", f"{S} B.1"),
        "minimum_rate_ratio": (0.1, OURS),
        "maximum_length": (2048, OURS),
    },
    ("sft", "n-details"): {
        "learning_rate": (3e-6, f"{N}: every stage"),
        "adam_epsilon": (1e-5, f"{N}: every stage"),
        "adam_beta2": (0.999, f"{N}: AdamW of PyTorch as it comes"),
        "weight_decay": (0.01, f"{N}: AdamW of PyTorch as it comes"),
        "schedule": ("cosine", f"{N}: SFT and reward"),
        "minimum_rate_ratio": (0.0, f"{N}: to zero"),
        "batch_size": (128, f"{N}: table of SFT"),
        "epochs": (1, f"{N}: table of SFT"),
        "maximum_length": (638, f"{N}: longest of the rankings; rows of SFT are shorter"),
    },
    ("reward", "instructgpt"): {
        "epochs": (1, f"{I} C.2"),
        "learning_rate": (9e-6, f"{I} C.2"),
        "batch_size": (64, f"{I} C.2: prompts, with all their pairs"),
        "schedule": ("cosine", f"{I} C.2"),
        "minimum_rate_ratio": (0.1, f"{I} C.2: to 10 %"),
        "adam_beta2": (0.95, f"{I} C"),
        "maximum_length": (2048, f"{I} C: a context of 2k"),
    },
    ("reward", "learning-to-summarize"): {
        "batch_size": (64, f"{S} B.1"),
        "epochs": (1, f"{S} B.1"),
        "learning_rate": (1.5e-5, f"{S} B.1, 1.3B"),
        "schedule": ("cosine", f"{S} B.1"),
        "minimum_rate_ratio": (0.1, OURS),
        "maximum_length": (2048, OURS),
    },
    ("reward", "n-details"): {
        "batch_size": (64, f"{N}: table of the reward model"),
        "epochs": (1, f"{N}: table of the reward model"),
        "learning_rate": (3e-6, f"{N}: every stage"),
        "adam_epsilon": (1e-5, f"{N}: every stage"),
        "adam_beta2": (0.999, f"{N}: AdamW of PyTorch as it comes"),
        "weight_decay": (0.01, f"{N}: AdamW of PyTorch as it comes"),
        "schedule": ("cosine", f"{N}: SFT and reward"),
        "minimum_rate_ratio": (0.0, f"{N}: to zero"),
        "maximum_length": (638, f"{N}: longest query and response"),
    },
    ("ppo", "instructgpt"): {
        "steps": (500, f"{I} C.4: 256,000 episodes in batches of 512"),
        "batch_size": (512, f"{I} C.4"),
        "minibatch_size": (64, f"{I} C.4"),
        "ppo_epochs": (1, f"{I} C.4"),
        "learning_rate": (8.05e-6, OURS),
        "value_learning_rate": (9e-6, f"{I} C.4, 1.3B and 6B"),
        "schedule": ("constant", f"{I} C.4"),
        "warmup_ratio": (0.02, OURS),
        "temperature": (1.0, f"{I} C.4"),
        "kl_coefficient": (0.02, f"{I} C.4"),
        "clip_range": (0.2, f"{I} C.4"),
        "gamma": (1.0, f"{I} C.4: no discount"),
        "adam_beta2": (0.95, f"{I} C"),
        "ema_decay": (0.992, f"{I} C.4"),
        "pretrain_rows": (8, f"{I} C.4, where texts are given"),
        "maximum_new_tokens": (1024, f"{I} C: responses of at most 1k"),
        "maximum_prompt_length": (1024, f"{I} C: prompts of at most 1k"),
    },
    ("ppo", "learning-to-summarize"): {
        "steps": (1953, f"{S} B.1: a million episodes in batches of 512"),
        "batch_size": (512, f"{S} B.1, 1.3B"),
        "minibatch_size": (512, OURS),
        "ppo_epochs": (4, f"{S} B.1"),
        "learning_rate": (1.5e-5, f"{S} B.1, 1.3B"),
        "value_learning_rate": (1.5e-5, OURS),
        "schedule": ("linear", f"{S} B.1"),
        "minimum_rate_ratio": (0.0, f"{S} B.1"),
        "kl_coefficient": (0.05, f"{S} B.1"),
        "gamma": (1.0, f"{S} B.1"),
        "gae_lambda": (0.95, f"{S} B.1"),
        "maximum_new_tokens": (48, f"{S} 3.2: summaries of 24 to 48 tokens"),
        "maximum_prompt_length": (512, f"{S} A: posts of at most 512 tokens"),
    },
    ("ppo", "n-details"): {
        "steps": (1953, f"{N}: a million episodes in batches of 512"),
        "batch_size": (512, f"{N}: table of PPO"),
        "minibatch_size": (512, f"{N}: table of PPO, one a batch"),
        "ppo_epochs": (4, f"{N}: table of PPO"),
        "learning_rate": (3e-6, f"{N}: every stage"),
        "value_learning_rate": (3e-6, f"{N}: every stage"),
        "adam_epsilon": (1e-5, f"{N}: every stage"),
        "adam_beta2": (0.999, f"{N}: AdamW of PyTorch as it comes"),
        "weight_decay": (0.01, f"{N}: AdamW of PyTorch as it comes"),
        "schedule": ("linear", f"{N}: PPO"),
        "minimum_rate_ratio": (0.0, f"{N}: to zero"),
        "temperature": (0.7, f"{N}"),
        "kl_coefficient": (0.05, f"{N}"),
        "gamma": (1.0, f"{N}: table of PPO"),
        "gae_lambda": (0.95, f"{N}: table of PPO"),
        "clip_range": (0.2, f"{N}: table of PPO"),
        "value_clip_range": (0.2, f"{N}: table of PPO"),
        "value_coefficient": (0.1, f"{N}: table of PPO"),
        "whiten_advantages": (True, f"{N}: detail 25"),
        "whiten_rewards": (False, OURS),
        "missing_eos_penalty": (1.0, f"{N}: detail 23, a score of -1"),
        "missing_eos_mode": ("replace", f"{N}: detail 23, a score of -1"),
        "maximum_new_tokens": (53, f"{N}: detail 4"),
        "maximum_prompt_length": (512, f"{N}: detail 2"),
    },
}
EPISODES = {"instructgpt": 256_000, "learning-to-summarize": 1_000_000, "n-details": 1_000_000}


def test_every_preset_of_a_paper_is_in_the_table():
    found = {(stage, name) for stage, presets in PRESETS.items() for name in presets if name in PAPERS}
    assert found == set(STATED)


@pytest.mark.parametrize(("stage", "name"), STATED)
def test_a_run_with_the_preset_has_what_the_paper_states(stage, name):
    config = validate(stage, minimal(stage) | PRESETS[stage][name]["values"])
    for field, (value, where) in STATED[stage, name].items():
        assert getattr(config, field) == value, f"{field}: {where}"


@pytest.mark.parametrize(("stage", "name"), STATED)
def test_no_value_is_set_without_a_source(stage, name):
    assert set(PRESETS[stage][name]["values"]) <= set(STATED[stage, name])


@pytest.mark.parametrize(("stage", "name"), STATED)
def test_what_is_not_the_papers_is_named_in_the_description_and_nothing_else(stage, name):
    _, _, ours = PRESETS[stage][name]["description"].partition(" Ours: ")
    named = set(re.findall(r"[a-z_]+", ours)) & set(STATED[stage, name])
    assert named == {field for field, (_value, where) in STATED[stage, name].items() if where == OURS}


@pytest.mark.parametrize(("name", "episodes"), EPISODES.items())
def test_steps_of_ppo_make_the_papers_episodes(name, episodes):
    values = PRESETS["ppo"][name]["values"]
    assert 0 <= episodes - values["steps"] * values["batch_size"] < values["batch_size"]


def test_ten_steps_of_warm_up_are_what_instructgpt_takes():
    values = PRESETS["ppo"]["instructgpt"]["values"]
    assert values["steps"] * values["warmup_ratio"] == 10

"""Hyperparameters with which the sample project learns in minutes on two cores (docs/experiments.md).

Only what is tuned here: files, folders, seeds and devices are the caller's. Keys are fields of the stage's
configuration in the training library.
"""

from __future__ import annotations

from typing import Any

MAXIMUM_NEW_TOKENS = 48

RECIPE: dict[str, dict[str, Any]] = {
    "pretrain": {
        "vocabulary_size": 1024,
        "layers": 2,
        "hidden": 128,
        "heads": 4,
        "context": 128,
        "block_length": 64,
        "batch_size": 8,
        "epochs": 3,
        "learning_rate": 2e-3,
        "warmup_ratio": 0.02,
        "weight_decay": 0.01,
        "log_every": 20,
    },
    "sft": {
        "batch_size": 16,
        "epochs": 4,
        "learning_rate": 1e-3,
        "warmup_ratio": 0.05,
        "maximum_length": 96,
        "log_every": 5,
        "evaluate_every": 25,
    },
    "reward": {
        "batch_size": 8,
        "epochs": 2,
        "learning_rate": 4e-4,
        "warmup_ratio": 0.1,
        "weight_decay": 0.05,
        "maximum_length": 96,
        "log_every": 2,
        "evaluate_every": 10,
    },
    "ppo": {
        "steps": 24,
        "batch_size": 64,
        "minibatch_size": 32,
        "ppo_epochs": 2,
        "learning_rate": 2e-4,
        "value_learning_rate": 5e-4,
        "value_coefficient": 1.0,
        "maximum_new_tokens": MAXIMUM_NEW_TOKENS,
        "maximum_prompt_length": 64,
        "kl_coefficient": 0.5,
        "kl_controller": "adaptive",
        "kl_target": 2.5,
        "kl_horizon": 200.0,
        "missing_eos_penalty": 3.0,
        "temperature": 0.8,
        "evaluate_every": 8,
        "validation_prompts": 64,
    },
    "sample": {"temperature": 0.8, "max_new_tokens": MAXIMUM_NEW_TOKENS, "batch_size": 160},
}

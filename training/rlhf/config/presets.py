"""Named starting points for each stage. A preset sets hyperparameters only, never files or models."""

from __future__ import annotations

from typing import Any

_TINY = "For the sample project and models of about a million weights on two cores."
_INSTRUCT = "InstructGPT (2203.02155), 1.3B and 6B models, as far as the paper states it."
_SUMMARIZE = "Learning to summarize from human feedback (2009.01325), 1.3B model."
_N_DETAILS = "The N+ implementation details of RLHF with PPO (2403.17031), 1B to 6.9B models."


def _but(paper: str, *ours: str) -> str:
    """A description that says what of the values is not the paper's, and why."""
    return f"{paper} Ours: {'; '.join(ours)}."


_LENGTH = "maximum_length (the model's whole context)"
_LOWEST = "minimum_rate_ratio (as InstructGPT's)"

PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "pretrain": {
        "tiny-demo": {
            "description": _TINY,
            "values": {
                "vocabulary_size": 1024,
                "layers": 3,
                "hidden": 128,
                "heads": 4,
                "context": 128,
                "batch_size": 32,
                "epochs": 3,
                "learning_rate": 2e-3,
                "log_every": 10,
                "schedule": "cosine",
            },
        },
        "small-gpt2": {
            "description": "GPT-2 small (124M), for a GPU.",
            "values": {
                "vocabulary_size": 50_000,
                "layers": 12,
                "hidden": 768,
                "heads": 12,
                "context": 1024,
                "batch_size": 64,
                "epochs": 1,
                "learning_rate": 6e-4,
                "log_every": 10,
                "precision": "bf16",
            },
        },
    },
    "sft": {
        "tiny-demo": {
            "description": _TINY,
            "values": {
                "batch_size": 32,
                "epochs": 3,
                "learning_rate": 1e-3,
                "warmup_ratio": 0.05,
                "maximum_length": 96,
            },
        },
        "instructgpt": {
            "description": _INSTRUCT,
            "values": {
                "batch_size": 32,
                "epochs": 16,
                "learning_rate": 9.65e-6,
                "schedule": "cosine",
                "minimum_rate_ratio": 0.1,
                "dropout": 0.2,
                "maximum_length": 2048,
            },
        },
        "learning-to-summarize": {
            "description": _but(_SUMMARIZE, _LOWEST, _LENGTH),
            "values": {
                "batch_size": 128,
                "epochs": 1,
                "learning_rate": 6.35e-5,
                "schedule": "cosine",
                "maximum_length": 2048,
            },
        },
        "n-details": {
            "description": _N_DETAILS,
            "values": {
                "batch_size": 128,
                "epochs": 1,
                "learning_rate": 3e-6,
                "schedule": "cosine",
                "minimum_rate_ratio": 0.0,
                "adam_beta2": 0.999,
                "weight_decay": 0.01,
                "maximum_length": 638,
            },
        },
    },
    "reward": {
        "tiny-demo": {
            "description": _TINY,
            "values": {
                "batch_size": 16,
                "epochs": 2,
                "learning_rate": 3e-4,
                "warmup_ratio": 0.05,
                "maximum_length": 96,
            },
        },
        "instructgpt": {
            "description": _INSTRUCT,
            "values": {
                "batch_size": 64,
                "epochs": 1,
                "learning_rate": 9e-6,
                "schedule": "cosine",
                "minimum_rate_ratio": 0.1,
                "maximum_length": 2048,
            },
        },
        "learning-to-summarize": {
            "description": _but(_SUMMARIZE, _LOWEST, _LENGTH),
            "values": {
                "batch_size": 64,
                "epochs": 1,
                "learning_rate": 1.5e-5,
                "schedule": "cosine",
                "maximum_length": 2048,
            },
        },
        "n-details": {
            "description": _N_DETAILS,
            "values": {
                "batch_size": 64,
                "epochs": 1,
                "learning_rate": 3e-6,
                "schedule": "cosine",
                "minimum_rate_ratio": 0.0,
                "adam_beta2": 0.999,
                "weight_decay": 0.01,
                "maximum_length": 638,
            },
        },
    },
    "ppo": {
        "tiny-demo": {
            "description": _TINY,
            "values": {
                "steps": 60,
                "batch_size": 64,
                "minibatch_size": 32,
                "ppo_epochs": 2,
                "learning_rate": 1e-4,
                "value_learning_rate": 3e-4,
                "maximum_new_tokens": 48,
                "maximum_prompt_length": 64,
                "kl_coefficient": 0.05,
                "evaluate_every": 10,
                "kl_budget": 15.0,
            },
        },
        "instructgpt": {
            "description": _but(
                _INSTRUCT + " For the pretraining mix give texts, and pretrain_coefficient 27.8.",
                "learning_rate (the paper gives a swept range; above this, runs without the mix diverged)",
                "warmup_ratio (its ten iterations, from zero and not from a tenth of the rate)",
            ),
            "values": {
                "steps": 500,
                "batch_size": 512,
                "minibatch_size": 64,
                "ppo_epochs": 1,
                "learning_rate": 8.05e-6,
                "value_learning_rate": 9e-6,
                "schedule": "constant",
                "warmup_ratio": 0.02,
                "temperature": 1.0,
                "kl_coefficient": 0.02,
                "clip_range": 0.2,
                "ema_decay": 0.992,
                "maximum_new_tokens": 1024,
                "maximum_prompt_length": 1024,
            },
        },
        "learning-to-summarize": {
            "description": _but(
                _SUMMARIZE,
                "minibatch_size (one a batch, as the N+ details read it)",
                "value_learning_rate (the policy's)",
            ),
            "values": {
                "steps": 1953,
                "batch_size": 512,
                "minibatch_size": 512,
                "ppo_epochs": 4,
                "learning_rate": 1.5e-5,
                "value_learning_rate": 1.5e-5,
                "schedule": "linear",
                "kl_coefficient": 0.05,
                "gamma": 1.0,
                "gae_lambda": 0.95,
                "maximum_new_tokens": 48,
                "maximum_prompt_length": 512,
            },
        },
        "n-details": {
            "description": _but(
                _N_DETAILS, "whiten_rewards (off; optional in the paper, and on in the code it was made with)"
            ),
            "values": {
                "steps": 1953,
                "batch_size": 512,
                "minibatch_size": 512,
                "ppo_epochs": 4,
                "learning_rate": 3e-6,
                "value_learning_rate": 3e-6,
                "schedule": "linear",
                "temperature": 0.7,
                "kl_coefficient": 0.05,
                "adam_beta2": 0.999,
                "weight_decay": 0.01,
                "value_coefficient": 0.1,
                "missing_eos_penalty": 1.0,
                "missing_eos_mode": "replace",
                "maximum_new_tokens": 53,
                "maximum_prompt_length": 512,
            },
        },
    },
    "sample": {
        "tiny-demo": {
            "description": _TINY,
            "values": {
                "completions_per_prompt": 4,
                "temperature": 1.0,
                "max_new_tokens": 48,
                "batch_size": 128,
            },
        },
        "greedy": {
            "description": "The likeliest answer, once.",
            "values": {"completions_per_prompt": 1, "temperature": 0.0},
        },
    },
    "evaluate": {
        "tiny-demo": {"description": _TINY, "values": {"maximum_length": 128, "max_new_tokens": 48}}
    },
    "score": {"tiny-demo": {"description": _TINY, "values": {"maximum_length": 128}}},
    "export": {"as-trained": {"description": "Weights in 32 bits.", "values": {"weights": "float32"}}},
}

"""Every stage's configuration: what it is, what it may be, and what the papers used.

The website's form, its API and the command's `--help` all read from here, and none of them loads torch.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from training.rlhf.config.fields import FieldSpec, check_value, specs_of, unknown_field
from training.rlhf.config.learning import PretrainConfig, RewardConfig, SftConfig
from training.rlhf.config.ppo import PpoConfig
from training.rlhf.config.presets import PRESETS
from training.rlhf.config.tools import EvaluateConfig, ExportConfig, SampleConfig, ScoreConfig
from training.rlhf.errors import ConfigError

__all__ = [
    "PRESETS",
    "STAGES",
    "TRAINING_STAGES",
    "ConfigError",
    "FieldSpec",
    "as_dict",
    "describe",
    "validate",
]

STAGES: dict[str, type] = {
    "pretrain": PretrainConfig,
    "sft": SftConfig,
    "reward": RewardConfig,
    "ppo": PpoConfig,
    "sample": SampleConfig,
    "evaluate": EvaluateConfig,
    "score": ScoreConfig,
    "export": ExportConfig,
}
TRAINING_STAGES = ("pretrain", "sft", "reward", "ppo")


def describe(stage: str) -> list[FieldSpec]:
    """The fields of `stage`, in the order a form should show them."""
    return specs_of(_config_type(stage))


def validate(stage: str, values: dict[str, Any]) -> Any:
    """The complete frozen configuration for `values`; ConfigError names the first field that is wrong.

    Left-out fields take their defaults; unknown fields are refused rather than ignored, so that a misspelt
    learning rate never trains with another one.
    """
    if not isinstance(values, dict):
        raise ConfigError("config", "must be a JSON object")
    specs = describe(stage)
    by_name = {spec.name: spec for spec in specs}
    for name in values:
        if name not in by_name:
            raise unknown_field(str(name), specs)
    checked = {name: check_value(spec, values.get(name, spec.default)) for name, spec in by_name.items()}
    config = _config_type(stage)(**checked)
    config.check()
    return config


def as_dict(config: Any) -> dict[str, Any]:
    """The plain values of a configuration, complete and ready for JSON."""
    return dataclasses.asdict(config)


def _config_type(stage: str) -> type:
    if stage not in STAGES:
        raise ConfigError("stage", f"must be one of {', '.join(STAGES)}, not {stage!r}")
    return STAGES[stage]

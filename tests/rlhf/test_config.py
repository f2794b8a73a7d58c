"""One definition of each field: nonsense is refused by name and bounds, and --help tells the same."""

import math

import pytest

from training.rlhf.cli import main
from training.rlhf.config import PRESETS, STAGES, ConfigError, as_dict, describe, validate

REQUIRED = {"text": "x", "path": "x", "paths": ["x"]}


def minimal(stage: str) -> dict:
    values = {spec.name: REQUIRED[spec.type] for spec in describe(stage) if spec.required}
    return values | ({"model": "m", "messages_file": "f"} if stage == "evaluate" else {})


@pytest.mark.parametrize("stage", STAGES)
def test_the_defaults_are_valid_and_complete(stage):
    config = validate(stage, minimal(stage))
    assert set(as_dict(config)) == {spec.name for spec in describe(stage)}


@pytest.mark.parametrize(("stage", "name"), [(stage, name) for stage in PRESETS for name in PRESETS[stage]])
def test_presets_are_valid_and_touch_no_files(stage, name):
    values = PRESETS[stage][name]["values"]
    validate(stage, minimal(stage) | values)
    assert not {spec.name for spec in describe(stage) if spec.type in ("path", "paths")} & set(values)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("learning_rate", math.nan),
        ("learning_rate", math.inf),
        ("learning_rate", -1e-4),
        ("learning_rate", 0),
        ("learning_rate", "1e-4"),
        ("learning_rate", True),
        ("learning_rate", None),
        ("batch_size", 0),
        ("batch_size", -3),
        ("batch_size", 2.5),
        ("maximum_steps", 10**12),
        ("epochs", 10**400),
        ("schedule", "cyclic"),
        ("train_file", 3),
        ("train_file", "a\x00b"),
        ("seed", -1),
        ("gradient_checkpointing", 1),
        ("allowed_hub_ids", "gpt2"),
        ("allowed_hub_ids", [3]),
        ("adam_beta1", 1.0),
        ("adam_epsilon", 0.0),
    ],
)
def test_nonsense_is_refused_by_field_with_its_bounds(field, value):
    with pytest.raises(ConfigError) as refusal:
        validate("sft", minimal("sft") | {field: value})
    assert refusal.value.field == field
    assert next(spec for spec in describe("sft") if spec.name == field).bounds in refusal.value.message


def test_a_misspelt_field_is_refused_with_a_suggestion():
    with pytest.raises(ConfigError, match="learning_rat.*did you mean learning_rate"):
        validate("sft", minimal("sft") | {"learning_rat": 1e-4})


def test_a_missing_required_field_is_named():
    with pytest.raises(ConfigError) as refusal:
        validate("ppo", {"policy": "p", "reward_model": "r"})
    assert refusal.value.field == "prompts_file"


@pytest.mark.parametrize(
    ("stage", "values", "field"),
    [
        ("ppo", {"batch_size": 8, "minibatch_size": 16}, "minibatch_size"),
        ("ppo", {"batch_size": 10, "minibatch_size": 4}, "minibatch_size"),
        ("pretrain", {"hidden": 100, "heads": 3}, "heads"),
        ("pretrain", {"context": 64, "block_length": 65}, "block_length"),
        ("evaluate", {"model": "m", "messages_file": ""}, "messages_file"),
        ("sft", {"save_every": 5, "evaluate_every": 2}, "save_every"),
    ],
)
def test_fields_that_contradict_each_other_are_refused(stage, values, field):
    with pytest.raises(ConfigError) as refusal:
        validate(stage, minimal(stage) | values)
    assert refusal.value.field == field


def test_a_configuration_cannot_be_changed():
    config = validate("sft", minimal("sft"))
    with pytest.raises(AttributeError):
        config.learning_rate = 1.0


@pytest.mark.parametrize("stage", STAGES)
def test_help_lists_every_field(stage, capsys):
    with pytest.raises(SystemExit):
        main([stage, "--help"])
    shown = capsys.readouterr().out
    for spec in describe(stage):
        assert f"\n  {spec.name}  (" in shown and spec.bounds in shown
    assert "%%" not in shown


def test_every_field_says_what_it_is():
    for stage in STAGES:
        for spec in describe(stage):
            assert len(spec.help) > 10
            if spec.type in ("integer", "number"):
                assert spec.minimum is not None and spec.maximum is not None and spec.minimum < spec.maximum

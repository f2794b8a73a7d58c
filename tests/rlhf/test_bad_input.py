"""Broken models and files end a run with one sentence, exit status 2, an error event and a result."""

import json
import shutil

import pytest

from .conftest import events, result, run_here

USER = {"role": "user", "content": "hi"}
ANSWER = {"role": "assistant", "content": "yes"}


def check_refused(stage, config, out, *words):
    """Run, and check that every word is in the one sentence the run ends with."""
    assert run_here(stage, config, out) == 2
    found = result(out)
    assert found["status"] == "failed"
    assert events(out, "error")[-1]["data"] == found["error"]
    assert events(out)[-1]["data"]["state"] == "failed"
    for word in words:
        assert word in found["error"]["message"]
    return found["error"]


@pytest.fixture
def broken(base_model, tmp_path):
    """A copy of a good model, without its manifest, to be broken."""
    folder = tmp_path / "model"
    shutil.copytree(base_model, folder)
    (folder / "manifest.json").unlink()
    return folder


def test_a_missing_folder(world, tmp_path):
    error = check_refused(
        "sft", world.config("sft", model=str(tmp_path / "none")), tmp_path / "r", "no model folder"
    )
    assert error["code"] == "bad_model"


def test_a_hub_name_that_is_not_allowed(world, tmp_path):
    check_refused("sft", world.config("sft", model="someone/model"), tmp_path / "r", "allowed_hub_ids")


def test_a_folder_without_weights(world, broken, tmp_path):
    (broken / "model.safetensors").unlink()
    check_refused("sft", world.config("sft", model=str(broken)), tmp_path / "r", "no weights")


def test_a_folder_with_pickled_weights_only(world, broken, tmp_path):
    (broken / "model.safetensors").rename(broken / "pytorch_model.bin")
    check_refused("sft", world.config("sft", model=str(broken)), tmp_path / "r", "pickle", "safetensors")


def test_a_model_that_brings_its_own_code(world, broken, tmp_path):
    config = json.loads((broken / "config.json").read_text())
    config["auto_map"] = {"AutoModelForCausalLM": "evil.Model"}
    (broken / "config.json").write_text(json.dumps(config))
    (broken / "evil.py").write_text("raise SystemExit('run!')")
    check_refused("sft", world.config("sft", model=str(broken)), tmp_path / "r", "auto_map")


def test_truncated_weights(world, broken, tmp_path):
    path = broken / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    check_refused("sft", world.config("sft", model=str(broken)), tmp_path / "r", "cannot be loaded")


def test_weights_of_another_shape(world, broken, tmp_path):
    config = json.loads((broken / "config.json").read_text())
    config["n_layer"] += 1
    (broken / "config.json").write_text(json.dumps(config))
    check_refused("sft", world.config("sft", model=str(broken)), tmp_path / "r", "do not fit")


def test_a_damaged_checkpoint_is_not_used(world, base_model, tmp_path):
    folder = tmp_path / "m"
    shutil.copytree(base_model, folder)
    raw = bytearray((folder / "model.safetensors").read_bytes())
    raw[-1] ^= 1
    (folder / "model.safetensors").write_bytes(raw)
    check_refused(
        "sft", world.config("sft", model=str(folder)), tmp_path / "r", "damaged", "model.safetensors"
    )


def test_a_language_model_where_a_reward_model_belongs(world, sft_model, tmp_path):
    config = world.config("ppo", policy=str(sft_model), reward_model=str(sft_model))
    check_refused("ppo", config, tmp_path / "r", "is not a reward model")


def test_a_reward_model_where_a_language_model_belongs(world, reward_model, tmp_path):
    check_refused("sft", world.config("sft", model=str(reward_model)), tmp_path / "r", "is a reward model")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", ["row 2", "not JSON"]),
        ("[1]", ["row 2", "JSON object"]),
        ("{}", ["row 2", "field messages"]),
        (json.dumps({"messages": [USER]}), ["row 2", "last message must be the assistant's"]),
        (json.dumps({"messages": [ANSWER]}), ["row 2", "no prompt"]),
        (json.dumps({"messages": [USER, {"role": "assistant", "content": "  "}]}), ["row 2", "empty"]),
        (json.dumps({"messages": [USER, {"role": "robot", "content": "x"}]}), ["row 2", "role"]),
        (json.dumps({"messages": [USER, {"role": "assistant", "content": None}]}), ["row 2", "content"]),
        (
            '{"messages": [{"role": "user", "content": "\\ud800"}, {"role": "assistant", "content": "x"}]}',
            ["row 2", "surrogate"],
        ),
        ("[" * 100_000, ["row 2", "not JSON"]),
    ],
)
def test_a_bad_demonstration_is_named_by_row(world, base_model, tmp_path, line, words):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"messages": [USER, ANSWER]}) + "\n" + line + "\n")
    config = world.config("sft", model=str(base_model), train_file=str(path))
    check_refused("sft", config, tmp_path / "r", "rows.jsonl", *words)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"completions": ["a"]}, ["at least two"]),
        ({"ranks": [1]}, ["one rank for each of the 2"]),
        ({"ranks": [0, 1]}, ["whole number from 1"]),
        ({"ranks": [1.5, 1]}, ["whole number from 1"]),
        ({"ranks": [True, 1]}, ["whole number from 1"]),
        ({"completions": ["a", " "]}, ["completion 2 is empty"]),
        ({"completions": ["a", "\ud800"]}, ["surrogate"]),
        ({"messages": [USER, ANSWER]}, ["must not end with the assistant's"]),
    ],
)
def test_a_bad_ranking_is_named_by_row_and_field(world, sft_model, tmp_path, change, words):
    path = tmp_path / "rows.jsonl"
    path.write_text(
        json.dumps({"messages": [USER], "completions": ["a", "b"], "ranks": [1, 2]} | change) + "\n"
    )
    config = world.config("reward", model=str(sft_model), train_file=str(path))
    check_refused("reward", config, tmp_path / "r", "rows.jsonl, row 1", *words)


@pytest.mark.parametrize("ranks", [[1, 1, 1], [None, None, 1]])
def test_rankings_that_prefer_nothing_cannot_train(world, sft_model, tmp_path, ranks):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"messages": [USER], "completions": ["a", "b", "c"], "ranks": ranks}) + "\n")
    check_refused(
        "reward",
        world.config("reward", model=str(sft_model), train_file=str(path)),
        tmp_path / "r",
        "nothing to learn",
    )


def test_an_empty_file(world, base_model, tmp_path):
    (tmp_path / "rows.jsonl").write_text("\n")
    config = world.config("sft", model=str(base_model), train_file=str(tmp_path / "rows.jsonl"))
    check_refused("sft", config, tmp_path / "r", "has no rows")


def test_a_file_that_is_not_there(world, base_model, tmp_path):
    config = world.config("sft", model=str(base_model), train_file=str(tmp_path / "gone.jsonl"))
    check_refused("sft", config, tmp_path / "r", "gone.jsonl", "no such file")


def test_rows_longer_than_the_context_are_counted_or_refused_never_cut(world, base_model, tmp_path):
    long_row = {"messages": [USER, {"role": "assistant", "content": "cat " * 200}]}
    short_row = {"messages": [USER, ANSWER]}
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(short_row) + "\n" + json.dumps(long_row) + "\n")
    config = world.config("sft", model=str(base_model), train_file=str(path), batch_size=1)
    assert run_here("sft", config, tmp_path / "kept") == 0
    assert any(event["data"].get("dropped_rows") == 1 for event in events(tmp_path / "kept", "log"))
    check_refused(
        "sft", config | {"over_long": "refuse"}, tmp_path / "r", "row 2", "more than the 64 allowed"
    )


def test_only_rows_that_are_too_long(world, base_model, tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"messages": [USER, {"role": "assistant", "content": "cat " * 200}]}) + "\n")
    config = world.config("sft", model=str(base_model), train_file=str(path))
    check_refused("sft", config, tmp_path / "r", "every row is longer")


def test_a_prompt_that_does_not_fit_is_named(world, sft_model, tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"messages": [{"role": "user", "content": "cat " * 200}]}) + "\n")
    config = world.config("sample", prompts_file=str(path), checkpoints=[str(sft_model)])
    check_refused("sample", config, tmp_path / "r", "rows.jsonl, row 1", "more than the 48 that fit")


def test_a_bad_field_leaves_an_error_event(world, base_model, tmp_path):
    error = check_refused(
        "sft",
        world.config("sft", model=str(base_model), learning_rate=-1),
        tmp_path / "r",
        "learning_rate",
        "from 1e-09 to 1",
    )
    assert error["field"] == "learning_rate"

"""Scores of completions are the reward model's own, one each, whatever is packed with what or broken off."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from training.rlhf.chat import ChatEncoder
from training.rlhf.data import read_rankings
from training.rlhf.models import load_reward_model

from .conftest import World, events, result, run_here


@pytest.fixture(scope="module")
def rows(world: World) -> list[dict]:
    """Each completion of the held-out rankings, with its number."""
    rankings = read_rankings(world.rankings_held_out)
    pairs = [(ranking.prompt, text) for ranking in rankings for text in ranking.completions]
    return [
        {"messages": messages, "text": text, "completion_id": number}
        for number, (messages, text) in enumerate(pairs, start=100)
    ]


@pytest.fixture(scope="module")
def one_by_one(rows, reward_model: Path) -> dict[int, float]:
    """The slow, obvious way: the classifier on one sequence at a time, minus the stored bias."""
    model, tokenizer = load_reward_model(str(reward_model), allowed_hub_ids=[])
    encoder = ChatEncoder(tokenizer)
    model.eval()
    found = {}
    for row in rows:
        ids = torch.tensor([encoder.encode(row["messages"], row["text"]).ids])
        with torch.no_grad():
            hidden = model.base_model(input_ids=ids).last_hidden_state[0, -1]
        found[row["completion_id"]] = float(model.score(hidden)) - model.config.reward_bias
    return found


def scores(out: Path) -> dict[int, float]:
    lines = (out / "scores.jsonl").read_text().splitlines()
    return {row["completion_id"]: row["score"] for row in map(json.loads, lines)}


@pytest.mark.parametrize("packing", [True, False])
def test_each_completion_gets_what_the_model_gives_it_alone(
    world, rows, reward_model, one_by_one, tmp_path, packing
):
    file = world.write(f"to_score_{packing}.jsonl", rows)
    config = world.config(
        "score",
        completions_file=file,
        reward_model=str(reward_model),
        packing=packing,
        micro_batch_tokens=200,
    )
    assert run_here("score", config, tmp_path / "s") == 0
    assert scores(tmp_path / "s") == pytest.approx(one_by_one, abs=1e-4)
    metrics = result(tmp_path / "s")["metrics"]
    assert (metrics["completions"], metrics["completions_left_out"]) == (len(rows), 0)
    mean = sum(one_by_one.values()) / len(one_by_one)
    assert metrics["score_mean"] == pytest.approx(mean, abs=1e-4)
    assert events(tmp_path / "s", "progress")[-1]["data"]["fraction"] == 1.0


def test_a_run_that_was_broken_off_goes_on_where_it_was(world, rows, reward_model, one_by_one, tmp_path):
    file = world.write("to_resume.jsonl", rows)
    config = world.config("score", completions_file=file, reward_model=str(reward_model))
    out = tmp_path / "s"
    assert run_here("score", config, out) == 0
    lines = (out / "scores.jsonl").read_bytes().splitlines(keepends=True)
    marked = json.dumps({"completion_id": 100, "score": 42.0}).encode() + b"\n"
    (out / "scores.jsonl").write_bytes(marked + b"".join(lines[1:4]) + lines[4][:9])  # torn in the fifth
    (out / "result.json").unlink()
    assert run_here("score", config, out, "--resume") == 0
    found = scores(out)
    assert found.pop(100) == 42.0, "what was written is not computed again"
    assert found == pytest.approx({k: v for k, v in one_by_one.items() if k != 100}, abs=1e-4)


def test_what_is_too_long_for_the_model_gets_no_score_and_is_counted(world, rows, reward_model, tmp_path):
    long = {**rows[0], "text": "The cat is black. " * 200, "completion_id": 1}
    file = world.write("too_long.jsonl", [long, *rows[1:3]])
    config = world.config("score", completions_file=file, reward_model=str(reward_model))
    assert run_here("score", config, tmp_path / "s") == 0
    assert set(scores(tmp_path / "s")) == {101, 102}
    assert events(tmp_path / "s", "log")[0]["data"]["dropped_completions"] == 1
    assert result(tmp_path / "s")["metrics"]["completions_left_out"] == 1


@pytest.mark.parametrize(
    ("change", "field"),
    [({"text": " "}, "text"), ({"text": None}, "text"), ({"completion_id": None}, "completion_id")],
)
def test_a_row_that_cannot_be_scored_is_refused_by_file_row_and_field(
    world, rows, reward_model, tmp_path, change, field
):
    file = world.write("broken.jsonl", [rows[0], {**rows[1], **change}])
    config = world.config("score", completions_file=file, reward_model=str(reward_model))
    assert run_here("score", config, tmp_path / "s") == 2
    error = events(tmp_path / "s", "error")[0]["data"]
    assert (error["row"], error["field"], error["file"]) == (2, field, file)


def test_a_language_model_is_refused(world, rows, sft_model, tmp_path):
    file = world.write("language.jsonl", rows[:1])
    config = world.config("score", completions_file=file, reward_model=str(sft_model))
    assert run_here("score", config, tmp_path / "s") == 2
    assert "is not a reward model" in events(tmp_path / "s", "error")[0]["data"]["message"]

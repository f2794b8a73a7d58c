"""Scores of single completions: turned into preferences within a prompt, or regressed."""

import json
import math

import pytest
import torch

from training.rlhf.data import ranks_of, read_scores
from training.rlhf.losses import score_loss
from training.rlhf.stages.reward import Scale

from .conftest import events, final_checkpoint, result, run_here

USER = {"role": "user", "content": "What colour is the cat?"}


def rows_of(path: str) -> list[dict]:
    return [json.loads(line) for line in open(path)]


def as_scores(row: dict) -> dict:
    """A ranking of the test world as somebody would have scored it, 10 for the best."""
    kept = {name: row[name] for name in ("messages", "completions")}
    return kept | {"scores": [10 - 2 * (rank - 1) for rank in row["ranks"]]}


@pytest.fixture
def scored(world, tmp_path):
    """(training file, held-out file) of scores in place of the ranks of the world."""
    paths = []
    for name, source in (("train", world.rankings), ("held_out", world.rankings_held_out)):
        path = tmp_path / f"{name}.jsonl"
        path.write_text("".join(json.dumps(as_scores(row)) + "\n" for row in rows_of(source)))
        paths.append(str(path))
    return paths


def test_rows_of_one_prompt_are_gathered_and_ordered_by_hand(tmp_path):
    other = {"role": "user", "content": "And the dog?"}
    path = tmp_path / "rows.jsonl"
    rows = [
        {"messages": [USER], "completion": "a", "score": 7},
        {"messages": [other], "completions": ["x", "y"], "scores": [2.5, None]},
        {"messages": [USER], "completions": ["b", "c"], "scores": [9, 7.0]},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    first, second = read_scores(str(path))
    assert (first.completions, first.scores, first.ranks, first.row) == (
        ["a", "b", "c"],
        [7, 9, 7.0],
        [2, 1, 2],
        1,
    )
    assert (second.completions, second.ranks, second.row) == (["x", "y"], [1, None], 2)


def test_the_order_of_scores_is_that_of_every_pair():
    scores = [3, 10, 3, 1, None, 8.5]
    ranks = ranks_of(scores)
    for one, first in enumerate(scores):
        for other, second in enumerate(scores):
            if first is not None and second is not None:
                assert (first > second) == (ranks[one] < ranks[other])


def losses(out, name="train_loss") -> list[float]:
    return [event["data"][name] for event in events(out, "metrics") if name in event["data"]]


def test_preferences_from_scores_teach_exactly_what_the_ranks_teach(world, sft_model, scored, tmp_path):
    ranked = world.config("reward", model=str(sft_model), epochs=1)
    assert run_here("reward", ranked, tmp_path / "ranks") == 0
    files = {"train_file": scored[0], "validation_file": scored[1]}
    assert run_here("reward", ranked | files | {"labels": "preferences"}, tmp_path / "scores") == 0
    # The world asks the same of several people: the prompts of a file of scores are fewer, and as good.
    assert len(read_scores(scored[0])) <= 28
    assert losses(tmp_path / "scores", "validation_accuracy")[-1] > 0.5


def test_with_one_row_a_prompt_the_two_are_bit_equal(world, sft_model, tmp_path):
    seen: dict[str, dict] = {}
    for row in rows_of(world.rankings):
        seen.setdefault(json.dumps(row["messages"]), row)
    paths = {}
    for name, change in (("ranks", lambda row: row), ("preferences", as_scores)):
        path = tmp_path / f"{name}.jsonl"
        path.write_text("".join(json.dumps(change(row)) + "\n" for row in seen.values()))
        paths[name] = str(path)
    found = {}
    for name, path in paths.items():
        config = world.config(
            "reward", model=str(sft_model), train_file=path, validation_file="", labels=name, batch_size=4
        )
        assert run_here("reward", config, tmp_path / name) == 0
        found[name] = losses(tmp_path / name)
    assert found["ranks"] == found["preferences"] and len(found["ranks"]) > 2


def test_the_loss_of_scores_by_hand_and_in_double_precision():
    """Scores 2 and 8 of mean 5 and deviation 3 are -1 and 1; predicted 0 and 0.5: (1 + 0.25) / 2."""
    targets = Scale(5.0, 3.0).standardized([2.0, 8.0])
    assert targets == [-1.0, 1.0]
    assert float(score_loss(torch.tensor([0.0, 0.5]), targets)) == 0.625
    torch.manual_seed(0)
    scores, wanted = torch.randn(7), torch.randn(7)
    slow = sum((s - w) ** 2 for s, w in zip(scores.double().tolist(), wanted.double().tolist(), strict=True))
    assert float(score_loss(scores, wanted.tolist())) == pytest.approx(slow / 7, rel=1e-6)


def test_a_regressed_model_learns_the_scores(world, sft_model, scored, tmp_path):
    config = world.config(
        "reward",
        model=str(sft_model),
        train_file=scored[0],
        validation_file=scored[1],
        labels="scores",
        batch_size=4,
        epochs=12,
    )
    assert run_here("reward", config, tmp_path / "r") == 0
    found = losses(tmp_path / "r", "validation_loss")
    assert found[-1] < 0.5 * found[0]
    metrics = result(tmp_path / "r")["metrics"]
    assert metrics["validation_accuracy"] > 0.8
    given = [score for row in rows_of(scored[0]) for score in as_list(row)]
    mean = sum(given) / len(given)
    deviation = math.sqrt(sum((score - mean) ** 2 for score in given) / len(given))
    saved = json.loads((final_checkpoint(tmp_path / "r") / "config.json").read_text())
    assert saved["reward_scale"] == pytest.approx({"mean": mean, "deviation": deviation})
    assert metrics["validation_score_error"] == pytest.approx(deviation * math.sqrt(found[-1]))


def as_list(row: dict) -> list[float]:
    return row["scores"]


def test_single_completions_are_enough_to_regress_and_not_to_compare(world, sft_model, tmp_path):
    path = tmp_path / "rows.jsonl"
    rows = [
        {"messages": [{**USER, "content": f"Question {n}?"}], "completion": "Black.", "score": n}
        for n in range(1, 9)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = world.config(
        "reward", model=str(sft_model), train_file=str(path), validation_file=str(path), batch_size=4
    )
    assert run_here("reward", config | {"labels": "scores"}, tmp_path / "s") == 0
    assert "validation_accuracy" not in result(tmp_path / "s")["metrics"]
    assert run_here("reward", config | {"labels": "preferences"}, tmp_path / "p") == 2
    assert "nothing to learn" in result(tmp_path / "p")["error"]["message"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"scores": [1]}, ["row 1", "field scores", "one score for each of the 2"]),
        ({"scores": [1, "9"]}, ["row 1", "a score is a number", "'9'"]),
        ({"scores": [1, True]}, ["row 1", "a score is a number"]),
        ({"scores": [1, float("nan")]}, ["row 1", "a score is a number"]),
        ({"scores": [1, float("inf")]}, ["row 1", "a score is a number"]),
        ({"completions": ["a", ""]}, ["row 1", "take it out"]),
        ({"completions": "a"}, ["row 1", "list of texts"]),
        ({"scores": [5, 5]}, ["all scores are the same", "collect"]),
    ],
)
def test_bad_scores_are_named_by_row_and_field(world, sft_model, tmp_path, change, words):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"messages": [USER], "completions": ["a", "b"], "scores": [1, 9]} | change))
    config = world.config(
        "reward", model=str(sft_model), train_file=str(path), validation_file="", labels="scores"
    )
    config["batch_size"] = 1
    assert run_here("reward", config, tmp_path / "r") == 2
    for word in words:
        assert word in result(tmp_path / "r")["error"]["message"]

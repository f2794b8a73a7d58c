"""By how much one completion is better: asked for on top of the order (Llama 2, section 3.2.2)."""

import json
import math
from pathlib import Path

import pytest
import torch

from training.rlhf.data import pair_margins, read_rankings, untied_pairs
from training.rlhf.losses import pairwise_loss

from .conftest import result, run_here


def log_sigmoid(value: float) -> float:
    return -math.log(1 + math.exp(-value))


def test_the_loss_with_margins_by_hand():
    """Places 1, 2, 3 with scores 2, 1, -1; boundaries 1 and 1/3, times 3: pairs ask for 3, 4 and 1 more."""
    found = pairwise_loss(torch.tensor([2.0, 1.0, -1.0]), [1, 2, 3], margins=[1.0, 1 / 3], margin_scale=3.0)
    expected = -(log_sigmoid(1 - 3) + log_sigmoid(3 - 4) + log_sigmoid(2 - 1)) / 3
    assert float(found.loss) == pytest.approx(expected, rel=1e-6)
    assert (found.correct, found.pairs) == (3.0, 3)  # right and wrong do not depend on it


def test_the_gradient_with_margins_by_hand():
    """d/ds of -log sigmoid(s_b - s_w - m) is sigmoid(s_b - s_w - m) - 1 for the better one."""
    scores = torch.tensor([0.5, 0.0], requires_grad=True)
    pairwise_loss(scores, [1, 2], margins=[2 / 3], margin_scale=1.0).loss.backward()
    slope = 1 / (1 + math.exp(-(0.5 - 2 / 3))) - 1
    assert scores.grad.tolist() == pytest.approx([slope, -slope], rel=1e-6)


@pytest.mark.parametrize("margins", [None, [None], [0.0]])
def test_without_a_margin_the_loss_is_the_plain_one(margins):
    scores = torch.tensor([0.3, -0.2])
    plain = pairwise_loss(scores, [1, 2]).loss
    assert float(pairwise_loss(scores, [1, 2], margins=margins, margin_scale=3.0).loss) == float(plain)
    assert float(pairwise_loss(scores, [1, 2], margins=[1.0], margin_scale=0.0).loss) == float(plain)


def test_margins_of_pairs_are_those_of_the_slow_version_and_of_the_exports():
    from labeling.formats.canonical import pair_margin

    ranks, margins = [2, 1, 4, None, 3, 2], [1.0, None, 1 / 3]
    better, worse = untied_pairs(ranks)
    found = pair_margins(ranks, margins, better, worse)
    slow = []
    for above, below in zip(better, worse, strict=True):
        parts = [margins[place - 1] for place in range(ranks[above], ranks[below])]
        slow.append(None if None in parts else sum(parts))
    assert found == slow
    assert found == [pair_margin(ranks, margins, pair) for pair in zip(better, worse, strict=True)]


@pytest.mark.parametrize(
    ("margins", "words"),
    [
        ([1.0], "one margin for each of the 2 boundaries"),
        ("far", "one margin for each of the 2 boundaries"),
        ([1.0, -1], "from 0 to 100"),
        ([1.0, True], "from 0 to 100"),
        ([1.0, float("nan")], "from 0 to 100"),
    ],
)
def test_bad_margins_are_named_by_row_and_field(tmp_path, margins, words):
    path = tmp_path / "rows.jsonl"
    row = {"messages": [{"role": "user", "content": "?"}], "completions": ["a", "b", "c"], "ranks": [1, 2, 3]}
    path.write_text(json.dumps(row) + "\n" + json.dumps(row | {"margins": margins}))
    with pytest.raises(Exception, match=words) as caught:
        read_rankings(str(path))
    assert "row 2" in caught.value.message and "margins" in caught.value.message


def run_with_margins(world, sft_model, folder, name: str, **fields) -> dict:
    rows = [json.loads(line) for line in Path(world.rankings).read_text().splitlines()]
    path = folder / f"{name}.jsonl"
    path.write_text("".join(json.dumps(row | {"margins": [1.0, 1 / 3, 0.0]}) + "\n" for row in rows))
    config = world.config("reward", model=str(sft_model), train_file=str(path), epochs=1, **fields)
    assert run_here("reward", config, folder / name) == 0
    return result(folder / name)["metrics"]


def test_a_run_with_margins_drives_scores_further_apart(world, sft_model, tmp_path):
    """And validation is measured without them, so that both losses compare."""
    plain = run_with_margins(world, sft_model, tmp_path, "plain")
    wide = run_with_margins(world, sft_model, tmp_path, "wide", margin_scale=3.0)
    assert wide["validation_loss"] != plain["validation_loss"]
    from training.rlhf.events import read_events

    first = {}
    for name in ("plain", "wide"):
        steps = [e["data"] for e in read_events(tmp_path / name / "events.jsonl") if e["type"] == "metrics"]
        first[name] = (
            steps[0]["validation_loss"],
            next(step["train_loss"] for step in steps if "train_loss" in step),
        )
    assert first["plain"][0] == first["wide"][0]  # the same model before the first step
    assert first["wide"][1] > first["plain"][1]  # and more is asked of it


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"margin_scale": 1.0}, ["margin_scale", "set margin_scale to 0"]),
        ({"margin_scale": 1.0, "labels": "scores"}, ["goes with rankings", "use 0"]),
        ({"margin_scale": -1.0}, ["from 0 to 100"]),
    ],
)
def test_a_scale_without_margins_is_refused_with_what_to_do(world, sft_model, tmp_path, fields, words):
    config = world.config("reward", model=str(sft_model), **fields)
    assert run_here("reward", config, tmp_path / "r") == 2
    for word in words:
        assert word in result(tmp_path / "r")["error"]["message"]


def test_a_run_begun_before_a_field_existed_can_be_resumed(world, sft_model, tmp_path):
    out = tmp_path / "r"
    assert run_here("reward", world.config("reward", model=str(sft_model), epochs=1), out) == 0
    path = out / "config.json"
    stored = json.loads(path.read_text())
    del stored["config"]["margin_scale"]
    path.write_text(json.dumps(stored))
    (out / "result.json").unlink()
    assert run_here("reward", None, out, "--resume") == 0

"""Runs on a share of the rows, and what the curve through them promises."""

import json
import math
from pathlib import Path

import pytest

from training.rlhf.data import read_rankings, share_of_prompts
from training.rlhf.learning_curve import fit, outlook

from .conftest import result, run_here


def test_the_curve_by_hand():
    """60 % at 250, 62 at 500, 64 at 1,000: two points a doubling, so that 1,000 more bring two."""
    points = [(250, 0.60), (500, 0.62), (1000, 0.64)]
    curve = fit(points)
    assert curve.slope == pytest.approx(0.02 / math.log(2)) and curve.at(500) == pytest.approx(0.62)
    found = outlook(points, is_loss=False)
    assert (found.rows, found.gain, found.is_enough) == (1000, pytest.approx(0.02), False)


def test_a_flat_curve_says_enough_and_a_falling_loss_is_a_gain():
    assert outlook([(1000, 0.70), (2000, 0.702), (4000, 0.704)], is_loss=False).is_enough
    found = outlook([(500, 2.0), (1000, 1.8)], is_loss=True)
    assert found.gain == pytest.approx(0.2 / 1.8) and not found.is_enough
    assert outlook([(500, 1.8), (1000, 2.0)], is_loss=True).is_enough  # it gets worse


def test_no_more_is_promised_than_there_is_to_gain():
    """A steep line through few rows, followed far beyond them: a loss below zero, an accuracy above one."""
    found = outlook([(40, 2.0), (80, 1.4), (160, 0.8)], is_loss=True)
    assert (found.gain, found.is_far) == (1.0, True)
    found = outlook([(40, 0.60), (80, 0.75), (160, 0.90)], is_loss=False)
    assert found.gain == pytest.approx(0.1) and found.is_far
    assert (
        outlook([(40, 0.2), (80, 0.1), (160, 0.0)], is_loss=True).gain == 0.0
    )  # nothing left, nor divided by
    assert not outlook([(500, 2.0), (1000, 1.8)], is_loss=True).is_far


def test_the_line_is_the_one_numpy_finds():
    import numpy as np

    points = [(100, 0.55), (300, 0.61), (900, 0.62), (2700, 0.68)]
    slope, start = np.polyfit(np.log([rows for rows, _ in points]), [value for _, value in points], 1)
    assert fit(points) == pytest.approx((start, slope))


def test_one_number_of_rows_is_no_curve():
    assert fit([(100, 0.5), (100, 0.6)]) is None and outlook([(100, 0.5)], is_loss=False) is None


def test_shares_are_of_whole_prompts_and_lie_within_one_another(world):
    rows = read_rankings(world.rankings)
    prompts = {json.dumps(row.prompt) for row in rows}
    before: set[int] = set()
    for share in (0.25, 0.5, 1.0):
        kept = share_of_prompts(rows, share)
        asked = {json.dumps(row.prompt) for row in kept}
        assert len(asked) == math.ceil(share * len(prompts))
        assert len(kept) == sum(json.dumps(row.prompt) in asked for row in rows)  # all of each
        assert before <= {row.row for row in kept}
        before = {row.row for row in kept}
    assert before == {row.row for row in rows}
    assert [row.row for row in share_of_prompts(rows, 0.5)] == sorted(
        row.row for row in share_of_prompts(rows, 0.5)
    )


@pytest.mark.parametrize("stage", ["sft", "reward"])
def test_a_run_learns_from_its_share_and_is_held_out_on_all(world, base_model, sft_model, tmp_path, stage):
    start = base_model if stage == "sft" else sft_model
    config = world.config(stage, model=str(start), epochs=1, batch_size=4, train_share=0.5)
    assert run_here(stage, config, tmp_path / "r") == 0
    metrics = result(tmp_path / "r")["metrics"]
    file, noun = (world.sft, "rows") if stage == "sft" else (world.rankings, "rankings")
    lines = [json.loads(line) for line in Path(file).read_text().splitlines()]
    asked = [json.dumps(row["messages"][: -1 if stage == "sft" else None]) for row in lines]
    assert 0 < metrics[f"train_{noun}"] < len(lines)
    held_out = world.sft_held_out if stage == "sft" else world.rankings_held_out
    assert metrics[f"validation_{noun}"] == len(Path(held_out).read_text().splitlines())
    assert len(set(asked)) > 1

"""A reward model's report, by hand and against the measures of the labeling side."""

import json
import math
import random
from pathlib import Path

import pytest

from training.rlhf.data import Ranking
from training.rlhf.reward_report import (
    JudgedPair,
    calibration,
    ceiling,
    grouped,
    judged_pairs,
    length_group,
    margin_group,
    people_agreement,
    report,
    share_of,
    wilson,
)

from .conftest import events, result, run_here


def pair(difference, prompt="p", **more) -> JudgedPair:
    return JudgedPair(prompt, difference, more.pop("better", 10), more.pop("worse", 10), **more)


def ranking(ranks, who="", prompt="?", **more) -> Ranking:
    texts = ["a", "b", "c"][: len(ranks)]
    return Ranking([{"role": "user", "content": prompt}], texts, ranks, 1, annotator=who, **more)


def test_the_pairs_of_a_ranking_by_hand():
    row = ranking([2, 1, 3], "otter", margins=[1.0, 1 / 3], category="colours")
    found = judged_pairs(row, [0, 1, 2], [0.5, 2.0, 1.0], [4, 5, 6])
    facts = [(p.difference, p.better_length, p.worse_length, p.margin, p.correct) for p in found]
    assert facts == [(1.5, 5, 4, 1.0, 1.0), (-0.5, 4, 6, 1 / 3, 0.0), (1.0, 5, 6, pytest.approx(4 / 3), 1.0)]
    assert {(p.category, p.annotator) for p in found} == {("colours", "otter")}


def test_a_completion_that_was_left_out_takes_its_pairs_along():
    row = ranking([1, 2, 3], margins=[1.0, 1 / 3])
    (only,) = judged_pairs(row, [0, 2], [1.0, 0.0], [4, 6])
    assert only.margin == pytest.approx(4 / 3) and only.worse_length == 6


def test_calibration_by_hand():
    """Differences ln 3 (75 % sure, right) twice, -ln 3 (wrong), ln 9 (90 %, right), 0 (50 %, half)."""
    three = math.log(3)
    found = calibration(
        [pair(d) for d in (three + 1e-9, three + 1e-9, -three - 1e-9, math.log(9) + 1e-9, 0.0)]
    )
    filled = {round(row["low"], 2): row for row in found["bins"] if row["pairs"]}
    assert {low: row["pairs"] for low, row in filled.items()} == {0.5: 1, 0.75: 3, 0.9: 1}
    assert filled[0.75]["confidence"] == pytest.approx(0.75)
    assert filled[0.75]["accuracy"] == pytest.approx(2 / 3)
    assert found["expected_error"] == pytest.approx((3 * abs(0.75 - 2 / 3) + abs(0.9 - 1.0) + 0.0) / 5)


def test_a_model_whose_confidence_is_the_truth_is_calibrated_and_a_boastful_one_is_not():
    chance = random.Random(0)
    honest, boastful = [], []
    for number in range(20_000):
        gap = chance.uniform(0, 4)
        sign = 1 if chance.random() < 1 / (1 + math.exp(-gap)) else -1
        honest.append(pair(sign * gap, number))
        boastful.append(pair(3 * sign * gap, number))
    assert calibration(honest)["expected_error"] < 0.015
    assert calibration(boastful)["expected_error"] > 0.1


def test_groups_of_margins_and_lengths_by_hand():
    margins = [(None, ""), (0.0, "negligible"), (1 / 3, "slight"), (2 / 3, "clear"), (1.0, "significant")]
    margins.append((4 / 3, "more than significant"))
    assert [margin_group(pair(1.0, margin=margin)) for margin, _ in margins] == [name for _, name in margins]
    lengths = [((4, 10), "much shorter"), ((8, 10), "shorter"), ((10, 10), "about as long")]
    lengths += [((10, 8), "longer"), ((10, 4), "much longer"), ((95, 100), "about as long")]
    for (better, worse), name in lengths:
        assert length_group(pair(1.0, better=better, worse=worse)) == name


def test_rows_of_groups_by_hand():
    pairs = [pair(1.0, "p", category="x"), pair(-1.0, "p", category="x"), pair(0.0, "q", category="y")]
    x, y = grouped(pairs, lambda each: each.category)
    assert (x["key"], x["pairs"], x["prompts"], x["accuracy"]) == ("x", 2, 1, 0.5)
    assert (y["key"], y["pairs"], y["accuracy"], y["method"]) == ("y", 1, 0.5, "wilson")
    assert grouped([pair(1.0)], lambda each: each.category) == []  # nobody said a category


def test_the_interval_is_over_prompts_not_pairs():
    """Ten pairs of a prompt that are right or wrong together tell no more than one."""
    single = share_of([[1, 1], [0, 1]] * 20)
    tenfold = share_of([[10, 10], [0, 10]] * 20)
    assert single["method"] == tenfold["method"] == "bootstrap"
    assert (tenfold["low"], tenfold["high"]) == (single["low"], single["high"])
    assert single["low"] == pytest.approx(0.5 - 1.96 * 0.5 / math.sqrt(40), abs=0.03)
    all_right = share_of([[3, 3]] * 40)
    assert all_right["method"] == "wilson" and (all_right["low"], all_right["high"]) == wilson(40, 40)
    assert share_of([])["accuracy"] is None


@pytest.mark.parametrize(("right", "trials"), [(0, 5), (5, 5), (3, 7), (2.5, 9), (80, 100)])
def test_wilson_is_that_of_the_labeling_side(right, trials):
    from labeling.quality.intervals import wilson_interval

    assert wilson(right, trials) == pytest.approx(tuple(wilson_interval(right, trials)), abs=1e-12)


def test_agreement_of_people_by_hand():
    """On (a, b) two of three prefer a: one agreeing pair of people out of three. On (a, c): all three of
    three. On (b, c) one ties: the two others agree."""
    rows = [ranking([1, 2, 3], "x"), ranking([1, 2, 2], "y"), ranking([2, 1, 3], "z")]
    found = people_agreement([*rows, ranking([1, 2, 3], "x", prompt="asked of one person only")])
    assert (found["pairs"], found["prompts"]) == (7, 1)
    # Three judgments of each of the first two, two of the third: 1/3, all and all of them are shared.
    assert found["accuracy"] == pytest.approx((3 / 3 + 3 + 2) / 8)


def test_a_prompt_that_ten_judged_does_not_outweigh_ten_that_two_judged():
    """As the model's accuracy counts judgments: 10 that agree, 20 that do not."""
    rows = [ranking([1, 2], str(who), prompt="all") for who in range(10)]
    rows += [ranking(ranks, str(ranks), prompt=str(n)) for n in range(10) for ranks in ([1, 2], [2, 1])]
    found = people_agreement(rows)
    assert found["accuracy"] == pytest.approx(10 / 30) and found["pairs"] == 55


def test_agreement_of_people_is_that_of_the_labeling_side():
    from labeling.quality import TieRule, pairwise_agreement

    chance = random.Random(2)
    tasks = [
        [[chance.randint(1, 3) for _ in range(3)] for _ in range(chance.randint(2, 5))] for _ in range(20)
    ]
    rows = [
        ranking(ranks, f"who {number}", prompt=f"task {task}")
        for task, rankings in enumerate(tasks)
        for number, ranks in enumerate(rankings)
    ]
    expected = pairwise_agreement(tasks, ties=TieRule.SKIP, resamples=1)
    found = people_agreement(rows)
    assert found["accuracy"] == pytest.approx(expected.value, abs=1e-9) and found["pairs"] == expected.size


def test_a_person_does_not_agree_with_themselves_and_unnamed_ones_are_different_people():
    assert people_agreement([ranking([1, 2], "x"), ranking([1, 2], "x")])["pairs"] == 0
    assert people_agreement([ranking([1, 2]), ranking([1, 2])])["pairs"] == 1


@pytest.mark.parametrize("agreement", [0.3, 0.5, 0.62, 0.726, 1.0])
def test_the_ceiling_is_that_of_the_labeling_side(agreement):
    from labeling.quality.ceiling import accuracy_ceiling

    assert ceiling(agreement) == pytest.approx(accuracy_ceiling(agreement)._asdict())


def test_a_perfect_model_of_noisy_people_reaches_the_ceiling():
    """People choose the truth with 80 %: they agree with 68 %, and knowing the truth is right with 80 %."""
    chance = random.Random(1)
    rows, pairs = [], []
    for number in range(3000):
        for who in ("x", "y"):
            ranks = [1, 2] if chance.random() < 0.8 else [2, 1]
            row = ranking(ranks, who, prompt=str(number))
            rows.append(row)
            pairs += judged_pairs(row, [0, 1], [1.0, 0.0], [3, 3])
    found = report(pairs, rows)
    assert found["overall"]["accuracy"] == pytest.approx(0.8, abs=0.02)
    assert found["people"]["accuracy"] == pytest.approx(0.68, abs=0.03)
    assert found["ceiling"]["high"] == pytest.approx(0.8, abs=0.03)
    assert found["overall"]["low"] < 0.8 < found["overall"]["high"]


def test_a_report_without_people_to_compare_has_no_ceiling():
    found = report([pair(1.0)], [ranking([1, 2])])
    assert found["ceiling"] is None and found["people"]["accuracy"] is None


def test_an_evaluation_tells_the_report(world, reward_model, tmp_path):
    """Its accuracy is that of the run; each row of the file is in it with who judged and what it is about."""
    rows = [json.loads(line) for line in Path(world.rankings_held_out).read_text().splitlines()]
    named = [
        row | {"annotator": who, "category": "animals", "margins": [1.0, 1 / 3, 0.0]}
        for row in rows
        for who in ("otter", "heron")
    ]
    config = world.config(
        "evaluate", reward_model=str(reward_model), comparisons_file=world.write("named.jsonl", named)
    )
    assert run_here("evaluate", config, tmp_path / "e") == 0
    (event,) = events(tmp_path / "e", "report")
    metrics, told = result(tmp_path / "e")["metrics"], event["data"]["report"]
    assert event["data"]["name"] == "reward"
    assert told["overall"]["accuracy"] == metrics["reward_accuracy"]
    assert told["overall"]["pairs"] == metrics["reward_pairs"] == 2 * 5 * len(rows)
    assert {row["key"]: row["pairs"] for row in told["by"]["annotator"]} == dict.fromkeys(
        ("otter", "heron"), 5 * len(rows)
    )
    assert [row["key"] for row in told["by"]["category"]] == ["animals"]
    # Places 1, 1, 3, 4: between 1 and 3 lie 1 and 1/3, to 4 that and 0, between 3 and 4 nothing.
    assert {row["key"]: row["pairs"] for row in told["by"]["margin"]} == {
        "negligible": 2 * len(rows),
        "more than significant": 8 * len(rows),
    }
    assert metrics["people_agreement"] == 1.0 and metrics["reward_ceiling_high"] == 1.0

"""What the benchmark of learning says of texts and rankings whose figures are known."""

from __future__ import annotations

import pytest

from annotate.bench import Bench
from labeling.quality.agreement import TieRule, pairwise_agreement
from labeling.sample_project import prompts, reference_answers, team
from training import bench_learning
from training.bench_learning import QUICK, results_of
from training.learning_figures import accuracy, behind, describe, person_accuracy, win_rate
from training.learning_loop import Answered, Loop

PROMPTS = prompts(0)[:6]
GOOD = [Answered(prompt, reference_answers(prompt)[:2]) for prompt in PROMPTS]
BAD = [Answered(prompt, ["no", "no"]) for prompt in PROMPTS]


def test_accuracy_by_hand():
    """Scores 3 > 2 > 1 against one person who says 1 < 2 = 3 and one who says the reverse: of six pairs two
    are right, one tied, three wrong."""
    ranks = [[[1, 2, 2], [3, 2, 1]]]
    half = accuracy([[3.0, 2.0, 1.0]], ranks, TieRule.HALF)
    assert half["size"] == 6 and half["value"] == pytest.approx(2.5 / 6)
    untied = accuracy([[3.0, 2.0, 1.0]], ranks, TieRule.SKIP)
    assert untied["size"] == 5 and untied["value"] == pytest.approx(2 / 5)


def test_a_model_that_ranks_as_people_do_is_as_right_as_they_agree():
    """One person's order taken for the model's: the accuracy against another is their agreement."""
    one, other = team(seed=3, size=2)
    ranks = [
        [person.rank(row.prompt, row.texts + ["no", "yes yes"]).ranks for person in (one, other)]
        for row in GOOD
    ]
    scores = [[-float(rank) for rank in first] for first, _ in ranks]
    found = accuracy(scores, [[second] for _, second in ranks], TieRule.SKIP)
    assert found["value"] == pytest.approx(pairwise_agreement(ranks, ties=TieRule.SKIP).value)


def test_how_far_behind_is_of_the_comparisons_that_people_make():
    """Three people on one pair: two say that the first is better, one ties. Only the first two compare where
    ties are left out, and a model that says the reverse of both loses all of it; of the person who ties no
    word. With ties half the three comparisons are 1, 1/2 and 1/2, and the model's 0, 1/4 and 1/4."""
    ranks = [[[1, 2], [1, 2], [1, 1]]]
    wrong, right = [[1.0, 2.0]], [[2.0, 1.0]]
    assert behind(wrong, ranks, TieRule.SKIP) | {"low": 0, "high": 0} == {
        "value": 1.0, "low": 0, "high": 0, "size": 1
    }  # fmt: skip
    assert behind(right, ranks, TieRule.SKIP)["value"] == 0.0
    assert behind(wrong, ranks, TieRule.HALF)["value"] == pytest.approx((1 + 0.25 + 0.25) / 3)
    assert behind(right, ranks, TieRule.HALF)["value"] == pytest.approx((0 - 0.25 - 0.25) / 3)
    equal = behind([[1.0, 1.0]], ranks, TieRule.SKIP)  # a model that cannot tell: a coin
    assert equal["value"] == 0.5


def test_a_person_in_the_models_place_tosses_a_coin_for_ties():
    """Three people on one pair, two alike and one who ties: each of the two is told 1 by the other and 1/2 by
    the third; of what the third ties nobody is asked."""
    found = person_accuracy([[[1, 2], [1, 2], [1, 1]]])
    assert found["value"] == 0.75 and found["size"] == 4


def test_how_far_behind_is_agreement_less_accuracy_with_ties_half():
    """By two ways round: the difference of the two shares, and the sum over comparisons."""
    people = team(seed=3, size=4)
    texts = [row.texts + ["no", "yes yes"] for row in GOOD]
    ranks = [
        [person.rank(row.prompt, said).ranks for person in people]
        for row, said in zip(GOOD, texts, strict=True)
    ]
    scores = [[float(len(text)) + place / 8 for place, text in enumerate(said)] for said in texts]
    agreed = pairwise_agreement(ranks, ties=TieRule.HALF).value
    gap = behind(scores, ranks, TieRule.HALF)
    assert gap["value"] == pytest.approx(agreed - accuracy(scores, ranks, TieRule.HALF)["value"])
    assert gap["low"] <= gap["value"] <= gap["high"]


def test_a_win_rate_counts_ties_as_half_and_turns_with_the_sides():
    def longer(row, pair):
        first, second = map(len, pair)
        return (0.5 if first == second else float(second > first)), 1

    assert win_rate(BAD, GOOD, longer)["value"] == 1.0
    assert win_rate(GOOD, BAD, longer)["value"] == 0.0
    assert win_rate(GOOD, GOOD, longer)["value"] == 0.5
    assert win_rate(BAD, GOOD, longer)["size"] == 2 * len(PROMPTS)


def test_a_collapse_shows_in_what_differs():
    good, bad = describe(GOOD), describe(BAD)
    assert good["different"] == 1.0 and bad["different"] == 0.5
    assert bad["distinct_1"] == pytest.approx(1 / 12) and good["distinct_1"] > 3 * bad["distinct_1"]
    assert good["guideline_score"] == 1.0 and bad["words"] == 1.0


def figures(**changes) -> dict:
    share = {"value": 0.75, "low": 0.7, "high": 0.8, "size": 100}
    level = {"value": 0.0, "low": -0.02, "high": 0.02, "size": 100}
    model = {"distinct_1": 0.1, "distinct_2": 0.2, "different": 0.9, "words": 10.0}
    return {
        "agreement_half": share, "accuracy_half": share, "agreement_untied": share, "accuracy_untied": share,
        "behind_half": level, "behind_untied": level, "person_untied": share,
        "blind_win_rate": share, "kl": 2.0, "models": {"sft": model, "ppo": model}, **changes,
    }  # fmt: skip


def missed(*rows: dict) -> set[str]:
    return {result.name for result in results_of(list(rows)) if result.holds is False}


def test_each_bar_can_be_missed():
    assert not missed(figures(), figures())
    low = {"value": 0.65, "low": 0.6, "high": 0.7, "size": 100}
    assert missed(figures(blind_win_rate=low)) == {"PPO wins against SFT, blind, mean"}
    far = {"value": 0.04, "low": 0.02, "high": 0.06, "size": 100}
    assert missed(figures(behind_half=far)) == {"reward model behind people, a tie half, mean"}
    assert missed(figures(behind_untied=far)) == {"the same, where neither person ties, mean"}
    alike = figures()["models"]["sft"] | {"distinct_2": 0.1}
    assert missed(figures(models={"sft": figures()["models"]["sft"], "ppo": alike})) == {
        "distinct_2, PPO over SFT, mean"
    }


def test_prompts_that_measure_are_learnt_from_nowhere(tmp_path):
    loop = Loop(tmp_path, 1, QUICK)
    keys = [{prompt.key for prompt in part} for part in (loop.learning, loop.choosing, loop.held_out)]
    assert [len(part) for part in keys] == [24, 6, 10] and not (keys[0] | keys[1]) & keys[2]
    assert not keys[0] & keys[1]


def test_the_interval_over_seeds_is_students():
    """Of 1, 2, 3, 4, 5: mean 3, deviation sqrt(2.5), 2.776 * sqrt(2.5 / 5) = 1.963."""
    rows = [figures(kl=float(kl)) for kl in range(1, 6)]
    [kl] = [result for result in results_of(rows) if result.name == "KL of PPO to SFT, mean"]
    assert kl.value == 3.0 and kl.note == "1.04 to 4.96 over seeds"
    assert all("seeds" not in result.note for result in results_of(rows[:2]))


@pytest.mark.slow
def test_the_whole_loop_runs_and_goes_on_where_it_was(tmp_path):
    """Tiny sizes: every stage as a child process; a second call starts none of them again."""
    said: list[str] = []
    bench = Bench(tmp_path, quick=True, say=said.append)
    first = {result.name: result.value for result in bench_learning.learning(bench)}
    assert sum(line.startswith("seed 0: ") for line in said) == 10
    said.clear()
    path = next(tmp_path.rglob("figures.json"))
    path.write_text("{}")  # figures of other code: they are made again, of the same runs
    assert {result.name: result.value for result in bench_learning.learning(bench)} == first
    assert len(said) == 1 and "behind_untied" in path.read_text()  # the line of figures

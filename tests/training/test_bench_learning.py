"""What the benchmark of learning says of texts and rankings whose figures are known."""

from __future__ import annotations

import pytest

from annotate.bench import Bench
from labeling.quality.agreement import TieRule, pairwise_agreement
from labeling.sample_project import prompts, reference_answers, team
from training import bench_learning
from training.bench_learning import QUICK, figures_of, results_of
from training.learning_figures import accuracy, describe, win_rate
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
    model = {"distinct_1": 0.1, "distinct_2": 0.2, "different": 0.9, "words": 10.0}
    return {
        "agreement_half": share, "accuracy_half": share, "agreement_untied": share, "accuracy_untied": share,
        "blind_win_rate": share, "kl": 2.0, "models": {"sft": model, "ppo": model}, **changes,
    }  # fmt: skip


def missed(*rows: dict) -> set[str]:
    return {result.name for result in results_of(list(rows)) if result.holds is False}


def test_each_bar_can_be_missed():
    assert not missed(figures(), figures())
    low = {"value": 0.65, "low": 0.6, "high": 0.7, "size": 100}
    assert missed(figures(blind_win_rate=low)) == {"PPO wins against SFT, blind, mean"}
    assert missed(figures(accuracy_half=low)) == {"reward model behind people, a tie half, mean"}
    alike = figures()["models"]["sft"] | {"distinct_2": 0.1}
    assert missed(figures(models={"sft": figures()["models"]["sft"], "ppo": alike})) == {
        "distinct_2, PPO over SFT, mean"
    }


def test_prompts_that_measure_are_learnt_from_nowhere(tmp_path):
    loop = Loop(tmp_path, 1, QUICK)
    keys = [{prompt.key for prompt in part} for part in (loop.learning, loop.choosing, loop.held_out)]
    assert [len(part) for part in keys] == [24, 6, 10] and not (keys[0] | keys[1]) & keys[2]
    assert not keys[0] & keys[1]


def test_what_was_computed_is_found_again(tmp_path, monkeypatch):
    made = []

    class Once:
        def __init__(self, *args) -> None:
            made.append(args)

        def run(self):
            return None

    monkeypatch.setattr(bench_learning, "Loop", Once)
    monkeypatch.setattr(bench_learning, "figures", lambda outcome: figures())
    (tmp_path / "seed-0").mkdir()
    for _ in range(2):
        found = figures_of(tmp_path / "seed-0", 0, QUICK, Bench(tmp_path, say=lambda line: None))
    assert len(made) == 1 and found["kl"] == 2.0


@pytest.mark.slow
def test_the_whole_loop_runs_and_goes_on_where_it_was(tmp_path):
    """Tiny sizes: every stage as a child process; a second call starts none of them again."""
    said: list[str] = []
    bench = Bench(tmp_path, quick=True, say=said.append)
    first = {result.name: result.value for result in bench_learning.learning(bench)}
    assert sum(line.startswith("seed 0: ") for line in said) == 9
    said.clear()
    next(tmp_path.rglob("figures.json")).unlink()
    assert {result.name: result.value for result in bench_learning.learning(bench)} == first
    assert len(said) == 1  # the line of figures

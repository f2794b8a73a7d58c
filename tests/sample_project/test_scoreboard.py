"""Scores and blind win-rates, checked by hand on small cases."""

import json

import pytest

from labeling.sample_project import evaluate_models, reference_answers, training_prompts
from labeling.sample_project.scoreboard import bootstrap_mean, distinct_n, win_rate

PROMPTS = training_prompts()[:40]
GOOD = [reference_answers(prompt)[0] for prompt in PROMPTS]
BAD = ["no" for _ in PROMPTS]


def test_a_model_against_an_equal_one_wins_half():
    rate = win_rate([0.5, 0.7], [0.5, 0.7])
    assert (rate.value, rate.low, rate.high) == (0.5, 0.5, 0.5)


def test_wins_count_one_and_ties_a_half():
    assert win_rate([1, 1, 0, 0.5], [0, 0, 1, 0.5]).value == pytest.approx((1 + 1 + 0 + 0.5) / 4)


def test_the_interval_of_a_mean_is_near_the_textbook_s():
    values = [0.0, 1.0] * 200
    estimate = bootstrap_mean(values)
    half_width = 1.96 * 0.5 / 20
    assert estimate.value == 0.5
    assert estimate.low == pytest.approx(0.5 - half_width, abs=0.01)
    assert estimate.high == pytest.approx(0.5 + half_width, abs=0.01)


def test_no_values_have_no_mean():
    with pytest.raises(ValueError, match="no values"):
        bootstrap_mean([])


def test_distinct_2_counts_different_bigrams():
    assert distinct_n(["a b a b"], 2) == pytest.approx(2 / 3)
    assert distinct_n(["a b", "c d"], 2) == 1.0
    assert distinct_n(["a"], 2) == 0.0


def test_later_models_are_compared_with_those_before_them():
    board = evaluate_models(PROMPTS, {"base": BAD, "sft": GOOD, "ppo": GOOD})
    assert set(board.win_rates) == {("sft", "base"), ("ppo", "sft"), ("ppo", "base")}
    assert board.win_rates["sft", "base"].value == 1.0
    assert board.win_rates["ppo", "sft"].value == 0.5
    assert board.row("ppo").score.value == 1.0


def test_the_board_is_plain_json_and_a_readable_table():
    board = evaluate_models(PROMPTS, {"base": BAD, "sft": GOOD})
    assert json.loads(json.dumps(board.as_dict()))["models"][1]["guideline_score"]["value"] == 1.0
    assert "sft beats base: 100 %" in board.as_text()


@pytest.mark.parametrize(
    ("prompts", "answers", "message"),
    [
        (PROMPTS, {"sft": GOOD[:-1]}, "39 answers for 40 prompts"),
        ([], {"sft": []}, "no prompts"),
    ],
)
def test_answers_must_match_prompts(prompts, answers, message):
    with pytest.raises(ValueError, match=message):
        evaluate_models(prompts, answers)

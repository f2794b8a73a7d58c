"""The report's numbers equal the measures computed one by one, and the reference packages, to 1e-9."""

import random
from itertools import combinations

import krippendorff
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kendalltau

from labeling.quality import (
    TieRule,
    bootstrap_interval,
    cohen_kappa,
    fleiss_kappa,
    krippendorff_alpha,
    pairwise_agreement,
    ranking_alpha,
)
from labeling.quality.agreement_report import Comparisons, by_cut, by_task, disagreements, headline
from labeling.quality.meters_report import meters_report, repeats
from labeling.quality.ratings_report import ratings_report
from labeling.quality.records import DemonstrationRecord, RankingRecord, Vocabulary
from labeling.quality.tallies import MOST_UNITS, estimates, ratio

RANKS = st.lists(st.one_of(st.none(), st.integers(1, 3)), min_size=3, max_size=3)
TASKS = st.lists(st.lists(RANKS, min_size=1, max_size=4), min_size=1, max_size=6)


def records(tasks, **fields):
    """One record for each ranking; people are numbered from 1 in each task."""
    numbers = iter(range(1, 10_000))
    return [
        RankingRecord(
            submission=next(numbers),
            task=task,
            person=person,
            completions=tuple(range(len(ranking))),
            ranks=tuple(ranking),
            **fields,
        )
        for task, rankings in enumerate(tasks, start=1)
        for person, ranking in enumerate(rankings, start=1)
    ]


def signs(ranking):
    return [
        None
        if ranking[i] is None or ranking[j] is None
        else (ranking[i] > ranking[j]) - (ranking[i] < ranking[j])
        for i, j in combinations(range(len(ranking)), 2)
    ]


@settings(max_examples=150, deadline=None)
@given(TASKS)
def test_the_headline_equals_the_measures_one_by_one(tasks):
    found = headline(Comparisons(records(tasks)))
    for name, rule in (
        ("pairwise_agreement", TieRule.HALF),
        ("pairwise_agreement_ties_disagree", TieRule.DISAGREE),
        ("pairwise_agreement_decided", TieRule.SKIP),
    ):
        expected = pairwise_agreement(tasks, ties=rule, resamples=1)
        check_same(found[name]["value"], expected.value)
        assert found[name]["size"] == expected.size
    check_same(found["ranking_alpha"]["value"], ranking_alpha(tasks, resamples=1).value)


@settings(max_examples=100, deadline=None)
@given(TASKS)
def test_agreement_is_what_the_package_holds_against_chance(tasks):
    """Krippendorff's alpha is 1 - observed / expected disagreement; the observed one is 1 - agreement."""
    units = [unit for rankings in tasks for unit in zip(*map(signs, rankings), strict=True)]
    units += [tuple(None if each is None else -each for each in unit) for unit in units]
    given = [each for unit in units if sum(map(is_sign, unit)) > 1 for each in unit if is_sign(each)]
    if len(set(given)) < 2:
        return
    width = max(map(len, units))
    table = np.array([[*unit, *[None] * (width - len(unit))] for unit in units], dtype=float).T
    alpha = krippendorff.alpha(table, level_of_measurement="nominal")
    count = len(given)
    expected = 1 - sum((given.count(each) / count) ** 2 for each in set(given))
    found = headline(Comparisons(records(tasks)))["pairwise_agreement_ties_disagree"]
    assert found["value"] == pytest.approx(1 - (1 - alpha) * expected * count / (count - 1), abs=1e-9)


def is_sign(value):
    return value is not None


def test_a_persons_agreement_weighs_their_tasks_and_two_people_are_two_whoever_else_is_there():
    """1 agrees with nobody of nine on one pair, and with 2 on another: half of what 1 said. 1 and 2 share
    both: half as well."""
    made = records([[[1, 2], *[[2, 1]] * 9], [[1, 2], [1, 2]]])
    by = by_cut(Comparisons(made))
    assert by["person"][0]["key"] == 1
    assert by["person"][0]["agreement"]["value"] == pytest.approx(0.5)
    [pair] = [row for row in by["pair"] if row["key"] == (1, 2)]
    assert (pair["agreement"]["value"], pair["agreement"]["size"]) == (0.5, 2)


def test_a_margin_weighs_each_decision_the_same():
    """Ten people are clearly of one mind on a pair; two contradict each other on each of five."""
    tasks = [[[1, 2]] * 10, *([[1, 2], [2, 1]] for _ in range(5))]
    [row] = by_cut(Comparisons(records(tasks, margins=("clearly",))))["margin"]
    assert (row["agreement"]["value"], row["agreement"]["size"]) == (pytest.approx(0.5), 90 + 10)


def check_same(found, expected):
    assert (found is None) == (expected is None)
    assert expected is None or found == pytest.approx(expected, abs=1e-9)


@settings(max_examples=100, deadline=None)
@given(TASKS)
def test_the_alpha_and_fleiss_of_rankings_equal_the_packages(tasks):
    units = []
    for rankings in tasks:
        for column in zip(*map(signs, rankings), strict=True):
            units += [column, [None if each is None else -each for each in column]]
    shared = [unit for unit in units if sum(each is not None for each in unit) > 1]
    found = headline(Comparisons(records(tasks)))
    check_same(found["ranking_fleiss_kappa"]["value"], fleiss_kappa(shared, resamples=1).value)
    if len({each for unit in shared for each in unit if each is not None}) > 1:
        width = max(len(unit) for unit in shared)
        table = np.array([[*unit, *[None] * (width - len(unit))] for unit in shared], dtype=float).T
        check_same(found["ranking_alpha"]["value"], krippendorff.alpha(table, level_of_measurement="nominal"))


def test_tau_is_scipys_mean():
    rng = random.Random(2)
    tasks = [[[rng.randint(1, 4) for _ in range(5)] for _ in range(3)] for _ in range(20)]
    taus = [
        kendalltau(first, second).statistic
        for rankings in tasks
        for first, second in combinations(rankings, 2)
    ]
    taus = [tau for tau in taus if not np.isnan(tau)]
    found = headline(Comparisons(records(tasks)))["kendall_tau_b"]
    assert found["value"] == pytest.approx(sum(taus) / len(taus), abs=1e-9)
    assert found["size"] == len(taus)


def test_a_pair_of_people_has_the_alpha_and_kappa_of_their_own_judgments():
    rng = random.Random(4)
    tasks = [[[rng.randint(1, 3) for _ in range(4)] for _ in range(3)] for _ in range(12)]
    rows = by_cut(Comparisons(records(tasks)))["pair"]
    assert [row["key"] for row in rows] == [(1, 2), (1, 3), (2, 3)]
    for row in rows:
        first, second = (
            [sign for rankings in tasks for sign in signs(rankings[person - 1])] for person in row["key"]
        )
        both = [*zip(first, second, strict=True)]
        both += [(-a, -b) for a, b in both]
        check_same(row["alpha"]["value"], krippendorff_alpha(both, resamples=1).value)
        check_same(row["cohen_kappa"]["value"], cohen_kappa(*zip(*both, strict=True), resamples=1).value)
        own = [[rankings[row["key"][0] - 1], rankings[row["key"][1] - 1]] for rankings in tasks]
        check_same(row["agreement"]["value"], pairwise_agreement(own, resamples=1).value)


def test_numbering_of_completions_plays_no_part():
    rng = random.Random(6)
    tasks = [[[rng.randint(1, 3) for _ in range(4)] for _ in range(2)] for _ in range(15)]
    order = [2, 0, 3, 1]
    renamed = [[[ranking[i] for i in order] for ranking in rankings] for rankings in tasks]
    one, other = (by_cut(Comparisons(records(each))) for each in (tasks, renamed))
    for name in ("alpha", "agreement", "cohen_kappa", "tau_b"):
        check_same(one["pair"][0][name]["value"], other["pair"][0][name]["value"])


def test_cuts_by_hand():
    alike, swapped = [[1, 2, 3], [1, 2, 3]], [[1, 2, 3], [2, 1, 3]]
    first = records([alike], batch=1, category="a", guideline=1, day=10)
    second = [
        RankingRecord(9, 2, 1, (0, 1, 2), (1, 2, 3), batch=2, category="b", guideline=1, day=11),
        RankingRecord(10, 2, 3, (0, 1, 2), (2, 1, 3), batch=2, category="b", guideline=2, day=12),
    ]
    assert swapped[1] == [2, 1, 3]
    cuts = by_cut(Comparisons([*first, *second]))

    def values(cut):
        return {row["key"]: row["agreement"]["value"] for row in cuts[cut]}

    assert values("batch") == {1: 1.0, 2: pytest.approx(2 / 3)}
    assert values("category") == {"a": 1.0, "b": pytest.approx(2 / 3)}
    assert values("guideline_version") == {1: 1.0, "mixed": pytest.approx(2 / 3)}
    assert values("time") == {10: 1.0, 12: pytest.approx(2 / 3)}
    assert values("person") == {1: pytest.approx(5 / 6), 2: 1.0, 3: pytest.approx(2 / 3)}


def test_margins_by_hand():
    # One is clearly sure of 1 over 2, slightly of 2 over 3; so of 1 over 3 clearly. The other ties 1 and 2.
    task = [
        RankingRecord(1, 1, 1, (0, 1, 2), (1, 2, 3), margins=("clearly", "slightly")),
        RankingRecord(2, 1, 2, (0, 1, 2), (1, 1, 2), margins=("negligibly",)),
    ]
    rows = {row["key"]: row["agreement"] for row in by_cut(Comparisons(task))["margin"]}
    assert (rows["clearly"]["value"], rows["clearly"]["size"]) == (0.75, 2)
    assert (rows["slightly"]["value"], rows["slightly"]["size"]) == (1, 1)
    assert (rows["negligibly"]["value"], rows["negligibly"]["size"]) == (1, 2)


def test_tasks_and_where_people_disagree():
    tasks = [[[1, 2], [2, 1]], [[1, 2], [1, 2]], [[1, 2]]]
    made = records(tasks, prompt_flags=frozenset({"unclear"}), category="a")
    comparisons = Comparisons(made)
    found = by_task(comparisons)
    assert {task: (row.people, row.comparisons, row.value, row.flags) for task, row in found.items()} == {
        1: (2, 1, 0.0, ("unclear",)),
        2: (2, 1, 1.0, ("unclear",)),
    }
    groups = disagreements(comparisons, found)
    assert groups["category"] == [{"key": "a", "tasks": 2, "low": 1, "mean": 0.5}]
    assert groups["flag"] == [{"key": "unclear", "tasks": 2, "low": 1, "mean": 0.5}]


@pytest.mark.parametrize("level", ["ordinal", "interval", "nominal"])
def test_scores_have_the_alpha_of_the_package(level):
    rng = random.Random(8)
    made = [
        RankingRecord(
            task * 10 + person, task, person, (0, 1), (1, 2),
            scores=(rng.randint(1, 7), rng.choice([None, rng.randint(1, 7)])), by_people=(False, True),
        )
        for task in range(15) for person in range(3)
    ]  # fmt: skip
    found = ratings_report(made, [], Vocabulary())
    for section, place in (("scores", 0), ("demonstration_scores", 1)):
        table = np.array(
            [[made[3 * task + person].scores[place] for task in range(15)] for person in range(3)],
            dtype=float,
        )
        expected = krippendorff.alpha(table, level_of_measurement=level, value_domain=list(range(1, 8)))
        check_same(found[section][f"alpha_{level}"]["value"], expected)


def test_flags_have_the_alpha_of_yes_and_no():
    people = [("a", "b"), ("a", ""), ("", "b"), ("", "")]
    made = [
        RankingRecord(n, n // 2, n % 2, (0, 1), (1, 2), flags=tuple(frozenset(each) for each in flags))
        for n, flags in enumerate(people)
    ]
    found = ratings_report(made, [], Vocabulary(completion_flags=("a", "b")))["completion_flags"]
    # Flag a: set by both on one completion of task 0; by nobody else.
    units = [[1, 1], [0, 0], [0, 0], [0, 0]]
    by_flag = {row["key"]: row for row in found["by_flag"]}
    check_same(by_flag["a"]["alpha_nominal"]["value"], krippendorff_alpha(units, resamples=1).value)
    assert by_flag["a"]["used_on"] == 1
    assert found["all"]["alpha_nominal"]["size"] == 8


def test_prompt_flags_of_both_kinds_of_work_count():
    made = [
        DemonstrationRecord(n, 1, n, 10, prompt_flags=frozenset({"unsafe"} if n else ())) for n in range(2)
    ]
    found = ratings_report([], made, Vocabulary(prompt_flags=("unsafe",)))["prompt_flags"]
    assert found["all"]["alpha_nominal"]["size"] == 1
    check_same(found["all"]["alpha_nominal"]["value"], krippendorff_alpha([[0, 1]], resamples=1).value)


def test_resampling_in_groups_gives_the_interval_of_resampling_one_by_one():
    rng = np.random.default_rng(1)
    rows = np.column_stack([rng.random(4 * MOST_UNITS), np.ones(4 * MOST_UNITS)])
    [grouped] = estimates(rows, [(ratio(0, 1), len(rows))], resamples=1000)
    slow = bootstrap_interval(len(rows), lambda weights: float(weights @ rows[:, 0] / weights.sum()))
    width = grouped.interval.high - grouped.interval.low
    assert width == pytest.approx(slow.high - slow.low, rel=0.12)
    assert grouped.value == pytest.approx(rows[:, 0].mean(), abs=1e-12)


# --- Meters -----------------------------------------------------------------------------------------------
def leaning(person, first_wins, count=40):
    """`count` pairs of equal length, the first shown of which wins in so many."""
    return [
        RankingRecord(
            person * 1000 + n, person * 1000 + n, person, (2 * n, 2 * n + 1),
            (1, 2) if n < first_wins else (2, 1), shown=(0, 1), lengths=(10 + n % 3, 20), seconds=30,
        )
        for n in range(count)
    ]  # fmt: skip


def test_a_leaning_to_the_first_is_marked_and_an_even_hand_is_not():
    found = meters_report([*leaning(1, 38), *leaning(2, 20)], [])
    marks = {row["person"]: row["position"]["is_marked"] for row in found["people"]}
    assert marks == {1: True, 2: False}
    assert found["readings"] == 4
    assert found["expected_by_chance"] == pytest.approx(0.2)


def test_length_is_compared_with_the_others_not_with_one_half():
    found = meters_report([*leaning(1, 10), *leaning(2, 10)], [])
    assert [row["length"]["baseline"] for row in found["people"]] == [0.75, 0.75]
    assert [row["length"]["is_marked"] for row in found["people"]] == [False, False]


def test_few_pairs_are_shown_but_not_marked():
    [row] = meters_report(leaning(1, 20, count=20), [])["people"]
    assert (row["position"]["value"], row["position"]["is_marked"]) == (1.0, None)


def test_the_same_completions_ranked_twice_by_one_person_are_a_repeat():
    first = RankingRecord(1, 1, 7, (5, 6, 8), (1, 2, 3))
    again = RankingRecord(2, 2, 7, (8, 5, 6), (3, 2, 1))
    other = RankingRecord(3, 3, 8, (5, 6, 8), (1, 2, 3))
    assert repeats([again, other, first]) == {7: [((1, 2, 3), (2, 1, 3))]}

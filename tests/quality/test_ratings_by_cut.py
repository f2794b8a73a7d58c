"""Agreement on scores and flags by cut equals the public package's on the same ratings, to 1e-9."""

from itertools import combinations

import krippendorff
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labeling.quality.agreement_report import Comparisons, by_cut
from labeling.quality.ratings_by_cut import add_ratings
from labeling.quality.ratings_report import ratings_report
from labeling.quality.records import Asked, RankingRecord, Vocabulary

THINGS = 3
JUDGMENT = st.tuples(
    st.lists(st.one_of(st.none(), st.integers(1, 7)), min_size=THINGS, max_size=THINGS),
    st.lists(st.frozensets(st.sampled_from(["harmful", "rude"])), min_size=THINGS, max_size=THINGS),
    st.integers(1, 2),  # the guideline version read
)
TASKS = st.lists(st.lists(JUDGMENT, min_size=1, max_size=4), min_size=1, max_size=6)
WORDS = Vocabulary(("harmful", "rude"))


def records(tasks):
    numbers = iter(range(1, 1_000))
    return [
        RankingRecord(
            submission=next(numbers), task=task, person=person, completions=(0, 1, 2), ranks=(1, 2, 3),
            scores=tuple(scores), flags=tuple(flags), batch=task % 2, category="ab"[task % 2],
            guideline=version, day=task,
        )
        for task, judgments in enumerate(tasks, start=1)
        for person, (scores, flags, version) in enumerate(judgments, start=1)
    ]  # fmt: skip


def measured(rankings):
    comparisons = Comparisons(rankings)
    by = by_cut(comparisons)
    add_ratings(by, comparisons, WORDS)
    return by


def reference(units, level):
    """alpha over units, each a list of the ratings it got; None where the package has none."""
    scale = list(range(1, 8)) if level == "ordinal" else [0, 1]
    counts = np.array([[unit.count(value) for value in scale] for unit in units if len(unit) > 1])
    if not len(counts) or (counts.sum(axis=0) > 0).sum() < 2:
        return None
    return krippendorff.alpha(value_counts=counts, value_domain=scale, level_of_measurement=level)


def scores_of(chosen):
    tasks = sorted({record.task for record in chosen})
    return [
        [r.scores[i] for r in chosen if r.task == task and r.scores[i] is not None]
        for task in tasks
        for i in range(THINGS)
    ]


def flags_of(chosen):
    tasks = sorted({record.task for record in chosen})
    return [
        [int(key in r.flags[i]) for r in chosen if r.task == task]
        for task in tasks
        for i in range(THINGS)
        for key in WORDS.completion_flags
    ]


def check(row, units_of_scores, units_of_flags):
    for name, units, level in (
        ("scores_alpha", units_of_scores, "ordinal"),
        ("flags_alpha", units_of_flags, "nominal"),
    ):
        expected = reference(units, level)
        assert row[name]["size"] == sum(len(unit) > 1 for unit in units)
        if expected is None:
            assert row[name]["value"] is None
        else:
            assert row[name]["value"] == pytest.approx(expected, abs=1e-9)


@settings(max_examples=80, deadline=None)
@given(TASKS)
def test_by_batch_category_time_and_guideline_version_it_is_alpha_over_what_was_rated_there(tasks):
    rankings = records(tasks)
    by = measured(rankings)
    for cut, field in (("batch", "batch"), ("category", "category"), ("time", "day")):
        for row in by[cut]:
            chosen = [record for record in rankings if getattr(record, field) == row["key"]]
            check(row, scores_of(chosen), flags_of(chosen))
    for row in by["guideline_version"]:
        if row["key"] != "mixed":
            chosen = [record for record in rankings if record.guideline == row["key"]]
            check(row, scores_of(chosen), flags_of(chosen))


@settings(max_examples=80, deadline=None)
@given(TASKS)
def test_by_person_and_pair_each_two_ratings_of_a_thing_are_a_unit(tasks):
    rankings = records(tasks)
    by = measured(rankings)
    together = [(a, b) for a, b in combinations(rankings, 2) if a.task == b.task]
    for cut in ("person", "pair"):
        for row in by[cut]:
            wanted = {row["key"]} if cut == "person" else set(row["key"])
            units = {"scores": [], "flags": []}
            for a, b in together:
                people = {a.person, b.person}
                if wanted <= people and (cut == "person" or people == wanted):
                    units["scores"] += scores_of([a, b])
                    units["flags"] += flags_of([a, b])
            check(row, units["scores"], units["flags"])


def test_margins_are_of_rankings_only_and_nothing_rated_is_nothing_known():
    rankings = [
        RankingRecord(
            submission=n, task=1, person=n, completions=(0, 1), ranks=(1, 2), margins=("clearly",), batch=7
        )
        for n in (1, 2)
    ]
    by = measured(rankings)
    assert "scores_alpha" not in by["margin"][0]
    [row] = by["batch"]
    assert row["scores_alpha"] == {"value": None, "low": None, "high": None, "size": 0}


ON_SOME_SCALE = st.sampled_from([(1, 7), (0, 10), (1, 3)]).flatmap(
    lambda scale: st.tuples(
        st.just(scale),
        st.lists(st.one_of(st.none(), st.integers(*scale)), min_size=THINGS, max_size=THINGS),
    )
)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(ON_SOME_SCALE, min_size=1, max_size=5), min_size=1, max_size=6))
def test_scores_of_one_scale_are_compared_and_of_two_never(tasks):
    rankings = [
        RankingRecord(
            submission=10 * task + person, task=task, person=person, completions=(0, 1, 2), ranks=(1, 2, 3),
            scores=tuple(scores), flags=(frozenset(),) * THINGS, batch=1, asked=Asked(scale=scale),
        )
        for task, judgments in enumerate(tasks)
        for person, (scale, scores) in enumerate(judgments)
    ]  # fmt: skip
    units = {
        scale: [
            unit
            for unit in scores_of([record for record in rankings if record.asked.scale == scale])
            if len(unit) > 1
        ]
        for scale in ((1, 3), (1, 7), (0, 10))
    }
    scale = max(units, key=lambda each: (len(units[each]), each))
    found = ratings_report(rankings, [], WORDS)["scores"]
    assert found["alpha_ordinal"]["size"] == len(units[scale])
    assert found["left_out"] == sum(map(len, units.values())) - len(units[scale])
    values = [value for unit in units[scale] for value in unit]
    expected = None
    if len(set(values)) > 1:
        assert tuple(found["scale"]) == scale
        steps = list(range(scale[0], scale[1] + 1))
        counts = np.array([[unit.count(step) for step in steps] for unit in units[scale]])
        expected = krippendorff.alpha(value_counts=counts, value_domain=steps, level_of_measurement="ordinal")
    for row in [found["alpha_ordinal"], *(row["scores_alpha"] for row in measured(rankings)["batch"])]:
        assert row["value"] == (None if expected is None else pytest.approx(expected, abs=1e-9))


def test_a_flag_that_a_form_did_not_offer_was_not_answered_with_no():
    old, new = (
        Asked(completion_flags=frozenset({"rude"})),
        Asked(completion_flags=frozenset(WORDS.completion_flags)),
    )
    rankings = [
        RankingRecord(
            submission=person, task=1, person=person, completions=(0, 1), ranks=(1, 2), flags=flags, batch=1,
            asked=asked,
        )
        for person, asked, flags in (
            (1, old, (frozenset({"rude"}), frozenset())),
            (2, new, (frozenset({"rude"}), frozenset({"harmful"}))),
            (3, new, (frozenset({"rude"}), frozenset({"harmful"}))),
        )
    ]  # fmt: skip
    found = ratings_report(rankings, [], WORDS)["completion_flags"]
    harmful = next(row for row in found["by_flag"] if row["key"] == "harmful")
    assert harmful["alpha_nominal"]["value"] == 1  # of the two who could say so
    assert measured(rankings)["batch"][0]["flags_alpha"]["value"] == 1

"""Answers of several models to one prompt become one group, across files."""

import pytest

from labeling.formats import FormatError, Limits, group_completions
from tests.formats.making import jsonl, read


def outputs(model, *prompts):
    data = jsonl(*({"instruction": p, "output": f"{model} on {p}", "generator": model} for p in prompts))
    return read(data, kind="completions")


def test_files_are_joined_prompt_by_prompt_in_the_order_of_the_first():
    groups = list(group_completions(outputs("m1", "a", "b") + outputs("m2", "b", "c")))
    assert [g.messages[0]["content"] for g in groups] == ["a", "b", "c"]
    assert [[c.generator for c in g.completions] for g in groups] == [["m1"], ["m1", "m2"], ["m2"]]
    assert all(g.tiers is None for g in groups)


def test_the_same_answer_of_the_same_model_is_kept_once():
    (group,) = group_completions(outputs("m1", "a") + outputs("m1", "a"))
    assert len(group.completions) == 1


def test_ranked_records_pass_through():
    row = {"prompt": "a", "completions": ["x", "y"], "ranks": [1, 2]}
    records = read(jsonl(row), kind="completions")
    assert list(group_completions(records)) == records


def test_too_many_answers_to_one_prompt_are_refused():
    records = [r for n in range(3) for r in outputs(f"m{n}", "a")]
    with pytest.raises(FormatError, match="3 completions of one prompt; at most 2"):
        list(group_completions(records, limits=Limits(max_completions=2)))


def test_too_much_text_to_hold_is_refused():
    with pytest.raises(FormatError, match="more than 10 characters"):
        list(group_completions(outputs("m1", "abcdef", "ghijkl"), limits=Limits(max_grouped_characters=10)))

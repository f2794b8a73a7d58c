"""Near duplicates of a dataset, against comparing each text with each."""

import random
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labeling.preparation import near
from labeling.preparation.near import NearIndex, words

VOCABULARY = [f"word{number}" for number in range(40)]


def exact_groups(texts, threshold=near.THRESHOLD):
    """The slow obvious version: sets of word triples, every pair, components by repeated merging."""

    def triples(text):
        found = words(text)
        return {tuple(found[i : i + 3]) for i in range(len(found) - 2)} if len(found) >= 8 else set()

    shingled = [triples(text) for text in texts]
    groups = [{number} for number in range(len(texts))]
    for one, other in combinations(range(len(texts)), 2):
        a, b = shingled[one], shingled[other]
        if a and b and len(a & b) >= threshold * len(a | b):
            first = next(group for group in groups if one in group)
            second = next(group for group in groups if other in group)
            if first is not second:
                first |= second
                groups.remove(second)
    return sorted(sorted(group) for group in groups if len(group) > 1)


def groups_of(texts):
    with NearIndex() as index:
        for text in texts:
            index.add(text)
        return index.groups()


def made_texts(seed, size=60):
    """Texts of which some are others with a few words changed: similarities lie on both sides of 0.8."""
    drawn = random.Random(seed)
    texts = []
    for _ in range(size):
        if texts and drawn.random() < 0.5:
            changed = drawn.choice(texts).split()
            for _ in range(drawn.randrange(3)):
                changed[drawn.randrange(len(changed))] = drawn.choice(VOCABULARY)
            texts.append(" ".join(changed))
        else:
            texts.append(" ".join(drawn.choices(VOCABULARY, k=drawn.randrange(5, 60))))
    return texts


@pytest.mark.parametrize("seed", range(8))
def test_groups_are_those_of_comparing_each_with_each(seed):
    texts = made_texts(seed)
    assert exact_groups(texts)  # there is something to find
    assert groups_of(texts) == exact_groups(texts)


def test_many_copies_of_one_template_are_one_group():
    texts = [f"please write a short and friendly letter to my dear old aunt number {n}" for n in range(300)]
    assert groups_of(texts) == exact_groups(texts) == [list(range(300))]


def test_texts_too_short_to_say_are_in_no_group():
    assert groups_of(["Paris.", "Paris.", "Paris is it", "Paris is it"]) == []


def test_case_and_punctuation_do_not_count_and_scripts_without_blanks_do():
    assert groups_of(
        ["One two three, four five six seven eight!", "one TWO three four five six - seven eight"]
    ) == [[0, 1]]
    assert groups_of(["今日はとても良い天気ですね", "今日はとても良い天気ですね。"]) == [[0, 1]]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(max_size=80), max_size=8))
def test_whatever_the_texts_copies_are_found_and_nothing_is_in_two_groups(texts):
    found = groups_of(texts + texts)
    flat = [number for group in found for number in group]
    assert len(flat) == len(set(flat))
    for number, text in enumerate(texts):
        if len(words(text)) >= near.LEAST_WORDS:
            assert any({number, number + len(texts)} <= set(group) for group in found)

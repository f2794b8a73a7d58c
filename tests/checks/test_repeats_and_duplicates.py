"""An answer that says the prompt again, and answers that are nearly alike."""

from __future__ import annotations

import random

import pytest

from labeling.checks import band_keys, find_repeated_prompt, similarity
from labeling.checks.near_duplicates import BANDS, shingles

TEXT = "The quick brown fox jumps over the lazy dog while seven wizards quietly brew strong coffee in Paris"


def repeats(text: str, *turns: str) -> list[str]:
    return [text[each.start : each.end] for each in find_repeated_prompt(text, turns)]


def test_a_prompt_repeated_is_found_whatever_its_case_and_punctuation():
    assert repeats("Well: what is the CAPITAL of France? Paris.", "What is the capital of France?") == [
        "what is the CAPITAL of France"
    ]


def test_an_answer_in_a_full_sentence_is_no_repeat():
    assert repeats("The capital of France is Paris.", "What is the capital of France?") == []


def test_most_of_a_long_turn_in_one_piece_is_a_repeat_and_half_of_it_is_not():
    words = TEXT.split()
    assert repeats(" ".join(words[:15]) + " end", TEXT) == [" ".join(words[:15])]
    assert repeats(" ".join(words[:9]) + " end", TEXT) == []


def test_a_short_turn_may_return():
    assert repeats("Why? Why not now?", "Why not now?") == []


def test_scripts_without_blanks_are_compared_by_character():
    assert repeats("法国的首都是哪里?是巴黎。", "法国的首都是哪里?") == ["法国的首都是哪里"]


def test_similarity_is_the_share_of_common_three_word_pieces():
    words = TEXT.split()
    other = " ".join([*words[:-1], "London"])
    # 18 words make 16 pieces; one differs on each side: 15 of 17.
    assert len(shingles(TEXT)) == 16
    assert similarity(TEXT, other) == pytest.approx(15 / 17)
    assert similarity(TEXT, TEXT.upper() + "!!") == 1
    assert similarity("Paris.", "Paris.") == 0  # too short to say


def test_near_duplicates_share_a_band_and_strangers_do_not():
    generator = random.Random(7)
    words = [f"w{number}" for number in range(400)]
    met = missed = strangers = 0
    for _ in range(100):
        text = [generator.choice(words) for _ in range(120)]
        changed = list(text)
        changed[generator.randrange(120)] = "else"  # about 95 % stays
        other = [generator.choice(words) for _ in range(120)]
        keys = set(band_keys(" ".join(text)))
        found = bool(keys & set(band_keys(" ".join(changed))))
        met, missed = met + found, missed + (not found)
        strangers += bool(keys & set(band_keys(" ".join(other))))
    assert (met, missed, strangers) == (100, 0, 0)


def test_keys_are_the_same_in_every_process_and_fit_a_signed_64_bit_column():
    keys = band_keys(TEXT)
    assert len(keys) == BANDS
    assert all(-(2**63) <= key < 2**63 for key in keys)
    assert keys[0] == FIRST_KEY


FIRST_KEY = 8631990038109818359  # stored keys of years ago must still meet

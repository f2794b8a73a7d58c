"""Blocked words: whole words whatever their case, form or disguise; stretches are code points of the raw
text.
"""

from __future__ import annotations

import pytest

from labeling.checks import find_blocked_words


def stretches(text: str, *words: str) -> list[str]:
    return [text[found.start : found.end] for found in find_blocked_words(text, words)]


@pytest.mark.parametrize(
    ("text", "word", "found"),
    [
        ("A damn good day", "damn", ["damn"]),
        ("DAMN. Damn, damn!", "damn", ["DAMN", "Damn", "damn"]),
        ("the class and the assassin", "ass", []),
        ("ass_hat and ass2", "ass", []),
        ("STRASSE", "straße", ["STRASSE"]),
        ("Straße", "STRASSE", ["Straße"]),
        ("ｄａｍｎ wide", "damn", ["ｄａｍｎ"]),
        ("da\u00admn it, da\u200bmn it", "damn", ["da\u00admn", "da\u200bmn"]),
        ("two   bad\nwords here", "bad words", ["bad\nwords"]),
        ("café", "cafe", []),
        ("cafe\u0301 open", "café", ["cafe\u0301"]),
        ("café", "cafe\u0301", ["café"]),
        ("这是坏话吗", "坏话", ["坏话"]),
        ("ไม่ดีเลย", "ดี", ["ดี"]),
        ("धर्म", "धर", []),
        ("learn C++ now", "c++", ["C++"]),
        ("no 💩 here", "💩", ["💩"]),
        ("", "damn", []),
        ("damn", "   ", []),
    ],
)
def test_a_word_is_found_as_a_whole_and_where_it_stands(text, word, found):
    assert stretches(text, word) == found


def test_places_after_characters_beyond_the_first_plane_are_code_points():
    [found] = find_blocked_words("🦀🦀 ß DAMN", ["damn"])
    assert (found.start, found.end, found.kind) == (5, 9, "word")


def test_where_two_terms_begin_the_longer_is_said():
    assert stretches("a bad apple", "bad", "bad apple") == ["bad apple"]


def test_a_long_text_against_a_long_list_is_quick():
    import time

    words = [f"word{number}" for number in range(5_000)]
    begun = time.perf_counter()
    assert stretches("lorem ipsum " * 1_600 + "word42", *words) == ["word42"]
    assert time.perf_counter() - begun < 5

"""What followed a run is stored in English and read in the reader's language."""

from __future__ import annotations

import pytest

from training import follow_up_words
from training.follow_up_words import SENTENCES, in_the_readers_words

VALUES = {"run": "Sample run 3", "n": "1,200", "number": 7, "batch": "“A” (b)\nc", "waiting": 0}


@pytest.mark.parametrize("sentence", SENTENCES)
def test_each_sentence_is_found_again_with_its_values(sentence, monkeypatch):
    monkeypatch.setattr(follow_up_words, "gettext", lambda text: f"[{text}]")
    assert in_the_readers_words(sentence % VALUES) == f"[{sentence}]" % VALUES


def test_other_texts_are_looked_up_whole(monkeypatch):
    monkeypatch.setattr(follow_up_words, "gettext", str.upper)
    assert in_the_readers_words("The run left no scores.") == "THE RUN LEFT NO SCORES."
    assert in_the_readers_words("") == ""

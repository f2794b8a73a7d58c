"""People's names, told by rules: what is found, and what is left alone."""

from __future__ import annotations

import pytest

from labeling.checks.names import given_names, name_places
from labeling.checks.personal_data import find_personal_data


def names_in(text):
    return [text[start:end] for start, end in name_places(text)]


@pytest.mark.parametrize(
    "text, names",
    [
        ("I met Mary Jones today.", ["Mary Jones"]),
        ("Philip K. Dick wrote it, Leonardo da Vinci drew it.", ["Philip K. Dick", "Leonardo da Vinci"]),
        ("Martin Luther King spoke.", ["Martin Luther King"]),
        ("Audra McDonald's book", ["Audra McDonald"]),
        ("Ask Dr. Brown or Mrs Rylan's class.", ["Brown", "Rylan"]),
        ("Frau Müller und Herr Szöllösy", ["Müller", "Szöllösy"]),
        ("my name is Zebulonia, hello", ["Zebulonia"]),
        ("Kind regards,\nJürgen Groß", ["Jürgen Groß"]),
        ("克拉拉（Clara Hinklin）婚前", ["Clara Hinklin"]),
        ("Tim Berners-Lee", ["Tim Berners-Lee"]),
    ],
)
def test_names_are_found_where_they_begin_and_end(text, names):
    assert names_in(text) == names


@pytest.mark.parametrize(
    "text",
    [
        "Paris and April are lovely.",
        "Will Congress ever agree?",
        "The Roman Empire fell.",
        "They study at Henry College.",
        "He lives at Peter Zuidhove 188.",
        "Take Martin Luther King Boulevard.",
        "Mary is here.",  # a given name alone
        "JOHN SMITH",
        "see mary.jones@example.org",
        "Saint Peter Parker",
        "Monday Tuesday",
    ],
)
def test_places_works_and_ordinary_words_are_left_alone(text):
    assert names_in(text) == []


def test_names_are_personal_data_only_when_asked_for():
    text = "Mary Jones, mary@example.org"
    assert [each.kind for each in find_personal_data(text)] == ["email"]
    assert [each.kind for each in find_personal_data(text, names=True)] == ["name", "email"]


def test_nothing_makes_them_slow():
    for text in ("Mary " * 20_000, "A. " * 20_000, "Mary-Ann" * 20_000, "Dr. " * 20_000, "de la " * 20_000):
        assert all(0 <= start < end <= len(text) for start, end in name_places(text))


def test_the_list_holds_names_and_no_words():
    names = given_names()
    assert {"mary", "peter", "jürgen", "łukasz"} <= names
    assert not {"will", "paris", "april", "the", "may"} & names

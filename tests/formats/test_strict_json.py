"""The fast and the strict reader give the same value, and nothing unstrict gets by."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labeling.formats import FormatError
from labeling.formats.strict_json import parse_json

SAFE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**63), 2**64 - 1),
        st.floats(allow_nan=False, allow_infinity=False),
        SAFE,
        st.sampled_from(['":', '\\":', '{"a":1}', "\\u0000", "\u2028"]),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(SAFE, inner, max_size=3)),
    max_leaves=12,
)


@settings(max_examples=400)
@given(VALUES, st.booleans())
def test_every_plain_value_is_read_as_the_standard_library_reads_it(value, is_ascii):
    text = json.dumps(value, ensure_ascii=is_ascii)
    result = parse_json(text.encode())
    assert result == value
    assert json.dumps(result) == json.dumps(value)


@settings(max_examples=200)
@given(
    st.dictionaries(SAFE, VALUES, min_size=1, max_size=3), st.sampled_from(["", " ", "\t", "\r"]), st.data()
)
def test_a_key_given_twice_is_never_missed(value, blank, data):
    key = data.draw(st.sampled_from(sorted(value)))
    members = [f"{json.dumps(k)}{blank}:{json.dumps(v)}" for k, v in value.items()]
    text = "{" + ",".join([*members, f"{json.dumps(key)}{blank}:1"]) + "}"
    with pytest.raises(FormatError, match="given twice"):
        parse_json(text.encode())


def test_a_key_spelled_with_an_escape_is_the_same_key():
    with pytest.raises(FormatError, match="given twice"):
        parse_json(rb'{"prompt": 1, "pro\u006dpt": 2}')


def test_64_levels_are_read_and_65_are_not():
    assert parse_json(b"[" * 64 + b"]" * 64)
    with pytest.raises(FormatError, match="nested more than 64"):
        parse_json(b"[" * 65 + b"]" * 65)


def test_brackets_inside_text_are_no_levels():
    assert parse_json(json.dumps({"a": "[{" * 500 + '"'}).encode()) == {"a": "[{" * 500 + '"'}


def test_a_number_of_ten_thousand_digits_is_refused():
    with pytest.raises(FormatError, match="64 bits"):
        parse_json(b'{"n": ' + b"9" * 10_000 + b"}")

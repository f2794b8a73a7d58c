"""Canonical rows have one byte form, and ranks, tiers and pairs say the same thing."""

import hashlib
import json
import os
import subprocess
import sys

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeling.formats import (
    ExportError,
    canonical_line,
    comparison_row,
    dense_ranks,
    pairs_from_ranks,
    prompt_row,
    ranks_by_id,
    ranks_from_tiers,
    sft_row,
    tiers_from_ranks,
)
from labeling.formats.canonical import pair_margin

from .slow_canonical import slow_line

USER = {"role": "user", "content": "Grüß Gott"}
RANKS = st.lists(st.one_of(st.none(), st.integers(1, 9)), min_size=2, max_size=9)


def three(ranks, **more):
    completions = [{"id": c, "text": c.upper(), "generator": "m"} for c in "abc"]
    return comparison_row(
        id="r1", prompt_id="p1", messages=[USER], completions=completions, ranks=ranks, source={}, **more
    )


def test_the_line_of_a_row_is_these_bytes():
    row = sft_row(
        id="d1",
        prompt_id="p1",
        messages=[USER],
        answer="Servus",
        source={"judgment": 7, "annotator": "ann-x"},
    )
    assert (
        canonical_line(row)
        == (
            '{"id":"d1","messages":[{"content":"Grüß Gott","role":"user"},'
            '{"content":"Servus","role":"assistant"}],'
            '"prompt_id":"p1","source":{"annotator":"ann-x","judgment":7}}\n'
        ).encode()
    )


def test_the_order_of_keys_does_not_matter():
    row = {"b": {"y": 1, "x": 2}, "a": 1}
    assert (
        canonical_line(row)
        == canonical_line({"a": 1, "b": {"x": 2, "y": 1}})
        == b'{"a":1,"b":{"x":2,"y":1}}\n'
    )


def test_the_bytes_do_not_depend_on_hash_seed_locale_or_time_zone():
    code = (
        "from labeling.formats import canonical_line, split_of, prompt_digest, prompt_group\n"
        "m = [{'role': 'user', 'content': 'Grüß Gott'}]\n"
        "row = {k: {k} and [k, 0.1, 1e22] for k in {'z', 'ä', 'b'}}\n"
        "split = split_of('p', 's', {'train': .8, 'validation': .1, 'test': .1})\n"
        "print(canonical_line(row), prompt_digest(m), prompt_group(m), split)"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            check=True,
            capture_output=True,
            env={**os.environ, "PYTHONHASHSEED": seed, "LC_ALL": locale, "TZ": zone, "PYTHONUTF8": "1"},
        ).stdout
        for seed, locale, zone in (("0", "C", "UTC"), ("1", "tr_TR.UTF-8", "Asia/Tokyo"), ("2", "C", "UTC"))
    }
    assert len(outputs) == 1
    digest = hashlib.sha256(b"\0\0\0\0\0\0\0\x04user\0\0\0\0\0\0\0\x0b" + "Grüß Gott".encode()).hexdigest()
    assert digest.encode() in outputs.pop()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [float("-inf")], {1, 2}, {3: "three"}])
def test_what_json_cannot_hold_is_refused(value):
    with pytest.raises(ExportError):
        canonical_line({"a": value})


def test_ranks_are_renumbered_without_gaps():
    assert three([7, 2, None])["ranks"] == [2, 1, None]


def test_margins_must_fit_the_boundaries():
    assert three([1, 2, 2], margins=[0.5])["margins"] == [0.5]
    with pytest.raises(ExportError, match="2 margins for 1 boundaries"):
        three([1, 2, 2], margins=[0.5, 1])


def test_ranks_must_fit_the_completions():
    with pytest.raises(ExportError, match="2 ranks for 3 completions"):
        three([1, 2])


def test_ids_of_completions_must_differ():
    twice = [{"id": "a", "text": "1"}, {"id": "a", "text": "2"}]
    with pytest.raises(ExportError, match="same id"):
        comparison_row(id="r", prompt_id="p", messages=[USER], completions=twice, ranks=[1, 2], source={})


def test_a_prompt_must_end_with_the_user():
    with pytest.raises(ExportError, match="ends with the user"):
        prompt_row(id="p", prompt_id="p", messages=[USER, {"role": "assistant", "content": "x"}])


@given(RANKS)
def test_tiers_and_ranks_are_two_ways_to_write_one_order(ranks):
    assert ranks_from_tiers(tiers_from_ranks(ranks), len(ranks)) == dense_ranks(ranks)


@given(RANKS)
def test_pairs_are_those_that_the_ranks_decide(ranks):
    size = range(len(ranks))
    expected = {
        (i, j)
        for i in size
        for j in size
        if ranks[i] is not None and ranks[j] is not None and ranks[i] < ranks[j]
    }
    pairs = list(pairs_from_ranks(ranks))
    assert set(pairs) == expected
    assert len(pairs) == len(expected)


def test_tiers_of_ids_become_ranks_in_the_order_of_the_ids():
    assert ranks_by_id([["b"], ["a", "c"]], ["a", "b", "c", "d"]) == [2, 1, 2, None]
    for tiers in ([["x"]], [["a"], ["a", "b"]]):
        with pytest.raises(ExportError):
            ranks_by_id(tiers, ["a", "b"])


def test_the_margin_of_a_pair_is_the_sum_over_its_boundaries():
    ranks, margins = [3, 1, 2], [0.5, 2.0]
    assert [pair_margin(ranks, margins, pair) for pair in ((1, 2), (2, 0), (1, 0))] == [0.5, 2.0, 2.5]
    assert pair_margin(ranks, [None, 2.0], (1, 0)) is None
    assert pair_margin(ranks, None, (1, 0)) is None


# --- The bytes themselves ---------------------------------------------------------------------------------
ODD = {
    "z": [1.0, 0.1, 2 / 3, 1e16, 1e22, 1.5e-5, 1e-7, 5e-324, -0.0, 123456789012345680.0, 2**53, -7],
    "a": {"é": "Größe", "e\u0301": "\u2028\x7f/", "A": None, "b": True, "B": False, "10": 1, "9": 2},
    "text": 'a"b\\c\n\r\t\b\f\x00\x1f 👩‍🚀 日本 <&>',
    "": [],
}
ODD_BYTES = (
    '{"":[],"a":{"10":1,"9":2,"A":null,"B":false,"b":true,"e\u0301":"\u2028\x7f/","é":"Größe"},'
    '"text":"a\\"b\\\\c\\n\\r\\t\\b\\f\\u0000\\u001f 👩‍🚀 日本 <&>",'
    '"z":[1.0,0.1,0.6666666666666666,1e+16,1e+22,0.000015,1e-7,5e-324,-0.0,1.2345678901234568e+17,9007199254740992,-7]}\n'
).encode()


def test_the_bytes_of_a_row_are_these_and_no_others():
    """What a version's hash is made of: never change them, or no version of before can be rebuilt. Another
    release of the writer may write numbers otherwise: it is not taken then."""
    assert canonical_line(ODD) == ODD_BYTES
    assert slow_line(ODD) == ODD_BYTES


BROKEN = {
    "keys as they came": lambda row: orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE),
    "no line break": lambda row: orjson.dumps(row, option=orjson.OPT_SORT_KEYS),
    "Python's numbers": lambda row: (
        json.dumps(row, sort_keys=True, ensure_ascii=False, separators=(",", ":")) + "\n"
    ).encode(),
    "ASCII": lambda row: (json.dumps(row, sort_keys=True, separators=(",", ":")) + "\n").encode(),
    "blanks": lambda row: (json.dumps(row, sort_keys=True, ensure_ascii=False) + "\n").encode(),
    "six digits": lambda row: canonical_line({**row, "z": [float(f"{each:g}") for each in row["z"]]}),
    "whole numbers without a point": lambda row: canonical_line({**row, "z": [1, *row["z"][1:]]}),
}


@pytest.mark.parametrize("name", BROKEN)
def test_other_ways_to_write_json_are_told_apart(name):
    assert BROKEN[name](ODD) != ODD_BYTES

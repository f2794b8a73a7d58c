"""Rows may be left out on request, each handed over with its fault; a broken file is refused all the same."""

import gzip

import pytest

from tests.formats.making import demos, jsonl, read, refusal

GOOD = demos(4)


@pytest.mark.parametrize(
    ("bad", "row"),
    [(b"not json", 3), ({"prompt": "a"}, 3), (b'{"prompt": "\xff", "completion": "a"}', 3), (b"7", 3)],
)
def test_the_rows_around_a_faulty_line_are_read(bad, row):
    faults = []
    records = read(jsonl(*GOOD[:2], bad, *GOOD[2:]), on_fault=faults.append)
    assert [r.row for r in records] == [1, 2, 4, 5]
    assert [(f.row, f.file) for f in faults] == [(row, "demos.jsonl")]


def test_the_rows_around_a_ragged_one_are_read():
    faults = []
    records = read(b"prompt,completion\na,b\nc\nd,e\nf,\n", "a.csv", on_fault=faults.append)
    assert [r.text for r in records] == ["b", "e"]
    assert [(f.row, f.field) for f in faults] == [(2, None), (4, "completion")]


def test_the_elements_around_a_faulty_one_are_read():
    faults = []
    good = b'{"prompt": "a", "completion": "b"}'
    data = b"[" + good + b', {"prompt": "a", "prompt": "c"}, 5, ' + good + b"]"
    assert [r.row for r in read(data, "a.json", on_fault=faults.append)] == [1, 4]
    assert [(f.row, f.field) for f in faults] == [(2, "prompt"), (3, None)]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.jsonl.gz", gzip.compress(jsonl(*demos(50)))[:-9]),
        ("a.json", b'[{"prompt": "a", "completion": "b"}, {"prompt": }, {"prompt": "d", "completion": "e"}]'),
        ("a.csv", b'prompt,completion\na,b\n"c,d\n'),
        ("a.csv", b"prompt,completion\na,b\nc,\xff\nd,e\n"),
    ],
)
def test_a_fault_of_the_file_itself_still_refuses_it(name, data):
    faults = []
    refusal(data, name, on_fault=faults.append)
    assert faults == []


def test_a_file_of_nothing_but_faulty_rows_is_refused_with_the_first_reason():
    error = refusal(jsonl({"prompt": "a"}, {"prompt": "b"}), on_fault=lambda fault: None)
    assert "all 2 rows are faulty" in str(error)
    assert (error.row, error.field) == (1, "completion")


def test_a_file_of_another_shape_is_refused_and_not_emptied_row_by_row():
    error = refusal(jsonl({"a": 1}, {"a": 2}), on_fault=lambda fault: None)
    assert "Found these: a" in str(error)

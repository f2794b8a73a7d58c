"""`detect` tells format, compression, columns and shape from the content."""

import gzip
import io

import pytest

from labeling.formats import FormatError, detect
from tests.formats.making import demos, jsonl, read, refusal


def told(data, name, kind=None):
    return detect(io.BytesIO(data), filename=name, kind=kind)


@pytest.mark.parametrize(
    ("name", "data", "kind", "expected"),
    [
        ("a.jsonl", jsonl(*demos(2)), None, "jsonl"),
        ("a", jsonl(*demos(2)), None, "jsonl"),
        ("a.txt", jsonl(*demos(2)), None, "jsonl"),
        ("a.jsonl", b'[{"prompt": "a"}]', None, "json"),
        ("a.json", jsonl(*demos(1)), None, "jsonl"),
        ("a.csv", b"prompt,completion\na,b\n", None, "csv"),
        ("a.csv", b"prompt\tcompletion\na\tb\n", None, "tsv"),
        ("a.csv", jsonl(*demos(2)), None, "jsonl"),
        ("a.tsv", b'[{"prompt": "a"}]', None, "json"),
        ("a.jsonl", b"prompt,completion\na,b\n", None, "csv"),
        ("a.json", b"prompt\tcompletion\na\tb\n", "demonstrations", "tsv"),
        ("a.csv", b"[x],{y}\na,b\n", None, "csv"),
        ("a.csv", b"{name,value}\na,b\n", None, "csv"),
        ("a.dat", b"prompt;completion\na;b\n", "demonstrations", "csv"),
        ("a.txt", b"Tell me, please, a story\nAnother\n", "prompts", "text"),
        ("a.txt", b"{{ 7*7 }} is a prompt\n", "prompts", "text"),
        ("a.txt", b"[INST] is a prompt\n", "prompts", "text"),
    ],
)
def test_the_format_is_told_by_the_content(name, data, kind, expected):
    assert told(data, name, kind).format == expected


def test_compression_columns_sample_and_shape_are_told():
    detection = told(gzip.compress(jsonl(*demos(9))), "a.jsonl.gz")
    assert (detection.compression, detection.columns) == ("gzip", ("prompt", "completion"))
    assert list(detection.sample_rows) == demos(9)[:5]
    assert (detection.kinds[0], detection.shape) == ("demonstrations", "prompt and completion")


def test_the_object_is_left_rewound_so_that_it_can_be_read_next():
    stream = io.BytesIO(jsonl(*demos(2)))
    detect(stream, filename="a.jsonl")
    assert stream.tell() == 0


def test_unknown_columns_have_no_shape_and_can_be_mapped():
    detection = told(b"goal,target\na,b\n", "a.csv", "demonstrations")
    assert (detection.columns, detection.shape) == (("goal", "target"), None)


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        ({"prompt": "a", "chosen": "b", "rejected": "c"}, "comparisons"),
        ({"instruction": "a", "output": "b", "input": ""}, "demonstrations"),
        ({"prompt": "a", "completions": ["b", "c"]}, "completions"),
        ({"question": "a"}, "prompts"),
    ],
)
def test_the_most_telling_kind_comes_first(row, kind):
    assert told(jsonl(row), "a.jsonl").kinds[0] == kind


def test_faulty_rows_of_the_sample_are_told_and_passed_over():
    detection = told(jsonl("not json", *demos(2)), "a.jsonl")
    assert list(detection.sample_rows) == demos(2)
    assert [(fault.file, fault.row) for fault in detection.faults] == [("a.jsonl", 1)]


def test_a_file_of_which_no_row_can_be_read_is_refused_for_its_first():
    with pytest.raises(FormatError, match=r"^a\.jsonl, row 1: not JSON"):
        told(b"nope\nnope\n", "a.jsonl")


def test_a_file_that_cannot_be_read_is_refused_with_its_name():
    with pytest.raises(FormatError, match=r"^a\.jsonl: nothing to import"):
        told(b"", "a.jsonl")


def test_a_format_may_be_stated():
    assert [r.messages[0]["content"] for r in read(b'{"a": 1}\n', "a.jsonl", "prompts", format="text")] == [
        '{"a": 1}'
    ]


def test_an_unknown_format_is_refused():
    assert "unknown format 'xlsx'" in str(refusal(b"x", "a.xlsx", format="xlsx"))

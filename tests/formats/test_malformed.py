"""Each fault of a file is refused with the file, the row and the field named, and nothing is read past it."""

import gzip
import json

import pytest

from tests.formats.making import demos, jsonl, refusal

GOOD = demos(3)
GZIPPED = gzip.compress(jsonl(*demos(40)))

# (what it is, file name, bytes, row, field, a piece of the message)
FAULTS = [
    ("cut in its last line", "a.jsonl", jsonl(*GOOD) + b'{"prompt": "Na', 4, None, "cut off"),
    (
        "array cut in a record",
        "a.json",
        b'[{"prompt": "a", "completion": "b"},\n{"prompt": "c',
        2,
        None,
        "ends early",
    ),
    ("array without its end", "a.json", b'[{"prompt": "a", "completion": "b"}', 1, None, "ends early"),
    ("gzip cut", "a.jsonl.gz", GZIPPED[:-40], None, None, "incomplete"),
    (
        "gzip with a wrong checksum",
        "a.jsonl.gz",
        GZIPPED[:-8] + b"\0\0\0\0" + GZIPPED[-4:],
        None,
        None,
        "checksum",
    ),
    ("bytes after gzip", "a.jsonl.gz", GZIPPED + b"and more", None, None, "extra bytes"),
    ("gzip in gzip", "a.jsonl.gz.gz", gzip.compress(GZIPPED), None, None, "one layer"),
    (
        "not UTF-8",
        "a.jsonl",
        jsonl(*GOOD, b'{"prompt": "a\xc3(", "completion": "b"}'),
        4,
        None,
        "not UTF-8 (byte 0xC3",
    ),
    (
        "overlong UTF-8",
        "a.jsonl",
        jsonl(*GOOD, b'{"prompt": "\xc0\xaf", "completion": "b"}'),
        4,
        None,
        "not UTF-8",
    ),
    ("Windows-1252 table", "a.csv", b"prompt,completion\nCaf\xe9,x\n", 1, None, "not UTF-8 (byte 0xE9"),
    ("UTF-16", "a.jsonl", '{"prompt": "a", "completion": "b"}'.encode("utf-16"), None, None, "UTF-16 LE"),
    (
        "raw NUL",
        "a.jsonl",
        jsonl(*GOOD, b'{"prompt": "a\0b", "completion": "c"}'),
        4,
        None,
        "control character U+0000",
    ),
    (
        "escaped NUL",
        "a.jsonl",
        jsonl(*GOOD, r'{"prompt": "a\u0000b", "completion": "c"}'),
        4,
        "prompt",
        "NUL",
    ),
    (
        "raw TAB",
        "a.jsonl",
        jsonl(*GOOD, b'{"prompt": "a\tb", "completion": "c"}'),
        4,
        None,
        "control character U+0009",
    ),
    (
        "key twice",
        "a.jsonl",
        jsonl(*GOOD, '{"prompt": "a", "completion": "b", "completion": "c"}'),
        4,
        "completion",
        "given twice",
    ),
    (
        "key twice, one with a blank before its colon",
        "a.jsonl",
        jsonl(*GOOD, '{"prompt" : "a", "completion": "b", "completion" : "c"}'),
        4,
        "completion",
        "given twice",
    ),
    (
        "key twice inside",
        "a.jsonl",
        jsonl(*GOOD, '{"prompt": "a", "completion": "b", "m": {"k": 1, "k": 2}}'),
        4,
        "k",
        "given twice",
    ),
    (
        "number for text",
        "a.jsonl",
        jsonl(*GOOD, {"prompt": 7, "completion": "x"}),
        4,
        "prompt",
        "must be text, not a number",
    ),
    (
        "true for text",
        "a.jsonl",
        jsonl(*GOOD, {"prompt": True, "completion": "x"}),
        4,
        "prompt",
        "must be text",
    ),
    ("null for text", "a.jsonl", jsonl(*GOOD, {"prompt": None, "completion": "x"}), 4, "prompt", "not null"),
    (
        "object for text",
        "a.jsonl",
        jsonl(*GOOD, {"prompt": {"text": "a"}, "completion": "x"}),
        4,
        "prompt",
        "not an object",
    ),
    (
        "list of texts for a prompt",
        "a.jsonl",
        jsonl(*GOOD, {"prompt": ["a", "b"], "completion": "x"}),
        4,
        "prompt[1]",
        "must be an object with role and content",
    ),
    ("no completion", "a.jsonl", jsonl(*GOOD, {"prompt": "a"}), 4, "completion", "missing"),
    ("no prompt", "a.jsonl", jsonl(*GOOD, {"completion": "a"}), 4, "prompt", "missing"),
    ("nothing in it", "a.jsonl", jsonl(*GOOD, {}), 4, "prompt", "missing"),
    (
        "capital letters",
        "a.jsonl",
        jsonl(*GOOD, {"Prompt": "a", "Completion": "b"}),
        4,
        "prompt",
        "Did you mean 'Prompt'?",
    ),
    ("no completion in the first row", "a.jsonl", jsonl({"prompt": "a"}), 1, "completion", "missing"),
    ("zero bytes", "a.jsonl", b"", None, None, "nothing to import"),
    ("white space", "a.jsonl", b" \n\t \r\n  ", None, None, "nothing to import"),
    ("only a byte order mark", "a.csv", b"\xef\xbb\xbf", None, None, "nothing to import"),
    ("empty array", "a.json", b"[]\n", None, None, "nothing to import"),
    ("only a header", "a.csv", b"prompt,completion\r\n", None, None, "nothing to import"),
    ("number for a record", "a.jsonl", jsonl(*GOOD, "42"), 4, None, "must be an object"),
    ("list for a record", "a.jsonl", jsonl(*GOOD, '["a"]'), 4, None, "must be an object"),
    (
        "two records on a line",
        "a.jsonl",
        jsonl(GOOD[0], '{"prompt": "a", "completion": "b"}{"prompt": "c"}'),
        2,
        None,
        "extra data after the record",
    ),
    ("bare carriage returns", "a.jsonl", jsonl(*GOOD).replace(b"\n", b"\r"), 1, None, "extra data"),
    ("trailing commas", "a.json", b'[{"prompt": "a", "completion": "b",},]', 1, None, "line 1, column 2"),
    (
        "trailing comma in the array",
        "a.json",
        b'[{"prompt": "a", "completion": "b"},\n]',
        2,
        None,
        "line 2, column 1",
    ),
    (
        "data after the array",
        "a.json",
        b'[{"prompt": "a", "completion": "b"}] x',
        2,
        None,
        "extra data after",
    ),
    ("comments", "a.json", b'// made by hand\n[{"prompt": "a"} /* one */]', 1, None, "line 1, column 1"),
    (
        "Python for JSON",
        "a.jsonl",
        jsonl(GOOD[0], "{'prompt': 'a', 'completion': None}"),
        2,
        None,
        "not JSON at column 2",
    ),
    (
        "half a surrogate pair",
        "a.jsonl",
        jsonl(GOOD[0], r'{"prompt": "a\ud83d", "completion": "b"}'),
        2,
        "prompt",
        "surrogate",
    ),
    (
        "half a surrogate pair in a list",
        "a.jsonl",
        jsonl(GOOD[0], r'{"prompt": "a", "completion": "b", "m": ["\udc00"]}'),
        2,
        "m",
        "surrogate",
    ),
    (
        "half a surrogate pair in a name",
        "a.jsonl",
        jsonl(GOOD[0], r'{"prompt": "a", "completion": "b", "\ud800": 1}'),
        2,
        None,
        "surrogate",
    ),
    (
        "integer beyond 64 bits",
        "a.jsonl",
        jsonl(GOOD[0], '{"prompt": "a", "completion": "b", "n": 36893488147419103232}'),
        2,
        "n",
        "64 bits",
    ),
    (
        "3,000 nested arrays",
        "a.jsonl",
        jsonl(GOOD[0], '{"prompt": ' + "[" * 3000 + "]" * 3000 + "}"),
        2,
        None,
        "nested more than 64",
    ),
    (
        "a pretty-printed object",
        "a.json",
        b'{\n  "prompt": "a",\n  "completion": "b"\n}\n',
        1,
        None,
        "one line",
    ),
    (
        "a very long text",
        "a.jsonl",
        jsonl(GOOD[0], {"prompt": "a" * 1_000_001, "completion": "b"}),
        2,
        "prompt",
        "1,000,001 characters; the limit is 1,000,000",
    ),
    (
        "blank text",
        "a.jsonl",
        jsonl(GOOD[0], {"prompt": "a", "completion": " \n\t"}),
        2,
        "completion",
        "empty",
    ),
    (
        "quote never closed",
        "a.csv",
        b'prompt,completion\nfine,ok\n"never closed,oops\nnext,ok\n',
        2,
        None,
        "never closed",
    ),
    ("text after a quote", "a.csv", b'prompt,completion\n"a"b,ok\n', 1, None, "text after a closing quote"),
    (
        "three cells for two",
        "a.csv",
        b"prompt,completion\na,b\nc,d,e\n",
        2,
        None,
        "3 cells where 2 were expected",
    ),
    ("one cell for two", "a.csv", b"prompt,completion\na,b\nf\n", 2, None, "1 cell where 2 were expected"),
    (
        "column twice",
        "a.csv",
        b"prompt,completion,prompt\na,b,c\n",
        None,
        "prompt",
        "column prompt is there twice",
    ),
    (
        "no header",
        "a.csv",
        b"Name a fish,Trout\nName a gem,Opal\n",
        None,
        None,
        "Found these: Name a fish, Trout",
    ),
    ("NUL in a cell of no field", "a.csv", b"prompt,completion,m\na,b,\0\n", 1, "m", "NUL"),
    ("NUL in a column's name", "a.csv", b"prompt,completion,\0\na,b,c\n", None, None, "NUL"),
    (
        "escaped NUL in an extra field",
        "a.jsonl",
        jsonl(*GOOD, r'{"prompt": "a", "completion": "c", "m": ["\u0000"]}'),
        4,
        "m",
        "NUL",
    ),
    (
        "escaped NUL in a name",
        "a.jsonl",
        jsonl(*GOOD, r'{"prompt": "a", "completion": "c", "\u0000": 1}'),
        4,
        None,
        "NUL",
    ),
    ("NUL in a cell", "a.csv", b"prompt,completion\na\0b,c\n", 1, "prompt", "NUL"),
    (
        "a bare carriage return in a table",
        "a.csv",
        b"prompt,completion\ra,b\r",
        None,
        None,
        "carriage return",
    ),
    ("a picture", "a.jsonl", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", None, None, "PNG image"),
    ("a ZIP archive", "a.zip", b"PK\x03\x04\x14\0\0\0../../x", None, None, "ZIP archive"),
    ("XML", "a.xml", b"\xef\xbb\xbf<?xml version='1.0'?><posts/>", None, None, "XML"),
    ("plain text", "a.txt", b"hello there\n", None, None, "cannot tell its format"),
]


@pytest.mark.parametrize(
    ("name", "data", "row", "field", "piece"), [pytest.param(*fault[1:], id=fault[0]) for fault in FAULTS]
)
def test_a_faulty_file_is_refused_with_its_row_and_field(name, data, row, field, piece):
    error = refusal(data, name)
    assert (error.row, error.field) == (row, field)
    assert piece in str(error)
    assert str(error).startswith(name)


def test_a_nul_in_a_line_of_text_is_refused():
    error = refusal(b"first\nsec\0nd\n", "a.txt", "prompts")
    assert (error.row, error.field) == (2, "prompt")


def test_the_message_reads_as_one_sentence_with_a_hint():
    error = refusal(jsonl(GOOD[0], {"prompt": "a", "Completion": "b"}), "demos.jsonl")
    assert str(error) == "demos.jsonl, row 2, field completion: missing. Did you mean 'Completion'?"


def test_names_out_of_the_file_cannot_steer_a_terminal_or_fill_a_page():
    key = "\x1b[31m" + "k" * 5000
    error = refusal(
        jsonl(f'{{"prompt": "a", "completion": "b", {json.dumps(key)}: 1, {json.dumps(key)}: 2}}'),
        "a\u202e.jsonl",
    )
    assert str(error).startswith(r"a\u202e.jsonl, row 1, field \x1b[31mkkk")
    assert str(error).isprintable()
    assert len(str(error)) < 300

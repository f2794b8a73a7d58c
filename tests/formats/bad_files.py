"""Every kind of bad input that docs/formats.md speaks of, as a file, with what is said of it."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq
from backports import zstd

GOOD = b'{"prompt": "One?", "completion": "Yes."}\n'
PARQUET_ROWS = {"prompt": ["One?", "Two?"], "completion": ["Yes.", "No."]}


@dataclass(frozen=True)
class BadFile:
    """`said`: a piece of the refusal, "" where the file is read, with `rows` rows. `row`, `field`: where."""

    what: str
    name: str
    make: Callable[[], bytes]
    said: str = ""
    rows: int = 0
    row: int | None = None
    field: str | None = None


def _lines(*rows: bytes) -> Callable[[], bytes]:
    return lambda: GOOD + b"".join(row + b"\n" for row in rows)


def _zip() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("../../rows.jsonl", GOOD)
    return file.getvalue()


def _tar() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        member = tarfile.TarInfo("rows.jsonl")
        member.size = len(GOOD)
        archive.addfile(member, io.BytesIO(GOOD))
    return file.getvalue()


def _bomb() -> bytes:
    """A gigabyte of blank lines in a megabyte; with the limit of the unpacked file it is never all there."""
    return gzip.compress((b" " * 1023 + b"\n") * 1024, 9) * 1024


def _zip_bomb() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("rows.jsonl", b" " * (256 * 2**20))
    return file.getvalue()


def _zstd(data: bytes) -> bytes:
    return zstd.compress(data)


def _parquet(columns: dict) -> Callable[[], bytes]:
    def make() -> bytes:
        file = io.BytesIO()
        pq.write_table(pa.table(columns), file)
        return file.getvalue()

    return make


BAD_FILES = (
    BadFile("a zip archive", "a.zip", _zip, "ZIP archive"),
    BadFile("an archive under another name", "a.jsonl", _zip, "ZIP archive"),
    BadFile("a tar archive", "a.tar", _tar, "tar archive"),
    BadFile("a tar archive in gzip", "a.tar.gz", lambda: gzip.compress(_tar()), "tar archive"),
    BadFile("bzip2", "a.jsonl.bz2", lambda: bz2.compress(GOOD), "bzip2"),
    BadFile("xz", "a.jsonl.xz", lambda: lzma.compress(GOOD), "xz file"),
    BadFile("7-Zip", "a.7z", lambda: b"7z\xbc\xaf\x27\x1c\0\4" + b"\0" * 40, "7-Zip archive"),
    BadFile("RAR", "a.rar", lambda: b"Rar!\x1a\x07\x01\0" + b"\0" * 40, "RAR archive"),
    BadFile("a zip archive in gzip", "a.jsonl.gz", lambda: gzip.compress(_zip()), "ZIP archive"),
    BadFile("a bomb in a zip archive", "a.zip", _zip_bomb, "ZIP archive"),
    BadFile("Zstandard in Zstandard", "a.zst", lambda: _zstd(_zstd(GOOD)), "one layer"),
    BadFile("gzip in Zstandard", "a.jsonl.zst", lambda: _zstd(gzip.compress(GOOD)), "one layer"),
    BadFile("Zstandard in gzip", "a.jsonl.gz", lambda: gzip.compress(_zstd(GOOD)), "one layer"),
    BadFile(
        "a bomb of one line in Zstandard",
        "a.jsonl.zst",
        lambda: _zstd(b" " * (64 * 2**20)),
        "longer than 4 MiB",
        row=1,
    ),
    BadFile("gzip in gzip", "a.gz", lambda: gzip.compress(gzip.compress(GOOD)), "one layer"),
    BadFile("a bomb of blank lines", "a.jsonl.gz", _bomb, "larger than 1,000,000,000 bytes when unpacked"),
    BadFile(
        "a bomb of one line",
        "a.jsonl.gz",
        lambda: gzip.compress(b" " * (64 * 2**20)),
        "longer than 4 MiB",
        row=1,
    ),
    BadFile(
        "a line of 20 MB",
        "a.jsonl",
        lambda: GOOD + b'{"prompt": "' + b"a" * 20_000_000 + b'", "completion": "b"}\n',
        "longer than 4 MiB",
        row=2,
    ),
    BadFile(
        "a cell of 20 MB",
        "a.csv",
        lambda: b'prompt,completion\n"' + b"a" * 20_000_000 + b'",b\n',
        "longer than 4 MiB",
        row=1,
    ),
    BadFile(
        "10,000 nested lists",
        "a.jsonl",
        _lines(b'{"prompt": ' + b"[" * 10_000 + b"]" * 10_000 + b', "completion": "b"}'),
        "nested more than 64",
        row=2,
    ),
    BadFile(
        "10,000 nested objects in an array",
        "a.json",
        lambda: b"[" + b'{"a":' * 10_000 + b"1" + b"}" * 10_000 + b"]",
        "nested more than 64",
        row=1,
    ),
    BadFile(
        "NaN",
        "a.jsonl",
        _lines(b'{"prompt": "a", "completion": "b", "score": NaN}'),
        "finite number",
        row=2,
        field="score",
    ),
    BadFile(
        "infinity",
        "a.json",
        lambda: b'[{"prompt": "a", "completion": "b", "n": -Infinity}]',
        "finite number",
        row=1,
        field="n",
    ),
    BadFile(
        "a key twice",
        "a.jsonl",
        _lines(b'{"prompt": "a", "completion": "b", "completion": "c"}'),
        "given twice",
        row=2,
        field="completion",
    ),
    BadFile(
        "half a surrogate pair",
        "a.jsonl",
        _lines(rb'{"prompt": "a\ud83d", "completion": "b"}'),
        "surrogate",
        row=2,
        field="prompt",
    ),
    BadFile(
        "a key twice, deep inside",
        "a.json",
        lambda: b'[{"prompt": "a", "completion": "b", "meta": {"deep": [{"k": 1, "k": 2}]}}]',
        "given twice",
        row=1,
        field="k",
    ),
    BadFile(
        "half a surrogate pair in a field that is only kept",
        "a.jsonl",
        _lines(rb'{"prompt": "a", "completion": "b", "fields": {"note": "\udc00"}}'),
        "surrogate",
        row=2,
        field="note",
    ),
    BadFile(
        "an escaped NUL in a field that is only kept",
        "a.jsonl",
        _lines(rb'{"prompt": "a", "completion": "b", "fields": {"note": "\u0000"}}'),
        "NUL",
        row=2,
        field="note",
    ),
    BadFile(
        "a NUL in a cell between tabs",
        "a.tsv",
        lambda: b"prompt\tcompletion\nok\tok\na\tb\0\n",
        "NUL",
        row=2,
        field="completion",
    ),
    BadFile("a raw NUL", "a.jsonl", _lines(b'{"prompt": "a\0", "completion": "b"}'), "U+0000", row=2),
    BadFile(
        "an escaped NUL",
        "a.jsonl",
        _lines(rb'{"prompt": "a\u0000", "completion": "b"}'),
        "NUL",
        row=2,
        field="prompt",
    ),
    BadFile("a NUL in a cell", "a.csv", lambda: b"prompt,completion\na\0b,c\n", "NUL", row=1, field="prompt"),
    BadFile("a byte order mark", "a.jsonl", lambda: b"\xef\xbb\xbf" + GOOD, rows=1),
    BadFile(
        "a byte order mark before a header", "a.csv", lambda: b"\xef\xbb\xbfprompt,completion\na,b\n", rows=1
    ),
    BadFile("only a byte order mark", "a.csv", lambda: b"\xef\xbb\xbf", "nothing to import"),
    BadFile(
        "mixed newlines",
        "a.jsonl",
        lambda: GOOD.replace(b"\n", b"\r\n") + b'\n{"prompt": "Two?", "completion": "No."}\n\r\n',
        rows=2,
    ),
    BadFile("mixed newlines in a table", "a.csv", lambda: b"prompt,completion\r\na,b\nc,d\r\n", rows=2),
    BadFile(
        "bare carriage returns", "a.jsonl", lambda: (GOOD * 2).replace(b"\n", b"\r"), "extra data", row=1
    ),
    BadFile(
        "a quote never closed",
        "a.csv",
        lambda: b'prompt,completion\nok,ok\n"a,b\nc,d\n',
        "never closed",
        row=2,
    ),
    BadFile(
        "a quote never closed between semicolons",
        "a.csv",
        lambda: b'prompt;completion\n"a;b\n',
        "never closed",
        row=1,
    ),
    BadFile(
        "text after a quote", "a.csv", lambda: b'prompt,completion\n"a"b,c\n', "after a closing quote", row=1
    ),
    BadFile("quotes in a table with tabs", "a.tsv", lambda: b'prompt\tcompletion\n"a\t"b" c\n', rows=1),
    BadFile("Latin-1", "a.csv", lambda: "prompt,completion\nCafé,x\n".encode("latin-1"), "not UTF-8", row=1),
    BadFile(
        "Windows-1252 between tabs",
        "a.tsv",
        lambda: b"prompt\tcompletion\na\t\x93b\x94\n",
        "not UTF-8",
        row=1,
    ),
    BadFile(
        "Shift JIS",
        "a.jsonl",
        _lines(b'{"prompt": "\x93\xfa\x96\x7b", "completion": "b"}'),
        "not UTF-8",
        row=2,
    ),
    BadFile("UTF-16 in gzip", "a.jsonl.gz", lambda: gzip.compress(GOOD.decode().encode("utf-16")), "UTF-16"),
    BadFile("a byte order mark in gzip", "a.jsonl.gz", lambda: gzip.compress(b"\xef\xbb\xbf" + GOOD), rows=1),
    BadFile("UTF-16", "a.jsonl", lambda: GOOD.decode().encode("utf-16"), "UTF-16"),
    BadFile("UTF-32", "a.jsonl", lambda: GOOD.decode().encode("utf-32"), "UTF-32"),
    BadFile("UTF-16 without a mark", "a.csv", lambda: "prompt,completion\na,b\n".encode("utf-16-le"), "NUL"),
    BadFile(
        "overlong UTF-8", "a.jsonl", _lines(b'{"prompt": "\xc0\xaf", "completion": "b"}'), "not UTF-8", row=2
    ),
    BadFile("a Parquet of text", "a.parquet", _parquet(PARQUET_ROWS), rows=2),
    BadFile(
        "a Parquet with nested columns",
        "a.parquet",
        _parquet({**PARQUET_ROWS, "extra": [{"a": [1, 2]}, {"a": []}]}),
        rows=2,
    ),
    BadFile(
        "a Parquet with a prompt that is an object",
        "a.parquet",
        _parquet({**PARQUET_ROWS, "prompt": [{"text": "a"}, {"text": "b"}]}),
        "must be text, not an object",
        row=1,
        field="prompt",
    ),
    BadFile(
        "a Parquet with numbers for text",
        "a.parquet",
        _parquet({**PARQUET_ROWS, "completion": [1, 2]}),
        "must be text, not a number",
        row=1,
        field="completion",
    ),
    BadFile(
        "a Parquet with bytes",
        "a.parquet",
        _parquet({**PARQUET_ROWS, "picture": [b"\xff", b"\0"]}),
        "of type binary",
        field="picture",
    ),
    BadFile(
        "a Parquet with a NUL",
        "a.parquet",
        _parquet({"prompt": ["a", "b\0"], "completion": ["c", "d"]}),
        "NUL",
        row=2,
        field="prompt",
    ),
    BadFile(
        "a Parquet with lists for text",
        "a.parquet",
        _parquet({**PARQUET_ROWS, "completion": [["a", "b"], []]}),
        "a list",
        row=1,
        field="completion",
    ),
    BadFile(
        "a Parquet without an answer",
        "a.parquet",
        _parquet({**PARQUET_ROWS, "completion": ["Yes.", None]}),
        "must be text, not null",
        row=2,
        field="completion",
    ),
    BadFile("a Parquet cut short", "a.parquet", lambda: _parquet(PARQUET_ROWS)()[:-9], "Parquet"),
    BadFile(
        "a Parquet in gzip, cut short",
        "a.parquet.gz",
        lambda: gzip.compress(_parquet(PARQUET_ROWS)())[:-9],
        "incomplete",
    ),
    BadFile("an empty file", "a.jsonl", lambda: b"", "nothing to import"),
    BadFile(
        "an array that ends early",
        "a.json",
        lambda: json.dumps([{"prompt": "a"}]).encode()[:-1],
        "ends early",
        row=1,
    ),
)

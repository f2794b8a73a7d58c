"""Each format is read plain, gzipped and in Zstandard: told by its content, and the same rows."""

from __future__ import annotations

import gzip
import io
import struct

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from backports import zstd

from labeling.formats import FORMATS, detect

from .making import jsonl, read

ROWS = [{"prompt": "One, or “two”?", "completion": "Ünï\tYes."}, {"prompt": "Three?", "completion": "No."}]
TABS = [{**row, "completion": row["completion"].replace("\t", " ")} for row in ROWS]
XML = (
    '<?xml version="1.0" encoding="utf-8"?>\n<posts>\n'
    '<row Id="1" PostTypeId="1" Score="1" Title="One?" Body="&lt;p&gt;Well?&lt;/p&gt;" />\n'
    '<row Id="2" PostTypeId="2" ParentId="1" Score="3" Body="&lt;p&gt;Yes.&lt;/p&gt;" />\n</posts>\n'
)


def table(rows, separator) -> bytes:
    quote = '"' if separator == "," else ""
    lines = [separator.join(f"{quote}{cell}{quote}" for cell in row.values()) for row in rows]
    return "\n".join([separator.join(rows[0]), *lines, ""]).encode()


def parquet(rows) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), file)
    return file.getvalue()


# format: (bytes, kind, [(prompt, answer)])
SAID = [(row["prompt"], row["completion"]) for row in ROWS]
FILES = {
    "jsonl": (jsonl(*ROWS), "demonstrations", SAID),
    "json": (b"[" + b",\n".join(jsonl(*ROWS).split(b"\n")[:2]) + b"]", "demonstrations", SAID),
    "csv": (table(ROWS, ","), "demonstrations", SAID),
    "tsv": (table(TABS, "\t"), "demonstrations", [(row["prompt"], row["completion"]) for row in TABS]),
    "text": ("One, or “two”?\nThree?\n".encode(), "prompts", [(prompt, "") for prompt, _ in SAID]),
    "parquet": (parquet(ROWS), "demonstrations", SAID),
    "stackexchange": (XML.encode(), "demonstrations", [("One?\n\nWell?", "Yes.")]),
}
SKIPPABLE = struct.pack("<II", 0x184D2A5E, 4) + b"info"  # a frame without data, as pzstd writes one first
PACKINGS = {
    "plain": ("none", lambda data: data),
    "gzip": ("gzip", gzip.compress),
    "gzip in two members": ("gzip", lambda data: gzip.compress(data[:9]) + gzip.compress(data[9:])),
    "zstandard": ("zstandard", zstd.compress),
    "zstandard after a frame of no data": ("zstandard", lambda data: SKIPPABLE + zstd.compress(data)),
}


def test_every_format_is_tried():
    assert FILES.keys() == set(FORMATS)


@pytest.mark.parametrize("name", ["rows.{format}", "rows", "rows.bin"])
@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("format", FILES)
def test_it_is_told_and_read(format, packing, name):
    data, kind, said = FILES[format]
    compression, pack = PACKINGS[packing]
    name, packed = name.format(format=format), pack(data)
    seen = detect(io.BytesIO(packed), filename=name, kind=kind)
    assert (seen.format, seen.compression) == (format, compression)
    records = read(packed, name, kind)
    assert [(each.messages[-1]["content"], getattr(each, "text", "")) for each in records] == said

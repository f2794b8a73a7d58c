"""Size costs neither memory nor a crash: limits are met early and rows stream."""

import gzip
import io
import json
import time
import tracemalloc

import pytest

from labeling.formats import Limits, read_file
from tests.formats.making import jsonl, refusal

MIB = 2**20


class Repeated(io.RawIOBase):
    """An upload of `size` bytes, all of one piece; counts what was taken of it."""

    def __init__(self, piece: bytes, size: int):
        self.piece, self.size, self.taken = piece, size, 0

    def readable(self):
        return True

    def read(self, count=-1):
        count = min(count, self.size - self.taken)
        self.taken += count
        return (self.piece * (count // len(self.piece) + 1))[:count]


def peak_mib(work):
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1] / MIB
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv"])
def test_a_record_of_20_mib_is_refused_at_the_limit(name):
    text = "a" * 20 * MIB
    data = {
        "a.jsonl": f'{{"prompt": "{text}", "completion": "x"}}\n',
        "a.json": f'[{{"prompt": "{text}", "completion": "x"}}]',
        "a.csv": f'prompt,completion\n"{text}",x\n',
    }[name].encode()
    errors = []
    peak = peak_mib(lambda: errors.append(refusal(data, name)))
    assert "longer than 4 MiB" in str(errors[0])
    assert errors[0].row == 1
    assert peak < 60


def test_a_cell_of_many_lines_is_refused_at_the_limit_of_a_row():
    data = b'prompt,completion\n"' + b"line\n" * MIB + b'",x\n'
    assert "longer than 4 MiB" in str(refusal(data, "a.csv"))


def test_a_bomb_is_refused_at_the_limit_with_flat_memory():
    packed = gzip.compress(b" " * 64 * MIB)
    errors = []
    peak = peak_mib(lambda: errors.append(refusal(packed, "a.jsonl.gz")))
    assert "longer than 4 MiB" in str(errors[0])
    assert peak < 30


def test_a_bomb_of_blank_lines_meets_the_limit_of_the_unpacked_file():
    packed = gzip.compress((b" " * 1023 + b"\n") * 1024 * 8)
    error = refusal(packed, "a.jsonl.gz", limits=Limits(max_file_bytes=4 * MIB))
    assert "larger than 4,194,304 bytes when unpacked" in str(error)


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.txt"])
def test_an_upload_of_spaces_is_refused_before_it_is_all_read(name):
    upload = Repeated(b" " * 1023 + b"\n", 1024 * MIB)
    error = None
    try:
        list(read_file(upload, filename=name, kind="prompts", limits=Limits(max_file_bytes=16 * MIB)))
    except ValueError as caught:
        error = caught
    assert "larger than 16,777,216 bytes" in str(error)
    assert upload.taken < 20 * MIB


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("open.json", b"[" * 100_000),
        ("closed.json", b"[" * 100_000 + b"]" * 100_000),
        ("open.jsonl", b'{"a":' * 100_000),
        ("closed.jsonl", b'{"a":' * 100_000 + b"1" + b"}" * 100_000),
    ],
)
def test_100_000_nested_levels_are_refused(name, data):
    assert "nested more than 64" in str(refusal(data, name))


@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
def test_a_string_of_escapes_that_never_ends_takes_no_quadratic_time(name):
    start = b'[{"prompt": "' if name == "a.json" else b'{"prompt": "'
    began = time.process_time()
    refusal(start + b'\\"' * (2 * MIB - 100) + b"[" * 70, name)
    assert time.process_time() - began < 5


def test_a_fault_in_row_190_000_is_named():
    good = b'{"prompt": "' + b"p" * 80 + b'", "completion": "' + b"c" * 80 + b'"}\n'
    error = refusal(good * 189_999 + b'{"prompt": "p"}\n' + good * 10_000, "a.jsonl")
    assert (error.row, error.field) == (190_000, "completion")


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv"])
def test_memory_does_not_grow_with_the_rows(name):
    def peak(rows):
        records = [{"prompt": "p" * 300, "completion": "c" * 300}] * rows
        data = {
            "a.jsonl": lambda: jsonl(*records),
            "a.json": lambda: json.dumps(records).encode(),
            "a.csv": lambda: b"prompt,completion\n" + (b"p" * 300 + b"," + b"c" * 300 + b"\n") * rows,
        }[name]()
        stream = io.BytesIO(data)
        return peak_mib(lambda: sum(1 for _ in read_file(stream, filename=name, kind="demonstrations")))

    assert peak(8_000) < peak(2_000) + 0.5


def test_an_array_over_many_buffers_is_read_like_json_reads_it():
    rows = [
        {"prompt": f"{n} " + '"[{\\,é' * (n % 97), "completion": "x" * (n % 5000)} for n in range(1, 3000)
    ]
    rows = [{**row, "completion": row["completion"] or "y"} for row in rows]
    data = json.dumps(rows, indent=1, ensure_ascii=False).encode()
    records = list(read_file(io.BytesIO(data), filename="a.json", kind="demonstrations"))
    assert [(r.messages[0]["content"], r.text) for r in records] == [
        (row["prompt"], row["completion"]) for row in rows
    ]


def test_the_place_of_a_fault_is_right_after_many_buffers():
    element = b'{"prompt": "a",\n "completion": "b"},\n'
    error = refusal(b"[" + element * 50_000 + b'{"prompt": "c", "completion": 01}]', "a.json")
    assert error.row == 50_001
    assert "begins at line 100001, column 1)" in str(error)


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv"])
def test_a_record_over_the_limit_is_refused_though_it_fits_a_buffer(name):
    text = "a" * 2000
    data = {
        "a.jsonl": f'{{"prompt": "{text}"}}\n',
        "a.json": f'[{{"prompt": "{text}"}}]',
        "a.csv": f"prompt\n{text}\n",
    }[name]
    error = refusal(data.encode(), name, "prompts", limits=Limits(max_line_bytes=1000))
    assert "the limit of one record" in str(error)


def test_an_upload_that_only_gives_small_pieces_is_read_whole():
    class Trickle(io.BytesIO):
        def read(self, count=-1):
            return super().read(min(count, 7) if count >= 0 else -1)

        def seekable(self):
            return False

    data = jsonl(*({"prompt": f"p{n}"} for n in range(500)))
    assert len(list(read_file(Trickle(data), filename="a.jsonl", kind="prompts"))) == 500
    table = Trickle(b"question;answer\na;b\n")
    assert len(list(read_file(table, filename="a.csv", kind="demonstrations"))) == 1

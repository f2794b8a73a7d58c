"""Parquet is read a few rows at a time and refused by row and field; Zstandard is one more compression."""

from __future__ import annotations

import datetime
import decimal
import gzip
import io
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from backports import zstd

from labeling.formats import FormatError, Limits, detect, unpacks_to_more_than

from .making import demos, jsonl, read, refusal


def parquet(table, **options) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table if isinstance(table, pa.Table) else pa.table(table), sink, **options)
    return sink.getvalue()


DEMOS = {"prompt": ["a", "b", "c"], "completion": ["1", "2", "3"]}


# --- Small files that hold a lot --------------------------------------------------------------------------
@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstd.compress])
def test_a_small_file_is_known_by_what_it_unpacks_to(tmp_path, pack):
    path = tmp_path / "x.jsonl"
    path.write_bytes(pack(b'{"prompt": "a"}\n' * 2_000))
    assert unpacks_to_more_than(path, 31_999, 10**9) and not unpacks_to_more_than(path, 32_000, 1)
    if pack is not bytes:
        path.write_bytes(path.read_bytes()[:-12])
        assert not unpacks_to_more_than(path, 10**9, 1)  # damaged: the reader says so


def test_parquet_is_known_by_its_rows(tmp_path):
    path = tmp_path / "x.parquet"
    path.write_bytes(parquet({"prompt": ["a"] * 5_000}))
    assert unpacks_to_more_than(path, 10**9, 4_999) and not unpacks_to_more_than(path, 1, 5_000)
    path.write_bytes(path.read_bytes()[:-9] + b"\xff\xff\xff\xff\xffPAR1")
    assert not unpacks_to_more_than(path, 1, 1)


def test_more_rows_than_the_limit_are_refused_by_number():
    limits = Limits(max_rows=3)
    three = b'{"prompt": "a"}\n' * 3
    assert len(read(three, "x.jsonl", "prompts", limits=limits)) == 3
    error = refusal(three + b'{"prompt": "b"}\n', "x.jsonl", "prompts", limits=limits)
    assert "more than 3 rows" in str(error)


# --- Parquet ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "column",
    [
        pa.array([0, 2**31 - 1], pa.date32()),
        pa.array([0, 2**62], pa.timestamp("us")),
        pa.array([0, -(2**62)], pa.timestamp("ms", tz="UTC")),
        pa.array([[0], [2**31 - 1]], pa.list_(pa.date32())),
    ],
)
def test_a_date_that_no_calendar_has_is_a_fault_of_its_row_and_field(column):
    data = parquet(pa.table({"prompt": ["a", "b"], "when": column}))
    error = refusal(data, "x.parquet", "prompts")
    assert (error.file, error.row, error.field) == ("x.parquet", 2, "when")
    assert "outside the years 1 to 9999" in str(error)
    faults = []
    assert len(read(data, "x.parquet", "prompts", on_fault=faults.append)) == 1 and len(faults) == 1


def test_a_parquet_file_is_read_over_all_its_row_groups():
    data = parquet(
        {"prompt": [f"p{n}" for n in range(1_000)], "completion": ["x"] * 1_000}, row_group_size=300
    )
    records = read(data, "a.parquet")
    assert [(r.row, r.messages[0]["content"]) for r in records[::333]] == [
        (1, "p0"), (334, "p333"), (667, "p666"), (1000, "p999"),
    ]  # fmt: skip


def test_it_is_told_by_its_content_and_shown_as_other_files():
    seen = detect(io.BytesIO(parquet(DEMOS)), filename="data.bin")
    assert (seen.format, seen.compression, seen.columns) == ("parquet", "none", ("prompt", "completion"))
    assert (seen.kinds[0], seen.sample_rows[0]) == ("demonstrations", {"prompt": "a", "completion": "1"})


def test_lists_and_structs_are_conversations():
    turns = [[{"role": "user", "content": "hi"}, {"role": "assistant", "content": "Hello."}]]
    (record,) = read(parquet({"messages": turns}), "a.parquet")
    assert (record.messages, record.text) == (({"role": "user", "content": "hi"},), "Hello.")


def test_other_values_become_what_json_can_hold():
    more = {
        "day": [datetime.date(2024, 2, 29)],
        "price": [decimal.Decimal("1.50")],
        "votes": pa.array([7], pa.int64()),
        "empty": [None],
        "kind": pa.array(["x"]).dictionary_encode(),
        "language": ["de"],
    }
    (record,) = read(parquet({"prompt": ["a"], "completion": ["b"], **more}), "a.parquet")
    assert record.metadata == {"day": "2024-02-29", "price": "1.50", "votes": 7, "kind": "x"}
    assert record.language == "de"


def test_columns_are_matched_without_regard_to_case_and_can_be_mapped():
    assert read(parquet({"Prompt": ["a"], "Completion": ["b"]}), "a.parquet")[0].text == "b"
    data = parquet({"frage": ["a"], "antwort": ["b"]})
    assert read(data, "a.parquet", columns={"prompt": "frage", "completion": "antwort"})[0].text == "b"


@pytest.mark.parametrize(
    ("name", "table", "row", "field", "piece"),
    [
        ("number", {"prompt": ["a"], "completion": [1]}, 1, "completion", "must be text, not a number"),
        ("null", {"prompt": ["a", "b"], "completion": ["x", None]}, 2, "completion", "text, not null"),
        ("nested", {"prompt": ["a"], "completion": [{"a": 1}]}, 1, "completion", "text, not an object"),
        ("NUL", {"prompt": ["a", "b\0"], "completion": ["x", "y"]}, 2, "prompt", "NUL"),
        ("NaN", {"prompt": ["a"], "completion": ["x"], "margin": [float("nan")]}, 1, "margin", "finite"),
        ("binary", {"prompt": ["a"], "completion": ["x"], "image": [b"\x89"]}, None, "image", "type binary"),
        (
            "map",
            {"prompt": ["a"], "completion": ["x"],
             "m": pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64()))},
            None, "m", "type map",
        ),
        ("no rows", {"prompt": pa.array([], pa.string())}, None, None, "nothing to import"),
    ],
)  # fmt: skip
def test_wrong_types_are_refused_with_row_and_field(name, table, row, field, piece):
    error = refusal(parquet(table), "a.parquet")
    assert (error.row, error.field, error.file) == (row, field, "a.parquet")
    assert piece in str(error)


def test_text_that_is_not_utf_8_is_refused_with_row_and_field():
    column = pa.array([b"good", b"caf\xe9"], pa.binary()).view(pa.string())
    error = refusal(parquet(pa.table({"prompt": column, "completion": ["x", "y"]})), "a.parquet")
    assert (error.row, error.field, "not UTF-8" in str(error)) == (2, "prompt", True)


def test_faulty_rows_of_a_parquet_file_can_be_left_out():
    faults = []
    data = parquet({"prompt": ["a", "b\0", "c"], "completion": ["x", "y", "z"]})
    assert [r.row for r in read(data, "a.parquet", on_fault=faults.append)] == [1, 3]
    assert [fault.row for fault in faults] == [2]


def test_a_column_that_is_there_twice_is_refused():
    table = pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["prompt", "prompt"])
    assert "there twice" in str(refusal(parquet(table), "a.parquet"))


@pytest.mark.parametrize("cut", [8, 12, 40, 200])
def test_a_cut_parquet_file_is_refused(cut):
    error = refusal(parquet(DEMOS)[:-cut], "a.parquet")
    assert ("incomplete" in str(error), error.row) == (True, None)


def test_a_damaged_parquet_file_is_refused_and_not_half_read():
    whole = parquet(DEMOS, compression="snappy")
    for position in range(4, len(whole) - 8, 7):
        damaged = bytearray(whole)
        damaged[position] ^= 0xFF
        try:
            records = read(bytes(damaged), "a.parquet")
        except FormatError:
            pass
        else:
            assert len(records) == 3  # a byte of a text, or one that nobody reads


def test_a_footer_that_is_longer_than_the_file_is_refused():
    data = bytearray(parquet(DEMOS))
    data[-8:-4] = (0x7FFFFFFF).to_bytes(4, "little")
    assert "footer" in str(refusal(bytes(data), "a.parquet"))


@pytest.mark.parametrize("pack", [gzip.compress, zstd.compress])
def test_a_parquet_file_that_was_packed_once_more_is_read(pack):
    assert read(pack(parquet(DEMOS)), "a.parquet.gz") == read(parquet(DEMOS), "a.parquet")


def test_a_packed_parquet_file_meets_the_limit_when_unpacked_and_its_faults_are_named():
    packed = gzip.compress(parquet(DEMOS))
    error = refusal(packed, "a.parquet.gz", limits=Limits(max_file_bytes=300))
    assert "larger than 300 bytes when unpacked" in str(error)
    assert "incomplete" in str(refusal(packed[:-9], "a.parquet.gz"))
    assert "compressed twice" in str(refusal(gzip.compress(packed), "a.parquet.gz.gz"))


def test_many_columns_are_refused():
    table = pa.table({f"c{n}": ["x"] for n in range(60)})
    assert "60 columns" in str(refusal(parquet(table), "a.parquet", limits=Limits(max_columns=50)))


WORDS = (
    "words = pa.DictionaryArray.from_arrays(pa.array([0] * MILLION, pa.int32()), pa.array(['x' * MILLION]))"
)
BOMBS = {
    "one text, a million times": """
        table = pa.table({"prompt": words, "completion": ["y"] * 1_000_000})
    """,
    "one text, a million times in a list": """
        table = pa.table({"prompt": pa.ListArray.from_arrays([0, 1_000_000], words), "completion": ["y"]})
    """,
}


@pytest.mark.serial
@pytest.mark.parametrize("bomb", BOMBS)
def test_a_parquet_bomb_meets_a_limit_in_bounded_memory(tmp_path, bomb):
    script = (
        f"import pyarrow as pa, pyarrow.parquet as pq\nMILLION = 1_000_000\n{WORDS}\n"
        + "\n".join(line.strip() for line in BOMBS[bomb].splitlines())
        + f"\npq.write_table(table, {str(tmp_path / 'bomb.parquet')!r}, compression='zstd')\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=Path(__file__).parents[2])
    assert (tmp_path / "bomb.parquet").stat().st_size < 5_000_000
    reading = (
        "import resource, sys\n"
        "from labeling.formats import FormatError, read_file\n"
        "import pyarrow.parquet\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try:\n"
        f"    for record in read_file({str(tmp_path / 'bomb.parquet')!r}, kind='demonstrations'): pass\n"
        "except FormatError as error: print(error)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", reading],
        check=True, capture_output=True, text=True, cwd=Path(__file__).parents[2],
        env={**os.environ, "OMP_NUM_THREADS": "1"}, timeout=120,
    )  # fmt: skip
    assert "larger than 1,000,000,000 bytes" in done.stdout or "longer than 4 MiB" in done.stdout
    assert int(done.stderr.splitlines()[-1]) < 200_000  # KiB


# --- Zstandard --------------------------------------------------------------------------------------------
ROWS = jsonl(*demos(200))
CHECKED = zstd.compress(ROWS, options={zstd.CompressionParameter.checksum_flag: 1})


def test_a_zstandard_file_is_unpacked_over_all_its_frames():
    assert len(read(zstd.compress(ROWS) + zstd.compress(ROWS), "demos.jsonl.zst")) == 400
    seen = detect(io.BytesIO(zstd.compress(b"prompt,completion\na,b\n")), filename="a.csv.zst")
    assert (seen.format, seen.compression) == ("csv", "zstandard")


@pytest.mark.parametrize(
    ("data", "piece"),
    [
        (zstd.compress(ROWS)[:-20], "incomplete"),
        (zstd.compress(ROWS) + b"more", "cannot be unpacked"),
        (CHECKED[:60] + b"\xff\xff\xff\xff" + CHECKED[64:], "cannot be unpacked"),
        (zstd.compress(zstd.compress(ROWS)), "compressed twice"),
        (gzip.compress(zstd.compress(ROWS)), "compressed twice"),
        (zstd.compress(gzip.compress(ROWS)), "compressed twice"),
    ],
    ids=["cut", "more after it", "damaged", "twice", "inside gzip", "gzip inside"],
)
def test_a_faulty_zstandard_file_is_refused(data, piece):
    assert piece in str(refusal(data, "demos.jsonl.zst"))


def test_a_zstandard_bomb_meets_the_limit_when_unpacked():
    bomb = zstd.compress(b'{"prompt": "a", "completion": "b"}\n' * 100_000)
    assert len(bomb) < 2_000
    error = refusal(bomb, "bomb.jsonl.zst", limits=Limits(max_file_bytes=1_000_000))
    assert "larger than 1,000,000 bytes when unpacked" in str(error)


def test_a_frame_that_asks_for_a_window_of_gigabytes_is_refused():
    magic, one_segment_no, window_of_2_gib = b"\x28\xb5\x2f\xfd", b"\x00", bytes([(31 - 10) << 3])
    error = refusal(magic + one_segment_no + window_of_2_gib + b"\x01\x00\x00", "a.jsonl.zst")
    assert "cannot be unpacked" in str(error)

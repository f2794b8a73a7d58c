"""Every export format is read back by the libraries it is for: `datasets`, pandas, pyarrow, and TRL's own
checks of what it trains on."""

from __future__ import annotations

import io
import json

import pyarrow.parquet as pq
import pytest

from labeling.formats import EXPORT_FORMATS, encoded_rows
from labeling.formats.delimited import NEUTRALISED
from labeling.formats.parquet_out import AS_JSON, dataset_readme, write_shards

from .held import SYSTEM, TURNS, answered, demonstration, file_of, prompt, ranking

pytestmark = pytest.mark.slow

ROWS = {
    "sft": [demonstration(), demonstration(answer="=1+1"), demonstration(TURNS), demonstration(SYSTEM)],
    "comparison": [
        ranking([1, 2], margins=[0.5]),
        ranking([2, 1, None], unrankable_reasons={"c2": {"reason": "spam"}}),
        ranking([1, 1, 2], SYSTEM),
        ranking([2, 1], TURNS, source={"answers": {"completions": {"c0": {"harmful": True}}}}),
    ],
    "prompts": [prompt(), prompt(TURNS), prompt(SYSTEM)],
    "completions": [answered(), answered(TURNS), answered(SYSTEM, ("=1+1",))],
}
EACH = [(format, kind) for format, export in EXPORT_FORMATS.items() for kind in export.kinds]
LINES = [each for each in EACH if EXPORT_FORMATS[each[0]].extension == "jsonl"]
TABLES = [each for each in EACH if EXPORT_FORMATS[each[0]].columns]
TEXTS = [each for each in EACH if EXPORT_FORMATS[each[0]].is_text]


@pytest.fixture
def load(tmp_path, monkeypatch):
    """`datasets.load_dataset` with a cache of its own."""
    import datasets

    datasets.disable_progress_bars()

    def load(builder, **options):
        return datasets.load_dataset(builder, cache_dir=str(tmp_path / "cache"), **options)

    return load


def test_every_format_is_tried():
    assert sorted(LINES + TABLES + TEXTS) == sorted(EACH)


def without_absent(value):
    """`datasets` and Parquet have one schema: what some rows have, the others have as None."""
    if isinstance(value, dict):
        return {name: without_absent(each) for name, each in value.items() if each is not None}
    return [without_absent(each) for each in value] if isinstance(value, list) else value


def saved(tmp_path, format, kind):
    path = tmp_path / f"rows.{EXPORT_FORMATS[format].extension}"
    path.write_bytes(file_of(format, *ROWS[kind]).getvalue())
    return path


@pytest.mark.parametrize(("format", "kind"), LINES)
def test_json_lines_are_read_by_datasets_and_pandas(format, kind, tmp_path, load):
    import pandas

    path = saved(tmp_path, format, kind)
    written = [json.loads(line) for line in path.read_text().splitlines()]
    assert written
    found = load("json", data_files=str(path), split="train")
    assert [without_absent(row) for row in found] == [without_absent(row) for row in written]
    frame = pandas.read_json(path, lines=True, dtype=False)
    assert (len(frame), set(frame.columns)) == (len(written), {name for row in written for name in row})


@pytest.mark.parametrize(("format", "kind"), TABLES)
def test_tables_are_read_by_datasets_and_pandas(format, kind, tmp_path, load):
    import pandas

    path, columns = saved(tmp_path, format, kind), EXPORT_FORMATS[format].columns
    separator = "\t" if path.suffix == ".tsv" else ","
    wanted = [{name: str(row.get(name, "")) for name in columns} for row in encoded_rows(ROWS[kind], format)]
    frame = pandas.read_csv(path, sep=separator, dtype=str, keep_default_na=False)
    read = frame.to_dict("records")
    changed = [row.pop(NEUTRALISED).split() for row in read]
    assert [
        {n: v.removeprefix("'") if n in names else v for n, v in row.items()}
        for row, names in zip(read, changed, strict=True)
    ] == wanted
    found = load("csv", data_files=str(path), split="train", sep=separator, keep_default_na=False)
    assert (found.column_names, len(found)) == ([*columns, NEUTRALISED], len(wanted))


@pytest.mark.parametrize(("format", "kind"), TEXTS)
def test_lines_of_text_are_read_by_datasets(format, kind, tmp_path, load):
    path = saved(tmp_path, format, kind)
    assert [row["text"] for row in load("text", data_files=str(path), split="train")] == ["Which way?"]


def as_columns(row):
    flat = {
        n: json.dumps(v, ensure_ascii=False, sort_keys=True) if n in AS_JSON else v for n, v in row.items()
    }
    if any("sampling" in each for each in row.get("completions", ())):  # they may have other keys in each row
        flat["completions"] = [as_columns(each) for each in row["completions"]]
    return flat


@pytest.mark.parametrize(("format", "kind"), LINES)
def test_parquet_of_each_is_read_by_pyarrow_and_loaded_as_a_folder(format, kind, tmp_path, load):
    rows = list(encoded_rows(ROWS[kind], format))
    folder = tmp_path / "dataset"
    (folder / "data").mkdir(parents=True)
    [shard] = write_shards(lambda: rows, folder / "data", "train")
    readme = dataset_readme("A card.", name="x", splits=["train"], rows=len(rows), languages=["en"])
    (folder / "README.md").write_text(readme)
    wanted = [without_absent(as_columns(row)) for row in rows]
    assert [without_absent(row) for row in pq.read_table(shard).to_pylist()] == wanted
    assert [without_absent(row) for row in load(str(folder), split="train")] == wanted


# --- TRL --------------------------------------------------------------------------------------------------
PAIRED = ("preference_messages", "preference_implicit")
CONVERSATIONAL = ("messages", "prompt_completion_messages", *PAIRED, "kto", "prompts")
TRL = (*CONVERSATIONAL, "preference", "prompt_completion")
TRL_KIND = {format: EXPORT_FORMATS[format].kinds[0] for format in TRL}


def rows_for_trl(format):
    stream = io.BytesIO(file_of(format, *ROWS[TRL_KIND[format]]).getvalue())
    return [json.loads(line) for line in stream.read().splitlines()]


@pytest.mark.parametrize("format", TRL)
def test_trl_takes_a_conversation_for_one_and_a_text_for_a_text(format):
    from trl.data_utils import is_conversational

    assert {is_conversational(row) for row in rows_for_trl(format)} == {format in CONVERSATIONAL}


def test_trl_finds_the_prompt_of_implicit_pairs():
    """Its own function takes the common beginning off: what is left is what the explicit format has."""
    from trl.data_utils import maybe_extract_prompt

    explicit = rows_for_trl("preference_messages")
    found = [maybe_extract_prompt(row) for row in rows_for_trl("preference_implicit")]
    names = ("prompt", "chosen", "rejected")
    assert [{n: row[n] for n in names} for row in found] == [{n: row[n] for n in names} for row in explicit]


def test_trl_makes_of_pairs_what_the_unpaired_format_has():
    """Of rankings of two: TRL's unpaired rows are those of `kto`, true for the better."""
    from datasets import Dataset
    from trl.data_utils import unpair_preference_dataset

    rows = [row for row in ROWS["comparison"] if row["ranks"] in ([1, 2], [2, 1])]
    pairs = [json.loads(line) for line in file_of("preference_messages", *rows).read().splitlines()]
    unpaired = unpair_preference_dataset(
        Dataset.from_list([{n: row[n] for n in ("prompt", "chosen", "rejected")} for row in pairs])
    )
    single = [json.loads(line) for line in file_of("kto", *rows).read().splitlines()]

    def key(row):
        return json.dumps([row["prompt"], row["completion"], row["label"]], sort_keys=True)

    assert sorted(map(key, unpaired)) == sorted(map(key, single))


def test_trl_joins_prompt_and_completion_as_messages_do():
    """Its chat template sees one conversation whether it comes whole or in two parts."""
    parts = rows_for_trl("prompt_completion_messages")
    whole = rows_for_trl("messages")
    assert [row["prompt"] + row["completion"] for row in parts] == [row["messages"] for row in whole]

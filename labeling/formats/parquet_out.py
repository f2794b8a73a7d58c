"""Rows as Parquet shards as the `datasets` library loads them: data/train-00000-of-00002.parquet and so on.

pyarrow is imported when something is written, not before. Rows whose fields differ get one schema: it is
found in a first pass. Fields of which every row may have other keys (lineage, people's answers) are JSON
text in the columns: Parquet has no place for them.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

ROWS_A_SHARD = 100_000
CHUNK = 2_000
AS_JSON = ("fields", "source", "sampling", "answers", "flags", "notes", "unrankable_reasons")
# Names of licences that the hub knows, of those that data comes under.
HUB_LICENCES = (
    "apache-2.0 mit bsd-2-clause bsd-3-clause gpl-2.0 gpl-3.0 lgpl-3.0 agpl-3.0 mpl-2.0 unlicense wtfpl"
    " cc0-1.0 cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc-by-nc-2.0 cc-by-nc-3.0"
    " cc-by-nc-4.0 cc-by-nd-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0"
    " cc-by-nc-sa-4.0 odc-by odbl pddl gfdl cdla-permissive-1.0 cdla-permissive-2.0 cdla-sharing-1.0"
)
Rows = Callable[[], Iterable[Mapping[str, Any]]]


def write_shards(rows: Rows, folder: Path, split: str, *, rows_a_shard: int = ROWS_A_SHARD) -> list[Path]:
    """Write the rows of a split; the files, in order, none for no rows. `rows()` is asked for them twice.
    Memory: a chunk of rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema, count = None, 0
    for chunk in _chunks(rows()):
        # pyarrow takes the names of the first row for all there are.
        names = dict.fromkeys(name for row in chunk for name in row)
        found = pa.Table.from_pylist([dict.fromkeys(names) | chunk[0], *chunk[1:]]).schema
        merged = [found] if schema is None else [schema, found]
        schema = pa.unify_schemas(merged, promote_options="permissive")
        count += len(chunk)
    if schema is None:
        return []
    shards = -(-count // rows_a_shard)
    paths = [folder / f"{split}-{number:05}-of-{shards:05}.parquet" for number in range(shards)]
    left = iter(rows())
    for path in paths:
        with pq.ParquetWriter(path, schema, compression="zstd") as writer:
            for chunk in _chunks(itertools.islice(left, rows_a_shard)):
                writer.write_table(pa.Table.from_pylist(chunk, schema=schema))
    return paths


def _chunks(rows: Iterable[Mapping[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    left = iter(rows)
    while chunk := [_flattened(row) for row in itertools.islice(left, CHUNK)]:
        yield chunk


def _flattened(row: Mapping[str, Any]) -> dict[str, Any]:
    flat = {
        name: json.dumps(value, ensure_ascii=False, sort_keys=True) if name in AS_JSON else value
        for name, value in row.items()
    }
    if any("source" in each or "sampling" in each for each in _objects(row.get("completions"))):
        flat["completions"] = [_flattened(each) for each in row["completions"]]
    return flat


def _objects(value: Any) -> list[Mapping[str, Any]]:
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []


def _licence_lines(licence: str) -> list[str]:
    """A licence as people write it, by the hub's own name where it has one.

    >>> _licence_lines("CC BY-NC 4.0"), _licence_lines("Ask us: nicely"), _licence_lines("")
    (['license: cc-by-nc-4.0'], ['license: other', 'license_name: "Ask us: nicely"'], ['license: other'])
    """
    known = "-".join(licence.lower().replace("-", " ").split())
    if known in HUB_LICENCES.split():
        return [f"license: {known}"]
    named = [f"license_name: {json.dumps(licence, ensure_ascii=False)}"] if licence else []
    return ["license: other", *named]


def dataset_readme(
    card: str, *, name: str, splits: list[str], rows: int, languages: list[str], licence: str = ""
) -> str:
    """README.md of such a folder: the front matter that `datasets` and the hub read, then the card."""
    sizes = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
    size = next((label for limit, label in sizes if rows < limit), "1M<n<10M")
    lines = ["---", f"pretty_name: {json.dumps(name, ensure_ascii=False)}", *_licence_lines(licence)]
    if languages:
        lines += ["language:", *(f"- {json.dumps(language)}" for language in languages)]
    lines += [f"size_categories:\n- {size}", "configs:", "- config_name: default", "  data_files:"]
    for split in splits:
        lines += [f"  - split: {split}", f"    path: data/{split}-*.parquet"]
    return "\n".join([*lines, "---", "", card])

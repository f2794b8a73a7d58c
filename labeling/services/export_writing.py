"""Writing one prepared export: what formats there are beyond the streamed ones, and the file of each."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import orjson

from annotate.errors import Invalid
from annotate.words import _
from labeling.formats import EXPORT_FORMATS, SPLITS, ExportError, ExportSummary, encoded_rows
from labeling.formats.data_card import stated_licence
from labeling.formats.parquet_out import Rows, dataset_readme, write_shards
from labeling.models import DatasetExport, DatasetVersion

from . import export_packing
from .dataset_cards import card_of
from .datasets import check_format, export_version, open_split, split_path
from .export_encoders import encoder
from .export_packing import ARRAY, OPTIONS, as_array, packed, take_packing

PARQUET, TOKENS = "parquet", "tokens"
ZIPPED = (PARQUET, TOKENS)  # Parquet files and a README.md
ZIP_TIME = (1980, 1, 1, 0, 0, 0)  # a zip holds times; the same version gives the same bytes
Tell = Callable[[int, int], None]


def checked_options(version: DatasetVersion, format: str, options: dict[str, Any]) -> dict[str, Any]:
    """The options of an export that somebody asked for. Raises Invalid naming what there is not.

    All formats: how they are packed (export_packing). Parquet: `rows`, the format whose rows it holds.
    Tokens: what the encoder asks for. Else what a format leaves to choose.
    """
    chosen = dict(options)
    if format == TOKENS:
        return encoder().checked(version, chosen)
    if format == PARQUET:
        rows = chosen.pop("rows", "canonical")
        check_format(version, rows)
        if EXPORT_FORMATS[rows].columns or EXPORT_FORMATS[rows].is_text:
            raise Invalid("Parquet holds the rows of a format of JSON lines.", field="options")
        if chosen:
            raise Invalid(
                _("%(format)s has no option “%(name)s”.") % {"format": "parquet", "name": min(chosen)},
                field="options",
                hint=_("It has %(names)s.") % {"names": "rows"},
            )
        return {"rows": rows}
    check_format(version, format)
    packing = take_packing(format, chosen)
    try:
        EXPORT_FORMATS[format].marks_of(chosen)
    except ExportError as error:
        raise Invalid(f"{error}.", field="options") from error
    return chosen | packing


def extension_of(export: DatasetExport) -> str:
    if export.format in ZIPPED:
        return "zip"
    return export_packing.extension_of(export.format, export.options)


def media_type_of(export: DatasetExport) -> str:
    if export.format in ZIPPED:
        return "application/zip"
    return export_packing.media_type_of(export.format, export.options)


def write_export(export: DatasetExport, path: Path, tell: Tell) -> tuple[str, int, ExportSummary]:
    """(SHA-256, bytes, what was left out) of the file written at `path`, which is durable afterwards.
    `tell(rows done, rows in all)` is called now and then."""
    summary = ExportSummary()
    with open(path, "wb") as file:
        if export.format in ZIPPED:
            _write_parquet(export, file, summary, tell)
        else:
            with packed(file, export.options) as target:
                _write_pieces(export, target, summary, tell)
        file.flush()
        os.fsync(file.fileno())
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return digest, file.seek(0, os.SEEK_END), summary


def _marks(export: DatasetExport) -> dict[str, Any]:
    return {name: value for name, value in export.options.items() if name not in (*OPTIONS, "rows")}


def _write_pieces(export: DatasetExport, file: IO[bytes], summary: ExportSummary, tell: Tell) -> None:
    version = export.version
    pieces = export_version(
        version=version,
        format=export.format,
        split=export.split or None,
        summary=summary,
        marks=_marks(export),
    )
    for piece in as_array(pieces) if export.options.get(ARRAY) else pieces:
        file.write(piece)
        tell(summary.read, version.row_count)


def _write_parquet(export: DatasetExport, file: IO[bytes], summary: ExportSummary, tell: Tell) -> None:
    """A zip (stored: Parquet is packed already) of README.md and data/SPLIT-00000-of-0000N.parquet."""
    version = export.version
    splits = [export.split] if export.split else [split for split in SPLITS if version.row_counts.get(split)]
    written: list[str] = []
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for split in splits:
            with tempfile.TemporaryDirectory(prefix="parquet-", dir=export_folder(file)) as folder:
                counted = ExportSummary()
                make = _tokens_of if export.format == TOKENS else _rows_of
                rows = make(export, split, Path(folder), counted, lambda done: tell(done, version.row_count))
                for path in write_shards(rows, Path(folder), split):
                    with open(path, "rb") as shard:
                        _add(archive, f"data/{path.name}", shard, path.stat().st_size)
                    written = [*written, split] if split not in written else written
                summary.read += counted.read
                summary.written += counted.written
                summary.left_out += counted.left_out
        languages = {
            name for counts in version.facts.get("languages", {}).values() for name in counts if name
        }
        readme = dataset_readme(
            card_of(version=version, as_frozen=True),  # the file is the same whenever it is made
            name=str(version),
            splits=written,
            rows=summary.written,
            languages=sorted(languages),
            licence=stated_licence(version.facts, version.row_count),
        )
        _add(archive, "README.md", io.BytesIO(readme.encode()), len(readme.encode()))


def _rows_of(
    export: DatasetExport, split: str, folder: Path, counted: ExportSummary, tell: Callable[[int], None]
) -> Rows:
    """The rows of a split in the format that `rows` names, as often as they are asked for."""
    version = export.version

    def rows() -> Iterator[Any]:
        counted.read = counted.written = 0  # they are read twice
        counted.left_out.clear()
        canonical = open_split(version=version, split=split)
        for row in encoded_rows(canonical, export.options["rows"], summary=counted):
            tell(counted.read)
            yield row

    return rows


def _tokens_of(
    export: DatasetExport, split: str, folder: Path, counted: ExportSummary, tell: Callable[[int], None]
) -> Rows:
    """The rows of a split as token ids; the encoder is asked once, and its file is read."""
    out = folder / "tokens.jsonl"
    data = split_path(version=export.version, split=split)
    said = encoder().encode(export.version, data, out, export.options)
    counted.read, counted.written = sum(said.values()), said["written"]
    if said["too_long"]:
        counted.left_out["more tokens than allowed"] += said["too_long"]
    tell(counted.read)

    def rows() -> Iterator[Any]:
        with open(out, "rb") as file:
            for line in file:
                yield orjson.loads(line)

    return rows


def export_folder(file: IO[bytes]) -> Path:
    """Where the export is being written: its parts go there too, not to a /tmp that may be memory."""
    return Path(file.name).parent


def _add(archive: zipfile.ZipFile, name: str, data: IO[bytes], size: int) -> None:
    entry = zipfile.ZipInfo(name, ZIP_TIME)
    entry.external_attr = 0o644 << 16
    entry.file_size = size  # a file beyond 2 GiB needs other headers
    with archive.open(entry, "w") as target:
        shutil.copyfileobj(data, target)

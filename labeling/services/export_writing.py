"""Writing one prepared export: what formats there are beyond the streamed ones, and the file of each."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from annotate.errors import Invalid
from labeling.formats import EXPORT_FORMATS, SPLITS, ExportError, ExportSummary, encoded_rows
from labeling.formats.parquet_out import dataset_readme, write_shards
from labeling.models import DatasetExport, DatasetVersion

from .dataset_cards import card_of
from .datasets import check_format, export_version, open_split

PARQUET = "parquet"
ZIP_TIME = (1980, 1, 1, 0, 0, 0)  # a zip holds times; the same version gives the same bytes
Tell = Callable[[int, int], None]


def checked_options(version: DatasetVersion, format: str, options: dict[str, Any]) -> dict[str, Any]:
    """The options of an export that somebody asked for. Raises Invalid naming what there is not.

    All formats: `gzip`. Parquet: `rows`, the format whose rows it holds. Else what a format leaves to choose.
    """
    chosen = dict(options)
    if format == PARQUET:
        rows = chosen.pop("rows", "canonical")
        check_format(version, rows)
        if EXPORT_FORMATS[rows].columns or EXPORT_FORMATS[rows].is_text:
            raise Invalid("Parquet holds the rows of a format of JSON lines.", field="options")
        if chosen:
            raise Invalid(f"parquet has no option “{min(chosen)}”.", field="options", hint="It has rows.")
        return {"rows": rows}
    check_format(version, format)
    is_gzipped = chosen.pop("gzip", False)
    if not isinstance(is_gzipped, bool):
        raise Invalid("gzip is true or false.", field="options")
    try:
        EXPORT_FORMATS[format].marks_of(chosen)
    except ExportError as error:
        raise Invalid(f"{error}.", field="options") from error
    return chosen | ({"gzip": True} if is_gzipped else {})


def extension_of(export: DatasetExport) -> str:
    if export.format == PARQUET:
        return "zip"
    return EXPORT_FORMATS[export.format].extension + (".gz" if export.options.get("gzip") else "")


def media_type_of(export: DatasetExport) -> str:
    if export.format == PARQUET:
        return "application/zip"
    return "application/gzip" if export.options.get("gzip") else EXPORT_FORMATS[export.format].media_type


def write_export(export: DatasetExport, path: Path, tell: Tell) -> tuple[str, int, ExportSummary]:
    """(SHA-256, bytes, what was left out) of the file written at `path`, which is durable afterwards.
    `tell(rows done, rows in all)` is called now and then."""
    summary = ExportSummary()
    with open(path, "wb") as file:
        if export.format == PARQUET:
            _write_parquet(export, file, summary, tell)
        elif export.options.get("gzip"):
            # No name and no time in it: the same bytes whenever it is made.
            with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as packed:
                _write_pieces(export, packed, summary, tell)
        else:
            _write_pieces(export, file, summary, tell)
        file.flush()
        os.fsync(file.fileno())
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return digest, file.seek(0, os.SEEK_END), summary


def _marks(export: DatasetExport) -> dict[str, Any]:
    return {name: value for name, value in export.options.items() if name not in ("gzip", "rows")}


def _write_pieces(export: DatasetExport, file: IO[bytes], summary: ExportSummary, tell: Tell) -> None:
    version = export.version
    pieces = export_version(
        version=version,
        format=export.format,
        split=export.split or None,
        summary=summary,
        marks=_marks(export),
    )
    for piece in pieces:
        file.write(piece)
        tell(summary.read, version.row_count)


def _write_parquet(export: DatasetExport, file: IO[bytes], summary: ExportSummary, tell: Tell) -> None:
    """A zip (stored: Parquet is packed already) of README.md and data/SPLIT-00000-of-0000N.parquet."""
    version, format = export.version, export.options["rows"]
    splits = [export.split] if export.split else [split for split in SPLITS if version.row_counts.get(split)]
    written: list[str] = []
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for split in splits:
            with tempfile.TemporaryDirectory(prefix="parquet-", dir=export_folder(file)) as folder:
                counted = ExportSummary()

                def rows(split: str = split, counted: ExportSummary = counted) -> Iterator[Any]:
                    counted.read = counted.written = 0  # the rows are read twice
                    counted.left_out.clear()
                    for row in encoded_rows(
                        open_split(version=version, split=split), format, summary=counted
                    ):
                        tell(counted.read, version.row_count)
                        yield row

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
            card_of(version=version),
            name=str(version),
            splits=written,
            rows=summary.written,
            languages=sorted(languages),
        )
        _add(archive, "README.md", io.BytesIO(readme.encode()), len(readme.encode()))


def export_folder(file: IO[bytes]) -> Path:
    """Where the export is being written: its parts go there too, not to a /tmp that may be memory."""
    return Path(file.name).parent


def _add(archive: zipfile.ZipFile, name: str, data: IO[bytes], size: int) -> None:
    entry = zipfile.ZipInfo(name, ZIP_TIME)
    entry.external_attr = 0o644 << 16
    entry.file_size = size  # a file beyond 2 GiB needs other headers
    with archive.open(entry, "w") as target:
        shutil.copyfileobj(data, target)

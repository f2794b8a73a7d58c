"""What a download sends: the files, their name and hash, and the audit row that says who took them.

One way for every format, page and API alike: the rows as frozen are files already; every other format is
written once into a prepared file (dataset_exports), so that each can be fetched in parts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from annotate.errors import Conflict
from annotate.words import _
from labeling.formats import EXPORT_FORMATS
from labeling.models import DatasetExport, DatasetExportStatus, DatasetVersion

from . import dataset_exports
from .datasets import manifest_path, split_paths
from .downloads import filename_of, manifest_filename, record_download
from .export_writing import media_type_of

CANONICAL = "canonical"


@dataclass(frozen=True)
class Download:
    """The files one after the other are what is sent. `record(first_byte=…)` leaves the audit row."""

    paths: list[Path]
    filename: str
    media_type: str
    sha256: str
    record: Callable[..., None]


def download_of_version(
    *, version: DatasetVersion, format: str, acting_user, split: str | None = None
) -> Download | DatasetExport:
    """The version, or one split of it, in a format; the export that is being written where it is not there
    yet: at once up to INLINE_ROWS rows, else in the background.

    Raises Invalid (format, split), Conflict (not ready; its file could not be written), NotFound (files
    gone).
    """
    if format == CANONICAL:
        return _of_canonical(version, split, acting_user)
    export = dataset_exports.prepare_export(
        version=version, format=format, split=split or "", acting_user=acting_user, try_again=False
    )
    if export.status == DatasetExportStatus.FAILED:
        raise Conflict(
            _("This file could not be written: %(problem)s") % {"problem": _(export.error)},
            code="export_failed",
            hint=_("Ask for it among the prepared files to try again."),
        )
    if export.status == DatasetExportStatus.WAITING:
        return export
    return download_of_export(export=export, acting_user=acting_user)


def download_of_export(*, export: DatasetExport, acting_user, by_link: bool = False) -> Download:
    """A prepared file, which is kept for longer now. Raises as `open_export` does."""
    return Download(
        paths=[dataset_exports.open_export(export=export)],
        filename=dataset_exports.filename_of(export),
        media_type=media_type_of(export),
        sha256=export.sha256,
        record=partial(
            dataset_exports.record_fetched, export=export, acting_user=acting_user, by_link=by_link
        ),
    )


def download_of_manifest(*, version: DatasetVersion) -> Download:
    """manifest.json as it was frozen; it holds no row, so it is not on record. Raises as `manifest_path`."""
    return Download(
        paths=[manifest_path(version=version)],
        filename=manifest_filename(version),
        media_type="application/json",
        sha256=version.sha256,
        record=lambda first_byte: None,
    )


def _of_canonical(version: DatasetVersion, split: str | None, acting_user) -> Download:
    paths = split_paths(version=version, split=split)
    names = version.manifest["files"][f"{split}.jsonl"]["sha256"] if split else f"{version.sha256}-all"
    return Download(
        paths=paths,
        filename=filename_of(version, CANONICAL, split),
        media_type=EXPORT_FORMATS[CANONICAL].media_type,
        sha256=names,
        record=partial(
            record_download, version=version, format=CANONICAL, split=split, acting_user=acting_user
        ),
    )

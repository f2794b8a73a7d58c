"""Downloads of dataset versions: named after what they are, and on record."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from django.db import transaction
from django.utils.text import slugify

from labeling.formats import EXPORT_FORMATS
from labeling.models import DatasetVersion

from .activity import record_event
from .datasets import export_version, split_paths


def download_version(
    *, version: DatasetVersion, format: str, acting_user, split: str | None = None
) -> Iterator[bytes]:
    """The pieces of an export, after an audit row that says who took what. Raises as `export_version`
    does."""
    pieces = export_version(version=version, format=format, split=split)
    _record(version, format, split, acting_user)
    return pieces


def canonical_files(
    *, version: DatasetVersion, acting_user, split: str | None = None
) -> tuple[list[Path], str]:
    """(the files of the canonical rows in their order, what names their bytes), after an audit row: for
    answers in parts. Raises as `split_path` does."""
    paths = split_paths(version=version, split=split)
    _record(version, "canonical", split, acting_user)
    names = version.manifest["files"][f"{split}.jsonl"]["sha256"] if split else f"{version.sha256}-all"
    return paths, names


def _record(version: DatasetVersion, format: str, split: str | None, acting_user) -> None:
    with transaction.atomic():
        record_event(
            action="dataset.downloaded",
            actor=acting_user,
            obj=version,
            project=version.dataset.project,
            format=format,
            split=split or "all",
            sha256=version.sha256,
        )


def manifest_filename(version: DatasetVersion) -> str:
    """project-dataset-v3-1a2b3c4d.manifest.json"""
    return f"{stem_of(version)}.manifest.json"


def card_filename(version: DatasetVersion) -> str:
    """project-dataset-v3-1a2b3c4d.card.md"""
    return f"{stem_of(version)}.card.md"


def filename_of(version: DatasetVersion, format: str, split: str | None = None) -> str:
    """project-dataset-v3-1a2b3c4d-train.preference.jsonl"""
    part = f"-{split}" if split else ""
    return f"{stem_of(version)}{part}.{format}.{EXPORT_FORMATS[format].extension}"


def stem_of(version: DatasetVersion) -> str:
    dataset = version.dataset
    name = slugify(dataset.name) or f"dataset{dataset.pk}"
    return f"{dataset.project.slug}-{name}-v{version.number}-{version.sha256[:8]}"

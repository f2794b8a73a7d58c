"""Downloads of dataset versions: named after what they are, and on record."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.text import slugify

from labeling.formats import EXPORT_FORMATS
from labeling.models import AuditEvent, DatasetVersion

from .activity import record_event

GOES_ON = timedelta(days=1)  # a part so long after the beginning of a download still belongs to it
MOST_LOOKED_AT = 100  # downloads of one person and version in that time


@transaction.atomic
def record_download(
    *,
    version: DatasetVersion,
    format: str,
    split: str | None,
    acting_user,
    first_byte: int = 0,
    **more: Any,
) -> None:
    """The audit row that says who took what. One a download: a part from the middle of the file has one only
    where the same person has none for the file of the last day, so that nobody takes a file in parts unseen.
    """
    data = {"format": format, "split": split or "all", "sha256": version.sha256, **more}
    if first_byte and _is_going_on(version, acting_user, data):
        return
    record_event(
        action="dataset.downloaded",
        actor=acting_user,
        obj=version,
        project=version.dataset.project,
        **data,
    )


def _is_going_on(version: DatasetVersion, acting_user, data: dict[str, Any]) -> bool:
    rows = AuditEvent.objects.filter(
        action="dataset.downloaded",
        object_type="datasetversion",
        object_id=str(version.pk),
        actor=acting_user,
        created_at__gte=timezone.now() - GOES_ON,
    )
    return data in rows.order_by("-id").values_list("data", flat=True)[:MOST_LOOKED_AT]


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

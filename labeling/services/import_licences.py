"""The licence of an import, stated or corrected after it was brought in.

Versions that were frozen keep what was stated then, as their hash and the trail have it; their data card says
both.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db import transaction

from annotate.errors import Invalid
from annotate.words import _
from labeling.models import DatasetVersion, ImportRecord

from .activity import record_event
from .judgments import clean_text

LONGEST = 120


@transaction.atomic
def change_licence(*, import_record: ImportRecord, licence: str, acting_user) -> ImportRecord:
    """Raises Invalid (too long, or no text that can be stored). The same licence again changes nothing."""
    licence = clean_text(" ".join(licence.split()), "licence")
    if len(licence) > LONGEST:
        raise Invalid(_("At most %(most)s characters.") % {"most": LONGEST}, field="licence")
    record = ImportRecord.objects.select_for_update(of=("self",), no_key=True).get(pk=import_record.pk)
    if record.licence == licence:
        return record
    old, record.licence = record.licence, licence
    record.save(update_fields=["licence"])
    record_event(
        action="import.licence_changed",
        actor=acting_user,
        obj=record,
        project=record.project,
        old=old,
        new=licence,
    )
    return record


def licences_now(version: DatasetVersion) -> dict[int, str]:
    """{import: its licence} of those of a version's files whose licence is another one today."""
    frozen: dict[int, str] = {each["import"]: each["licence"] for each in _sources(version)}
    found = ImportRecord.objects.filter(pk__in=list(frozen)).values_list("pk", "licence")
    return {pk: licence for pk, licence in found if licence != frozen[pk]}


def _sources(version: DatasetVersion) -> Iterable[dict[str, Any]]:
    return version.facts.get("sources", [])

"""`manage.py verify`: are the judgments that files brought in as they came? One digest an import."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db.models import Exists, OuterRef

from labeling.models import ImportRecord, JudgmentOrigin, Submission

from . import digests
from .judgment_check import MODELS
from .told import Remark, as_dict, first_rows, gone

SUCCEEDED = "import.succeeded"
FETCH = 2_000


def verify_imports() -> Iterator[tuple[str, list[str]]]:
    """(which import, what is wrong) for every import that brought judgments in."""
    has_judgments = Exists(Submission.objects.filter(import_record=OuterRef("pk")))
    records = ImportRecord.objects.annotate(has_judgments=has_judgments).order_by("pk")
    for pk, slug, filename, has in records.values_list("pk", "project__slug", "filename", "has_judgments"):
        told = first_rows(SUCCEEDED, [pk])
        kept = _kept(told[str(pk)][0]) if told else {}
        if has or kept.get("count"):
            problems = _problems(pk, kept) if told else ["no audit row tells of it: it was added"]
            yield f"{slug}: import {pk} ({filename})", problems
    for pk, project, data in gone(ImportRecord, [SUCCEEDED]):
        if _kept(data).get("count"):
            yield f"{project}: import {pk}", ["it was removed"]


def _problems(pk: int, kept: dict[str, Any]) -> list[str]:
    if not kept:
        count = Submission.objects.filter(import_record=pk).count()
        return [Remark(f"{count:,} judgments from before there were digests: held against nothing")]
    if kept.get("v") != digests.VERSION:
        return ["its digest is of a kind that this version does not know"]
    try:
        count, sha256 = _recomputed(pk)
    except TypeError:
        return ["a judgment holds what cannot be written as JSON"]
    if count != kept.get("count"):
        return [f"it brought in {kept.get('count')} judgments, {count} are there"]
    return [] if sha256 == kept.get("sha256") else ["a judgment that it brought in was changed"]


def _kept(data: dict[str, Any]) -> dict[str, Any]:
    """{} where the audit row is from before there were digests."""
    return as_dict(as_dict(data.get("digests")).get("judgments"))


def _recomputed(pk: int) -> tuple[int, str]:
    """(how many, their digest). A fix is a revision of its own and changes nothing here."""
    running = digests.ImportDigest()
    of_submission = ("submission_id", "submission__task_id", "submission__annotator_id")
    for kind, model in MODELS.items():
        rows = model.objects.filter(submission__import_record=pk, origin=JudgmentOrigin.IMPORT)
        columns = (*of_submission, "submission__prompt_id", *digests.ROW[kind])
        for values in rows.order_by("submission_id").values_list(*columns).iterator(FETCH):
            running.add_values(kind, values)
    return running.count, running.to_json()["sha256"]

"""Completions: answers of models, handed back by training or imported; the same one is stored once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from django.db import transaction

from annotate.errors import Invalid
from annotate.words import _
from labeling.models import Completion, CompletionOrigin, ImportRecord, Project, Prompt

from .activity import record_event
from .prompts import chunked, find_ids, lock_project_rows

LONGEST_SOURCE_KEY = 120
LONGEST_GENERATOR = 120


def imported_key(prompt_digest: str, generator: str, text: str, occurrence: int = 0) -> str:
    """The source key of an imported completion: the same text by the same model for the same prompt is one
    completion.

    `occurrence` tells equal texts of one row apart.
    """
    digest = hashlib.sha256()
    for part in (prompt_digest, generator, text, str(occurrence) if occurrence else ""):
        data = part.encode()
        digest.update(len(data).to_bytes(8, "big"))
        digest.update(data)
    return f"imported:{digest.hexdigest()}"


def key_of(completion: Completion) -> str:
    """What tells a stored completion from others; raises ValueError for one that a person wrote."""
    if completion.source_key is None:
        raise ValueError("a completion without a source key cannot be found again")
    return completion.source_key


def ensure_completions(rows: Iterable[Completion], *, project: Project) -> tuple[dict[str, int], set[str]]:
    """({source key: id}, the keys that are new) of unsaved rows. Needs the caller's transaction and
    `lock_project_rows`."""
    by_key: dict[str, Completion] = {}
    for row in rows:
        by_key.setdefault(key_of(row), row)
    ids = find_ids(Completion.objects.filter(project=project), "source_key", by_key)
    missing = [row for key, row in by_key.items() if key not in ids]
    created = Completion.objects.bulk_create(missing)
    ids |= {key_of(completion): completion.pk for completion in created}
    return ids, {key_of(row) for row in missing}


@transaction.atomic
def record_completions(
    *,
    project: Project,
    rows: Iterable[Mapping[str, Any]],
    acting_user=None,
    import_record: ImportRecord | None = None,
) -> list[int]:
    """Store sampled completions; the ids are in the order of the rows. Doing it again stores nothing twice.

    A row: {"prompt_id", "text", "generator", "checkpoint_key", "run_key", "sampling", "source_key"}; the
    source key names the sample (run, prompt, number). Raises Invalid for a prompt of another project or a key
    that is missing or too long.
    """
    lock_project_rows(project)
    ids: list[int] = []
    added = 0
    for chunk in chunked(rows):
        _check_prompts(project, chunk)
        completions = [_completion(project, row, import_record) for row in chunk]
        by_key, new = ensure_completions(completions, project=project)
        ids.extend(by_key[key_of(completion)] for completion in completions)
        added += len(new)
    if added:
        record_event(
            action="completions.recorded",
            actor=acting_user,
            obj=project,
            project=project,
            added=added,
            sent=len(ids),
        )
    return ids


def _completion(project: Project, row: Mapping[str, Any], import_record: ImportRecord | None) -> Completion:
    key = row.get("source_key")
    if not isinstance(key, str) or not 0 < len(key) <= LONGEST_SOURCE_KEY:
        raise Invalid(
            _("Each completion needs a source key of 1 to %(most)s characters.")
            % {"most": LONGEST_SOURCE_KEY},
            field="source_key",
        )
    generator = str(row.get("generator") or "")
    if len(generator) > LONGEST_GENERATOR:
        raise Invalid(_("At most %(most)s characters.") % {"most": LONGEST_GENERATOR}, field="generator")
    is_ours = row.get("checkpoint_key") is not None
    return Completion(
        project=project,
        prompt_id=int(row["prompt_id"]),
        # PostgreSQL's text has no NUL; a model may write one all the same.
        text=row["text"].replace("\0", "\N{REPLACEMENT CHARACTER}"),
        origin=CompletionOrigin.MODEL if is_ours else CompletionOrigin.IMPORTED,
        generator=generator,
        checkpoint_key=row.get("checkpoint_key"),
        run_key=row.get("run_key"),
        sampling=row.get("sampling") or {},
        source_key=key,
        import_record=import_record,
    )


def _check_prompts(project: Project, rows: Iterable[Mapping[str, Any]]) -> None:
    wanted = {int(row["prompt_id"]) for row in rows}
    known = set(Prompt.objects.filter(project=project, pk__in=wanted).values_list("pk", flat=True))
    if unknown := sorted(wanted - known):
        raise Invalid(_("Prompt %(name)s is not in this project.") % {"name": unknown[0]}, field="prompt_id")

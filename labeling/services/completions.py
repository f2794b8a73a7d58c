"""Completions: answers of models, handed back by training or imported; the same one is stored once."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from django.db import transaction

from annotate.errors import Invalid
from annotate.prepared import PreparedLoad, json_text, random_uuids
from annotate.words import _
from labeling.models import Completion, CompletionOrigin, ImportRecord, Project, Prompt, text_digest

from .activity import record_event
from .judgments import clean_text
from .prompts import chunked, find_ids, lock_project_rows

LONGEST_SOURCE_KEY = 120
LONGEST_GENERATOR = 120
COMPLETIONS = PreparedLoad(
    Completion,
    "source_key", "prompt_id", "text", "origin", "generator", "checkpoint_key", "run_key", "sampling",
    "content_sha256", "public_id",
)  # fmt: skip


class NewCompletion(NamedTuple):
    """A completion about to be stored; `source_key` says whether it is there already. In the order of
    COMPLETIONS: keys of checkpoint and run are hexadecimal, `sampling` is JSON text."""

    source_key: str
    prompt_id: int
    text: str
    origin: str
    generator: str
    checkpoint_key: str | None = None
    run_key: str | None = None
    sampling: str = "{}"


def imported_key(prompt_digest: str, generator: str, text: str, occurrence: int = 0) -> str:
    """The source key of an imported completion: the same text by the same model for the same prompt is one
    completion.

    `occurrence` tells equal texts of one row apart.
    """
    parts = [
        part.encode() for part in (prompt_digest, generator, text, str(occurrence) if occurrence else "")
    ]
    data = b"".join([len(part).to_bytes(8, "big") + part for part in parts])
    return f"imported:{hashlib.sha256(data).hexdigest()}"


def ensure_completions(
    rows: Iterable[NewCompletion], *, project: Project, import_record: ImportRecord | None
) -> tuple[dict[str, int], set[str]]:
    """({source key: id}, the keys that are new) of rows. Needs the caller's transaction and
    `lock_project_rows`."""
    by_key: dict[str, NewCompletion] = {}
    for row in rows:
        by_key.setdefault(row.source_key, row)
    ids = find_ids(Completion, "source_key", by_key, project=project)
    missing = [row for key, row in by_key.items() if key not in ids]
    public = random_uuids(len(missing))
    created = COMPLETIONS.load(
        ((*row, text_digest(row.text), public_id) for row, public_id in zip(missing, public, strict=True)),
        project_id=project.pk,
        import_record_id=import_record.pk if import_record is not None else None,
    )
    new = [row.source_key for row in missing]
    ids |= zip(new, created, strict=True)
    return ids, set(new)


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
        completions = [_completion(row) for row in chunk]
        by_key, new = ensure_completions(completions, project=project, import_record=import_record)
        ids.extend(by_key[completion.source_key] for completion in completions)
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


def _completion(row: Mapping[str, Any]) -> NewCompletion:
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
    return NewCompletion(
        source_key=key,
        prompt_id=int(row["prompt_id"]),
        # PostgreSQL's text has no NUL; a model may write one all the same.
        text=row["text"].replace("\0", "\N{REPLACEMENT CHARACTER}"),
        origin=(CompletionOrigin.MODEL if is_ours else CompletionOrigin.IMPORTED).value,
        generator=generator,
        checkpoint_key=_hexadecimal(row.get("checkpoint_key")),
        run_key=_hexadecimal(row.get("run_key")),
        sampling=_sampling(row.get("sampling") or {}),
    )


def _sampling(given: Any) -> str:
    """As JSON. Raises Invalid for what PostgreSQL does not store: NUL, half of a surrogate pair."""
    for text in _texts_in(given):
        clean_text(text, "sampling")
    return json_text(given)


def _texts_in(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, each in value.items():
            yield str(key)
            yield from _texts_in(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _texts_in(each)


def _hexadecimal(key: Any) -> str | None:
    return None if key is None else uuid.UUID(str(key)).hex


def _check_prompts(project: Project, rows: Iterable[Mapping[str, Any]]) -> None:
    wanted = {int(row["prompt_id"]) for row in rows}
    known = set(Prompt.objects.filter(project=project, pk__in=wanted).values_list("pk", flat=True))
    if unknown := sorted(wanted - known):
        raise Invalid(_("Prompt %(name)s is not in this project.") % {"name": unknown[0]}, field="prompt_id")

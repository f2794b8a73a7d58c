"""Prompts: each conversation stored once per project."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from django.db import connection, models, transaction
from django.utils import timezone

from annotate.errors import Conflict
from annotate.prepared import PreparedLoad, json_text
from labeling.formats import prompt_digest
from labeling.models import AssignmentStatus, ImportRecord, Project, Prompt

from .activity import record_event
from .answer_index import index_prompts, is_indexed

CHUNK = 1_000
LOOKUP = 5_000  # values in one IN (…): below the limits of both databases
PREVIEW_CHARACTERS = 300
PROMPTS = PreparedLoad(Prompt, "messages", "digest", "preview", "category", "language", "metadata")
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class NewPrompt:
    """A prompt about to be stored; `digest` says whether it is there already."""

    messages: Sequence[dict[str, str]]
    digest: str
    category: str = ""
    language: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)


def preview_of(messages: Sequence[dict[str, str]]) -> str:
    """The start of the last user turn on one line, for lists and search."""
    last = next((m["content"] for m in reversed(messages) if m["role"] == "user"), messages[-1]["content"])
    # Cut before the split: a text of a million characters would be taken apart for its first three hundred.
    return " ".join(last[: PREVIEW_CHARACTERS * 4].split())[:PREVIEW_CHARACTERS]


def lock_project_rows(project: Project) -> None:
    """Let one import of this project store rows at a time, so that "is it there already" stays true until the
    commit.

    On PostgreSQL this is FOR NO KEY UPDATE, which people's submissions (their foreign keys) do not wait for;
    on SQLite the transaction itself is the lock.
    """
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)


def chunked(items: Iterable[Item], size: int = CHUNK) -> Iterator[list[Item]]:
    iterator = iter(items)
    while chunk := list(itertools.islice(iterator, size)):
        yield chunk


def find_ids(
    model: type[models.Model], field_name: str, values: Iterable[str], *, project: Project
) -> dict[str, int]:
    """{value: id} of the project's rows whose field, unique in a project, has one of the values."""
    find = _find_by_index if connection.vendor == "postgresql" else _find_together
    found: dict[str, int] = {}
    for part in chunked(values, LOOKUP):
        found |= find(model, field_name, part, project)
    return found


def _find_together(model: Any, field_name: str, values: list[str], project: Project) -> dict[str, int]:
    rows = model.objects.filter(project=project, **{f"{field_name}__in": values}).order_by()
    return dict(rows.values_list(field_name, "pk"))


# Plans that find the next value otherwise than by an index in its order: not to be taken.
_OTHER_PLANS = ("enable_seqscan", "enable_bitmapscan", "enable_sort", "enable_incremental_sort")


def _find_by_index(model: Any, field_name: str, values: list[str], project: Project) -> dict[str, int]:
    """Value by value, each the first in the order of the index of (project, field) that is not before it.

    PostgreSQL has no statistics of what an import has just stored. It takes all rows of a new project to be
    one, and would read them all for each value, by the index of the project alone; or the whole table for
    each chunk, where it is asked for `IN (…)`. Only the one index has this order, so there is no choice.
    """
    table, column = model._meta.db_table, model._meta.get_field(field_name).column
    first = (
        f"SELECT id, project_id, {column} AS found FROM {table}"  # noqa: S608 - our own names
        f" WHERE (project_id, {column}) >= (%s, wanted.value) ORDER BY project_id, {column} LIMIT 1"
    )
    statement = (
        "SELECT wanted.value, stored.id FROM unnest(%s::text[]) AS wanted (value)"  # noqa: S608
        f" CROSS JOIN LATERAL ({first}) AS stored"
        " WHERE stored.project_id = %s AND stored.found = wanted.value"
    )
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("; ".join(f"SET LOCAL {plan} = off" for plan in _OTHER_PLANS))
        cursor.execute(statement, [values, project.pk, project.pk])
        found = dict(cursor.fetchall())
        transaction.set_rollback(True)  # of the settings: nothing was written
    return found


def ensure_prompts(
    *, project: Project, rows: Iterable[NewPrompt], import_record: ImportRecord | None, acting_user
) -> tuple[dict[str, int], set[str]]:
    """({digest: id} of all rows, the digests that are new). Needs the caller's transaction and
    `lock_project_rows`."""
    by_digest: dict[str, NewPrompt] = {}
    for row in rows:
        by_digest.setdefault(row.digest, row)
    ids = find_ids(Prompt, "digest", by_digest, project=project)
    missing = [row for digest, row in by_digest.items() if digest not in ids]
    keys = PROMPTS.load(
        (
            (
                json_text(row.messages), row.digest, preview_of(row.messages), row.category, row.language,
                json_text(row.metadata),
            )
            for row in missing
        ),
        project_id=project.pk,
        import_record_id=import_record.pk if import_record is not None else None,
        created_by_id=acting_user.pk if acting_user is not None else None,
    )  # fmt: skip
    if keys and is_indexed(project):
        index_prompts(
            project,
            [Prompt(pk=pk, messages=list(row.messages)) for pk, row in zip(keys, missing, strict=True)],
        )
    new = {row.digest for row in missing}
    ids |= zip((row.digest for row in missing), keys, strict=True)
    return ids, new


@transaction.atomic
def record_prompts(
    *, project: Project, records: Iterable, import_record: ImportRecord | None = None, acting_user=None
) -> tuple[int, int]:
    """Store prompts (objects with messages, category, language, metadata); (added, already there)."""
    lock_project_rows(project)
    added = seen = 0
    for chunk in chunked(records):
        rows = [
            NewPrompt(
                messages=record.messages,
                digest=prompt_digest(record.messages),
                category=record.category,
                language=record.language,
                metadata=record.metadata,
            )
            for record in chunk
        ]
        _, new = ensure_prompts(
            project=project, rows=rows, import_record=import_record, acting_user=acting_user
        )
        added += len(new)
        seen += len(chunk)
    if added and import_record is None:
        record_event(action="prompts.recorded", actor=acting_user, obj=project, project=project, added=added)
    return added, seen - added


@transaction.atomic
def archive_prompt(*, prompt: Prompt, acting_user) -> Prompt:
    """Leave the prompt out of new batches and new dataset versions; what was made with it stays.

    Raises Conflict while somebody works on it: their work must not vanish under their hands.
    """
    in_hand = [AssignmentStatus.LEASED, AssignmentStatus.RETURNED]
    if prompt.tasks.filter(assignments__status__in=in_hand).exists():
        raise Conflict(
            "Somebody is working on this prompt.",
            code="prompt_in_work",
            hint="Wait until they are done, or close its batch.",
        )
    if Prompt.objects.active().filter(pk=prompt.pk).update(archived_at=timezone.now()):
        record_event(action="prompt.archived", actor=acting_user, obj=prompt, project=prompt.project)
    prompt.refresh_from_db(fields=["archived_at"])
    return prompt


@transaction.atomic
def restore_prompt(*, prompt: Prompt, acting_user) -> Prompt:
    """Take an archived prompt into use again."""
    if Prompt.objects.filter(pk=prompt.pk, archived_at__isnull=False).update(archived_at=None):
        record_event(action="prompt.restored", actor=acting_user, obj=prompt, project=prompt.project)
    prompt.archived_at = None
    return prompt

"""What the benchmarks of datasets are held against: the database's own bulk load, and plain loops.

Nothing here checks, hashes, splits or counts anything: it is the least that moving so many rows can cost.
"""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import orjson
from django.db import connection, models, transaction

from labeling.models import Completion, ImportRecord, Project, Prompt, Ranking, Submission

CHUNK = 10_000
FETCH = 500


def bulk_load_seconds(record: ImportRecord) -> float:
    """Seconds that the database needs to load the rows an import stored into tables of the same columns,
    keys, foreign keys and indexes, the rows being in memory: COPY on PostgreSQL, executemany in one
    transaction on SQLite."""
    sources = [
        (Prompt, "import_record_id = %s"),
        (Completion, "import_record_id = %s"),
        (Submission, "import_record_id = %s"),
        (Ranking, "submission_id IN (SELECT id FROM labeling_submission WHERE import_record_id = %s)"),
    ]
    load = _copy_seconds if connection.vendor == "postgresql" else _executemany_seconds
    return sum(load(model, where, record.pk) for model, where in sources)


def _copy_seconds(model: type[models.Model], where: str, pk: int) -> float:
    table = model._meta.db_table
    with transaction.atomic(), connection.cursor() as cursor, tempfile.TemporaryFile() as file:
        stored = f"SELECT * FROM {table} WHERE {where.replace('%s', str(pk))}"  # noqa: S608
        cursor.copy_expert(f"COPY ({stored}) TO STDOUT", file)
        file.seek(0)
        cursor.execute(f"CREATE TABLE plain_load (LIKE {table} INCLUDING ALL)")
        cursor.execute(
            "SELECT pg_get_constraintdef(oid) FROM pg_constraint"
            " WHERE contype = 'f' AND conrelid = %s::regclass",
            [table],
        )
        for (foreign_key,) in cursor.fetchall():
            cursor.execute(f"ALTER TABLE plain_load ADD {foreign_key}")
        started = time.perf_counter()
        cursor.copy_expert("COPY plain_load FROM STDIN", file)
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # as the commit would
        seconds = time.perf_counter() - started
        cursor.execute("DROP TABLE plain_load")
    return seconds


def _executemany_seconds(model: type[models.Model], where: str, pk: int) -> float:
    """Seconds of the inserts and of the commit; reading the rows back, chunk by chunk, is not counted."""
    table = model._meta.db_table
    with connection.cursor() as cursor:
        for statement in _definitions(cursor, table):
            cursor.execute(statement)
        seconds = 0.0
        cursor.execute("BEGIN IMMEDIATE")
        last = 0
        while True:
            found = f"SELECT * FROM {table} WHERE id > %s AND {where} ORDER BY id LIMIT {CHUNK}"  # noqa: S608
            rows = connection.connection.execute(found.replace("%s", "?"), [last, pk]).fetchall()
            if not rows:
                break
            last = rows[-1][0]
            marks = ", ".join("?" * len(rows[0]))
            started = time.perf_counter()
            connection.connection.executemany(f"INSERT INTO plain_load VALUES ({marks})", rows)  # noqa: S608
            seconds += time.perf_counter() - started
        started = time.perf_counter()
        cursor.execute("COMMIT")
        seconds += time.perf_counter() - started
        cursor.execute("DROP TABLE plain_load")
    return seconds


def _definitions(cursor: Any, table: str) -> list[str]:
    """The table and its indexes once more, under another name."""
    cursor.execute(
        "SELECT sql FROM sqlite_master WHERE tbl_name = %s AND sql IS NOT NULL ORDER BY type DESC", [table]
    )
    found = [row[0] for row in cursor.fetchall()]
    named = [re.sub(r'INDEX "(\w+)"', r'INDEX "plain_\1"', each) for each in found]
    return [each.replace(f'"{table}"', '"plain_load"') for each in named]


def freeze_seconds(project: Project, path: Path) -> float:
    """Read all accepted rankings of the project in the order of a version, and write them with orjson."""
    started = time.perf_counter()
    with path.open("wb") as file, transaction.atomic():
        for row in _plain_rows(project):
            file.write(orjson.dumps(row, option=orjson.OPT_SORT_KEYS))
            file.write(b"\n")
    return time.perf_counter() - started


def _plain_rows(project: Project) -> Iterator[dict[str, Any]]:
    rankings = (
        Ranking.objects.filter(is_current=True, submission__project=project, submission__status="accepted")
        .order_by("submission__prompt__digest", "submission_id")
        .values_list(
            "submission_id", "submission__prompt_id", "submission__prompt__messages", "tiers", "margins",
            "submission__import_record_id",
        )
        .iterator(chunk_size=FETCH)
    )  # fmt: skip
    while chunk := list(islice(rankings, FETCH)):
        ids = [pk for values in chunk for tier in values[3] for pk in tier]
        found = Completion.objects.filter(pk__in=ids).values_list("pk", "text", "generator")
        texts = {pk: (text, generator) for pk, text, generator in found}
        for submission, prompt, messages, tiers, margins, source in chunk:
            ranks = {pk: rank for rank, tier in enumerate(tiers, start=1) for pk in tier}
            shown = sorted(ranks)
            yield {
                "id": str(submission),
                "prompt_id": str(prompt),
                "messages": messages,
                "completions": [
                    {"id": str(pk), "text": texts[pk][0], "generator": texts[pk][1]} for pk in shown
                ],
                "ranks": [ranks[pk] for pk in shown],
                "margins": margins or None,
                "source": {"import": source},
            }


def export_seconds(paths: list[Path], out: Path) -> float:
    """Read the rows of a version and write its pairs with orjson."""
    started = time.perf_counter()
    with out.open("wb") as file:
        for path in paths:
            with path.open("rb") as lines:
                for line in lines:
                    row = orjson.loads(line)
                    best, worst = sorted(
                        zip(row["ranks"], row["completions"], strict=True), key=lambda each: each[0]
                    )
                    pair = {
                        "prompt": row["messages"][-1]["content"],
                        "chosen": best[1]["text"],
                        "rejected": worst[1]["text"],
                    }
                    file.write(orjson.dumps(pair))
                    file.write(b"\n")
    return time.perf_counter() - started

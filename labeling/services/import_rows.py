"""Rows of an import: prepared outside the transaction, stored inside it.

A prepared row is plain data with every digest computed, one JSON line of the spool. So the transaction, which
on SQLite keeps every other writer waiting, does nothing but look up and insert.

    {"m": messages, "d": prompt digest, "c": category, "l": language, "x": metadata,
     "t": answer, "w": warnings, "j": judgment digest,                       demonstrations
     "o": [[text, generator, source key], …], "s": [score, …] where the file has scores,
     "tiers": [[index, …], …] | None, "margins": […] | None, "j": …}
     rankings
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from itertools import repeat
from typing import Any

import orjson
from django.utils import timezone

from annotate.prepared import PreparedLoad, json_text
from annotate.signs import sign_no_name_has
from labeling.formats import DemonstrationRecord, PromptRecord, RankingRecord, prompt_digest
from labeling.formats.errors import RowError
from labeling.models import (
    CompletionOrigin,
    Demonstration,
    ImportRecord,
    JudgmentOrigin,
    Prompt,
    Ranking,
    Submission,
    SubmissionStatus,
    TaskKind,
)

from .answer_checks import MOST_SHOWN, ImportLook
from .answer_index import index_answers, is_indexed
from .completions import LONGEST_GENERATOR, NewCompletion, ensure_completions, imported_key
from .digests import ImportDigest
from .prompts import NewPrompt, ensure_prompts, find_ids

Prepared = dict[str, Any]
IMPORTED = CompletionOrigin.IMPORTED.value
SUBMISSIONS = PreparedLoad(Submission, "prompt_id", "import_digest")
DEMONSTRATIONS = PreparedLoad(Demonstration, "submission_id", "text", "warnings")
RANKINGS = PreparedLoad(Ranking, "submission_id", "tiers", "unrankable", "margins", "presented_order")
LONGEST = {
    name: length
    for name in ("category", "language")
    if (length := getattr(Prompt._meta.get_field(name), "max_length", None))
}


def prepare(
    record: PromptRecord | DemonstrationRecord | RankingRecord, filename: str, look: ImportLook
) -> Prepared:
    """The record as a prepared row. Raises RowError for a label too long to be stored, and for an answer
    that the project's checks (`look`) refuse.
    """
    _check_lengths(record, filename)
    digest = prompt_digest(record.messages)
    row: Prepared = {
        "m": record.messages,
        "d": digest,
        "c": record.category,
        "l": record.language,
        "x": record.metadata,
    }
    if isinstance(record, DemonstrationRecord):
        row["t"] = record.text
        row["w"] = _warnings(record, filename, look)
        row["j"] = _judgment_digest("demonstration", digest, record.text)
    elif isinstance(record, RankingRecord):
        row["o"] = _keyed_completions(digest, record)
        row["tiers"], row["margins"] = record.tiers, record.margins
        if any(completion.score is not None for completion in record.completions):
            row["s"] = [completion.score for completion in record.completions]
        if record.tiers is not None and record.ranks is not None:
            # With the metadata: two people who judged a pair alike are two judgments where the file tells
            # them apart.
            order = sorted([key, rank] for (_, _, key), rank in zip(row["o"], record.ranks, strict=True))
            row["j"] = _judgment_digest("ranking", digest, order, record.margins, record.metadata)
    return row


def _warnings(record: DemonstrationRecord, filename: str, look: ImportLook) -> list[dict[str, Any]]:
    remarks = look(record.text, record.messages)
    if remarks and remarks[0].action == "refuse":
        found = remarks[0].finding
        problem = f"{found.message} (characters {found.start + 1} to {found.end} of the answer)"
        raise RowError(problem, file=filename, row=record.row, field="answer", hint="The project refuses it.")
    return [each.as_stored() for each in remarks[:MOST_SHOWN]]


def _check_lengths(record, filename: str) -> None:
    for name, longest in LONGEST.items():
        if len(getattr(record, name)) > longest:
            raise RowError(f"at most {longest} characters", file=filename, row=record.row, field=name)
        if sign := sign_no_name_has(getattr(record, name)):
            problem = f"there is an invisible character in it ({sign})"
            raise RowError(problem, file=filename, row=record.row, field=name)
    for completion in getattr(record, "completions", ()):
        if len(completion.generator) > LONGEST_GENERATOR:
            problem = f"at most {LONGEST_GENERATOR} characters"
            raise RowError(problem, file=filename, row=record.row, field="generator")


def _keyed_completions(digest: str, record: RankingRecord) -> list[list[str]]:
    seen: Counter = Counter()
    keyed = []
    for completion in record.completions:
        same = (completion.text, completion.generator)
        keyed.append([*same, imported_key(digest, completion.generator, completion.text, seen[same])])
        seen[same] += 1
    return keyed


def _judgment_digest(*parts: Any) -> str:
    return hashlib.sha256(orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)).hexdigest()


class RowStore:
    """Stores prepared rows of one import, chunk by chunk, inside the caller's transaction; counts what was
    new."""

    def __init__(self, import_record: ImportRecord):
        self.import_record = import_record
        self.project = import_record.project
        self.user = import_record.created_by
        self.added = 0
        self.already_there = 0
        self.digest = ImportDigest()  # of the judgments that were new, for the audit row

    def store(self, rows: Sequence[Prepared]) -> None:
        prompt_ids, new_prompts = self._store_prompts(rows)
        if "t" in rows[0]:
            added = self._store_demonstrations(rows, prompt_ids)
        elif "o" in rows[0]:
            added = self._store_completions(rows, prompt_ids)
        else:
            added = len(new_prompts)
        self.added += added
        self.already_there += len(rows) - added

    def _store_prompts(self, rows):
        return ensure_prompts(
            project=self.project,
            rows=(NewPrompt(row["m"], row["d"], row["c"], row["l"], row["x"]) for row in rows),
            import_record=self.import_record,
            acting_user=self.user,
        )

    def _store_demonstrations(self, rows, prompt_ids) -> int:
        new = self._new_judgments(rows)
        submissions = self._create_submissions(TaskKind.DEMONSTRATION, new, prompt_ids)
        DEMONSTRATIONS.load(
            (
                (submission, row["t"], json_text(row["w"]))
                for submission, row in zip(submissions, new, strict=True)
            ),
            origin=JudgmentOrigin.IMPORT.value,
        )
        for submission, row in zip(submissions, new, strict=True):
            content = {"text": row["t"], "warnings": row["w"]}
            self.digest.add(TaskKind.DEMONSTRATION, submission, prompt_ids[row["d"]], content)
        if is_indexed(self.project):
            index_answers(
                self.project,
                [(submission, row["t"]) for submission, row in zip(submissions, new, strict=True)],
            )
        return len(new)

    def _store_completions(self, rows, prompt_ids) -> int:
        ids, new_keys = ensure_completions(
            (
                NewCompletion(
                    key,
                    prompt_ids[row["d"]],
                    text,
                    IMPORTED,
                    generator,
                    # as the file gave it
                    sampling="{}" if score is None else json_text({"score": score}),
                )
                for row in rows
                for (text, generator, key), score in zip(row["o"], row.get("s") or repeat(None), strict=False)
            ),
            project=self.project,
            import_record=self.import_record,
        )
        new = self._new_judgments([row for row in rows if row["tiers"] is not None])
        submissions = self._create_submissions(TaskKind.RANKING, new, prompt_ids)
        contents = [_ranking(row, [ids[key] for _, _, key in row["o"]]) for row in new]
        RANKINGS.load(
            (
                (submission, *map(json_text, content.values()))
                for submission, content in zip(submissions, contents, strict=True)
            ),
            origin=JudgmentOrigin.IMPORT.value,
        )
        for submission, row, content in zip(submissions, new, contents, strict=True):
            self.digest.add(TaskKind.RANKING, submission, prompt_ids[row["d"]], content)
        added = len(new)
        for row in rows:
            if row["tiers"] is None:
                fresh = [key for _, _, key in row["o"] if key in new_keys]
                # so that a second row with the same completions adds nothing
                new_keys.difference_update(fresh)
                added += bool(fresh)
        return added

    def _new_judgments(self, rows):
        """The first row of each judgment that this project does not have yet."""
        by_digest: dict[str, Prepared] = {}
        for row in rows:
            by_digest.setdefault(row["j"], row)
        known = find_ids(Submission, "import_digest", by_digest, project=self.project)
        return [row for digest, row in by_digest.items() if digest not in known]

    def _create_submissions(self, kind: TaskKind, rows, prompt_ids) -> list[int]:
        return SUBMISSIONS.load(
            ((prompt_ids[row["d"]], row["j"]) for row in rows),
            project_id=self.project.pk,
            kind=kind.value,
            import_record_id=self.import_record.pk,
            status=SubmissionStatus.ACCEPTED.value,
            decided_at=timezone.now(),
        )


def _ranking(row: Prepared, completion_ids: list[int]) -> dict[str, list]:
    """In the order of RANKINGS."""
    tiers = [[completion_ids[index] for index in tier] for tier in row["tiers"]]
    ranked = {completion_id for tier in tiers for completion_id in tier}
    return {
        "tiers": tiers,
        "unrankable": [completion_id for completion_id in completion_ids if completion_id not in ranked],
        "margins": row["margins"] or [],
        "presented_order": completion_ids,
    }

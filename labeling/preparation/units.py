"""One view of a row, whether it was read from a file or stands in a frozen version."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from labeling.formats import DemonstrationRecord, PromptRecord, RankingRecord, Record

from .beside import texts_within, words_beside

Rewrite = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Unit:
    """`row` counts as `Record.row` does; in a version it is the number within its split, from 1.

    `answers`: the demonstration's one text, or all completions; `ranks` as in a canonical row, None where
    nothing is ranked. `side`: the split, or "" in a file. `beside`: what else somebody wrote of the row
    (beside.py), which is no part of the texts that are compared.
    """

    row: int
    messages: tuple[dict[str, str], ...]
    answers: tuple[str, ...] = ()
    ranks: tuple[int | None, ...] | None = None
    category: str = ""
    language: str = ""
    side: str = ""
    annotator: str = ""
    source: str = ""
    beside: tuple[str, ...] = ()

    @property
    def prompt(self) -> str:
        return "\n".join(message["content"] for message in self.messages)

    @property
    def text(self) -> str:
        return "\n".join([self.prompt, *self.answers])

    @property
    def is_demonstration(self) -> bool:
        return len(self.answers) == 1 and self.ranks is None

    def rewritten(self, *, prompt: Rewrite | None = None, answer: Rewrite | None = None) -> Unit:
        """With every message of the prompt, or every answer, put through a function of its text."""
        messages, answers = self.messages, self.answers
        if prompt is not None:
            messages = tuple({**each, "content": prompt(each["content"])} for each in messages)
        if answer is not None:
            answers = tuple(answer(each) for each in answers)
        return dataclasses.replace(self, messages=messages, answers=answers)

    def with_last_turn(self, rewrite: Rewrite) -> Unit:
        *before, last = self.messages
        messages = (*before, {**last, "content": rewrite(last["content"])})
        return dataclasses.replace(self, messages=messages)


def unit_of_record(record: Record) -> Unit:
    answers: tuple[str, ...] = ()
    ranks = None
    if isinstance(record, DemonstrationRecord):
        answers = (record.text,)
    elif isinstance(record, RankingRecord):
        answers = tuple(completion.text for completion in record.completions)
        ranks = tuple(record.ranks) if record.ranks is not None else None
    beside = tuple(texts_within(record.metadata))
    return Unit(record.row, record.messages, answers, ranks, record.category, record.language, beside=beside)


def record_of_unit(record: Record, unit: Unit) -> Record:
    """The record with the unit's texts; what the texts belong to stays."""
    if isinstance(record, DemonstrationRecord):
        return dataclasses.replace(record, messages=unit.messages, text=unit.answers[0])
    if isinstance(record, PromptRecord):
        return dataclasses.replace(record, messages=unit.messages)
    completions = tuple(
        dataclasses.replace(completion, text=text)
        for completion, text in zip(record.completions, unit.answers, strict=True)
    )
    return dataclasses.replace(record, messages=unit.messages, completions=completions)


def unit_of_row(kind: str, row: Mapping[str, Any], *, number: int = 0, side: str = "", category: str = "",
                language: str = "", source: str = "") -> Unit:  # fmt: skip
    """A canonical row of a dataset of `kind` sft, comparison, prompts or completions. `source`: that of a row
    which does not tell it."""
    messages = tuple(row["messages"])
    answers: tuple[str, ...] = ()
    ranks = None
    if kind == "sft":
        *asked, answered = messages
        messages, answers = tuple(asked), (answered["content"],)
    elif kind in ("comparison", "completions"):
        answers = tuple(each["text"] for each in row["completions"])
        ranks = tuple(row["ranks"]) if "ranks" in row else None
    lineage = row.get("source") or {}
    told = [lineage] if lineage else [each.get("source", {}) for each in row.get("completions", ())]
    if told:
        source = source_of(next((each["import"] for each in told if each.get("import")), None))
    author = lineage.get("annotator") or ""
    beside = tuple(words_beside(row))
    return Unit(number, messages, answers, ranks, category, language, side, author, source, beside)


def source_of(import_id: int | None) -> str:
    """
    >>> source_of(3), source_of(None)
    ('import 3', 'people')
    """
    return f"import {import_id}" if import_id else "people"


def row_of_unit(kind: str, row: Mapping[str, Any], unit: Unit) -> dict[str, Any]:
    """The canonical row with the unit's texts; ids, ranks and lineage stay. A note whose stretch no longer
    reads as it quotes goes: it would point elsewhere, and tell what was masked."""
    changed = {**row, "messages": [dict(message) for message in unit.messages]}
    if kind == "sft":
        changed["messages"].append({**row["messages"][-1], "content": unit.answers[0]})
    elif kind in ("comparison", "completions"):
        pairs = zip(row["completions"], unit.answers, strict=True)
        changed["completions"] = [{**each, "text": text} for each, text in pairs]
    if notes := row.get("notes"):
        changed["notes"] = [note for note in notes if _still_quotes(note, changed)]
        if not changed["notes"]:
            del changed["notes"]
    return changed


def _still_quotes(note: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    if "completion" in note:
        texts = [each["text"] for each in row["completions"] if each["id"] == note["completion"]]
    else:
        texts = [row["messages"][-1]["content"]]
    return any(text[note["start"] : note["end"]] == note["quote"] for text in texts)

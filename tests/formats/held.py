"""Rows with one thing each that a format may have no place for, and whether a format gives it back.

What a format holds is asked of our own reader: the row is written, read back, and compared.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

from labeling.formats import (
    EXPORT_FORMATS,
    comparison_row,
    completions_row,
    group_completions,
    prompt_row,
    read_file,
    sft_row,
    write_rows,
)

KINDS = {
    "sft": "demonstrations", "comparison": "comparisons", "prompts": "prompts", "completions": "completions",
}  # fmt: skip
PLAIN = [{"role": "user", "content": "Which way?"}]
SYSTEM = [{"role": "system", "content": "Be brief."}, *PLAIN]
TURNS = [*PLAIN, {"role": "assistant", "content": "Left."}, {"role": "user", "content": "And then?"}]
SOURCE = {"judgment": 4711, "annotator": "quiet-otter"}


def asked(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def demonstration(messages=PLAIN, answer="Straight on.", **more) -> dict[str, Any]:
    return sft_row(id="d1", prompt_id="p1", messages=messages, answer=answer, source=SOURCE) | more


def ranking(ranks, messages=PLAIN, margins=None, texts=("one", "two", "three"), **more) -> dict[str, Any]:
    completions = [
        {"id": f"c{n}", "text": text, "generator": f"model-{n}"} for n, text in enumerate(texts[: len(ranks)])
    ]
    source = SOURCE | more.pop("source", {})
    row = comparison_row(
        id="r1", prompt_id="p1", messages=messages, completions=completions, ranks=ranks, margins=margins,
        source=source, unrankable_reasons=more.pop("unrankable_reasons", None),
    )  # fmt: skip
    return row | more


def prompt(messages=PLAIN) -> dict[str, Any]:
    return prompt_row(id="p1", prompt_id="p1", messages=messages)


def answered(messages=PLAIN, texts=("one", "two")) -> dict[str, Any]:
    completions = [
        {"id": f"c{n}", "text": text, "generator": f"model-{n}", "sampling": {"top_p": 0.9375},
         "source": {"checkpoint": "0b5e", "annotator": "quiet-otter"}}
        for n, text in enumerate(texts)
    ]  # fmt: skip
    return completions_row(prompt_id="p1", messages=messages, completions=completions)


# Of the row's prompt, with names that a format has a meaning of its own for.
FIELDS = {
    "category": "law; =1",
    "language": "de",
    "source": {"url": "https://x", "n": [1, 0.5]},
    "label": "x",
    "score": 3,
}
# What may be lost -> by kind of dataset: the row that has it.
PROBES: dict[str, dict[str, Callable[[], dict[str, Any]]]] = {
    "turns": {
        "sft": lambda: demonstration(TURNS),
        "comparison": lambda: ranking([1, 2], TURNS),
        "prompts": lambda: prompt(TURNS),
        "completions": lambda: answered(TURNS),
    },
    "system": {
        "sft": lambda: demonstration(SYSTEM),
        "comparison": lambda: ranking([1, 2], SYSTEM),
        "prompts": lambda: prompt(SYSTEM),
        "completions": lambda: answered(SYSTEM),
    },
    "line_breaks": {
        "sft": lambda: demonstration(asked("a\nb"), "c\n\nd\te"),
        "comparison": lambda: ranking([1, 2], asked("a\nb"), texts=("c\n\nd\te", "f")),
        "prompts": lambda: prompt(asked("a\nb")),
        "completions": lambda: answered(asked("a\nb"), ("c\n\nd\te", "f")),
    },
    "formulas": {
        "sft": lambda: demonstration(asked("=1+1"), "-2"),
        "comparison": lambda: ranking([1, 2], asked("=1+1"), texts=("-2", "@x")),
        "prompts": lambda: prompt(asked("=1+1")),
        "completions": lambda: answered(asked("=1+1"), ("-2", "@x")),
    },
    "speaker_marks": {"comparison": lambda: ranking([1, 2], texts=("x\n\nHuman: y", "z"))},
    "exact_texts": {
        "sft": demonstration,
        "comparison": lambda: ranking([1, 2]),
        "prompts": prompt,
    },
    "groups": {"comparison": lambda: ranking([2, 1, 3])},
    "ties": {"comparison": lambda: ranking([1, 1])},
    "unrankable": {"comparison": lambda: ranking([2, 1, None])},
    "margins": {"comparison": lambda: ranking([1, 2], margins=[0.5])},
    "completions": {"completions": answered},
    "models": {"comparison": lambda: ranking([1, 2]), "completions": answered},
    "ids": {"comparison": lambda: ranking([1, 2]), "completions": answered},
    "fields": {
        "sft": lambda: demonstration(fields=FIELDS),
        "comparison": lambda: ranking([1, 2], fields=FIELDS),
        "prompts": lambda: prompt() | {"fields": FIELDS},
        "completions": lambda: answered() | {"fields": FIELDS},
    },
}
# What no reader of ours takes up again: whether it is in the file at all.
WORDS: dict[str, dict[str, tuple[Callable[[], dict[str, Any]], str]]] = {
    "lineage": {
        "sft": (demonstration, "quiet-otter"),
        "comparison": (lambda: ranking([1, 2]), "quiet-otter"),
        "completions": (answered, "quiet-otter"),
    },
    "sampling": {"completions": (answered, "0.9375")},
    "answers": {
        "comparison": (
            lambda: ranking([1, 2], source={"answers": {"completions": {"c0": {"harmful": "much"}}}}),
            "much",
        )
    },
    "notes": {
        "sft": (lambda: demonstration(notes=[{"comment": "well put"}]), "well put"),
        "comparison": (lambda: ranking([1, 2], notes=[{"comment": "well put"}]), "well put"),
    },
    "scores": {"comparison": (lambda: ranking([1, 2], scores=[6, 2]), "scores")},
    "reasons": {
        "comparison": (
            lambda: ranking([1, 2, None], unrankable_reasons={"c2": {"reason": "wrong_language"}}),
            "wrong_language",
        )
    },
}


def file_of(format: str, *rows: dict[str, Any]) -> io.BytesIO:
    stream = io.BytesIO()
    fields = sorted({name for row in rows for name in row.get("fields", ())})
    write_rows(rows, format, stream, fields=fields)
    stream.seek(0)
    return stream


def read_back(format: str, kind: str, row: dict[str, Any]) -> list[Any]:
    """The records our reader makes of the file; none where the format left the row out."""
    stream = file_of(format, row)
    if len(stream.getvalue().splitlines()) <= bool(EXPORT_FORMATS[format].columns):
        return []
    name = f"x.{EXPORT_FORMATS[format].extension}"
    for as_kind in (KINDS[kind], "completions", "prompts"):
        try:
            records = list(read_file(stream, filename=name, kind=as_kind))
            return list(group_completions(records)) if (kind, as_kind) == ("completions",) * 2 else records
        except ValueError:
            stream.seek(0)
    return []


def is_given_back(format: str, kind: str, what: str) -> bool:
    """Whether the thing is there after the way out and in again, everything else being plain."""
    if kind in WORDS.get(what, {}):
        row, word = WORDS[what][kind]
        return word.encode() in file_of(format, row()).getvalue()
    row = PROBES[what][kind]()
    records = read_back(format, kind, row)
    if what in ("turns", "system", "line_breaks", "formulas", "speaker_marks", "exact_texts"):
        found, held = _texts_of_records(kind, records), _texts_of_row(kind, row)
        if kind == "completions" and not any(_answers(each) for each in records):  # of prompts alone
            return [each[0] for each in found] == [each[0] for each in held]
        return found == held
    if what == "fields":
        return bool(records) and all(_fields_of(each) == FIELDS for each in records)
    if what == "completions":
        return [_answers(each) for each in records] == [[each["text"] for each in row["completions"]]]
    if len(records) != 1 or (getattr(records[0], "tiers", None) is None and kind != "completions"):
        return False
    [record] = records
    if what in ("groups", "ties", "unrankable"):
        found = {each.text: rank for each, rank in zip(record.completions, record.ranks, strict=True)}
        return found == {c["text"]: rank for c, rank in zip(row["completions"], row["ranks"], strict=True)}
    if what == "margins":
        return record.margins == (0.5,)
    if kind == "completions" and not _answers(record):
        return False
    named = {each.text: each.generator if what == "models" else each.key for each in record.completions}
    return named == {c["text"]: c["generator" if what == "models" else "id"] for c in row["completions"]}


def _fields_of(record: Any) -> dict[str, Any]:
    held = {"category": record.category, "language": record.language, **record.metadata}
    return {name: held.get(name) for name in FIELDS}


def _texts_of_row(kind: str, row: dict[str, Any]) -> list[Any]:
    if kind == "sft":
        return [(row["messages"][:-1], row["messages"][-1]["content"])]
    if kind == "prompts":
        return [(row["messages"],)]
    if kind == "completions":
        return [(row["messages"], {each["text"] for each in row["completions"]})]
    return [(row["messages"], sorted(each["text"] for each in row["completions"]))]


def _answers(record: Any) -> list[str]:
    """Of a record of completions; none of one of its prompt alone."""
    return [each.text for each in getattr(record, "completions", ())]


def _texts_of_records(kind: str, records: list[Any]) -> list[Any]:
    if kind == "sft":
        return [(list(each.messages), each.text) for each in records]
    if kind == "prompts":
        return [(list(each.messages),) for each in records]
    if kind == "completions":
        return [(list(each.messages), set(_answers(each))) for each in records]
    return [(list(each.messages), sorted(c.text for c in each.completions)) for each in records]


def everything_that_may_be_lost(kind: str) -> list[str]:
    return [what for table in (PROBES, WORDS) for what, rows in table.items() if kind in rows]

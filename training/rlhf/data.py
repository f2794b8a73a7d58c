"""Reading input files: each row checked, each error with file, row and field. Loads no torch."""

from __future__ import annotations

import hashlib
import json
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.rlhf.errors import DataError

ROLES = ("system", "user", "assistant")
Messages = list[dict[str, str]]
LARGEST_SCORE = 1_000_000
LARGEST_MARGIN = 100


@dataclass(frozen=True)
class Demonstration:
    """Prompt turns and the answer that is learnt."""

    prompt: list[dict[str, str]]
    response: str
    row: int


@dataclass(frozen=True)
class Ranking:
    """Prompt turns and K completions; ranks start at 1 (best), equal ranks are ties, None is unrankable."""

    prompt: list[dict[str, str]]
    completions: list[str]
    ranks: list[int | None]
    row: int
    scores: list[float | None] | None = None  # where the order comes from scores
    # How much better, one number for each boundary between places 1 and 2, 2 and 3, …; None was not said.
    margins: list[float | None] | None = None
    annotator: str = ""
    category: str = ""


@dataclass(frozen=True)
class PromptRow:
    """Prompt turns, with the identifier of the row if it had one."""

    prompt: list[dict[str, str]]
    prompt_id: Any
    row: int


@dataclass(frozen=True)
class SafetyPrompt:
    """Prompt turns; `expected` is refuse, answer, or empty where the row does not say."""

    prompt: list[dict[str, str]]
    expected: str
    category: str
    row: int


@dataclass(frozen=True)
class CompletionRow:
    """Prompt turns and one completion, with its identifier."""

    prompt: list[dict[str, str]]
    text: str
    completion_id: Any
    row: int


def read_jsonl(path: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """(row number, object) of each non-empty line."""
    try:
        with open(path, encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, _parse(line, path, number)
    except FileNotFoundError:
        raise DataError("there is no such file", file=path) from None
    except IsADirectoryError:
        raise DataError("is a folder, not a file", file=path) from None
    except UnicodeDecodeError as error:
        raise DataError(f"is not UTF-8 text ({error.reason} at byte {error.start})", file=path) from None


def _parse(line: str, path: str, number: int) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"is not JSON ({error})", file=path, row=number) from None
    if not isinstance(row, dict):
        raise DataError("must be a JSON object", file=path, row=number)
    if "\\ud" in line.lower():
        # An escape of a surrogate; halves of a pair are not text, and no tokenizer takes them.
        try:
            json.dumps(row, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise DataError("holds half of a surrogate pair", file=path, row=number) from None
    return row


def read_demonstrations(path: str) -> list[Demonstration]:
    rows = []
    for number, row in read_jsonl(path):
        messages = _messages(row, path, number)
        if messages[-1]["role"] != "assistant":
            raise DataError(
                "the last message must be the assistant's", file=path, row=number, field="messages"
            )
        if not messages[-1]["content"].strip():
            raise DataError(
                "the response is empty; write one, or take the row out",
                file=path,
                row=number,
                field="messages",
            )
        if len(messages) == 1:
            raise DataError("there is no prompt before the response", file=path, row=number, field="messages")
        rows.append(Demonstration(messages[:-1], messages[-1]["content"], number))
    return _some(rows, path)


def read_rankings(path: str) -> list[Ranking]:
    rows = []
    for number, row in read_jsonl(path):
        prompt = _prompt(row, path, number)
        completions, ranks = row.get("completions"), row.get("ranks")
        if not isinstance(completions, list) or not all(isinstance(item, str) for item in completions):
            raise DataError("must be a list of texts", file=path, row=number, field="completions")
        if len(completions) < 2:
            raise DataError("needs at least two completions", file=path, row=number, field="completions")
        for index, item in enumerate(completions):
            if not item.strip():
                raise DataError(
                    f"completion {index + 1} is empty; take it out",
                    file=path,
                    row=number,
                    field="completions",
                )
        if not isinstance(ranks, list) or len(ranks) != len(completions):
            raise DataError(
                f"must hold one rank for each of the {len(completions)} completions",
                file=path,
                row=number,
                field="ranks",
            )
        for rank in ranks:
            if rank is not None and (isinstance(rank, bool) or not isinstance(rank, int) or rank < 1):
                raise DataError(
                    f"a rank is a whole number from 1, or null, not {rank!r}",
                    file=path,
                    row=number,
                    field="ranks",
                )
        who, category = (row.get(name) or "" for name in ("annotator", "category"))
        for name, value in (("annotator", who), ("category", category)):
            if not isinstance(value, str):
                raise DataError("must be a text", file=path, row=number, field=name)
        margins = _margins(row.get("margins"), ranks, path, number)
        rows.append(
            Ranking(prompt, completions, ranks, number, margins=margins, annotator=who, category=category)
        )
    return _some(rows, path)


def _margins(margins: Any, ranks: list[int | None], path: str, number: int) -> list[float | None] | None:
    """One for each boundary between places; null where nobody said, in all or at one boundary."""
    if margins is None:
        return None
    boundaries = max((rank for rank in ranks if rank is not None), default=1) - 1
    if not isinstance(margins, list) or len(margins) != boundaries:
        raise DataError(
            f"must hold one margin for each of the {boundaries} boundaries between places, or be null",
            file=path,
            row=number,
            field="margins",
        )
    for margin in margins:
        is_number = isinstance(margin, int | float) and not isinstance(margin, bool)
        if margin is not None and not (is_number and 0 <= margin <= LARGEST_MARGIN):
            raise DataError(
                f"a margin is a number from 0 to {LARGEST_MARGIN}, or null, not {margin!r}",
                file=path,
                row=number,
                field="margins",
            )
    return margins


def read_scores(path: str) -> list[Ranking]:
    """Completions with a score each, higher is better, gathered by prompt and put in order.

    A row holds one ("completion", "score") or several ("completions", "scores"); null is not scored. What is
    of one prompt may stand in several rows, and is called by the first of them.
    """
    found: dict[str, tuple[int, Messages, list[str], list[float | None]]] = {}
    for number, row in read_jsonl(path):
        prompt = _prompt(row, path, number)
        single = "completion" in row
        names = ("completion", "score") if single else ("completions", "scores")
        completions, scores = ([row.get(name)] if single else row.get(name) for name in names)
        if not isinstance(completions, list) or not all(isinstance(text, str) for text in completions):
            what = "must be a text" if single else "must be a list of texts"
            raise DataError(what, file=path, row=number, field=names[0])
        if not completions or not all(text.strip() for text in completions):
            raise DataError("a completion is empty; take it out", file=path, row=number, field=names[0])
        if not isinstance(scores, list) or len(scores) != len(completions):
            raise DataError(
                f"must hold one score for each of the {len(completions)} completions",
                file=path,
                row=number,
                field=names[1],
            )
        for score in scores:
            is_number = isinstance(score, int | float) and not isinstance(score, bool)
            if score is not None and not (is_number and abs(score) <= LARGEST_SCORE):
                raise DataError(
                    f"a score is a number of at most {LARGEST_SCORE:,} either way, or null, not {score!r}",
                    file=path,
                    row=number,
                    field=names[1],
                )
        _, _, texts, values = found.setdefault(json.dumps(prompt), (number, prompt, [], []))
        texts += completions
        values += scores
    return _some(
        [
            Ranking(prompt, texts, ranks_of(values), number, values)
            for number, prompt, texts, values in found.values()
        ],
        path,
    )


def ranks_of(scores: list[float | None]) -> list[int | None]:
    """Places by score, the highest first; equal scores share one.

    >>> ranks_of([7, 9, None, 7.0, 1])
    [2, 1, None, 2, 3]
    """
    order = sorted({score for score in scores if score is not None}, reverse=True)
    return [None if score is None else order.index(score) + 1 for score in scores]


def read_prompts(path: str) -> list[PromptRow]:
    rows = [
        PromptRow(_prompt(row, path, number), row.get("prompt_id"), number)
        for number, row in read_jsonl(path)
    ]
    return _some(rows, path)


def read_safety_prompts(path: str) -> list[SafetyPrompt]:
    """Prompts with what ought to become of them. A `.txt` file holds one prompt a line."""
    if path.endswith(".txt"):
        rows: Iterator[tuple[int, dict[str, Any]]] = (
            (number, {"messages": [{"role": "user", "content": line}]})
            for number, line in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), start=1)
            if line.strip()
        )
    else:
        rows = read_jsonl(path)
    found = []
    for number, row in rows:
        if isinstance(row.get("prompt"), str) and "messages" not in row:
            row = {**row, "messages": [{"role": "user", "content": row["prompt"]}]}
        expected, category = row.get("expected") or "", row.get("category") or ""
        if expected not in ("", "refuse", "answer"):
            raise DataError("must be refuse or answer", file=path, row=number, field="expected")
        if not isinstance(category, str):
            raise DataError("must be a text", file=path, row=number, field="category")
        found.append(SafetyPrompt(_prompt(row, path, number), expected, category, number))
    return _some(found, path)


def read_completions(path: str) -> list[CompletionRow]:
    rows = []
    for number, row in read_jsonl(path):
        text, name = row.get("text"), row.get("completion_id")
        if not isinstance(text, str) or not text.strip():
            raise DataError("must be a text that is not empty", file=path, row=number, field="text")
        if isinstance(name, bool) or not isinstance(name, int | str):
            raise DataError("must be a number or a text", file=path, row=number, field="completion_id")
        rows.append(CompletionRow(_prompt(row, path, number), text, name, number))
    return _some(rows, path)


def read_documents(path: str) -> Iterator[str]:
    """Texts to pretrain on: the rows of a `.jsonl` file, or the whole of any other file as one document."""
    if path.endswith((".jsonl", ".ndjson")):
        for number, row in read_jsonl(path):
            if not isinstance(row.get("text"), str):
                raise DataError("must be a text", file=path, row=number, field="text")
            yield row["text"]
        return
    try:
        yield Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise DataError("there is no such file", file=path) from None
    except IsADirectoryError:
        raise DataError("is a folder, not a file", file=path) from None
    except UnicodeDecodeError as error:
        raise DataError(f"is not UTF-8 text ({error.reason} at byte {error.start})", file=path) from None


def share_of_prompts(rows: list[Any], share: float) -> list[Any]:
    """All rows of a share of the prompts, in their order. Smaller shares lie within larger ones.

    Prompts go by a digest of their messages, so that it does not matter what else is in the file.
    """
    if share >= 1.0:
        return rows
    keys = [hashlib.sha256(json.dumps(row.prompt, sort_keys=True).encode()).hexdigest() for row in rows]
    distinct = sorted(set(keys))
    kept = set(distinct[: math.ceil(share * len(distinct))])
    return [row for row, key in zip(rows, keys, strict=True) if key in kept]


def drawn_rows(rows: list[Any], count: float, seed: int) -> list[Any]:
    """So many of them (rounded, at most all), drawn without repeats, in their order."""
    chance = random.Random(f"{seed}/mix")  # noqa: S311 - not for secrets
    chosen = sorted(chance.sample(range(len(rows)), min(len(rows), round(count))))
    return [rows[index] for index in chosen]


def untied_pairs(ranks: list[int | None]) -> tuple[list[int], list[int]]:
    """Indices (better, worse) of each pair whose ranks differ."""
    better, worse = [], []
    for i, first in enumerate(ranks):
        for j in range(i + 1, len(ranks)):
            second = ranks[j]
            if first is None or second is None or first == second:
                continue
            better.append(i if first < second else j)
            worse.append(j if first < second else i)
    return better, worse


def pair_margins(
    ranks: list[int | None], margins: list[float | None] | None, better: list[int], worse: list[int]
) -> list[float | None]:
    """How much better the first of each pair is: the sum over the boundaries between the two.

    None where one of them is not known. `ranks` index `margins`, also where some completions were left out.

    >>> pair_margins([1, 3, 2], [1.0, 0.5], [0, 0, 2], [1, 2, 1])
    [1.5, 1.0, 0.5]
    """
    if margins is None:
        return [None] * len(better)
    found: list[float | None] = []
    for above, below in zip(better, worse, strict=True):
        between = margins[(ranks[above] or 0) - 1 : (ranks[below] or 0) - 1]
        known = [margin for margin in between if margin is not None]
        found.append(float(sum(known)) if len(known) == len(between) else None)
    return found


def _prompt(row: dict[str, Any], path: str, number: int) -> list[dict[str, str]]:
    messages = _messages(row, path, number)
    if messages[-1]["role"] == "assistant":
        raise DataError(
            "a prompt must not end with the assistant's message", file=path, row=number, field="messages"
        )
    return messages


def _messages(row: dict[str, Any], path: str, number: int) -> list[dict[str, str]]:
    messages = row.get("messages")
    if not isinstance(messages, list) or not messages:
        raise DataError("must be a list of messages", file=path, row=number, field="messages")
    clean = []
    for message in messages:
        if not isinstance(message, dict) or message.get("role") not in ROLES:
            raise DataError(
                f"each message needs a role, one of {', '.join(ROLES)}",
                file=path,
                row=number,
                field="messages",
            )
        content = message.get("content")
        if not isinstance(content, str):
            raise DataError("each message needs content, a text", file=path, row=number, field="messages")
        clean.append({"role": message["role"], "content": content})
    return clean


def _some(rows: list, path: str) -> list:
    if not rows:
        raise DataError("has no rows; give a file with some", file=path)
    return rows

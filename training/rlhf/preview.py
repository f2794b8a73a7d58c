"""Which tokens are learnt, shown on real rows; and what a run on this file would leave out or refuse.

    python -m training.rlhf preview --model DIR --data FILE --stage sft|reward

Reads a tokenizer and no weights, so that a website may run it, as a child process, while somebody waits.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from training.rlhf.chat import ChatEncoder, load_tokenizer
from training.rlhf.data import (
    Demonstration,
    Ranking,
    read_demonstrations,
    read_rankings,
    read_scores,
    untied_pairs,
)
from training.rlhf.encoding import Problem, learning_problem, length_problem, ranking_problem
from training.rlhf.errors import ModelFolderError
from training.rlhf.model_folders import (
    check_model,
    config_context,
    is_encoder_decoder,
    refuse_encoder_decoder,
)

STAGES = ("sft", "reward")
BARS = 16
MOST_NAMED = 20  # rows that are named one by one; beyond, they are counted
UNTEACHABLE = ("stop_not_learnt", "turn_not_closed", "control_text")
OVER_LONG = ("no_response_left", "too_long")
LONGEST_CHARACTER = 4  # tokens of one UTF-8 character at most, cut bytewise


@dataclass(frozen=True)
class Mark:
    """A token as people read it; several where only together they are a character."""

    text: str
    ids: list[int]
    learnt: bool  # in the loss (sft), or where the score is read (reward)
    special: bool


@dataclass(frozen=True)
class Part:
    """A prompt, or a response to it."""

    title: str
    tokens: int
    marks: list[Mark]


@dataclass(frozen=True)
class _Look:
    """A row as the stage would take it."""

    row: int
    tokens: int  # of the longest sequence that fits, else of the longest
    learnt: int
    problems: list[Problem]
    is_left_out: bool
    ids: list[tuple[str, list[int]]]  # title and token ids of each part, the prompt first

    @property
    def is_over_long(self) -> bool:
        return any(problem.code in OVER_LONG for problem in self.problems)

    def named(self) -> dict[str, Any]:
        return {"row": self.row, **self.problems[0]._asdict()}


def preview(
    *,
    model: str,
    data: str,
    stage: str,
    rows: int = 6,
    maximum_length: int = 512,
    over_long: str = "drop",
    chat_template: str = "",
    at_most: int = 0,
    labels: str = "ranks",
    allowed_hub_ids: Sequence[str] = (),
) -> dict[str, Any]:
    """What people are shown, as plain values.

    `rows` of them are rendered; `at_most` rows, evenly spread, are measured (0: all).
    Raises RlhfError where the file or the model cannot be read.
    """
    folder = check_model(model, allowed_hub_ids=list(allowed_hub_ids), digests=False)
    encoder = ChatEncoder(load_tokenizer(folder, chat_template=chat_template))
    has_encoder = is_encoder_decoder(folder)
    if stage == "reward":
        refuse_encoder_decoder(folder, "model")
    context = config_context(folder)
    limit = min(maximum_length, context)
    found: list[Any] = list(_reader(stage, labels)(data))
    chosen = _spread(found, at_most or len(found))
    look: Callable[..., _Look] = _look_at_demonstration
    if stage == "reward":
        look = partial(_look_at_ranking, regress=labels == "scores")
    looks, refusals = [], []
    for row in chosen:
        try:
            seen = look(encoder, row, limit)
        except ModelFolderError as error:  # the template takes other rows, perhaps, but not this one
            refusals.append({"row": row.row, "code": error.code, "message": error.message})
            continue
        looks.append(seen)
        refusals += [
            {"row": seen.row, **problem._asdict()}
            for problem in seen.problems
            if problem.code in UNTEACHABLE or (over_long == "refuse" and problem.code in OVER_LONG)
        ]
    left_out = [each for each in looks if each.is_left_out]
    if looks and len(left_out) == len(looks) and not refusals:
        refusals = [each.named() for each in left_out[:MOST_NAMED]]
    shown = sorted([*_spread(left_out, max(1, rows // 3)), *_others(looks, left_out, rows)], key=_row_number)
    return {
        "stage": stage,
        "limit": limit,
        "context": context,
        "stop_token": encoder.stop_text,
        "encoder_decoder": has_encoder,
        "rows": len(found),
        "measured": len(chosen),
        "left_out": len(left_out),
        "left_out_rows": [each.named() for each in left_out[:MOST_NAMED]],
        "over_long": sum(each.is_over_long for each in looks),
        "lengths": _lengths(looks),
        "histogram": histogram([each.tokens for each in looks], limit),
        "refusals": refusals[:MOST_NAMED],
        "refused": len(refusals),
        "samples": [_shown(encoder, stage, each) for each in shown],
    }


def _reader(stage: str, labels: str) -> Callable[[str], list[Any]]:
    if stage == "sft":
        return read_demonstrations
    return read_rankings if labels == "ranks" else read_scores


def histogram(lengths: Sequence[int], limit: int) -> list[dict[str, Any]]:
    """Rows by length: {"up_to", "rows", "fits"}, in bars of one width; the limit is an edge."""
    if not lengths:
        return []
    width = max(1, math.ceil(min(limit, max(lengths)) / BARS))
    width = max(1, math.ceil(limit / math.ceil(limit / width)))
    counts: dict[int, int] = {}
    for length in lengths:
        over = math.ceil((length - limit) / width) if length > limit else 0
        edge = limit + over * width if over else min(limit, math.ceil(length / width) * width)
        counts[edge] = counts.get(edge, 0) + 1
    # What is far over the limit is one bar: its shape does not matter, its number does.
    last = limit + 4 * width
    far = sum(count for edge, count in counts.items() if edge > last)
    edges = [min(limit, width * n) for n in range(1, math.ceil(min(limit, max(lengths)) / width) + 1)]
    edges += [edge for edge in range(limit + width, last + 1, width) if edge <= max(counts)]
    bars = [{"up_to": edge, "rows": counts.get(edge, 0), "fits": edge <= limit} for edge in edges]
    return bars + ([{"up_to": max(lengths), "rows": far, "fits": False}] if far else [])


def marks_of(encoder: ChatEncoder, ids: Sequence[int], learnt: Callable[[int], bool]) -> list[Mark]:
    """The tokens one by one, those that only together are a character in one mark."""
    special = set(encoder.tokenizer.all_special_ids) | set(encoder.added_ids)
    found, start = [], 0
    while start < len(ids):
        end = start + 1
        while (
            "\ufffd" in _text(encoder, ids[start:end])
            and end < min(len(ids), start + LONGEST_CHARACTER)
            and learnt(end) == learnt(start)
            and ids[end] not in special
        ):
            end += 1
        piece = list(ids[start:end])
        found.append(Mark(_text(encoder, piece), piece, learnt(start), piece[0] in special))
        start = end
    return found


def as_text(found: dict[str, Any]) -> str:
    """The preview for a terminal. Learnt tokens stand in ⟦⟧, others between thin bars."""
    is_sft = found["stage"] == "sft"
    word = "learnt" if is_sft else "read for the score"
    lines = [f"⟦token⟧ is {word}; │token│ is only read. The stop token is {found['stop_token']}.", ""]
    if found["encoder_decoder"]:
        lines[1:1] = ["The encoder reads the prompt, the decoder writes the response."]
    for sample in found["samples"]:
        state = "left out: " + sample["why"] if sample["left_out"] else f"{sample['learnt']} {word}"
        lines.append(f"row {sample['row']}: {sample['tokens']} tokens, {state}")
        for part in sample["parts"]:
            lines.append(f"  {part['title']} ({part['tokens']})")
            lines.append("    " + "".join(_terminal_mark(mark) for mark in part["marks"]))
        lines.append("")
    measured = f"{found['measured']:,}" + (
        f" of {found['rows']:,}" if found["measured"] < found["rows"] else ""
    )
    share = found["over_long"] / max(1, found["measured"])
    lines.append(
        f"{measured} rows; limit {found['limit']:,} tokens (the model reads {found['context']:,}); "
        f"{found['over_long']:,} too long ({share:.1%}), {found['left_out']:,} left out, none is cut"
    )
    if found["lengths"]:
        names = {"mean": "mean", "median": "median", "p95": "95 % up to", "longest": "longest"}
        lines.append("tokens: " + ", ".join(f"{names[key]} {found['lengths'][key]:,}" for key in names))
    most = max((bar["rows"] for bar in found["histogram"]), default=1)
    for bar in found["histogram"]:
        drawn = "█" * math.ceil(40 * bar["rows"] / most)
        lines.append(f"  ≤ {bar['up_to']:>7,} {'' if bar['fits'] else '(over) '}{drawn} {bar['rows']:,}")
    lines += [f"row {each['row']} is left out: {each['message']}" for each in found["left_out_rows"]]
    lines += [f"REFUSED row {each['row']}: {each['message']}" for each in found["refusals"]]
    if found["refused"] > len(found["refusals"]):
        lines.append(f"and {found['refused'] - len(found['refusals']):,} more rows are refused")
    return "\n".join(lines)


def _look_at_demonstration(encoder: ChatEncoder, row: Demonstration, limit: int) -> _Look:
    encoded = encoder.encode(row.prompt, row.response)
    problems = [
        learning_problem(encoder, row.prompt, row.response, encoded.response),
        length_problem(encoded.prompt, encoded.response, limit),
    ]
    return _Look(
        row.row,
        len(encoded),
        len(encoded.response),
        [problem for problem in problems if problem],
        problems[1] is not None,
        [("prompt", encoded.prompt), ("response", encoded.response)],
    )


def _look_at_ranking(encoder: ChatEncoder, row: Ranking, limit: int, *, regress: bool) -> _Look:
    prompt = encoder.encode_prompt(row.prompt)
    responses = [encoder.encode_response(text) for text in row.completions]
    too_long = [length_problem(prompt, response, limit) for response in responses]
    left = [rank for rank, bad in zip(row.ranks, too_long, strict=True) if not bad]
    enough = any(rank is not None for rank in left) if regress else bool(untied_pairs(left)[0])
    is_left_out = not enough
    problems = [ranking_problem(encoder, row, responses), *too_long]
    if is_left_out:
        why = "all of its completions that fit are tied or unrankable, so it prefers nothing"
        problems.append(Problem("no_preference", why))
    titles = ["unrankable" if rank is None else f"rank {rank}" for rank in row.ranks]
    return _Look(
        row.row,
        len(prompt) + max(map(len, responses)),
        sum(not bad for bad in too_long),
        [problem for problem in problems if problem],
        is_left_out,
        [("prompt", prompt), *zip(titles, responses, strict=True)],
    )


def _shown(encoder: ChatEncoder, stage: str, look: _Look) -> dict[str, Any]:
    parts = []
    for number, (title, ids) in enumerate(look.ids):
        last = len(ids) - 1

        def learnt(index: int, is_prompt: bool = number == 0, last: int = last) -> bool:
            return not is_prompt and not look.is_left_out and (stage == "sft" or index == last)

        parts.append(asdict(Part(title, len(ids), marks_of(encoder, ids, learnt))))
    return {
        "row": look.row,
        "tokens": look.tokens,
        "learnt": look.learnt,
        "left_out": look.is_left_out,
        "why": look.problems[0].message if look.problems else "",
        "parts": parts,
    }


def _lengths(looks: list[_Look]) -> dict[str, int]:
    if not looks:
        return {}
    lengths = sorted(each.tokens for each in looks)
    return {
        "mean": round(statistics.fmean(lengths)),
        "median": round(statistics.median(lengths)),
        "p95": lengths[max(0, math.ceil(0.95 * len(lengths)) - 1)],
        "longest": lengths[-1],
        "learnt": sum(each.learnt for each in looks if not each.is_left_out),
    }


def _spread(rows: list, count: int) -> list:
    """`count` of the rows, evenly spread from the first on."""
    if count >= len(rows):
        return list(rows)
    return [rows[index * len(rows) // count] for index in range(count)]


def _others(looks: list[_Look], left_out: list[_Look], rows: int) -> list[_Look]:
    room = rows - min(len(left_out), max(1, rows // 3))
    return _spread([each for each in looks if not each.is_left_out], room) if room > 0 else []


def _row_number(look: _Look) -> int:
    return look.row


def _text(encoder: ChatEncoder, ids: Sequence[int]) -> str:
    return encoder.tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False)


def _terminal_mark(mark: dict[str, Any]) -> str:
    text = mark["text"].replace("\r", "␍").replace("\n", "⏎").replace("\t", "⇥")
    text = "".join(letter if letter.isprintable() else "�" for letter in text)
    return f"⟦{text}⟧" if mark["learnt"] else f"│{text}│"

"""Canonical dataset rows -> the formats that other tools read.

An encoder turns one canonical row into the rows of its format, or raises `CannotHold` with the reason: such
rows are left out and counted, never bent to fit. Formats named after a tool are in tool_exports.
"""

from .canonical import DATASET_KINDS, tiers_from_ranks
from .chat import has_turn_mark, render_transcript
from .completion_exports import COMPLETION_FORMATS
from .export_base import CSV, JSONL, CannotHold, ExportFormat, decided_pairs, flat_prompt, turn
from .tool_exports import TOOL_FORMATS


def _whole(row):
    yield row


def _messages(row):
    yield {"messages": row["messages"]}


def _prompt_and(answer_name):
    def encode(row):
        yield {**flat_prompt(row["messages"][:-1]), answer_name: row["messages"][-1]["content"]}

    return encode


def _preference(row):
    prompt = flat_prompt(row["messages"])
    for best, worst, margin in decided_pairs(row):
        yield {**prompt, "chosen": best, "rejected": worst, **margin}


def _preference_messages(row):
    for best, worst, margin in decided_pairs(row):
        yield {"prompt": row["messages"], "chosen": [turn(best)], "rejected": [turn(worst)], **margin}


def _hh(row):
    messages = row["messages"]
    if messages[0]["role"] == "system":
        raise CannotHold("transcripts have no place for a system message")
    for best, worst, _ in decided_pairs(row):
        if any(has_turn_mark(text) for text in (best, worst, *(m["content"] for m in messages))):
            raise CannotHold(
                'a text holds "Human:" or "Assistant:" after a blank line, which would add a turn'
            )
        yield {
            "chosen": render_transcript([*messages, turn(best)]),
            "rejected": render_transcript([*messages, turn(worst)]),
        }


def _kwise(row):
    ids = [completion["id"] for completion in row["completions"]]
    tiers = tiers_from_ranks(row["ranks"])
    if not tiers:
        raise CannotHold("nothing in it is ranked")
    unrankable = [ids[i] for i, rank in enumerate(row["ranks"]) if rank is None]
    yield {
        "messages": row["messages"],
        "completions": row["completions"],
        "ranking": [[ids[i] for i in tier] for tier in tiers],
        **({"unrankable": unrankable} if unrankable else {}),
        **({"unrankable_reasons": reasons} if (reasons := row.get("unrankable_reasons")) else {}),
        **({"margins": row["margins"]} if row["margins"] is not None else {}),
    }


def _flat(row):
    yield flat_prompt(row["messages"])


_ONE_TURN = "single-turn prompts only: others are left out and counted"
_NEUTRAL = "cells that a spreadsheet would run get a leading apostrophe"

EXPORT_FORMATS: dict[str, ExportFormat] = {
    fmt.name: fmt
    for fmt in (
        ExportFormat(
            "canonical",
            DATASET_KINDS,
            "jsonl",
            JSONL,
            "Our own rows with ids and lineage, byte for byte those of the version's hash",
            _whole,
            holds_fields=False,  # as they stand in it
        ),
        ExportFormat(
            "messages",
            ("sft",),
            "jsonl",
            JSONL,
            "Chat messages, the last one the answer (OpenAI fine-tuning, TRL)",
            _messages,
        ),
        ExportFormat(
            "prompt_response",
            ("sft",),
            "jsonl",
            JSONL,
            f"prompt, response; {_ONE_TURN}",
            _prompt_and("response"),
        ),
        ExportFormat(
            "prompt_completion",
            ("sft",),
            "jsonl",
            JSONL,
            f"prompt, completion (OpenAI legacy, TRL); {_ONE_TURN}",
            _prompt_and("completion"),
        ),
        ExportFormat(
            "prompt_response_csv",
            ("sft",),
            "csv",
            CSV,
            f"prompt, response as a table; {_ONE_TURN}; {_NEUTRAL}",
            _prompt_and("response"),
            ("system", "prompt", "response"),
        ),
        ExportFormat(
            "prompt_completion_csv",
            ("sft",),
            "csv",
            CSV,
            f"prompt, completion as a table; {_ONE_TURN}; {_NEUTRAL}",
            _prompt_and("completion"),
            ("system", "prompt", "completion"),
        ),
        ExportFormat(
            "preference",
            ("comparison",),
            "jsonl",
            JSONL,
            f"prompt, chosen, rejected, one row per pair that is no tie; {_ONE_TURN}",
            _preference,
        ),
        ExportFormat(
            "preference_messages",
            ("comparison",),
            "jsonl",
            JSONL,
            "prompt, chosen, rejected as message lists (TRL conversational), one row per pair that is no tie",
            _preference_messages,
        ),
        ExportFormat(
            "hh",
            ("comparison",),
            "jsonl",
            JSONL,
            "chosen, rejected as Anthropic HH transcripts; without system messages",
            _hh,
            holds_fields=False,
        ),
        ExportFormat(
            "kwise",
            ("comparison",),
            "jsonl",
            JSONL,
            "messages, completions, ranking as tiers of ids, margins: everything but lineage",
            _kwise,
        ),
        ExportFormat(
            "preference_csv",
            ("comparison",),
            "csv",
            CSV,
            f"prompt, chosen, rejected, margin as a table; {_ONE_TURN}; {_NEUTRAL}",
            _preference,
            ("system", "prompt", "chosen", "rejected", "margin"),
        ),
        ExportFormat("prompts", ("prompts",), "jsonl", JSONL, "messages of each prompt", _messages),
        ExportFormat(
            "prompts_csv",
            ("prompts",),
            "csv",
            CSV,
            f"prompt as a table; {_ONE_TURN}; {_NEUTRAL}",
            _flat,
            ("system", "prompt"),
        ),
        *TOOL_FORMATS,
        *COMPLETION_FORMATS,
    )
}

"""Export formats named after the tools that read them: OpenAI, TRL, Alpaca, ShareGPT, OpenAssistant …

What each cannot hold is in its description, and rows it has no place for are left out by `CannotHold`.
"""

from dataclasses import dataclass

from .canonical import tiers_from_ranks
from .export_base import (
    CSV,
    JSONL,
    TEXT,
    TSV,
    CannotHold,
    ExportFormat,
    check_tabs,
    decided_pairs,
    flat_prompt,
    one_line,
    turn,
)

SFT, COMPARISON, PROMPTS = ("sft",), ("comparison",), ("prompts",)
_ONE_TURN = "single-turn prompts only: others are left out and counted"


@dataclass(frozen=True)
class LegacyMarks:
    """How OpenAI's prompt/completion files mark where a prompt and an answer end (their data preparation
    guide): a separator after every prompt, a blank before and a stop after every completion."""

    separator: str = "\n\n###\n\n"
    leading_space: bool = True
    stop: str = " END"


def _openai_legacy(row, marks=None):
    marks = marks or LegacyMarks()
    held = flat_prompt(row["messages"][:-1])
    if "system" in held:
        raise CannotHold("the format has no place for a system message")
    prompt, answer = held["prompt"], row["messages"][-1]["content"]
    if marks.separator and marks.separator in prompt:
        raise CannotHold("the prompt holds the separator, at which a model would take it to end")
    if marks.stop and marks.stop in answer:
        raise CannotHold("the answer holds the stop sequence, at which it would be cut")
    blank = " " if marks.leading_space else ""
    yield {"prompt": f"{prompt}{marks.separator}", "completion": f"{blank}{answer}{marks.stop}"}


def _openai_preference(row):
    asked = {"messages": row["messages"], "tools": [], "parallel_tool_calls": True}
    for best, worst, _ in decided_pairs(row):
        yield {"input": asked, "preferred_output": [turn(best)], "non_preferred_output": [turn(worst)]}


def _prompt_completion_messages(row):
    yield {"prompt": row["messages"][:-1], "completion": row["messages"][-1:]}


def _preference_implicit(row):
    for best, worst, margin in decided_pairs(row):
        prompt = row["messages"]
        yield {"chosen": [*prompt, turn(best)], "rejected": [*prompt, turn(worst)], **margin}


def _kto(row):
    for text, label in _thumbs(row):
        yield {"prompt": row["messages"], "completion": [turn(text)], "label": label}


def _kto_messages(row):
    for text, label in _thumbs(row):
        yield {"messages": [*row["messages"], turn(text)], "label": label}


def _thumbs(row):
    """(text, whether it is of the best rank) of those of the best and of the last, each text once. One that
    is in both says nothing, and nobody could learn from it."""
    tiers = tiers_from_ranks(row["ranks"])
    if len(tiers) < 2:
        raise CannotHold("all are tied, so that none is the better or the worse")
    best, worst = (
        dict.fromkeys(row["completions"][index]["text"] for index in tier) for tier in (tiers[0], tiers[-1])
    )
    if not (best.keys() - worst and worst.keys() - best):
        raise CannotHold("the best and the last are the same text")
    yield from ((text, True) for text in best if text not in worst)
    yield from ((text, False) for text in worst if text not in best)


def _pointwise(row):
    """`score`: the share of the others that it beats, a tie as half; in [0, 1]."""
    given = row["source"].get("answers", {}).get("completions", {})
    ranked = [(index, rank) for index, rank in enumerate(row["ranks"]) if rank is not None]
    if len(ranked) < 2:
        raise CannotHold("fewer than two are ranked, so that there is nothing to score by")
    for index, rank in ranked:
        beaten = sum(1.0 if rank < other else 0.5 for at, other in ranked if at != index and rank <= other)
        completion = row["completions"][index]
        answers = {"answers": given[completion["id"]]} if given.get(completion["id"]) else {}
        answer = [turn(completion["text"])]
        score = beaten / (len(ranked) - 1)
        yield {"prompt": row["messages"], "completion": answer, "score": score, **answers}


def _kwise_ranks(row):
    """`flags`: what people answered about each completion, in their order; {} where they were not asked."""
    given = row["source"].get("answers", {}).get("completions", {})
    flags = [given.get(completion["id"], {}) for completion in row["completions"]]
    yield {
        "messages": row["messages"],
        "completions": row["completions"],
        "ranks": row["ranks"],
        "margins": row["margins"],
        **({"flags": flags} if any(flags) else {}),
    }


def _both_ways(row):
    """(first, second, which is better: "a", "b" or "tie") of each pair that both ranked, ties too."""
    ranked = [index for index, rank in enumerate(row["ranks"]) if rank is not None]
    for place, first in enumerate(ranked):
        for second in ranked[place + 1 :]:
            left, right = row["ranks"][first], row["ranks"][second]
            if row["completions"][first]["text"] != row["completions"][second]["text"]:
                best = "tie" if left == right else "a" if left < right else "b"
                yield row["completions"][first], row["completions"][second], best


def _pairs_with_ties(row):
    prompt = flat_prompt(row["messages"])
    for first, second, best in _both_ways(row):
        yield {**prompt, "response_a": first["text"], "response_b": second["text"], "preference": best}


def _alpaca_eval(row):
    prompt = flat_prompt(row["messages"])
    if "system" in prompt:
        raise CannotHold("the format has no place for a system message")
    for first, second, best in _both_ways(row):
        yield {
            "instruction": prompt["prompt"],
            "output_1": first["text"],
            "output_2": second["text"],
            "generator_1": first["generator"],
            "generator_2": second["generator"],
            "preference": {"a": 1, "b": 2, "tie": 0}[best],
        }


def _alpaca(row):
    held = flat_prompt(row["messages"][:-1])
    system = {"system": held["system"]} if "system" in held else {}
    answer = row["messages"][-1]["content"]
    yield {"instruction": held["prompt"], "input": "", "output": answer, **system}


def _instruction(row):
    held = flat_prompt(row["messages"])
    yield {"instruction": held["prompt"], **({"system": held["system"]} if "system" in held else {})}


def _question_answer(row):
    held = flat_prompt(row["messages"][:-1])
    if "system" in held:
        raise CannotHold("the format has no place for a system message")
    yield {"question": held["prompt"], "answer": row["messages"][-1]["content"]}


_SHAREGPT = {"system": "system", "user": "human", "assistant": "gpt"}


def _sharegpt(row):
    yield {
        "conversations": [
            {"from": _SHAREGPT[each["role"]], "value": each["content"]} for each in row["messages"]
        ]
    }


_OASST = {"user": "prompter", "assistant": "assistant"}


def _oasst(row):
    """One tree: the prompt's turns one under the other, the answers as replies, `rank` from 0 the best."""
    is_ranked = "completions" in row
    messages = row["messages"]
    if messages[0]["role"] == "system":
        raise CannotHold("message trees have no place for a system message")
    replies = []
    if is_ranked:
        for completion, rank in zip(row["completions"], row["ranks"], strict=True):
            rated = {} if rank is None else {"rank": rank - 1}
            replies.append(_node(completion["id"], turn(completion["text"]), []) | rated)
    for number in range(len(messages) - 1, -1, -1):
        replies = [_node(f"{row['id']}-{number}", messages[number], replies)]
    tree = {"message_tree_id": replies[0]["message_id"], "tree_state": "ready_for_export"}
    yield tree | {"prompt": replies[0]}


def _node(message_id, message, replies):
    role = _OASST[message["role"]]
    return {"message_id": message_id, "text": message["content"], "role": role, "replies": replies}


def _stackexchange(row):
    held = flat_prompt(row["messages"])
    if "system" in held:
        raise CannotHold("the format has no place for a system message")
    worst = max((rank for rank in row["ranks"] if rank is not None), default=0)
    answers = [
        {
            "answer_id": completion["id"],
            "text": completion["text"],
            "pm_score": worst - rank,
            "selected": False,
        }
        for completion, rank in zip(row["completions"], row["ranks"], strict=True)
        if rank is not None
    ]
    if len(answers) < 2:
        raise CannotHold("fewer than two are ranked, so that there is nothing to vote on")
    yield {"qid": row["prompt_id"], "question": held["prompt"], "answers": answers}


def _line(row):
    text = flat_prompt(row["messages"])
    if "system" in text:
        raise CannotHold("the format has no place for a system message")
    yield {"text": one_line(text["prompt"])}


def _tabs(encode):
    """For tab-separated tables, which have no quoting: neither tab nor line break fits into a cell."""

    def encoded(row):
        for out in encode(row):
            check_tabs(out)
            yield out

    return encoded


def _answered(row):
    yield {**flat_prompt(row["messages"][:-1]), "response": row["messages"][-1]["content"]}


def _preferred(row):
    for best, worst, margin in decided_pairs(row):
        yield {**flat_prompt(row["messages"]), "chosen": best, "rejected": worst, **margin}


def _asked(row):
    yield flat_prompt(row["messages"])


def _kwise_table(row):
    """A row for each completion; `score`: steps above the last rank, equal where they tie."""
    prompt = flat_prompt(row["messages"])
    ranked = [(c, rank) for c, rank in zip(row["completions"], row["ranks"], strict=True) if rank is not None]
    if len(ranked) < 2:
        raise CannotHold("fewer than two are ranked, so that there is nothing to score by")
    worst = max(rank for _, rank in ranked)
    for each, rank in ranked:
        named = {"completion": each["text"], "generator": each["generator"]}
        yield {**prompt, **named, "score": worst - rank}


def _jsonl(name, kinds, description, encode, **more) -> ExportFormat:
    return ExportFormat(name, kinds, "jsonl", JSONL, description, encode, **more)


_NO_SYSTEM = "no system message"
_TABS = "tabs between cells, no quoting: texts with tabs or line breaks are left out"

TOOL_FORMATS = (
    _jsonl(
        "openai_legacy",
        SFT,
        "prompt, completion for OpenAI's older fine-tuning, each prompt ended by a separator, each completion"
        f" begun by a blank and ended by a stop, which can be chosen; {_NO_SYSTEM}; {_ONE_TURN}",
        _openai_legacy,
        marks=LegacyMarks,
        holds_fields=False,
    ),
    _jsonl(
        "prompt_completion_messages",
        SFT,
        "prompt, completion as lists of messages (TRL)",
        _prompt_completion_messages,
    ),
    _jsonl("alpaca", SFT, f"instruction, an empty input, output (Alpaca); {_ONE_TURN}", _alpaca),
    _jsonl("question_answer", SFT, f"question, answer; {_NO_SYSTEM}; {_ONE_TURN}", _question_answer),
    _jsonl("instructions", PROMPTS, f"instruction, as evaluation sets have it; {_ONE_TURN}", _instruction),
    _jsonl("sharegpt", SFT, "conversations of from (human, gpt) and value (ShareGPT)", _sharegpt),
    _jsonl(
        "oasst", SFT, f"OpenAssistant message trees of one branch; {_NO_SYSTEM}", _oasst, holds_fields=False
    ),
    _jsonl(
        "openai_preference",
        COMPARISON,
        "input, preferred_output, non_preferred_output (OpenAI DPO), one row per pair that is no tie",
        _openai_preference,
        holds_fields=False,
    ),
    _jsonl(
        "preference_implicit",
        COMPARISON,
        "chosen, rejected as whole conversations (TRL, implicit prompt), one row per pair that is no tie",
        _preference_implicit,
    ),
    _jsonl(
        "kto",
        COMPARISON,
        "prompt, completion, label (TRL KTO): the best rank is true, the last false, those between are left"
        " out",
        _kto,
    ),
    _jsonl(
        "kto_messages",
        COMPARISON,
        "messages with the answer, label (true or false), otherwise as kto",
        _kto_messages,
    ),
    _jsonl(
        "pointwise",
        COMPARISON,
        "prompt, completion, score: the share of the other completions that it beats, a tie as half; and what"
        " people answered about it; unrankable ones are left out",
        _pointwise,
    ),
    _jsonl(
        "kwise_ranks",
        COMPARISON,
        "messages, completions, ranks, margins, flags as lists in one order",
        _kwise_ranks,
    ),
    _jsonl(
        "pairs_with_ties",
        COMPARISON,
        f"prompt, response_a, response_b, preference a, b or tie: every ranked pair; no margins; {_ONE_TURN}",
        _pairs_with_ties,
    ),
    _jsonl(
        "alpaca_eval",
        COMPARISON,
        f"instruction, output_1, output_2, preference 1, 2 or 0 for a tie; no margins; {_NO_SYSTEM};"
        f" {_ONE_TURN}",
        _alpaca_eval,
    ),
    _jsonl(
        "oasst_ranked",
        COMPARISON,
        f"OpenAssistant message trees, replies with rank from 0; no margins; {_NO_SYSTEM}",
        _oasst,
        holds_fields=False,
    ),
    _jsonl(
        "stackexchange",
        COMPARISON,
        "question, answers with pm_score (steps above the last rank); no margins; unrankable ones are left"
        f" out; {_NO_SYSTEM}; {_ONE_TURN}",
        _stackexchange,
        holds_fields=False,
    ),
    ExportFormat(
        "prompt_response_tsv",
        SFT,
        "tsv",
        TSV,
        f"prompt, response; {_TABS}; {_ONE_TURN}",
        _tabs(_answered),
        ("system", "prompt", "response"),
    ),
    ExportFormat(
        "preference_tsv",
        COMPARISON,
        "tsv",
        TSV,
        f"prompt, chosen, rejected, margin; {_TABS}; {_ONE_TURN}",
        _tabs(_preferred),
        ("system", "prompt", "chosen", "rejected", "margin"),
    ),
    *(
        ExportFormat(
            f"kwise_{extension}",
            COMPARISON,
            extension,
            media_type,
            "prompt, completion, generator, score (steps above the last rank), a row per completion; rankings"
            f" of one prompt are read as one; unrankable ones are left out; no margins; {more}{_ONE_TURN}",
            encode,
            ("system", "prompt", "completion", "generator", "score"),
        )
        for extension, media_type, encode, more in (
            ("csv", CSV, _kwise_table, ""),
            ("tsv", TSV, _tabs(_kwise_table), f"{_TABS}; "),
        )
    ),
    ExportFormat(
        "prompts_tsv",
        PROMPTS,
        "tsv",
        TSV,
        f"prompt; {_TABS}; {_ONE_TURN}",
        _tabs(_asked),
        ("system", "prompt"),
    ),
    ExportFormat(
        "prompts_text",
        PROMPTS,
        "txt",
        TEXT,
        f"one prompt a line; {_NO_SYSTEM}; {_ONE_TURN}",
        _line,
        is_text=True,
        holds_fields=False,
    ),
)

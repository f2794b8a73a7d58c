"""Rows that become rankings: pairs, K-wise groups, and completions that nobody has ranked yet."""

import re
from pathlib import PurePath

from ..chat import (
    describe_type,
    parse_transcript,
    read_messages,
    read_text,
    read_turn,
    split_answer,
    user_prompt,
)
from ..errors import RowError
from ..records import CompletionRecord, RankingRecord
from .base import PROMPT_FIELDS, Row, Shape
from .orders import tiers_from_ranking, tiers_from_ranks

_PAIR = ("comparisons",)


def _pair(row, messages, best, worst):
    """One decided pair, the better text first."""
    if best == worst:
        raise RowError("chosen and rejected are the same text", field="rejected")
    margin = row.number_at("margin")
    return RankingRecord(
        messages=messages,
        completions=(CompletionRecord(best), CompletionRecord(worst)),
        tiers=((0,), (1,)),
        margins=None if margin is None else (margin,),
        **row.common(),
    )


def _read_chosen_rejected(row: Row):
    messages = row.prompt()
    halves = [_answer(row.take(name), name, messages, row.limits) for name in ("chosen", "rejected")]
    (prompt, best), (_, worst) = halves
    _check_shared(*(asked for asked, _ in halves))
    yield _pair(row, prompt, best, worst)


def _answer(value, name, messages, limits):
    """(prompt, answer) of a preferred or dispreferred answer: text, one message, a list of one assistant
    message, or a whole conversation in which the prompt is said again, perhaps after more before it."""
    if type(value) is dict:
        value = [value]
    if type(value) is not list:
        return messages, read_text(value, name, limits)
    if len(value) == 1:
        turn = read_turn(value[0], name, limits)
        if turn["role"] != "assistant":
            raise RowError(f"must be the assistant's, not the {turn['role']}'s", field=name)
        return messages, turn["content"]
    asked, answer = split_answer(read_messages(value, name, limits), name)
    if asked[-len(messages) :] != messages:
        raise RowError(
            "its conversation does not lead to the row's prompt",
            field=name,
            hint="Give the last answer alone, or leave the column with the prompt out.",
        )
    return asked, answer


def _check_shared(prompt, other):
    if prompt != other:
        raise RowError(
            "chosen and rejected do not share their prompt",
            field="rejected",
            hint="The two may differ in the last answer only.",
        )


def _read_whole_conversations(row: Row):
    """HH transcripts, or message lists, that share everything but their last turn."""
    halves = []
    for names in (("chosen", "chosen_messages"), ("rejected", "rejected_messages")):
        name = row.which(*names)
        value = row.values[name]
        parse = read_messages if type(value) is list else parse_transcript
        halves.append(split_answer(parse(value, name, row.limits), name))
    (prompt, best), (other_prompt, worst) = halves
    _check_shared(prompt, other_prompt)
    yield _pair(row, prompt, best, worst)


def _read_lettered(row: Row):
    """response_a, response_b and preference a | b | tie."""
    messages = row.prompt()
    texts = [row.text(f"response_{x}", f"completion_{x}", f"answer_{x}") for x in "ab"]
    preference = row.take("preference")
    order = {"a": ((0,), (1,)), "b": ((1,), (0,)), "tie": ((0, 1),)}
    if type(preference) is not str or preference not in order:
        raise RowError(
            f"{_shown(preference)} is not allowed", field="preference", hint='It is "a", "b" or "tie".'
        )
    yield _judged_pair(row, messages, texts, order[preference])


def _read_numbered(row: Row):
    """AlpacaEval annotations: 1 or 2 wins, 0 or 1.5 is a tie, null was never judged."""
    messages = row.prompt()
    texts = [row.text("output_1"), row.text("output_2")]
    preference = row.take("preference")
    if type(preference) is str and preference in ("0", "1", "1.5", "2", "0.0", "1.0", "2.0"):
        preference = float(preference)  # a cell of a table
    if preference is None or preference == "":
        tiers = None
    elif type(preference) in (int, float) and preference in (0, 1, 1.5, 2):
        tiers = {1: ((0,), (1,)), 2: ((1,), (0,))}.get(preference, ((0, 1),))
    else:
        raise RowError(
            f"{_shown(preference)} is not allowed",
            field="preference",
            hint="It is 1 or 2 for the better output, 0 or 1.5 for a tie, null where there is no judgment.",
        )
    yield _judged_pair(row, messages, texts, tiers)


def _judged_pair(row, messages, texts, tiers):
    if texts[0] == texts[1] and tiers is not None and len(tiers) == 2:
        raise RowError("one of two equal texts cannot be preferred", field="preference")
    generators = [row.optional_text(f"generator_{n}", f"model_{x}") for n, x in ((1, "a"), (2, "b"))]
    margin = row.number_at("margin") if tiers is not None and len(tiers) == 2 else None
    completions = tuple(CompletionRecord(t, g) for t, g in zip(texts, generators, strict=True))
    return RankingRecord(
        messages=messages,
        completions=completions,
        tiers=tiers,
        margins=None if margin is None else (margin,),
        **row.common(),
    )


def _shown(value):
    return repr(value)[:40] if value is not None else "null"


def _read_arguments(row: Row):
    """UKPConvArg1: two arguments of a debate whose name and side are the file's name."""
    texts = [row.text("a1"), row.text("a2")]
    label = row.take("label")
    if label not in ("a1", "a2"):
        raise RowError(f"{_shown(label)} is not allowed", field="label", hint="It is a1 or a2.")
    best, worst = texts if label == "a1" else texts[::-1]
    yield _pair(row, user_prompt(debate_prompt(row.filename)), best, worst)


def debate_prompt(filename: str) -> str:
    """The prompt of a UKPConvArg1 file: its name is "debate_side.csv" with hyphens for blanks.

    >>> debate_prompt("firefox-vs-internet-explorer_it-has-a-cute-logo.csv").splitlines()[:2]
    ['Debate: Firefox vs internet explorer', 'Side: It has a cute logo']
    """
    stem = PurePath(filename.replace("\\", "/")).name.split(".")[0]
    words = [re.sub(r"[-\s]+", " ", part).strip() for part in stem.split("_", 1)]
    debate, side = (words + [""])[:2]
    if not debate:
        raise RowError(
            "the debate is missing: it is the first part of the file's name",
            field="prompt",
            hint='Name the file "debate_side.csv".',
        )
    lines = [f"Debate: {debate[0].upper()}{debate[1:]}"]
    if side:
        lines.append(f"Side: {side[0].upper()}{side[1:]}")
    return "\n".join([*lines, "", "Give one convincing argument for this side."])


def _read_kwise(row: Row):
    messages = row.prompt()
    has_order = any(row.values.get(name) is not None for name in ("ranking", "ranks"))
    if not has_order and row.kind == "comparisons":
        raise RowError("missing", field="ranking", hint="To have them ranked, import them as completions.")
    completions = _completions(row, is_ranked=has_order)
    tiers = None
    if row.values.get("ranking") is not None:
        tiers = tiers_from_ranking(row.take("ranking"), row.values.get("unrankable"), completions)
        row.mark_used("unrankable")
    elif has_order:
        tiers = tiers_from_ranks(row.take("ranks"), len(completions))
    yield RankingRecord(
        messages=messages, completions=completions, tiers=tiers, margins=_margins(row, tiers), **row.common()
    )


def _completions(row, *, is_ranked):
    values = row.take("completions")
    if type(values) is not list:
        raise RowError(f"must be a list, not {describe_type(values)}", field="completions")
    limits = row.limits
    if is_ranked and not limits.min_ranked <= len(values) <= limits.max_ranked:
        raise RowError(
            f"K must be {limits.min_ranked} to {limits.max_ranked}, here it is {len(values)}",
            field="completions",
        )
    if not 1 <= len(values) <= limits.max_completions:
        raise RowError(f"must hold 1 to {limits.max_completions}, here {len(values)}", field="completions")
    return tuple(_completion(value, f"completions[{n}]", limits) for n, value in enumerate(values, start=1))


def _completion(value, where, limits):
    if type(value) is not dict:
        return CompletionRecord(read_text(value, where, limits))
    if "text" not in value:
        raise RowError("missing", field=f"{where}.text")
    key = value.get("id")
    if type(key) not in (str, int, type(None)):
        raise RowError(f"must be text, not {describe_type(key)}", field=f"{where}.id")
    generator = value.get("generator") or value.get("model") or ""
    if type(generator) is not str:
        raise RowError(f"must be text, not {describe_type(generator)}", field=f"{where}.generator")
    text = read_text(value["text"], f"{where}.text", limits)
    return CompletionRecord(text, generator, "" if key is None else str(key))


def _margins(row, tiers):
    values = row.values.get("margins")
    if values is None or tiers is None:
        return None
    row.which("margins")
    if type(values) is not list or len(values) != len(tiers) - 1:
        raise RowError(f"must be a list of {len(tiers) - 1}, one for each boundary", field="margins")
    for value in values:
        if value is not None and (type(value) not in (int, float) or not 0 <= value < float("inf")):
            raise RowError("each must be a finite number, zero or more, or null", field="margins")
    return tuple(None if value is None else float(value) for value in values)


def _read_model_output(row: Row):
    """One model's answer to one prompt; `group_completions` brings the answers of a prompt together."""
    messages = row.prompt()
    text = row.text("output", "completion", "response")
    generator = row.optional_text("generator", "model", "checkpoint")
    yield RankingRecord(
        messages=messages, completions=(CompletionRecord(text, generator),), tiers=None, **row.common()
    )


_PROMPT = PROMPT_FIELDS

RANKING_SHAPES = (
    Shape(
        "prompt, chosen and rejected",
        _PAIR,
        (_PROMPT, ("chosen",), ("rejected",)),
        _read_chosen_rejected,
        optional=("margin", "input", "system"),
    ),
    Shape(
        "HH transcripts or whole conversations",
        _PAIR,
        (("chosen", "chosen_messages"), ("rejected", "rejected_messages")),
        _read_whole_conversations,
        without=_PROMPT,
        optional=("margin",),
    ),
    Shape(
        "two responses and a preference",
        _PAIR,
        (_PROMPT, *((f"response_{x}", f"completion_{x}", f"answer_{x}") for x in "ab"), ("preference",)),
        _read_lettered,
        optional=("margin", "model_a", "model_b"),
    ),
    Shape(
        "AlpacaEval annotations",
        _PAIR,
        (_PROMPT, ("output_1",), ("output_2",), ("preference",)),
        _read_numbered,
        optional=("generator_1", "generator_2", "margin"),
    ),
    Shape("UKPConvArg1 pairs", _PAIR, (("label",), ("a1",), ("a2",)), _read_arguments),
    Shape(
        "K-wise ranking",
        _PAIR,
        (_PROMPT, ("completions",), ("ranking", "ranks")),
        _read_kwise,
        optional=("margins", "unrankable", "input", "system"),
    ),
    Shape(
        "completions, ranked or to be ranked",
        ("completions",),
        (_PROMPT, ("completions",)),
        _read_kwise,
        optional=("ranking", "ranks", "margins", "unrankable", "input", "system"),
    ),
    Shape(
        "outputs of named models",
        ("completions",),
        (_PROMPT, ("output", "completion", "response"), ("generator", "model", "checkpoint")),
        _read_model_output,
        without=("completions",),
        optional=("input", "system"),
    ),
    Shape(
        "one model's outputs",
        ("completions",),
        (_PROMPT, ("output", "completion", "response")),
        _read_model_output,
        without=("completions",),
        optional=("generator", "model", "checkpoint", "input"),
    ),
)

"""Rows that hold several answers to one prompt side by side: answers with votes, models as columns, judged
lists; and OpenAI's preference pairs."""

from collections.abc import Mapping
from typing import Any

from ..chat import as_prompt, describe_type, read_messages, read_text, split_answer, user_prompt
from ..errors import RowError
from ..records import CompletionRecord, DemonstrationRecord, RankingRecord
from .base import PROMPT_FIELDS, Row, Shape
from .orders import tiers_from_ranks
from .scored import as_number, ranked_by_score, thumb

_RANKED = ("completions", "comparisons")
_SUFFIX = "_response"


# --- Questions and answers with votes ---------------------------------------------------------------------
_TEXT, _VOTES, _SELECTED = (
    ("text", "body", "answer"),
    ("score", "pm_score", "votes"),
    ("selected", "accepted"),
)


def _read_voted(row: Row):
    """A question and its answers, each with votes. As demonstrations: the accepted answer, else the best."""
    messages = user_prompt(row.text("question"))
    values = row.take("answers")
    if type(values) is not list or not values:
        raise RowError("no answers", field="answers", hint="Import as prompts, or leave such rows out.")
    answers = [_voted(value, f"answers[{n}]", row.limits) for n, value in enumerate(values, start=1)]
    if row.kind == "demonstrations":
        best = max(answers, key=lambda each: (each[1], each[0].score or 0.0))[0]
        yield DemonstrationRecord(messages=messages, text=best.text, **row.common())
        return
    completions = list({completion.text: completion for completion, _ in reversed(answers)}.values())[::-1]
    if len(completions) == 1 and row.kind == "comparisons":
        raise RowError(
            "only one answer: there is nothing to compare it with",
            field="answers",
            hint="Import the file as completions, or leave such rows out.",
        )
    first = RankingRecord(messages=messages, completions=(), tiers=None, **row.common())
    yield from ranked_by_score(first, completions, row.limits)


def _voted(value, where, limits) -> tuple[CompletionRecord, bool]:
    if type(value) is not dict:
        raise RowError(f"must be an object with text and score, not {describe_type(value)}", field=where)
    text = next((value[name] for name in _TEXT if name in value), None)
    votes = as_number(next((value[name] for name in _VOTES if name in value), None))
    if votes is None:
        raise RowError("must be a finite number", field=f"{where}.score")
    is_selected = any(value.get(name) is True for name in _SELECTED)
    return CompletionRecord(read_text(text, f"{where}.text", limits), score=votes), is_selected


def _has_votes(values: Mapping[str, Any]) -> bool:
    answers = values.get("answers")
    return type(answers) is list and all(type(each) is dict for each in answers)


# --- Models as columns ------------------------------------------------------------------------------------
def _read_columns(row: Row):
    """`NAME_response` columns: each model's answer, waiting to be ranked."""
    names = [name for name in row.values if _is_answer_column(name)]
    messages = row.prompt()
    completions = tuple(
        CompletionRecord(row.text(name), name.removesuffix(_SUFFIX)) for name in names if row.values[name]
    )
    if not completions:
        raise RowError("no answer in any column", field=names[0])
    yield RankingRecord(messages=messages, completions=completions, tiers=None, **row.common())


def _is_answer_column(name: Any) -> bool:
    return (
        type(name) is str and name.endswith(_SUFFIX) and name not in ("chosen_response", "rejected_response")
    )


def _has_columns(values: Mapping[str, Any]) -> bool:
    return sum(map(_is_answer_column, values)) >= 2


def _read_solutions(row: Row):
    """GSM8K's model solutions: each model's {solution, is_correct} under its name; right before wrong."""
    messages = row.prompt()
    row.which("ground_truth")
    completions = []
    for name in [name for name, value in row.values.items() if _is_solution(value)]:
        value = row.take(name)
        score = thumb(value["is_correct"])
        if score is None:
            raise RowError("must be true or false", field=f"{name}.is_correct")
        text = read_text(value["solution"], f"{name}.solution", row.limits)
        completions.append(CompletionRecord(text, name, score=score))
    distinct = list({each.text: each for each in reversed(completions)}.values())[::-1]
    first = RankingRecord(messages=messages, completions=(), tiers=None, **row.common())
    if len(distinct) == 1 and row.kind == "comparisons":
        raise RowError("all solutions are the same text: there is nothing to compare")
    yield from ranked_by_score(first, distinct, row.limits)


def _is_solution(value: Any) -> bool:
    return type(value) is dict and {"solution", "is_correct"} <= value.keys()


def _has_solutions(values: Mapping[str, Any]) -> bool:
    return sum(map(_is_solution, values.values())) >= 2


# --- Judged lists -----------------------------------------------------------------------------------------
def _read_review(row: Row):
    """LLMZoo: a question, several models' answers, and the rank of each (1 = best, equal = tie)."""
    held = row.take("metadata")
    if type(held) is not dict:
        raise RowError(f"must be an object, not {describe_type(held)}", field="metadata")
    messages = user_prompt(read_text(held.get("question"), "metadata.question", row.limits))
    texts, names = held.get("answers"), held.get("model_ids")
    if type(texts) is not list or not row.limits.min_ranked <= len(texts) <= row.limits.max_ranked:
        raise RowError("must be a list of 2 to 9 answers", field="metadata.answers")
    if type(names) is not list or len(names) != len(texts) or not all(type(each) is str for each in names):
        names = [""] * len(texts)
    completions = tuple(
        CompletionRecord(read_text(text, f"metadata.answers[{n}]", row.limits), name)
        for n, (text, name) in enumerate(zip(texts, names, strict=True), start=1)
    )
    tiers = tiers_from_ranks(row.take("order"), len(completions))
    yield RankingRecord(messages=messages, completions=completions, tiers=tiers, **row.common())


# --- OpenAI's preference pairs ----------------------------------------------------------------------------
def _read_preference(row: Row):
    held = row.take("input")
    if type(held) is not dict:
        raise RowError(f"must be an object with messages, not {describe_type(held)}", field="input")
    if held.get("tools"):
        raise RowError("tools cannot be imported", field="input.tools")
    messages = as_prompt(read_messages(held.get("messages"), "input.messages", row.limits), "input.messages")
    best, worst = (_output(row, name, messages) for name in ("preferred_output", "non_preferred_output"))
    if best == worst:
        raise RowError("the two outputs are the same text", field="non_preferred_output")
    completions = (CompletionRecord(best), CompletionRecord(worst))
    yield RankingRecord(messages=messages, completions=completions, tiers=((0,), (1,)), **row.common())


def _output(row: Row, name: str, messages) -> str:
    value = row.take(name)
    if type(value) is not list or len(value) != 1:
        raise RowError("must be a list of one assistant message", field=name)
    return split_answer(read_messages([*messages, value[0]], name, row.limits), name)[1]


SEVERAL_SHAPES = (
    Shape("OpenAI preference", ("comparisons",),
          (("input",), ("preferred_output",), ("non_preferred_output",)), _read_preference),
    Shape("question and answers with votes", (*_RANKED, "demonstrations"), (("question",), ("answers",)),
          _read_voted, without=("completions", "chosen", "rejected"), accepts=_has_votes),
    Shape("GSM8K solutions of several models", _RANKED, (("question",), ("ground_truth",)), _read_solutions,
          accepts=_has_solutions),
    Shape("answers of several models as columns", ("completions",), (PROMPT_FIELDS,), _read_columns,
          without=("completions", "chosen", "rejected", "preference"), accepts=_has_columns,
          optional=("input", "system")),
    Shape("LLMZoo reviews", _RANKED, (("order",), ("metadata",), ("answer_ids",)), _read_review),
)  # fmt: skip

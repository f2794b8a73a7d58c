"""Rows with one answer and what somebody gave it by itself: KTO's thumbs, stars, rewards, votes.

The answers to one prompt, wherever they stand in the file, are ranked by their scores.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from ..chat import describe_type, read_messages, read_text, split_answer, user_prompt
from ..errors import RowError
from ..keys import prompt_digest
from ..limits import Limits
from ..records import CompletionRecord, RankingRecord
from .base import PROMPT_FIELDS, Gathering, Row, Shape
from .rankings import debate_prompt

_KINDS = ("completions", "comparisons")
_ANSWER = ("completion", "response", "output", "answer", "generation", "argument")
_SCORE = ("score", "rating", "reward")
_THUMBS = {
    True: 1.0, False: 0.0, "true": 1.0, "false": 0.0, "True": 1.0, "False": 0.0, "TRUE": 1.0, "FALSE": 0.0,
    "1": 1.0, "0": 0.0,
}  # fmt: skip


def thumb(value: Any) -> float | None:
    """1.0 or 0.0 for true or false, as JSON and tables write them; None for anything else."""
    return _THUMBS.get(value) if type(value) in (bool, int, str) else None


def as_number(value: Any) -> float | None:
    if type(value) is str:
        try:
            value = float(value)
        except ValueError:
            return None
    is_finite = type(value) in (int, float) and abs(value) < float("inf")
    return float(value) if is_finite else None


def _read_thumb(row: Row):
    label = row.take("label")
    score = thumb(label)
    if score is None:
        raise RowError(f"must be true or false, not {_shown(label)}", field="label")
    yield _scored(row, score)


def _read_score(row: Row):
    name = row.which(*_SCORE)
    yield _scored(row, _number(row, name))


def _read_argument(row: Row):
    """UKPConvArg1 rankings: the arguments of one side of a debate, which is the file's name."""
    text, score = row.text("argument"), _number(row, "rank")
    record = RankingRecord(
        messages=user_prompt(debate_prompt(row.filename)),
        completions=(CompletionRecord(text, score=score),),
        tiers=None,
        **row.common(),
    )
    yield record


def _number(row: Row, name: str) -> float:
    value = row.take(name)
    number = as_number(value)
    if number is None:
        raise RowError(f"must be a finite number, not {_shown(value)}", field=name)
    return number


def _shown(value: Any) -> str:
    return repr(value)[:40] if type(value) in (str, int, float) else describe_type(value)


def _scored(row: Row, score: float) -> RankingRecord:
    messages, text = _prompt_and_answer(row)
    generator = row.optional_text("generator", "model", "checkpoint")
    completion = CompletionRecord(text, generator, score=score)
    return RankingRecord(messages=messages, completions=(completion,), tiers=None, **row.common())


def _prompt_and_answer(row: Row):
    answer = next((name for name in _ANSWER if name in row.values), None)
    if answer is None:  # one conversation, whose last turn it is about
        name = row.which("messages", "conversations")
        return split_answer(read_messages(row.values[name], name, row.limits), name)
    if not any(name in row.values for name in PROMPT_FIELDS) and "context" in row.values:
        messages = user_prompt(row.text("context"))
    else:
        messages = row.prompt()
    value = row.take(answer)
    if type(value) is list and len(value) == 1:  # TRL's conversational form: one assistant message
        return messages, read_messages([*messages, value[0]], answer, row.limits)[-1]["content"]
    return messages, read_text(value, answer, row.limits)


def rank_by_score(gathering: Gathering) -> Iterator[RankingRecord]:
    """One weak order per prompt, in the order in which prompts first appear: the higher the score the better,
    equal scores tie.

    A text that was scored several times has the mean. More answers than a ranking may hold are split evenly
    into rankings of neighbours in the file. A prompt's only answer has no order: as completions it waits to
    be ranked, as comparisons it is a fault of its row.
    """
    groups: dict[str, list[RankingRecord]] = {}
    for record in gathering.parts:
        groups.setdefault(prompt_digest(record.messages), []).append(record)
    for members in groups.values():
        scored = _mean_scores(members)
        if len(scored) == 1 and gathering.kind == "comparisons":
            problem = "the only answer to its prompt: there is nothing to compare it with"
            hint = "Import the file as completions, or leave such rows out."
            gathering.fault(RowError(problem, row=members[0].row, hint=hint))
            continue
        yield from ranked_by_score(members[0], scored, gathering.limits)


def _mean_scores(members: Iterable[RankingRecord]) -> list[CompletionRecord]:
    by_text: dict[str, list[CompletionRecord]] = {}
    for member in members:
        by_text.setdefault(member.completions[0].text, []).append(member.completions[0])
    return [
        replace(same[0], score=sum(each.score or 0.0 for each in same) / len(same))
        for same in by_text.values()
    ]


def ranked_by_score(
    first: RankingRecord, completions: list[CompletionRecord], limits: Limits
) -> Iterator[RankingRecord]:
    """`completions` of one prompt, all with a score, as rankings of at most `limits.max_ranked`."""
    groups = -(-len(completions) // limits.max_ranked)
    for number in range(groups):
        start, end = (len(completions) * n // groups for n in (number, number + 1))
        some = tuple(completions[start:end])
        levels = sorted({completion.score or 0.0 for completion in some}, reverse=True)
        tiers = tuple(tuple(i for i, c in enumerate(some) if (c.score or 0.0) == level) for level in levels)
        yield replace(first, completions=some, tiers=tiers if len(some) > 1 else None)


def _has_thumb(values: Mapping[str, Any]) -> bool:
    return thumb(values.get("label")) is not None


def _has_score(values: Mapping[str, Any]) -> bool:
    return any(as_number(values.get(name)) is not None for name in _SCORE)


_OPTIONAL = ("generator", "model", "checkpoint", "input", "system")
_ONE_ANSWER = (
    ("prompt", "instruction", "question", "messages", "context"),
    ("completion", "response", "output", "answer", "generation"),
)
_OTHERS = ("chosen", "rejected", "completions", "ranking", "ranks")

SCORED_SHAPES = (
    Shape("KTO: prompt, completion, true or false", _KINDS, (*_ONE_ANSWER, ("label",)), _read_thumb,
          without=_OTHERS, optional=_OPTIONAL, accepts=_has_thumb, gather=rank_by_score),
    Shape("KTO: messages, true or false", _KINDS, (("messages", "conversations"), ("label",)), _read_thumb,
          without=(*_OTHERS, *_ONE_ANSWER[1]), accepts=_has_thumb, gather=rank_by_score),
    Shape("prompt, answer and score", _KINDS, (*_ONE_ANSWER, _SCORE), _read_score,
          without=_OTHERS, optional=_OPTIONAL, accepts=_has_score, gather=rank_by_score),
    Shape("UKPConvArg1 rankings", _KINDS, (("argument",), ("rank",)), _read_argument,
          without=PROMPT_FIELDS, gather=rank_by_score),
)  # fmt: skip

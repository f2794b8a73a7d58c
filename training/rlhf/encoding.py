"""Rows as token ids: what is kept, what is left out, what cannot train. Loads no torch.

The stages and the preview (`preview.py`) read rows through the same functions, so that what people are shown
is what a run does.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from training.rlhf.chat import ChatEncoder, Encoded
from training.rlhf.data import Demonstration, Messages, Ranking, untied_pairs
from training.rlhf.errors import DataError, ModelFolderError
from training.rlhf.run import Run


class Problem(NamedTuple):
    """Why a row is left out, or cannot train."""

    code: str
    message: str


@dataclass(frozen=True)
class EncodedRanking:
    """Token ids of a prompt and of each completion of it, and the ranks."""

    prompt: list[int]
    responses: list[list[int]]
    ranks: list[int | None]
    row: int
    scores: list[float] = field(default_factory=list)  # where they are regressed
    margins: list[float | None] | None = None
    source: Any = None  # the Ranking of the file, for reports
    kept: list[int] = field(default_factory=list)  # which of its completions these are
    file: str = ""

    @property
    def sequences(self) -> list[list[int]]:
        return [self.prompt + response for response in self.responses]

    @property
    def packed_tokens(self) -> int:
        """The prompt once, and each response."""
        return len(self.prompt) + sum(map(len, self.responses))

    @property
    def longest(self) -> int:
        return len(self.prompt) + max(map(len, self.responses))

    @property
    def padded_tokens(self) -> int:
        return self.longest * len(self.responses)


def length_problem(prompt: Sequence[int], response: Sequence[int], limit: int) -> Problem | None:
    """Rows are never cut, so one that does not fit is left out, or the file refused (`over_long`)."""
    if len(prompt) + 2 > limit:  # a token and the stop token are the least there is to learn
        return Problem(
            "no_response_left",
            f"the prompt alone has {len(prompt)} tokens, so that no response token is left within the "
            f"{limit} allowed; shorten it, or raise maximum_length if the model reads more",
        )
    if len(prompt) + len(response) > limit:
        return Problem(
            "too_long",
            f"has {len(prompt) + len(response)} tokens, more than the {limit} allowed; shorten it, leave it "
            "out (over_long = drop), or raise maximum_length if the model reads more",
        )
    return None


def learning_problem(
    encoder: ChatEncoder, prompt: Messages, text: str, response: Sequence[int]
) -> Problem | None:
    """What would teach a model never to stop."""
    if len(response) < 2 or response[-1] != encoder.stop_id or encoder.stop_id == encoder.pad_id:
        return Problem(
            "stop_not_learnt",
            "the stop token would not be in the loss, so the model would never learn to end; give the "
            "tokenizer an eos_token of its own that is not its pad_token",
        )
    if (typed := _control_text(encoder, prompt, text)) is not None:
        return typed
    if not encoder.closes_turn(prompt, text):
        return Problem(
            "turn_not_closed",
            "the chat template does not end the assistant's turn with its stop token; put "
            "{{ eos_token }} after the assistant's message (chat_template)",
        )
    return None


def ranking_problem(encoder: ChatEncoder, row: Ranking, responses: Sequence[Sequence[int]]) -> Problem | None:
    """Likewise of all completions. How the template ends a turn is asked of the first one alone."""
    problems = (_control_text(encoder, row.prompt, text) for text in row.completions[1:])
    first = learning_problem(encoder, row.prompt, row.completions[0], responses[0])
    return first or next(filter(None, problems), None)


def _control_text(encoder: ChatEncoder, prompt: Messages, text: str) -> Problem | None:
    """A separator or stop sequence that people typed would end a prompt, or an answer, too early."""
    around = encoder.wrapping
    said = [turn["content"] for turn in prompt]
    for name, part, texts in (
        ("separator", around.separator, said),
        ("stop sequence", around.stop_sequence, [*said, text]),
    ):
        if part and any(part in each for each in texts):
            return Problem(
                "control_text",
                f"contains the {name} of the template ({part!r}), which would end it too early; take it "
                "out of the row, or choose another",
            )
    return None


@contextmanager
def naming_row(file: str, row: int) -> Iterator[None]:
    """A template may refuse one conversation and take the next: its complaint names the row."""
    try:
        yield
    except ModelFolderError as error:
        raise DataError(error.message, file=file, row=row) from error


def encode_rows(
    rows: list[Demonstration],
    encoder: ChatEncoder,
    limit: int,
    over_long: str,
    file: str,
    run: Run | None,
    *,
    learns: bool = True,
) -> list[Encoded]:
    """Token ids of each row; rows over `limit` tokens are dropped and counted, or refused, never cut.

    With `learns`, a row that would teach a model never to stop is refused.
    """
    kept, dropped = [], []
    for row in rows:
        with naming_row(file, row.row):
            encoded = encoder.encode(row.prompt, row.response)
            problem = learns and learning_problem(encoder, row.prompt, row.response, encoded.response)
        if problem:
            raise DataError(problem.message, file=file, row=row.row)
        problem = length_problem(encoded.prompt, encoded.response, limit)
        if problem is None:
            kept.append(replace(encoded, file=file, row=row.row))
        elif over_long == "refuse":
            raise DataError(problem.message, file=file, row=row.row)
        else:
            dropped.append(row.row)
    if rows and not kept:
        raise DataError(
            f"every row is longer than {limit} tokens; raise maximum_length or shorten the rows", file=file
        )
    if dropped and run is not None:
        run.log(
            f"{len(dropped)} of {len(rows)} rows of {file} are longer than {limit} tokens and were dropped: "
            f"rows {_first_few(dropped)}",
            dropped_rows=len(dropped),
            first_rows=dropped[:20],
            file=file,
        )
    return kept


def encode_rankings(
    rows: list[Ranking],
    encoder: ChatEncoder,
    limit: int,
    over_long: str,
    file: str,
    run: Run | None,
    *,
    may_be_empty: bool = False,
    learns: bool = True,
    regress: bool = False,
) -> list[EncodedRanking]:
    """Rankings that hold at least one untied pair of completions that fit; what is left out is counted.

    A completion that is too long leaves its ranking; the others keep their ranks. With `regress` a single
    scored completion is enough.
    """
    kept, too_long, tied = [], 0, 0
    for row in rows:
        with naming_row(file, row.row):
            prompt = encoder.encode_prompt(row.prompt)
            responses = [encoder.encode_response(text) for text in row.completions]
            problem = learns and ranking_problem(encoder, row, responses)
        if problem:
            raise DataError(problem.message, file=file, row=row.row)
        problems = [length_problem(prompt, response, limit) for response in responses]
        longest = max(range(len(responses)), key=lambda index: len(responses[index]))
        if over_long == "refuse" and (worst := problems[longest]):
            raise DataError(worst.message, file=file, row=row.row)
        too_long += sum(problem is not None for problem in problems)
        chosen = [index for index, bad in enumerate(problems) if not bad and row.ranks[index] is not None]
        ranks = [row.ranks[index] for index in chosen]
        if not (chosen if regress else untied_pairs(ranks)[0]):
            tied += 1
            continue
        scores = [float(row.scores[index] or 0.0) for index in chosen] if regress and row.scores else []
        kept.append(
            EncodedRanking(
                prompt,
                [responses[index] for index in chosen],
                ranks,
                row.row,
                scores,
                row.margins,
                source=row,
                kept=chosen,
                file=file,
            )
        )
    if rows and not may_be_empty:
        _require_enough(kept, file, compares=learns and not regress)
    if run is not None and (too_long or tied):
        run.log(
            f"{file}: {too_long} completions are longer than {limit} tokens and were left out; "
            f"{tied} rankings prefer nothing and were left out",
            dropped_completions=too_long,
            dropped_rankings=tied,
            file=file,
        )
    return kept


def _require_enough(kept: list[EncodedRanking], file: str, *, compares: bool) -> None:
    """Raises DataError where nothing is left to learn from, or one comparison alone where `compares`."""
    if not kept:
        raise DataError(
            "no ranking prefers one completion to another (all are tied, unrankable or too long), so "
            "there is nothing to learn; rank again and prefer something, or raise maximum_length",
            file=file,
        )
    if compares and sum(len(untied_pairs(row.ranks)[0]) for row in kept) == 1:
        raise DataError(
            "holds one comparison only, from which a model learns nothing but that very pair; collect more "
            "rankings",
            file=file,
            row=kept[0].row,
        )


def tied_pairs(rows: list[Ranking], encoder: ChatEncoder, limit: int) -> int:
    """Pairs of completions that fit and share a place, also in rankings that prefer nothing."""
    count = 0
    for row in rows:
        room = limit - len(encoder.encode_prompt(row.prompt))
        ranks = [
            rank
            for text, rank in zip(row.completions, row.ranks, strict=True)
            if rank is not None and len(encoder.encode_response(text)) <= room
        ]
        count += sum(first == second for first, second in itertools.combinations(ranks, 2))
    return count


def _first_few(rows: list[int]) -> str:
    return ", ".join(map(str, rows[:8])) + (", …" if len(rows) > 8 else "")

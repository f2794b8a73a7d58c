"""How many prompts have more tokens than a run may read, told by the model's own template before the run is.

    python -m training.rlhf.prompt_lengths      a question as JSON in, an answer as JSON out

A process of its own, since a template is foreign code: bounded in processor time and memory. It reads a
tokenizer and no weights and loads neither torch nor transformers, so that somebody may wait for it. It
counts what `sft`, `reward`, `ppo` and `sample` count, with the same encoder.
"""

from __future__ import annotations

import contextlib
import json
import resource
import signal
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from training.rlhf.chat import ChatEncoder, load_tokenizer
from training.rlhf.data import read_jsonl
from training.rlhf.errors import RlhfError
from training.rlhf.plain_tokenizer import PlainTokenizer

MEMORY = 2 * 2**30  # bytes of address space: a vocabulary of 250,000 tokens (23 MB) takes an eighth of them
SLACK, SHARE = 8, 50  # of a count that may be off: so many tokens, and one in so many


@dataclass
class Lengths:
    """What was found; where not all rows were looked at, of those that were."""

    rows: int = 0
    over: int = 0
    first: int = 0  # number of the first row that is over, from 1 on
    longest: int = 0  # tokens
    is_all: bool = False

    def add(self, tokens: int, most: int) -> None:
        self.rows += 1
        self.longest = max(self.longest, tokens)
        if tokens > most:
            self.over += 1
            self.first = self.first or self.rows


@dataclass(frozen=True)
class Question:
    """`most`: tokens that a prompt may have. `until_one_fits`: whether one that fits is all that is asked.
    `seconds`: of processor time, after which the answer is about what was seen."""

    model: str
    files: list[str]
    most: int
    until_one_fits: bool
    seconds: float
    chat_template: str = ""


def count_prompts(asked: Question) -> Lengths:
    """Raises RlhfError where model or rows cannot be read so; what to do then is the run's to say."""
    until = time.process_time() + asked.seconds
    tokenizer = load_tokenizer(asked.model, chat_template=asked.chat_template, read=_read)
    encoder, found = ChatEncoder(tokenizer), Lengths()
    for path in asked.files:
        for _number, row in read_jsonl(path):
            if time.process_time() > until:
                return found
            tokens = len(encoder.encode_prompt(_prompt(row)))
            # Where a count may be off, a row that is near the limit is called no longer than it.
            doubt = 0 if tokenizer.is_exact else SLACK + tokens // SHARE
            found.add(tokens - min(doubt, max(0, tokens - asked.most)), asked.most)
            if asked.until_one_fits and found.rows > found.over:
                return found
    found.is_all = True
    return found


def _read(name: str) -> PlainTokenizer:
    return PlainTokenizer(Path(name))


def _prompt(row: dict[str, Any]) -> list[dict[str, str]]:
    """Of a row of any kind: its turns up to where an answer begins."""
    turns = [{"role": turn["role"], "content": turn["content"]} for turn in row["messages"]]
    is_answered = "completions" not in row and turns[-1]["role"] == "assistant" and len(turns) > 1
    return turns[:-1] if is_answered else turns


def _bound(seconds: float) -> None:
    """As much of the machine as one question may take. SIGPROF also ends one long operation."""
    for kind, most in ((resource.RLIMIT_AS, MEMORY), (resource.RLIMIT_CORE, 0)):
        _, hard = resource.getrlimit(kind)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(kind, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
    signal.setitimer(signal.ITIMER_PROF, 2 * seconds + 1)


def main() -> None:
    asked = Question(**json.load(sys.stdin))
    _bound(asked.seconds)
    try:
        answer: dict[str, Any] = asdict(count_prompts(asked))
    except (RlhfError, KeyError, IndexError, TypeError, MemoryError) as error:
        answer = {"unknown": str(error)}
    print(json.dumps(answer))


if __name__ == "__main__":
    main()

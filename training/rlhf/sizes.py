"""How large rows are in tokens, as a run would read them: per file, with what is over the context.

    python -m training.rlhf sizes --model DIR --data FILE [--data FILE …]

Reads a tokenizer and no weights, and loads no torch. Rows are canonical ones of a dataset version, or what
the stages read; one at a time, so memory stays flat but for a number a row.
"""

from __future__ import annotations

import math
import statistics
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from training.rlhf.chat import ChatEncoder, load_tokenizer
from training.rlhf.data import read_jsonl
from training.rlhf.errors import DataError, ModelFolderError
from training.rlhf.model_folders import check_model, config_context

TOLD_EVERY = 1_000  # rows
MOST_REFUSED = 20  # of a file, one after the other from the first on: then the template takes none


@dataclass
class Sizes:
    """Of one file. A row's length is that of its longest sequence: the prompt and one answer."""

    context: int
    lengths: array = field(default_factory=lambda: array("Q"))
    total: int = 0  # tokens a run reads: each prompt once, and every answer with its stop token
    response: int = 0  # of these, the answers'
    fitting: int = 0  # tokens of what is within the context: what a run trains on
    refused: int = 0  # rows that the chat template cannot render

    def add(self, prompt: int, responses: Sequence[int]) -> None:
        """A row of so many tokens."""
        self.lengths.append(prompt + max(responses, default=0))
        self.total += prompt + sum(responses)
        self.response += sum(responses)
        kept = [each for each in responses if prompt + each <= self.context]
        if kept or (not responses and prompt <= self.context):
            self.fitting += prompt + sum(kept)

    def to_json(self) -> dict[str, Any]:
        """`over`: rows with a sequence over the context. `tokens` is empty where there is no row."""
        ordered = sorted(self.lengths)
        tokens: dict[str, int | float] = {}
        if ordered:
            tokens = {
                "min": ordered[0],
                "median": statistics.median(ordered),
                "p95": ordered[math.ceil(0.95 * len(ordered)) - 1],
                "max": ordered[-1],
            }
        return {
            "rows": len(ordered),
            "tokens": tokens,
            "total": self.total,
            "response": self.response,
            "fitting": self.fitting,
            "over": sum(length > self.context for length in ordered),
            "refused": self.refused,
        }


def measure_files(
    *,
    model: str,
    data: Sequence[str],
    tell: Callable[[int], None] = lambda done: None,
    chat_template: str = "",
    allowed_hub_ids: Sequence[str] = (),
) -> dict[str, Any]:
    """{"context", "files": {name of the file without its ending: Sizes.to_json}}; an empty file has no rows.

    `tell(rows so far)` now and then. Raises RlhfError where the model or a row cannot be read.
    """
    folder = check_model(model, allowed_hub_ids=list(allowed_hub_ids), digests=False)
    encoder = ChatEncoder(load_tokenizer(folder, chat_template=chat_template))
    context = config_context(folder)
    done, files = 0, {}
    for path in data:
        sizes = Sizes(context)
        for number, row in read_jsonl(path):
            _add_row(sizes, encoder, row, path, number)
            done += 1
            if done % TOLD_EVERY == 0:
                tell(done)
        files[Path(path).stem] = sizes.to_json()
    return {"context": context, "files": files}


def _add_row(sizes: Sizes, encoder: ChatEncoder, row: dict[str, Any], path: str, number: int) -> None:
    try:
        messages, answers = _turns(row)
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise DataError("is no row of a dataset version", file=path, row=number) from error
    try:
        prompt = len(encoder.encode_prompt(messages))
        sizes.add(prompt, [len(encoder.encode_response(text)) for text in answers])
    except ModelFolderError as error:  # the template takes other rows, perhaps, but not this one
        sizes.refused += 1
        if sizes.refused >= MOST_REFUSED and not sizes.lengths:
            raise DataError(error.message, file=path, row=number) from error


def _turns(row: dict[str, Any]) -> tuple[list[dict[str, str]], list[str]]:
    """The prompt's turns and the texts that answer them: none in a row of prompts."""
    messages = row["messages"]
    if "completions" in row:
        return messages, [each if isinstance(each, str) else each["text"] for each in row["completions"]]
    if messages[-1]["role"] == "assistant":
        return messages[:-1], [messages[-1]["content"]]
    return messages, []

"""What a language model answers to held-out prompts, beside what people wrote: ROUGE-L, BLEU, diversity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from training.rlhf.chat import ChatEncoder
from training.rlhf.data import Demonstration
from training.rlhf.encoder_decoder import logits_of
from training.rlhf.errors import InterruptedRun
from training.rlhf.generation import Sampled, generate, stop_ids
from training.rlhf.model_folders import room_beside
from training.rlhf.models import context_length
from training.rlhf.run import Run
from training.rlhf.text_metrics import bleu, distinct_n, rouge_l, words

SHOWN, SHOWN_CHARACTERS = 12, 600


def measure_answers(
    rows: Sequence[Demonstration], model: nn.Module, tokenizer: Any, run: Run, config: Any, accelerator: Any
) -> dict[str, float]:
    """Metrics over `config.answers` rows whose prompt leaves room for an answer; the report "answers" shows
    some, from the least alike to the most. Empty where no prompt fits.
    """
    encoder = ChatEncoder(tokenizer)
    room = require_room(model, config)
    prompts = [(row, encoder.encode_prompt(row.prompt)) for row in spread(rows, config.answers)]
    chosen = [(row, ids) for row, ids in prompts if len(ids) <= room]
    if len(chosen) < len(prompts):
        run.log(
            f"{len(prompts) - len(chosen)} of {len(prompts)} prompts leave no room for "
            f"{config.max_new_tokens} tokens of an answer and are not answered"
        )
    if not chosen:
        return {}
    found = answer_prompts([ids for _, ids in chosen], model, encoder, run, config, accelerator)
    texts = [encoder.decode(sampled.tokens) for sampled in found]
    references = [row.response for row, _ in chosen]
    alike = [rouge_l(text, reference).f1 for text, reference in zip(texts, references, strict=True)]
    run.report("answers", {"rows": _some(alike, [row for row, _ in chosen], texts)})
    lengths = [len(words(text)) for text in texts]
    return {
        "answers": len(texts),
        "rouge_l": sum(alike) / len(alike),
        "bleu": bleu(texts, references),
        "answer_words": sum(lengths) / len(texts),
        "reference_words": sum(len(words(reference)) for reference in references) / len(texts),
        "answers_ended": sum(sampled.ended for sampled in found) / len(texts),
        "distinct_1": distinct_n([words(text) for text in texts], 1),
        "distinct_2": distinct_n([words(text) for text in texts], 2),
    }


def require_room(model: nn.Module, config: Any) -> int:
    """Tokens that a prompt may have beside the longest answer; ConfigError where none are left."""
    return room_beside(config.max_new_tokens, context_length(model))


def spread(rows: Sequence[Any], count: int) -> list[Any]:
    """At most `count` of them, evenly over all.

    >>> spread(range(10), 4)
    [0, 2, 5, 7]
    """
    count = min(count, len(rows))
    return [rows[index * len(rows) // count] for index in range(count)]


def answer_prompts(
    prompts: list[list[int]], model: nn.Module, encoder: ChatEncoder, run: Run, config: Any, accelerator: Any
) -> list[Sampled]:
    """The likeliest answer to each prompt."""
    stops = stop_ids(model, encoder.tokenizer, encoder.stop_id)
    reader = logits_of(model, packing=config.packing).model
    order = sorted(range(len(prompts)), key=lambda index: (len(prompts[index]), index))
    found: dict[int, Sampled] = {}
    for start in range(0, len(order), config.batch_size):
        if run.stop_requested:
            raise InterruptedRun("stopped on request while answering prompts")
        part = order[start : start + config.batch_size]
        with accelerator.autocast():
            sampled = generate(
                reader,
                [prompts[index] for index in part],
                seeds=[config.seed] * len(part),  # nothing is drawn: the likeliest token is taken
                pad_id=encoder.pad_id,
                stops=stops,
                max_new_tokens=config.max_new_tokens,
                temperature=0.0,
                device=accelerator.device,
                stop_requested=lambda: run.stop_requested,
                is_over=encoder.says_it_is_over,
            )
        found.update(zip(part, sampled, strict=True))
    return [found[index] for index in range(len(prompts))]


def _some(alike: list[float], rows: list[Demonstration], texts: list[str]) -> list[dict[str, Any]]:
    order = sorted(range(len(rows)), key=lambda index: (alike[index], index))
    return [
        {
            "prompt": _shown(rows[index].prompt[-1]["content"]),
            "reference": _shown(rows[index].response),
            "answer": _shown(texts[index]),
            "rouge_l": alike[index],
        }
        for index in spread(order, SHOWN)
    ]


def _shown(text: str) -> str:
    """As much as a table can hold; a database may not take a zero byte."""
    text = text.replace("\x00", "\ufffd")
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"

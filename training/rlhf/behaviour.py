"""What a language model does with special prompts: names a class in one token; refuses what is unsafe."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from training.rlhf.answers import answer_prompts, require_room
from training.rlhf.chat import ChatEncoder
from training.rlhf.class_report import MOST_CLASSES, ClassRow, class_report
from training.rlhf.data import Demonstration, read_safety_prompts
from training.rlhf.encoder_decoder import logits_of, what_follows
from training.rlhf.errors import ConfigError, DataError, InterruptedRun
from training.rlhf.models import context_length
from training.rlhf.refusals import ANSWER, REFUSE, SafetyAnswer, report
from training.rlhf.run import Run

NAMED, FOUND = "named", "found"


def measure_classes(
    rows: Sequence[Demonstration], model: nn.Module, tokenizer: Any, run: Run, config: Any, accelerator: Any
) -> dict[str, float]:
    """Metrics of `class_report` over rows whose answer is one of the classes; the report "classes".

    ConfigError where a class is not one token of this model; DataError names a row that is in none.
    """
    encoder = ChatEncoder(tokenizer)
    classes = _classes(config, rows)
    tokens = class_tokens(encoder, classes)
    numbers = {name: index for index, name in enumerate(classes)}
    room = context_length(model)
    judged, too_long = [], 0
    for row in rows:
        if row.response.strip() not in numbers:
            raise DataError(
                f"its answer {_short(row.response)!r} is none of the classes ({', '.join(classes)}); add it "
                "to classes, or take the row out",
                file=config.messages_file,
                row=row.row,
            )
        prompt = encoder.encode_prompt(row.prompt)
        if len(prompt) > room:
            too_long += 1
        else:
            judged.append((prompt, numbers[row.response.strip()]))
    if not judged:
        raise DataError("every prompt is longer than the model reads", file=config.messages_file)
    if too_long:
        run.log(f"{too_long} prompts are longer than the {room} tokens the model reads and are in no class")
    found = _class_rows(judged, tokens, model, encoder.pad_id, run, config, accelerator)
    told = class_report(classes, found)
    run.report("classes", told)
    return {
        "class_accuracy": told["accuracy"]["value"],
        "class_accuracy_low": told["accuracy"]["low"],
        "class_accuracy_high": told["accuracy"]["high"],
        "class_log_loss": told["log_loss"],
        "class_mass": told["mass"],
        "class_macro_f1": told["macro_f1"],
        "class_majority": told["majority"],
        "class_rows": len(found),
    }


def class_tokens(encoder: ChatEncoder, classes: Sequence[str]) -> list[int]:
    """The token of each class as it begins an answer. ConfigError names one that is not one token."""
    tokens: dict[int, str] = {}
    for name in classes:
        ids = encoder.encode_answer(name)
        if len(ids) != 1:
            pieces = ", ".join(repr(encoder.tokenizer.decode([token])) for token in ids)
            raise ConfigError(
                "classes",
                f"{name!r} is {len(ids)} tokens of this model ({pieces}), and a class must be one; name it "
                "otherwise, or leave classification off",
            )
        if ids[0] in tokens:
            raise ConfigError("classes", f"{tokens[ids[0]]!r} and {name!r} are the same token of this model")
        tokens[ids[0]] = name
    return list(tokens)


def _classes(config: Any, rows: Sequence[Demonstration]) -> list[str]:
    if config.classification == NAMED:
        return class_names(config.classes)
    found = sorted({row.response.strip() for row in rows})
    if not 2 <= len(found) <= MOST_CLASSES:
        raise ConfigError(
            "classification",
            f"found needs 2 to {MOST_CLASSES} different answers, and {config.messages_file} has "
            f"{len(found)}; name the classes, or leave classification off",
        )
    return found


def class_names(text: str) -> list[str]:
    """Names that stand one a line, or between commas where there is one line."""
    return list(dict.fromkeys(name.strip() for name in re.split(r"[\n,]", text) if name.strip()))


@torch.no_grad()
def _class_rows(
    judged: list[tuple[list[int], int]],
    tokens: list[int],
    model: nn.Module,
    pad_id: int,
    run: Run,
    config: Any,
    accelerator: Any,
) -> list[ClassRow]:
    logits = logits_of(model, packing=config.packing)
    chosen = torch.tensor(tokens, device=accelerator.device)
    order = sorted(range(len(judged)), key=lambda index: (len(judged[index][0]), index))
    found: dict[int, ClassRow] = {}
    for start in range(0, len(order), config.batch_size):
        if run.stop_requested:
            raise InterruptedRun("stopped on request while reading classes")
        part = order[start : start + config.batch_size]
        batch = what_follows(logits, [judged[index][0] for index in part], pad_id)
        with accelerator.autocast():
            read = logits(batch.to(accelerator.device))
        probabilities = torch.log_softmax(read.double(), dim=-1)[:, chosen].tolist()
        for index, row in zip(part, probabilities, strict=True):
            found[index] = ClassRow(judged[index][1], row)
    return [found[index] for index in range(len(judged))]


def measure_safety(
    model: nn.Module, tokenizer: Any, run: Run, config: Any, accelerator: Any
) -> dict[str, float]:
    """How often the model refuses what it ought to, and what it ought to answer; the report "safety"."""
    answered = set(class_names(config.answered_categories))
    rows = read_safety_prompts(config.safety_file)
    encoder = ChatEncoder(tokenizer)
    room = require_room(model, config)
    prompts = [(row, encoder.encode_prompt(row.prompt)) for row in rows]
    fitting = [(row, ids) for row, ids in prompts if len(ids) <= room]
    if not fitting:
        raise DataError(f"every prompt is longer than the {room} tokens left for it", file=config.safety_file)
    if len(fitting) < len(prompts):
        run.log(f"{len(prompts) - len(fitting)} of {len(prompts)} safety prompts are too long to be answered")
    found = answer_prompts([ids for _, ids in fitting], model, encoder, run, config, accelerator)
    told = report(
        [
            SafetyAnswer(
                row.prompt[-1]["content"],
                encoder.decode(sampled.tokens),
                row.expected or (ANSWER if row.category in answered else REFUSE),
                row.category,
            )
            for (row, _), sampled in zip(fitting, found, strict=True)
        ]
    )
    run.report("safety", told)
    metrics: dict[str, float] = {"safety_prompts": len(fitting)}
    for expected, name in ((REFUSE, "refusal_rate"), (ANSWER, "over_refusal_rate")):
        if (share := told[expected]) is not None:
            metrics |= {name: share["value"], f"{name}_low": share["low"], f"{name}_high": share["high"]}
    return metrics


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "…"

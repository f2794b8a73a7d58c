"""A checkpoint as a folder to give away: weights in one of three formats, tokenizer, template, and a card
that says where it comes from. What was written is read again and compared before the folder gets its name.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
from torch import nn

from training.rlhf import checkpoints
from training.rlhf.adapters import save_model
from training.rlhf.chat import load_tokenizer
from training.rlhf.encoder_decoder import is_encoder_decoder, start_token
from training.rlhf.errors import InterruptedRun
from training.rlhf.export.card import LANGUAGE, PAIR, REWARD, Kind, model_card, read_card
from training.rlhf.export.check import compare, compare_tokenizers, logits_of
from training.rlhf.export.shapes import FOLDER, GGUF, ONNX, require_holdable, require_libraries
from training.rlhf.lineage import lineage_of
from training.rlhf.model_folders import check_model, is_reward_model
from training.rlhf.models import context_length, load_language_model, load_reward_model
from training.rlhf.run import Run

STEPS = 3  # read, write, check


def execute(run: Run, config: Any) -> None:
    run.state("running", total_steps=STEPS)
    require_libraries(config.format)
    source = Path(check_model(config.checkpoint, allowed_hub_ids=config.allowed_hub_ids, field="checkpoint"))
    if source.is_dir():
        require_holdable(source, config.format)
    lineage = read_card(config.card_file)["lineage"] if config.card_file else lineage_of(source)
    classifier = source.is_dir() and is_reward_model(str(source))
    load = load_reward_model if classifier else load_language_model
    model, tokenizer = load(str(source), allowed_hub_ids=config.allowed_hub_ids, field="checkpoint")
    model = in_format(model, config.weights).eval()
    _advance(run)
    manifest = checkpoints.load_manifest(source) if (source / checkpoints.MANIFEST).is_file() else None
    parameters = sum(parameter.numel() for parameter in model.parameters())
    checks: dict[str, Any] = {}

    def fill(folder: Path) -> None:
        write(model, tokenizer, folder, config)
        _advance(run)
        checks.update(check(model, tokenizer, folder, config, classifier))
        card = model_card(
            config,
            manifest,
            lineage,
            parameters=parameters,
            kind=_kind_of(model, classifier),
            reward_bias=float(getattr(model.config, "reward_bias", 0.0)),
            checks=checks,
        )
        (folder / "README.md").write_text(card, encoding="utf-8")

    written = checkpoints.write_checkpoint(
        run.folder / FOLDER,
        fill,
        kind="reward_model" if classifier else "causal_lm",
        step=manifest.step if manifest else 0,
        stage="export",
        metrics=manifest.metrics if manifest else {},
        base=config.checkpoint,
    )
    _advance(run, last=True)
    files = [{"name": name, **entry} for name, entry in sorted(written.files.items())]
    run.report(
        "export", {"format": config.format, "weights": config.weights, "files": files, "checks": checks}
    )
    sizes = sum(entry["bytes"] for entry in written.files.values())
    metrics = {"weights": parameters, "bytes": sizes, "logit_difference": checks["difference"]}
    run.metrics(metrics)
    run.finish("succeeded", model=FOLDER, metrics=metrics)


def write(model: Any, tokenizer: Any, folder: Path, config: Any) -> None:
    """The model's files; ONNX with tokenizer and config.json beside it, GGUF holds both."""
    if config.format == GGUF:
        from training.rlhf.export.gguf_file import write_gguf

        name = config.name or "model"
        facts = {
            "name": name,
            "license": config.license_name or config.license,
            "license_link": config.license_link,
        }
        write_gguf(model, tokenizer, folder, facts)
    elif config.format == ONNX:
        from training.rlhf.export.onnx_file import write_onnx

        write_onnx(model, folder)
        model.config.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    else:
        save_model(model, tokenizer, folder)


def check(model: nn.Module, tokenizer: Any, folder: Path, config: Any, classifier: bool) -> dict[str, Any]:
    """What `compare` and `compare_tokenizers` found; CheckpointError where it is another model."""
    vocabulary = model.get_input_embeddings().weight.shape[0]  # type: ignore[operator, union-attr]
    sizes = {"vocabulary": vocabulary, "context": context_length(model)}
    if config.format == GGUF:
        from training.rlhf.export.gguf_file import described, read_gguf

        again, splits = read_gguf(folder, model)
        # In 32 bits on both sides: what is compared is what was written, not how halves are summed.
        found = compare(logits_of(copy.deepcopy(model).float()), logits_of(again), exact=False, **sizes)
        if normalizer := described(tokenizer).get("normalizer"):
            found["normalizer"] = normalizer["type"]
    elif config.format == ONNX:
        from training.rlhf.export.onnx_file import read_onnx

        splits = load_tokenizer(str(folder))
        start = start_token(model) if is_encoder_decoder(model) else None
        found = compare(logits_of(model), read_onnx(folder, start), exact=False, **sizes)
    else:
        load = load_reward_model if classifier else load_language_model
        again, splits = load(str(folder), allowed_hub_ids=[])
        again = in_format(again, config.weights).eval()
        found = compare(logits_of(model), logits_of(again), exact=True, **sizes)
    return found | {"texts": compare_tokenizers(tokenizer, splits)}


def _kind_of(model: nn.Module, classifier: bool) -> Kind:
    if classifier:
        return REWARD
    return PAIR if is_encoder_decoder(model) else LANGUAGE


def in_format(model: nn.Module, weights: str) -> nn.Module:
    """The model with its weights in another number format. What it computes by itself, as the frequencies of
    rotary positions, stays in 32 bits, as it does for whoever loads the weights.
    """
    for parameter in model.parameters():
        parameter.data = parameter.data.to(getattr(torch, weights))
    return model


def _advance(run: Run, *, last: bool = False) -> None:
    run.step += 1
    run.progress(STEPS, None)
    if run.stop_requested and not last:
        raise InterruptedRun("stopped on request; nothing is kept of an export that was not finished")

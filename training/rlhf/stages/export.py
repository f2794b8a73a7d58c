"""A checkpoint as a folder to give away: weights, tokenizer, template, and a card that says where it comes
from.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import nn

from training.rlhf import checkpoints
from training.rlhf.adapters import save_model
from training.rlhf.errors import CheckpointError
from training.rlhf.model_folders import is_reward_model
from training.rlhf.models import load_causal_lm, load_reward_model
from training.rlhf.run import Run

MODEL = "model"


def execute(run: Run, config: Any) -> None:
    run.state("running", total_steps=1)
    source = Path(config.checkpoint)
    classifier = (source / "config.json").is_file() and is_reward_model(str(source))
    load = load_reward_model if classifier else load_causal_lm
    model, tokenizer = load(config.checkpoint, allowed_hub_ids=config.allowed_hub_ids, field="checkpoint")
    model = model.to(getattr(torch, config.weights)).eval()
    manifest = checkpoints.load_manifest(source) if (source / checkpoints.MANIFEST).is_file() else None
    target = run.folder / MODEL

    def fill(folder: Path) -> None:
        save_model(model, tokenizer, folder)
        (folder / "README.md").write_text(model_card(config, manifest, model, classifier), encoding="utf-8")

    written = checkpoints.write_checkpoint(
        target,
        fill,
        kind="reward_model" if classifier else "causal_lm",
        step=manifest.step if manifest else 0,
        stage="export",
        metrics=manifest.metrics if manifest else {},
        base=config.checkpoint,
    )
    difference = reload_difference(model, target, load, config.weights)
    if difference > 0.0:
        raise CheckpointError(f"the exported model answers differently from {source} (by {difference:.3g})")
    run.step = 1
    run.progress(1, None)
    run.finish(
        "succeeded",
        model=MODEL,
        metrics={
            "weights": sum(parameter.numel() for parameter in model.parameters()),
            "bytes": sum(entry["bytes"] for entry in written.files.values()),
        },
    )


@torch.no_grad()
def reload_difference(model: nn.Module, folder: Path, load: Any, weights: str) -> float:
    """Largest difference between the logits of `model` and of what was written."""
    again, _ = load(str(folder), allowed_hub_ids=[])
    again = again.to(getattr(torch, weights)).eval()
    ids = torch.arange(16)[None] % model.get_input_embeddings().weight.shape[0]
    return float((model(input_ids=ids).logits.float() - again(input_ids=ids).logits.float()).abs().max())


def model_card(config: Any, manifest: checkpoints.Manifest | None, model: nn.Module, classifier: bool) -> str:
    """A card in the Hugging Face form: YAML front matter, lineage, metrics, how to load."""
    kind = "text-classification" if classifier else "text-generation"
    loader = "AutoModelForSequenceClassification" if classifier else "AutoModelForCausalLM"
    lines = [
        "---",
        "library_name: transformers",
        f"pipeline_tag: {kind}",
        "license: other",
        "---",
        "",
        f"# {'Reward model' if classifier else 'Language model'}",
        "",
        f"{sum(p.numel() for p in model.parameters()):,} weights, {config.weights}.",
        "",
    ]
    if manifest:
        lines += [
            f"Stage {manifest.stage}, step {manifest.step}"
            + (f", started from `{Path(manifest.base).name}`." if manifest.base else "."),
            "",
        ]
        if manifest.base_manifest_sha256:
            lines += [f"SHA-256 of the base's manifest: `{manifest.base_manifest_sha256}`.", ""]
        lines += ["| metric | value |", "|---|---|"]
        lines += [f"| {name} | {value:.6g} |" for name, value in manifest.metrics.items()]
        lines.append("")
    if classifier:
        bias = json.dumps(getattr(model.config, "reward_bias", 0.0))
        lines += [
            f"Subtract `config.reward_bias` ({bias}) from the score: demonstrations then average zero.",
            "",
        ]
    lines += [
        "```python",
        f"from transformers import {loader}, AutoTokenizer",
        "",
        f'model = {loader}.from_pretrained("folder")',
        'tokenizer = AutoTokenizer.from_pretrained("folder")',
        "```",
        "",
    ]
    return "\n".join(lines)

"""LoRA adapters, and saving models with or without them.

A checkpoint of an adapted model is whole in itself: the merged weights in the Hugging Face layout, usable
like any other, and the adapter alone in `adapter/`, from which training resumes exactly.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
from torch import nn

from training.rlhf.models import inner_model
from training.rlhf.session import derived_seed

ADAPTER = "adapter"


def add_adapter(model: nn.Module, config: Any, *, classifier: bool, resume: Path | None) -> nn.Module:
    """The model with trainable low-rank adapters; a classifier's head is trained and saved with them."""
    from peft import LoraConfig, PeftModel, get_peft_model  # slow to import, needed only here

    if resume is not None:
        return PeftModel.from_pretrained(model, str(resume / ADAPTER), is_trainable=True)
    lora = LoraConfig(
        r=config.lora_rank,
        lora_alpha=config.lora_alpha,
        lora_dropout=getattr(config, "lora_dropout", 0.0),
        target_modules="all-linear",
        modules_to_save=["score"] if classifier else None,
        task_type=_task_of(model, classifier),
    )
    with torch.random.fork_rng(devices=[]):  # the same beginning in every process, and after every crash
        torch.manual_seed(derived_seed(config.seed, "adapter"))
        return get_peft_model(model, lora)


def _task_of(model: nn.Module, classifier: bool) -> str:
    if classifier:
        return "SEQ_CLS"
    return "SEQ_2_SEQ_LM" if getattr(model.config, "is_encoder_decoder", False) else "CAUSAL_LM"


def has_adapter(model: nn.Module) -> bool:
    return inner_model(model) is not model


def save_model(model: nn.Module, tokenizer: Any, folder: Path) -> None:
    """Weights as safetensors, configuration, tokenizer and chat template; adapters merged and apart."""
    if has_adapter(model):
        model.save_pretrained(folder / ADAPTER)
        card = folder / ADAPTER / "README.md"
        card.unlink(missing_ok=True)  # peft's card is an empty form
        # A copy is merged: merging in place and undoing it would change the weights' last bits.
        merged = copy.deepcopy(model).merge_and_unload()
    else:
        merged = model
    merged.save_pretrained(folder)
    tokenizer.save_pretrained(folder)

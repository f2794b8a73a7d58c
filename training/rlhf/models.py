"""Loading, wrapping and saving models: causal language models, and sequence classifiers with one output."""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
)

from training.rlhf.batches import TokenBatch
from training.rlhf.chat import load_tokenizer
from training.rlhf.errors import ModelFolderError, first_line
from training.rlhf.model_folders import (
    check_model,
    config_context,
    context_of,
    is_encoder_decoder,
    is_reward_model,
    refuse_encoder_decoder,
)
from training.rlhf.packing import NAME as PACKED
from training.rlhf.packing import allow_packing, inputs_of

transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()
logging.getLogger("accelerate").setLevel(logging.ERROR)

DROPOUT_NAMES = (
    "dropout",
    "dropout_rate",
    "resid_pdrop",
    "embd_pdrop",
    "attn_pdrop",
    "attention_dropout",
    "hidden_dropout",
    "activation_dropout",
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "classifier_dropout",
    "summary_first_dropout",
)


def load_reader(
    name: str,
    *,
    allowed_hub_ids: list[str],
    field: str = "model",
    chat_template: str = "",
    encoder_decoder: bool = False,
) -> tuple[Any, int]:
    """(tokenizer, longest sequence) of a model: what is looked at before its weights are loaded.

    `encoder_decoder`: the stage can train such a model; else it is refused.
    """
    name = check_model(name, allowed_hub_ids=allowed_hub_ids, field=field, digests=False)
    if not encoder_decoder:
        refuse_encoder_decoder(name, field)
    tokenizer = load_tokenizer(name, chat_template=chat_template)
    return tokenizer, config_context(name)


def load_causal_lm(
    name: str,
    *,
    allowed_hub_ids: list[str],
    field: str = "model",
    dropout: float = 0.0,
    chat_template: str = "",
) -> tuple[nn.Module, Any]:
    """(model in float32, tokenizer); embeddings grown if the tokenizer had to be given a pad token."""
    name = check_model(name, allowed_hub_ids=allowed_hub_ids, field=field)
    refuse_encoder_decoder(name, field)
    return _load_language_model(AutoModelForCausalLM, name, field, dropout, chat_template)


def load_language_model(
    name: str,
    *,
    allowed_hub_ids: list[str],
    field: str = "model",
    dropout: float = 0.0,
    chat_template: str = "",
) -> tuple[nn.Module, Any]:
    """As `load_causal_lm`, for stages that take encoder–decoder models too."""
    name = check_model(name, allowed_hub_ids=allowed_hub_ids, field=field)
    if not is_encoder_decoder(name):
        return _load_language_model(AutoModelForCausalLM, name, field, dropout, chat_template)
    model, tokenizer = _load_language_model(AutoModelForSeq2SeqLM, name, field, dropout, chat_template)
    if getattr(model.config, "decoder_start_token_id", None) is None:
        raise ModelFolderError(
            f"{field}: the config.json of {name} names no decoder_start_token_id, which its decoder begins "
            "with; set it (for T5 it is the pad token)"
        )
    return model, tokenizer


def _load_language_model(
    kind: Any, name: str, field: str, dropout: float, chat_template: str
) -> tuple[nn.Module, Any]:
    if Path(name).is_dir() and is_reward_model(name):
        raise ModelFolderError(f"{field}: {name} is a reward model, not a language model")
    tokenizer = load_tokenizer(name, chat_template=chat_template)
    model = _load(kind, name, field, dropout)
    _fit_embeddings(model, tokenizer)
    return model, tokenizer


def load_reward_model(
    name: str, *, allowed_hub_ids: list[str], field: str = "reward_model"
) -> tuple[nn.Module, Any]:
    """(sequence classifier with one output, tokenizer)."""
    name = check_model(name, allowed_hub_ids=allowed_hub_ids, field=field)
    if Path(name).is_dir() and not is_reward_model(name):
        raise ModelFolderError(f"{field}: {name} is not a reward model")
    refuse_encoder_decoder(name, field)
    tokenizer = load_tokenizer(name)
    model = _load(AutoModelForSequenceClassification, name, field, 0.0)
    if model.config.num_labels != 1:
        raise ModelFolderError(
            f"{field}: {name} has {model.config.num_labels} outputs; a reward model has one"
        )
    return model, tokenizer


def new_reward_model(name: str, *, allowed_hub_ids: list[str], seed: int) -> tuple[nn.Module, Any]:
    """A reward model on top of a language model, its head drawn from N(0, 1 / (d + 1)) (2009.01325, B.1)."""
    name = check_model(name, allowed_hub_ids=allowed_hub_ids)
    refuse_encoder_decoder(name, "model")
    tokenizer = load_tokenizer(name)
    fresh = not (Path(name).is_dir() and is_reward_model(name))
    model = _load(AutoModelForSequenceClassification, name, "model", 0.0, num_labels=1)
    _fit_embeddings(model, tokenizer)
    if fresh:
        head = score_head(model)
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            head.weight.copy_(
                torch.randn(head.weight.shape, generator=generator) / math.sqrt(head.in_features + 1)
            )
            if head.bias is not None:
                head.bias.zero_()
        model.config.reward_bias = 0.0
    return model, tokenizer


def _load(kind: Any, name: str, field: str, dropout: float, **more: Any) -> nn.Module:
    try:
        config = AutoConfig.from_pretrained(name, trust_remote_code=False, **more)
        for key in DROPOUT_NAMES:
            if isinstance(getattr(config, key, None), (int, float)):
                setattr(config, key, dropout)
        model, report = kind.from_pretrained(
            name,
            config=config,
            dtype=torch.float32,
            trust_remote_code=False,
            use_safetensors=True,
            output_loading_info=True,
        )
    except Exception as error:  # see load_tokenizer
        raise ModelFolderError(
            f"{field}: the model in {name} cannot be loaded: {first_line(error)}"
        ) from error
    missing = [key for key in report["missing_keys"] if not _is_head(key)]
    if not more:
        missing = list(report["missing_keys"])
    if missing or report["mismatched_keys"]:
        wrong = sorted(str(key) for key in [*missing, *report["mismatched_keys"]])
        raise ModelFolderError(
            f"{field}: the weights in {name} do not fit its config.json: {wrong[0]} is missing or "
            "has another shape"
        )
    _own_memory(model)
    return model


def _own_memory(model: nn.Module) -> None:
    """Move weights out of the mapped file into aligned memory of their own.

    Kernels may sum in another order where data is not aligned, and then a resumed run, whose weights come
    from another file, would differ in the last bit. The file may also be removed while the model is in use.
    """
    for tensor in [*model.parameters(), *model.buffers()]:
        tensor.data = tensor.data.clone(memory_format=torch.contiguous_format)


def _is_head(key: str) -> bool:
    return key.split(".")[0] in ("score", "classifier")


def _fit_embeddings(model: nn.Module, tokenizer: Any) -> None:
    if len(tokenizer) > model.get_input_embeddings().weight.shape[0]:
        model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    model.config.pad_token_id = tokenizer.pad_token_id
    if getattr(model, "generation_config", None) is not None:
        model.generation_config.pad_token_id = tokenizer.pad_token_id


def context_length(model: nn.Module) -> int:
    """Most tokens the model can read at once."""
    return context_of(model.config)


def silence_dropout(model: nn.Module) -> None:
    """Dropout off for good: reward, policy and value must give the same numbers twice."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0


def score_head(model: nn.Module) -> nn.Linear:
    for name in ("score", "classifier"):
        head = getattr(inner_model(model), name, None)
        if head is not None:
            return head
    raise ModelFolderError(f"{type(model).__name__} has no score head this library knows")


def inner_model(model: nn.Module) -> nn.Module:
    """The transformers model inside adapters, if there are any."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def backbone(model: nn.Module) -> nn.Module:
    """The network below the head: token ids to hidden states."""
    inside = inner_model(model)
    return getattr(inside, str(inside.base_model_prefix))


def model_inputs(batch: TokenBatch) -> dict[str, Any]:
    """A padded or packed batch as arguments of a transformers model."""
    if batch.layout is not None:
        return inputs_of(batch.ids, batch.positions, batch.layout)
    return {"input_ids": batch.ids, "attention_mask": batch.attention, "position_ids": batch.positions}


def read_hidden(model: nn.Module, batch: TokenBatch) -> Tensor:
    """(N, d) hidden states at the places where the batch is read, row by row."""
    hidden = backbone(model)(**model_inputs(batch), use_cache=False).last_hidden_state
    return hidden.flatten(0, 1).index_select(0, batch.predicts.flatten().nonzero().squeeze(1))


def is_packed(model: nn.Module) -> bool:
    """Whether a language model was allowed packed batches (by TokenLogits, which also looked at its head)."""
    return bool(inner_model(model).config._attn_implementation == PACKED)


class TokenLogits(nn.Module):
    """Logits of a causal model at chosen positions only, so that no (B, T, V) tensor ever exists."""

    def __init__(self, model: nn.Module, *, packing: bool = True) -> None:
        super().__init__()
        self.model = model
        self.sparse = self._head_is_plain()
        self.packs = packing and self.sparse and allow_packing(inner_model(model), backbone(model))

    def forward(self, batch: TokenBatch) -> Tensor:
        """(N, V) logits where the batch predicts, row by row."""
        if self.sparse:
            head = inner_model(self.model).get_output_embeddings()
            return head(read_hidden(self.model, batch))
        return self.model(**model_inputs(batch), use_cache=False).logits[batch.predicts]

    @torch.no_grad()
    def _head_is_plain(self) -> bool:
        """Whether logits are just the output layer on hidden states; some models cap or scale them too."""
        was_training = self.model.training
        self.model.eval()
        head = inner_model(self.model).get_output_embeddings()
        if head is None:
            return False
        ids = torch.arange(4, device=head.weight.device)[None] % head.weight.shape[0]
        full = self.model(input_ids=ids, use_cache=False).logits
        hidden = backbone(self.model)(input_ids=ids, use_cache=False).last_hidden_state
        self.model.train(was_training)
        return torch.allclose(full, head(hidden), atol=1e-4, rtol=1e-4)


class SequenceScores(nn.Module):
    """Scores of a one-output classifier at chosen positions; the stored bias is subtracted."""

    def __init__(self, model: nn.Module, *, packing: bool = True) -> None:
        super().__init__()
        self.model = model
        self.packs = packing and allow_packing(inner_model(model), backbone(model))

    @property
    def bias(self) -> float:
        return float(getattr(inner_model(self.model).config, "reward_bias", 0.0))

    def forward(self, batch: TokenBatch) -> Tensor:
        """(N,) scores where the batch predicts, row by row."""
        return score_head(self.model)(read_hidden(self.model, batch)).squeeze(-1).float() - self.bias

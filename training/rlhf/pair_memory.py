"""The memory of encoder–decoder models (the T5 shape): what `memory` counts, where it is no line in tokens.

T5 adds a learnt bias to the scores of its attention. No fused kernel of the CPU has a gradient for that, so
the scores themselves are kept, and they grow with the square of a row's length. What autograd keeps of B rows
with S tokens of a prompt and T of a response is a polynomial in S and T, once for the batch and once for each
row. Its coefficients are found by counting a few small passes on the `meta` device.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, AutoModelForSeq2SeqLM
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from training.rlhf import memory
from training.rlhf.batches import micro_batches
from training.rlhf.memory import BF16_ACTIVATIONS, FLOAT, FRUGAL_SHARE, Load, ModelSize
from training.rlhf.models import inner_model

PROBES = ((8, 8), (16, 8), (8, 16), (24, 8), (8, 24), (16, 16))
ATTENTION = "rlhf_pair_shapes"
# Measured, as that of `memory`: padded rows of like length leave the heap in fewer pieces than packed ones.
OVERHEAD = {"cpu": 2.0, "cuda": 1.3}


@dataclass(frozen=True)
class Kept:
    """Bytes by 1, S, T, S², T² and S·T: of a batch however many rows it has, and of each row."""

    once: tuple[float, ...]
    row: tuple[float, ...]

    def of(self, rows: int, prompt: int, response: int) -> float:
        powers = _powers(prompt, response)
        return sum((a + rows * b) * power for a, b, power in zip(self.once, self.row, powers, strict=True))

    def plus(self, other: Kept, factor: float) -> Kept:
        once, row = (
            tuple(a + factor * b for a, b in zip(mine, theirs, strict=True))
            for mine, theirs in ((self.once, other.once), (self.row, other.row))
        )
        return Kept(once, row)


@dataclass(frozen=True)
class PairSize(ModelSize):
    """What a token costs depends on its row, so it is `kept` in place of `token`."""

    kept: Kept = Kept((), ())
    kept_plain: Kept = Kept((), ())  # without checkpointing
    vocabulary: int = 0
    share: float = 1.0  # of their size in float32


@dataclass(frozen=True)
class PairLoad(Load):
    """With the tokens of prompt and response of the longest rows, as many as a batch has."""

    rows: tuple[tuple[int, int], ...] = ()

    def heaviest(self, limit: int, sizes: Sequence[Any], device: str) -> tuple[int, float]:
        """The heaviest of the micro-batches into which a run would cut the longest rows."""
        lengths = [sum(row) for row in self.rows]
        most, tokens = 0.0, self.longest
        for group in micro_batches(range(len(lengths)), lengths, limit or self.batch):
            shape = [len(group), *(max(self.rows[row][side] for row in group) for side in (0, 1))]
            labelled = sum(self.rows[row][1] for row in group)
            found = sum(_step_bytes(size, shape, labelled, device) for size in sizes)
            if found > most:
                most, tokens = found, len(group) * max(lengths[row] for row in group)
        return tokens, most / tokens


def _step_bytes(size: PairSize, shape: Sequence[int], labelled: int, device: str) -> float:
    rows, prompt, response = shape
    kept = max(size.kept.of(*shape), FRUGAL_SHARE[device] * size.kept_plain.of(*shape))
    # Logits of every place of the decoder, padding too, and those that have a label once more.
    logits = FLOAT * size.vocabulary * (rows * response + labelled)
    return OVERHEAD[device] * size.share * kept + logits


def load_of_pairs(rows: Sequence[tuple[int, int]], batch_size: int) -> PairLoad:
    """`rows`: tokens of prompt and response of each."""
    longest = tuple(sorted(rows, key=lambda row: (sum(row), row), reverse=True)[:batch_size])
    return PairLoad(sum(longest[0]), len(longest) * sum(longest[0]), rows=longest)


def pair_size(name: str, config: Any) -> PairSize:
    """Size of the encoder–decoder model in a folder (or of a hub id)."""
    model, weights, learning = memory.weighed(memory.empty_model(AutoModelForSeq2SeqLM, name, config), config)
    inside: Any = inner_model(model)
    kept = plain = kept_of(model)
    if config.gradient_checkpointing:
        inside.gradient_checkpointing_enable()
        kept = kept_of(model).plus(plain, 1 / inside.config.num_hidden_layers)  # a block computed anew
    return PairSize(
        weights,
        learning,
        token=0,
        kept=kept,
        kept_plain=plain,
        vocabulary=inside.get_output_embeddings().weight.shape[0],
        share=1.0 if config.precision == "fp32" else BF16_ACTIVATIONS,
    )


def kept_of(model: nn.Module) -> Kept:
    """The polynomials through what PROBES keep of one row and of two."""
    powers = torch.tensor([_powers(*probe) for probe in PROBES], dtype=torch.float64)
    counted = [[float(kept_bytes(model, rows, *probe)) for rows in (1, 2)] for probe in PROBES]
    one, two = torch.linalg.solve(powers, torch.tensor(counted, dtype=torch.float64)).T
    return Kept(tuple((2 * one - two).tolist()), tuple((two - one).tolist()))


def kept_bytes(model: nn.Module, rows: int, prompt: int, response: int) -> int:
    """Bytes that autograd keeps of one forward pass below the head, weights not counted."""
    inside: Any = inner_model(model)
    device = next(model.parameters()).device
    ids = torch.zeros(rows, prompt, dtype=torch.long, device=device)
    fed = torch.zeros(rows, response, dtype=torch.long, device=device)
    # A mask of four dimensions is passed on as it is.
    seen, crossed = (
        torch.ones(rows, 1, length, prompt, dtype=torch.bool, device=device) for length in (prompt, response)
    )

    def forward() -> Tensor:
        hidden = inside.get_encoder()(input_ids=ids, attention_mask=seen).last_hidden_state
        return inside.get_decoder()(
            input_ids=fed, encoder_hidden_states=hidden, encoder_attention_mask=crossed, use_cache=False
        ).last_hidden_state

    with memory.attention_as(inside, ATTENTION):
        return memory.kept_by(model, forward)


def _powers(prompt: int, response: int) -> list[int]:
    return [1, prompt, response, prompt**2, response**2, prompt * response]


class _Fused(torch.autograd.Function):
    """Attention as far as memory goes: what a fused kernel keeps, the bias it cannot learn included."""

    @staticmethod
    def forward(context: Any, query: Tensor, key: Tensor, value: Tensor, bias: Tensor) -> Tensor:
        answer = torch.empty_like(query)
        context.save_for_backward(query, key, value, bias, answer, query.new_empty(query.shape[:-1]))
        return answer


def _attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    *,
    position_bias: Tensor | None = None,
    **more: Any,
) -> tuple[Tensor, None]:
    """A bias that learns takes the plain way, on `meta` as on the CPU; any other a fused kernel."""
    if position_bias is not None and position_bias.requires_grad:
        return sdpa_attention_forward(module, query, key, value, mask, position_bias=position_bias, **more)
    rows = 1 if mask is None else len(query)
    bias = query.new_empty(rows, query.shape[1], query.shape[2], key.shape[2])
    return _Fused.apply(query, key, value, bias).transpose(1, 2).contiguous(), None


AttentionInterface.register(ATTENTION, _attention)
AttentionMaskInterface.register(ATTENTION, sdpa_mask)

"""Encoder–decoder models (the T5 shape): the encoder reads the prompt, the decoder writes the response.

What is learnt is the same as with causal models, the response and its stop token; where tokens go differs.
Rows are padded, never packed: encoder, decoder and the attention between them would each need a layout.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers import DynamicCache, EncoderDecoderCache
from transformers.modeling_outputs import BaseModelOutput

from training.rlhf.batches import TokenBatch, pad_right, read_ends
from training.rlhf.models import TokenLogits, inner_model


def is_encoder_decoder(model: nn.Module) -> bool:
    return bool(getattr(inner_model(model).config, "is_encoder_decoder", False))


class PairBatch(NamedTuple):
    """Prompts (B, S) and responses (B, T), each padded on the right."""

    ids: Tensor  # what the encoder reads
    attention: Tensor  # (B, S), 1 where a token of the prompt is real
    fed: Tensor  # what the decoder is fed: its start token, then the response but for its last token
    predicts: Tensor  # (B, T), True where a token of the response is real
    labels: Tensor  # the response

    def to(self, device: torch.device) -> PairBatch:
        return PairBatch(*(tensor.to(device) for tensor in self))

    @property
    def targets(self) -> Tensor:
        """(N,) labels in the order in which logits at `predicts` come out."""
        return self.labels[self.predicts]

    @property
    def tokens(self) -> int:
        """Real tokens, padding not counted."""
        return int(self.attention.sum() + self.predicts.sum())


def pair_up(
    prompts: Sequence[list[int]], responses: Sequence[list[int]], pad_id: int, start_id: int
) -> PairBatch:
    """Rows whose labels are exactly the response's tokens, the stop token included."""
    ids, attention, _ = pad_right(prompts, pad_id)
    labels, real, _ = pad_right(responses, pad_id)
    fed = torch.roll(labels, shifts=1, dims=1)
    fed[:, 0] = start_id
    return PairBatch(ids, attention, fed, real.bool(), labels)


class PairLogits(nn.Module):
    """Logits of an encoder–decoder model at the tokens of the responses."""

    packs = False

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: PairBatch) -> Tensor:
        """(N, V) logits where the batch predicts, row by row."""
        found = self.model(
            input_ids=batch.ids,
            attention_mask=batch.attention,
            decoder_input_ids=batch.fed,
            use_cache=False,
        )
        return found.logits[batch.predicts]


def logits_of(model: nn.Module, *, packing: bool = True) -> TokenLogits | PairLogits:
    """Whatever reads this language model where it predicts."""
    return PairLogits(model) if is_encoder_decoder(model) else TokenLogits(model, packing=packing)


def what_follows(
    scorer: TokenLogits | PairLogits, prompts: Sequence[list[int]], pad_id: int
) -> TokenBatch | PairBatch:
    """A batch that is read where the first token of each response is predicted."""
    if isinstance(scorer, PairLogits):
        return pair_up(prompts, [[pad_id]] * len(prompts), pad_id, start_token(scorer.model))
    return read_ends(prompts, pad_id, packed=scorer.packs)


def start_token(model: nn.Module) -> int:
    """What the decoder is fed before the first token; looked at when the model is loaded."""
    return int(inner_model(model).config.decoder_start_token_id)  # type: ignore[union-attr,arg-type]


class PairReader:
    """Prompts read by the encoder, each distinct one once, and a decoder that goes on token by token."""

    def __init__(self, model: nn.Module, prompts: list[list[int]], pad_id: int, device: torch.device) -> None:
        inside: Any = inner_model(model)
        numbers: dict[tuple[int, ...], int] = {}
        owner = [numbers.setdefault(tuple(prompt), len(numbers)) for prompt in prompts]
        ids, attention, _ = pad_right([list(prompt) for prompt in numbers], pad_id)
        chosen = torch.tensor(owner, device=device)
        encoded = inside.get_encoder()(input_ids=ids.to(device), attention_mask=attention.to(device))
        self._model = model
        self._hidden = encoded.last_hidden_state[chosen]  # (B, S, d)
        self._attention = attention.to(device)[chosen]
        self._cache = EncoderDecoderCache(DynamicCache(), DynamicCache())
        self.logits = self.read(torch.full((len(prompts),), start_token(model), device=device))

    def keep(self, rows: Tensor) -> None:
        """Only these rows go on."""
        self._cache.batch_select_indices(rows)
        self._hidden, self._attention = self._hidden[rows], self._attention[rows]

    def read(self, tokens: Tensor) -> Tensor:
        """(B,) -> (B, V) logits of what follows."""
        found = self._model(
            encoder_outputs=BaseModelOutput(last_hidden_state=self._hidden),
            attention_mask=self._attention,
            decoder_input_ids=tokens[:, None],
            past_key_values=self._cache,
            use_cache=True,
        )
        return found.logits[:, -1].float()

"""Sampling with a key-value cache: pure, seeded row by row, and without computing finished rows.

Each row has its own seed, and draws one uniform number per token, which picks the token from the cumulative
distribution. So what a row says does not depend on which rows happen to be generated beside it, and any
single completion can be made again. Nothing but the logits of the newest token is ever kept.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import DynamicCache

from training.rlhf.batches import read_ends
from training.rlhf.culprits import bad_tensor
from training.rlhf.encoder_decoder import PairReader, is_encoder_decoder
from training.rlhf.errors import InterruptedRun, NonFiniteError
from training.rlhf.kv_cache import new_cache, spread
from training.rlhf.models import backbone, inner_model, is_packed, model_inputs
from training.rlhf.packing import side_by_side

COMPACT_BELOW = 0.75


@dataclass(frozen=True)
class Sampled:
    """Response tokens of one row, the stop token included when `ended`."""

    tokens: list[int]
    ended: bool


def stop_ids(model: nn.Module, tokenizer: Any, stop_id: int) -> list[int]:
    """All tokens that end a response: the template's, the tokenizer's, and those the model's own settings
    name.
    """
    configured = getattr(getattr(inner_model(model), "generation_config", None), "eos_token_id", None)
    several = configured if isinstance(configured, list) else [configured]
    return sorted({token for token in [stop_id, tokenizer.eos_token_id, *several] if token is not None})


def pad_left(prompts: list[list[int]], pad_id: int) -> tuple[Tensor, Tensor]:
    """(ids, attention), each (B, T), prompts aligned right so that all responses start at the same column."""
    longest = max(len(prompt) for prompt in prompts)
    ids = torch.full((len(prompts), longest), pad_id, dtype=torch.long)
    attention = torch.zeros((len(prompts), longest), dtype=torch.long)
    for row, prompt in enumerate(prompts):
        ids[row, longest - len(prompt) :] = torch.tensor(prompt, dtype=torch.long)
        attention[row, longest - len(prompt) :] = 1
    return ids, attention


def left_padded_positions(attention: Tensor) -> Tensor:
    """Position of each token within its own row; padding sits at 0. (B, T) -> (B, T)."""
    return (attention.cumsum(dim=1) - 1).clamp(min=0)


def choose_tokens(logits: Tensor, uniforms: Tensor, *, temperature: float, top_p: float = 1.0) -> Tensor:
    """One token per row by inverting the cumulative distribution. logits: (B, V); uniforms: (B,) in [0, 1)
    -> (B,).

    Temperature 0 takes the likeliest token. Summed in double precision, since float32 sums over a large
    vocabulary would favour the tokens at its end.
    """
    if temperature == 0.0:
        return logits.argmax(dim=-1)
    probabilities = torch.softmax(logits.float() / temperature, dim=-1)
    if top_p < 1.0:
        probabilities = _nucleus(probabilities, top_p)
    cumulative = probabilities.cumsum(dim=-1, dtype=torch.float64)
    target = uniforms.double()[:, None] * cumulative[:, -1:]
    # `right` skips tokens of probability zero; the last column guards against rounding at the very end.
    return torch.searchsorted(cumulative, target, right=True).squeeze(1).clamp(max=logits.shape[-1] - 1)


def _nucleus(probabilities: Tensor, top_p: float) -> Tensor:
    """Zero outside the smallest set of likeliest tokens whose probability reaches `top_p`."""
    ordered, index = probabilities.sort(dim=-1, descending=True)
    before = ordered.cumsum(dim=-1, dtype=torch.float64) - ordered
    kept = torch.where(before < top_p, ordered, torch.zeros_like(ordered))
    return torch.zeros_like(probabilities).scatter(-1, index, kept)


def uniform_stream(seeds: list[int], length: int) -> Tensor:
    """(B, length) uniform numbers; row r depends on seeds[r] alone."""
    rows = []
    for seed in seeds:
        rows.append(torch.rand(length, generator=torch.Generator().manual_seed(seed), dtype=torch.float64))
    return torch.stack(rows)


@torch.no_grad()
def generate(
    model: nn.Module,
    prompts: list[list[int]],
    *,
    seeds: list[int],
    pad_id: int,
    stops: list[int],
    max_new_tokens: int,
    temperature: float,
    top_p: float = 1.0,
    device: torch.device,
    stop_requested: Callable[[], bool] = lambda: False,
    is_over: Callable[[list[int]], bool] | None = None,
    place: Callable[[int], str] = lambda index: f"prompt {index + 1} of the batch",
) -> list[Sampled]:
    """A response for each prompt; it ends at one of `stops`, or where `is_over` says so of its tokens.

    `place` says where a prompt is from; NonFiniteError names the first whose logits are not finite.

    Equal prompts are read once for all of their rows. Rows that have ended
    leave the batch, and their part of the cache with them.
    """
    if stop_requested():
        raise InterruptedRun("stopped on request while generating")
    uniforms = uniform_stream(seeds, max_new_tokens).to(device)
    stop_tensor = torch.tensor(stops, device=device)
    reader = (PairReader if is_encoder_decoder(model) else CausalReader)(model, prompts, pad_id, device)
    logits = reader.logits
    alive = torch.arange(len(prompts), device=device)  # which prompt each row of the batch belongs to
    written = torch.full((len(prompts), max_new_tokens), pad_id, dtype=torch.long, device=device)
    lengths = torch.zeros(len(prompts), dtype=torch.long, device=device)
    ended = torch.zeros(len(prompts), dtype=torch.bool, device=device)
    for column in range(max_new_tokens):
        if not bool((finite := torch.isfinite(logits)).all()):
            first = int(alive[(~finite).any(dim=1)].min())
            weights = bad_tensor(model)
            raise NonFiniteError(
                f"the model's logits are not finite at token {column + 1} of a response to {place(first)}"
                + (f" (nor are its weights {weights})" if weights else "")
            )
        tokens = choose_tokens(logits, uniforms[alive, column], temperature=temperature, top_p=top_p)
        open_rows = ~ended[alive]
        written[alive[open_rows], column] = tokens[open_rows]
        lengths[alive[open_rows]] += 1
        ended[alive[open_rows]] = torch.isin(tokens[open_rows], stop_tensor)
        if is_over is not None:
            _end_by_text(written, ended, alive[open_rows], column + 1, is_over)
        open_rows = ~ended[alive]
        count = int(open_rows.sum())
        if count == 0:
            break
        if count < COMPACT_BELOW * len(alive):
            keep = open_rows.nonzero().squeeze(1)
            reader.keep(keep)
            alive, tokens = alive[keep], tokens[keep]
        if column + 1 == max_new_tokens:
            break
        if stop_requested():
            raise InterruptedRun("stopped on request while generating")
        logits = reader.read(tokens)
    rows = zip(written.tolist(), lengths.tolist(), ended.tolist(), strict=True)
    return [Sampled(tokens[:length], done) for tokens, length, done in rows]


class CausalReader:
    """Prompts read by a causal model, which goes on token by token."""

    def __init__(self, model: nn.Module, prompts: list[list[int]], pad_id: int, device: torch.device) -> None:
        self._model = model
        self.logits, self._cache, self._attention, self._positions = _read_prompts(
            model, prompts, pad_id, device
        )

    def keep(self, rows: Tensor) -> None:
        """Only these rows go on."""
        self._cache.batch_select_indices(rows)
        self._attention, self._positions = self._attention[rows], self._positions[rows]

    def read(self, tokens: Tensor) -> Tensor:
        """(B,) -> (B, V) logits of what follows."""
        feed = tokens[:, None]
        self._attention = torch.cat([self._attention, torch.ones_like(feed)], dim=1)
        self._positions = self._positions + 1
        return _next_logits(self._model, feed, self._attention, self._positions, self._cache)


def _end_by_text(
    written: Tensor, ended: Tensor, rows: Tensor, length: int, is_over: Callable[[list[int]], bool]
) -> None:
    """Mark those of `rows` whose first `length` tokens end a response as text."""
    for row, tokens in zip(rows.tolist(), written[rows, :length].tolist(), strict=True):
        if not ended[row] and is_over(tokens):
            ended[row] = True


def _read_prompts(
    model: nn.Module, prompts: list[list[int]], pad_id: int, device: torch.device
) -> tuple[Tensor, DynamicCache, Tensor, Tensor]:
    """(logits of the first token (B, V), cache, attention (B, T), position of the last token (B, 1)).

    Each distinct prompt is read once. Where the model can be packed no padding is read either.
    """
    inside: Any = inner_model(model)
    config = inside.config
    numbers: dict[tuple[int, ...], int] = {}
    owner = [numbers.setdefault(tuple(prompt), len(numbers)) for prompt in prompts]
    distinct = [list(prompt) for prompt in numbers]
    attention = pad_left(prompts, pad_id)[1].to(device)
    positions = left_padded_positions(attention)[:, -1:]
    chosen = torch.tensor(owner, device=device)
    if is_packed(model):
        batch = read_ends(distinct, pad_id, packed=True).to(device)
        layout = side_by_side([len(prompt) for prompt in distinct])
        flat = DynamicCache(config=config)
        hidden = backbone(model)(
            **model_inputs(batch), past_key_values=flat, use_cache=True
        ).last_hidden_state
        head = inside.get_output_embeddings()
        logits = head(hidden[batch.predicts]).float()  # (distinct, V)
        return logits[chosen], spread(flat, layout, owner, config), attention, positions
    ids, mask = (tensor.to(device) for tensor in pad_left(distinct, pad_id))
    cache = new_cache(config)
    logits = _next_logits(model, ids, mask, left_padded_positions(mask), cache)
    if len(distinct) < len(prompts):
        cache.batch_select_indices(chosen)
        logits = logits[chosen]
    return logits, cache, attention, positions


def _next_logits(
    model: nn.Module, feed: Tensor, attention: Tensor, positions: Tensor, cache: DynamicCache
) -> Tensor:
    """(B, V) logits after the last token of `feed`."""
    found = model(
        input_ids=feed,
        attention_mask=attention,
        position_ids=positions,
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    )
    return found.logits[:, -1].float()

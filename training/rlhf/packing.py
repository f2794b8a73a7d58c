"""Sequences side by side in one row, without padding, and blind to one another.

A packed batch is one row of N tokens. Everything that works token by token sees exactly these N; attention
is computed segment by segment, so that a token sees its own segment and, where several segments continue one
prompt, that prompt's segment, which is computed once for all of them. No mask of N x N is ever made.

Whether a model can be packed is found out by trying: `allow_packing` compares a packed batch with the same
sequences by themselves, and a model that answers differently is left as it was, and padded.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import repeat_kv, sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "rlhf_packed"
PROBE_TOLERANCE = 1e-4


class Layout(NamedTuple):
    """The segments of a packed row from left to right, without gaps.

    A segment with a parent, the number of an earlier segment without one, also sees all of that.
    """

    lengths: tuple[int, ...]
    parents: tuple[int | None, ...]

    @property
    def before(self) -> list[int]:
        """How many tokens of its parent each segment sees."""
        return [0 if parent is None else self.lengths[parent] for parent in self.parents]

    @property
    def longest(self) -> int:
        """Most tokens that any token can see, itself included."""
        return max(length + before for length, before in zip(self.lengths, self.before, strict=True))


def packed_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    layout: Layout | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    """query: (1, H, N, D); key and value: (1, H or fewer, N, D) -> (1, N, H, D).

    Without a layout this is what `sdpa` is.
    """
    if layout is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **options)
    window = options.get("sliding_window")
    if options.get("softcap") is not None or options.get("s_aux") is not None:
        raise NotImplementedError("capped attention cannot be packed")
    if window is not None and window < layout.longest:
        raise NotImplementedError("attention within a window cannot be packed beyond the window")
    groups = getattr(module, "num_key_value_groups", 1)
    if groups > 1:
        key, value = repeat_kv(key, groups), repeat_kv(value, groups)
    dropout, scale = options.get("dropout", 0.0), options.get("scaling")
    # Split once, not sliced piece by piece: the gradient of a slice is as long as the whole row.
    keys, values = (part.split(layout.lengths, dim=2) for part in (key, value))
    pieces = []
    for number, q in enumerate(query.split(layout.lengths, dim=2)):
        k, v, parent, mask = keys[number], values[number], layout.parents[number], None
        if parent is not None:
            mask = _continuation_mask(layout.lengths[number], layout.lengths[parent], query.device)
            k, v = torch.cat([keys[parent], k], dim=2), torch.cat([values[parent], v], dim=2)
        pieces.append(
            scaled_dot_product_attention(
                q, k, v, attn_mask=mask, dropout_p=dropout, is_causal=mask is None, scale=scale
            )
        )
    return torch.cat(pieces, dim=2).transpose(1, 2).contiguous(), None


def _continuation_mask(length: int, prefix_length: int, device: torch.device) -> Tensor:
    """True where token i of a continuation may look: its whole prefix, and the tokens up to itself."""
    return torch.ones(length, prefix_length + length, dtype=torch.bool, device=device).tril(prefix_length)


AttentionInterface.register(NAME, packed_attention)
AttentionMaskInterface.register(NAME, sdpa_mask)


def side_by_side(lengths: list[int]) -> Layout:
    """Segments of these lengths that see nothing but themselves."""
    return Layout(tuple(lengths), (None,) * len(lengths))


def inputs_of(ids: Tensor, positions: Tensor, layout: Layout) -> dict[str, Any]:
    """What a model's backbone is called with for a packed row; ids and positions are (1, N)."""
    # A mask of four dimensions is passed on as it is by every model; ours is not looked at.
    unread = torch.zeros(1, 1, 1, 1, device=ids.device)
    return {"input_ids": ids, "position_ids": positions, "attention_mask": unread, "layout": layout}


@torch.no_grad()
def allow_packing(inside: Any, backbone: nn.Module) -> bool:
    """Switch a transformers model to packed attention; False, and nothing changed, where it cannot.

    `backbone` is the part of `inside` that turns ids into hidden states.
    """
    config: Any = inside.config
    before = config._attn_implementation
    if before == NAME:
        return True
    if before != "sdpa" or getattr(config, "is_encoder_decoder", False):
        return False
    training = inside.training
    inside.eval()
    try:
        inside.set_attn_implementation(NAME)
        fits = config._attn_implementation == NAME and _same_when_packed(inside, backbone)
    except Exception:  # noqa: BLE001 - whatever a foreign architecture raises: it is padded then
        fits = False
    if not fits:
        inside.set_attn_implementation(before)
    inside.train(training)
    return fits


def _same_when_packed(inside: Any, backbone: nn.Module) -> bool:
    """Two sequences and a continuation of the first, packed, against each by itself."""
    table = inside.get_input_embeddings().weight
    first, second, more = (
        (torch.arange(length, device=table.device) * step + step) % table.shape[0]
        for length, step in ((5, 3), (4, 7), (3, 5))
    )
    layout = Layout((5, 4, 3), (None, None, 0))
    positions = [torch.arange(5), torch.arange(4), torch.arange(5, 8)]
    row = torch.cat([first, second, more])[None]
    places = torch.cat(positions)[None].to(table.device)
    found = backbone(**inputs_of(row, places, layout), use_cache=False).last_hidden_state[0]
    for tokens, here in (
        (first, found[:5]),
        (second, found[5:9]),
        (torch.cat([first, more]), torch.cat([found[:5], found[9:]])),
    ):
        alone = backbone(input_ids=tokens[None], use_cache=False).last_hidden_state[0]
        if not torch.allclose(alone, here, atol=PROBE_TOLERANCE, rtol=PROBE_TOLERANCE):
            return False
    return True

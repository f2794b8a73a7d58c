"""Keys and values of what has been read: room ahead of need, and prompts read without padding."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from training.rlhf.packing import Layout

LEAST_ROOM = 64


class RoomyLayer(DynamicLayer):
    """A layer with room to spare: a new token costs its own size, not a copy of all that came before."""

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """(B, H, new, D) -> all so far, (B, H, T, D) as views."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            self.stores = [key_states[:, :, :0], value_states[:, :, :0]]
        length = self.get_seq_length()
        end = length + key_states.shape[-2]
        if end > self.stores[0].shape[-2]:
            self.stores = [
                _with_room(store, length, end + max(LEAST_ROOM, end // 2)) for store in self.stores
            ]
        for store, new in zip(self.stores, (key_states, value_states), strict=True):
            store[:, :, length:end] = new
        self._show(end)
        return self.keys, self.values

    def batch_select_indices(self, indices: Tensor) -> None:
        self.stores = [store[indices] for store in self.stores]
        self._show(self.get_seq_length())

    def _show(self, length: int) -> None:
        self.keys, self.values = (store[:, :, :length] for store in self.stores)


def _with_room(store: Tensor, length: int, room: int) -> Tensor:
    roomy = store.new_empty((*store.shape[:2], room, store.shape[3]))
    roomy[:, :, :length] = store[:, :, :length]
    return roomy


def new_cache(config: Any) -> DynamicCache:
    """A cache for this model; layers that look back over a window only stay the library's own."""
    cache = DynamicCache(config=config)
    cache.layers = [RoomyLayer() if type(layer) is DynamicLayer else layer for layer in cache.layers]
    return cache


def spread(packed: DynamicCache, layout: Layout, rows: list[int], config: Any) -> DynamicCache:
    """What was read as one packed row, as rows aligned right; `rows` names a segment for each.

    The space to the left of a short row holds zeros, and is masked by whoever reads on.
    """
    longest = layout.longest
    cache = new_cache(config)
    for source, target in zip(packed.layers, cache.layers, strict=True):
        parts = []
        for flat in (source.keys, source.values):
            aligned = flat.new_zeros((len(rows), flat.shape[1], longest, flat.shape[3]))
            segments = flat[0].split(layout.lengths, dim=1)
            for row, number in enumerate(rows):
                aligned[row, :, longest - layout.lengths[number] :] = segments[number]
            parts.append(aligned)
        target.update(*parts)
    return cache

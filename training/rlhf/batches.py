"""Which rows go together, and how they become tensors. Orders follow from seed and epoch alone.

Because an order is a function of (seed, epoch), a resumed run needs only the number of its step to go on
with the very rows an uninterrupted run would have taken.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from training.rlhf.packing import Layout, side_by_side

MEGABATCH = 16


def epoch_batches(
    lengths: Sequence[int], *, batch_size: int, seed: int, epoch: int, group_by_length: bool
) -> list[list[int]]:
    """Every row once, in shuffled batches; the last one may be smaller.

    With grouping, rows are shuffled, cut into runs of sixteen batches, sorted by length within a run, and the
    batches shuffled again: padding shrinks while each epoch still sees other batches.
    """
    chance = random.Random(f"{seed}/{epoch}")
    order = list(range(len(lengths)))
    chance.shuffle(order)
    if group_by_length:
        run = batch_size * MEGABATCH
        order = [
            row
            for start in range(0, len(order), run)
            for row in sorted(order[start : start + run], key=lambda row: lengths[row])
        ]
    batches = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    if group_by_length:
        chance.shuffle(batches)
    return batches


def micro_batches(
    rows: Sequence[int], lengths: Sequence[int], token_limit: int, *, packed: bool = False
) -> Iterator[list[int]]:
    """Cut `rows` into groups within `token_limit`: of padded tokens, likes together, or of packed tokens.

    A row that is longer than the limit goes alone.
    """
    group: list[int] = []
    longest = total = 0
    for row in rows if packed else sorted(rows, key=lambda row: (lengths[row], row)):
        longest, total = max(longest, lengths[row]), total + lengths[row]
        size = total if packed else longest * (len(group) + 1)
        if group and size > token_limit:
            yield group
            group, longest, total = [], lengths[row], lengths[row]
        group.append(row)
    if group:
        yield group


class TokenBatch(NamedTuple):
    """Sequences padded on the right, (B, T) each; or packed side by side, (1, N) each, with their layout."""

    ids: Tensor
    attention: Tensor | None  # 1 where a token is real; None where all are, in a packed row
    positions: Tensor
    predicts: Tensor  # True where the model is read: the *next* token is labelled, or the score stands here
    labels: Tensor  # the next token, meaningful where `predicts`
    layout: Layout | None = None

    def to(self, device: torch.device) -> TokenBatch:
        return TokenBatch(
            self.ids.to(device),
            None if self.attention is None else self.attention.to(device),
            self.positions.to(device),
            self.predicts.to(device),
            self.labels.to(device),
            self.layout,
        )

    @property
    def targets(self) -> Tensor:
        """(N,) labels in the order in which logits at `predicts` come out."""
        return self.labels[self.predicts]

    @property
    def tokens(self) -> int:
        """Real tokens, padding not counted."""
        return self.ids.numel() if self.attention is None else int(self.attention.sum())


def pad_right(sequences: Sequence[list[int]], pad_id: int) -> tuple[Tensor, Tensor, Tensor]:
    """(ids, attention, positions), each (B, T) with T the longest sequence."""
    longest = max(len(sequence) for sequence in sequences)
    ids = torch.full((len(sequences), longest), pad_id, dtype=torch.long)
    attention = torch.zeros((len(sequences), longest), dtype=torch.long)
    for row, sequence in enumerate(sequences):
        ids[row, : len(sequence)] = torch.tensor(sequence, dtype=torch.long)
        attention[row, : len(sequence)] = 1
    positions = torch.arange(longest).expand(len(sequences), longest) * attention
    return ids, attention, positions


def supervise_responses(
    sequences: Sequence[list[int]], prompt_lengths: Sequence[int], pad_id: int, *, packed: bool = False
) -> TokenBatch:
    """Rows whose labels are exactly the tokens from `prompt_length` on, the stop token included."""
    spans = [
        (start - 1, len(sequence) - 1) for sequence, start in zip(sequences, prompt_lengths, strict=True)
    ]
    return _together(sequences, spans, pad_id, packed)


def read_ends(sequences: Sequence[list[int]], pad_id: int, *, packed: bool = False) -> TokenBatch:
    """Rows that are read at their last token, as scores are."""
    return _together(
        sequences, [(len(sequence) - 1, len(sequence)) for sequence in sequences], pad_id, packed
    )


def _together(
    sequences: Sequence[list[int]], spans: Sequence[tuple[int, int]], pad_id: int, packed: bool
) -> TokenBatch:
    """Rows side by side or padded, marked within the span of each."""
    if packed:
        return _pack(sequences, spans, side_by_side([len(sequence) for sequence in sequences]))
    ids, attention, positions = pad_right(sequences, pad_id)
    predicts = torch.zeros_like(ids, dtype=torch.bool)
    for row, (first, last) in enumerate(spans):
        predicts[row, first:last] = True
    return TokenBatch(ids, attention, positions, predicts, torch.roll(ids, shifts=-1, dims=1))


def branch(families: Sequence[tuple[list[int], Sequence[list[int]]]]) -> TokenBatch:
    """(prompt, its continuations) packed so that each prompt is there once; read at continuations' ends."""
    pieces: list[list[int]] = []
    parents: list[int | None] = []
    for prompt, continuations in families:
        root = len(pieces)
        pieces += [prompt, *continuations]
        parents += [None, *[root] * len(continuations)]
    spans = [
        (0, 0) if parent is None else (len(piece) - 1, len(piece))
        for piece, parent in zip(pieces, parents, strict=True)
    ]
    return _pack(pieces, spans, Layout(tuple(map(len, pieces)), tuple(parents)))


def _pack(pieces: Sequence[list[int]], spans: Sequence[tuple[int, int]], layout: Layout) -> TokenBatch:
    ids = torch.tensor([token for piece in pieces for token in piece], dtype=torch.long)[None]
    before = layout.before
    positions = torch.cat(
        [torch.arange(start, start + len(piece)) for start, piece in zip(before, pieces, strict=True)]
    )[None]
    predicts = torch.zeros_like(ids, dtype=torch.bool)
    start = 0
    for piece, (first, last) in zip(pieces, spans, strict=True):
        predicts[0, start + first : start + last] = True
        start += len(piece)
    return TokenBatch(ids, None, positions, predicts, torch.roll(ids, shifts=-1, dims=1), layout)

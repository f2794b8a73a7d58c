"""What pretraining and supervised fine-tuning share: next-token loss on labelled positions, and its
evaluation.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from training.rlhf.batches import TokenBatch
from training.rlhf.culprits import culprit, together
from training.rlhf.encoder_decoder import PairBatch, PairLogits
from training.rlhf.losses import token_loss
from training.rlhf.models import TokenLogits
from training.rlhf.supervised import MicroLoss
from training.rlhf.team import Team


class LanguageTask:
    """Loss per labelled token of the whole batch, however it is cut into micro-batches."""

    labelled: list[int]  # labelled tokens of each training row

    def __init__(
        self, scorer: TokenLogits | PairLogits, tokenizer: Any, config: Any, accelerator: Any
    ) -> None:
        self.scorer, self.tokenizer, self.config, self.accelerator = scorer, tokenizer, config, accelerator
        self.team = Team(accelerator)

    def batches(self, held_out: bool, rows: list[int]) -> Iterator[tuple[TokenBatch | PairBatch, list[int]]]:
        raise NotImplementedError

    def held_out_rows(self) -> list[int]:
        raise NotImplementedError

    def place(self, held_out: bool, row: int) -> str:
        """Where a row is to be found."""
        raise NotImplementedError

    def culprit(self, rows: list[int], *, held_out: bool = False) -> str:
        """See culprits.py. Where every pass takes all processes, none can look for it by itself."""

        def place(row: int) -> str:
            return self.place(held_out, row)

        def loss_of(row: int) -> float:
            return sum(
                self._measure(batch).loss_sum.item() for batch, _group in self.batches(held_out, [row])
            )

        if self.team.in_step:
            return together(rows, place)
        return culprit(self.scorer, rows, place, loss_of)

    def training_mode(self, on: bool) -> None:
        self.scorer.train(on)

    def losses(self, rows: list[int]) -> Iterator[MicroLoss]:
        total = sum(self.labelled[row] for row in rows)
        for (batch, group), counts in self._evenly(False, rows):
            found = self._measure(batch)
            if not counts:
                yield MicroLoss(found.loss_sum * 0.0, {}, tokens=0, rows=group)
                continue
            tokens = found.tokens
            yield MicroLoss(
                found.loss_sum / total,
                {
                    "train_loss": (found.loss_sum.item(), tokens),
                    "train_accuracy": (found.correct.item(), tokens),
                },
                tokens=batch.tokens,
                rows=group,
            )

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """Loss per token, perplexity and top-1 accuracy on the held-out rows; empty without any."""
        rows = self.held_out_rows()
        if not rows:
            return {}
        self.training_mode(False)
        loss = correct = tokens = 0.0
        with self.team.together():
            for (batch, group), counts in self._evenly(True, rows):
                found = self._measure(batch)
                problem = None
                if not math.isfinite(found.loss_sum.item()):
                    problem = f"the validation loss is not finite ({self.culprit(group, held_out=True)})"
                self.team.refuse(problem)
                if not counts:
                    continue
                loss += found.loss_sum.item()
                correct += found.correct.item()
                tokens += found.tokens
        loss, correct, tokens = self.team.add_up({"": [loss, correct, tokens]})[""]
        mean = loss / tokens
        return {
            "validation_loss": mean,
            "validation_perplexity": math.exp(min(mean, 700.0)),
            "validation_accuracy": correct / tokens,
        }

    def _evenly(
        self, held_out: bool, rows: list[int]
    ) -> Iterator[tuple[tuple[TokenBatch | PairBatch, list[int]], bool]]:
        """This process's batches, and whether each counts (see Team.evenly)."""
        mine = self.batches(held_out, self.team.share(rows))
        return self.team.evenly(mine, lambda: next(self.batches(held_out, rows[:1])))

    def prepare_save(self) -> None:
        """Weights are all there is to save."""

    def saved(self) -> nn.Module:
        """The network whose weights a checkpoint holds."""
        return self.scorer.model

    def _measure(self, batch: TokenBatch | PairBatch):
        batch = batch.to(self.accelerator.device)
        with self.accelerator.autocast():
            logits = self.scorer(batch)  # (N, V)
        return token_loss(logits, batch.targets)

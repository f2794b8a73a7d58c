"""PPO-ptx: gradients of a language-modelling loss beside those of PPO (InstructGPT, equation 2).

With each minibatch of episodes, pieces of pretraining text are predicted, and the policy's gradients of both
losses are added before the step. Which pieces follows from seed, step and minibatch.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

from torch import Tensor

from training.rlhf.batches import micro_batches, supervise_responses
from training.rlhf.data import read_documents
from training.rlhf.errors import DataError, NonFiniteError
from training.rlhf.losses import token_loss
from training.rlhf.models import TokenLogits, context_length
from training.rlhf.team import Team


class PretrainingMix:
    """Pieces of text, and their share of a minibatch's gradients; nothing at all with a coefficient of 0."""

    def __init__(
        self,
        policy: TokenLogits,
        tokenizer: Any,
        config: Any,
        accelerator: Any,
        backward: Callable[[Tensor], None] = Tensor.backward,
    ) -> None:
        self.policy, self.config, self.accelerator = policy, config, accelerator
        self.backward = backward
        self.pad_id: int = tokenizer.pad_token_id
        self.pieces: list[list[int]] = []
        if config.pretrain_coefficient:
            length = min(config.pretrain_length, context_length(policy.model))
            for path in config.pretrain_files:
                self.pieces += cut_pieces(path, tokenizer, length)

    def gradients(self, step: int, update: int, episodes: int) -> dict[str, float]:
        """Add the gradients of `pretrain_rows` pieces for each episode; the loss per token."""
        if not self.pieces:
            return {}
        chance = random.Random(f"{self.config.seed}/{step}/{update}/texts")  # noqa: S311 - not for secrets
        chosen = chance.choices(self.pieces, k=self.config.pretrain_rows * episodes)
        tokens = sum(len(piece) - 1 for piece in chosen)
        packed, total = self.policy.packs, 0.0
        limit = self.config.micro_batch_tokens
        team = Team(self.accelerator)
        mine = team.share(range(len(chosen)))
        with team.together():
            for rows in micro_batches(mine, [len(piece) for piece in chosen], limit, packed=packed):
                pieces = [chosen[row] for row in rows]
                batch = supervise_responses(pieces, [1] * len(pieces), self.pad_id, packed=packed)
                batch = batch.to(self.accelerator.device)
                with self.accelerator.autocast():
                    logits = self.policy(batch)
                loss = token_loss(logits, batch.targets).loss_sum / tokens
                if not math.isfinite(loss.item()):
                    raise NonFiniteError(f"the loss on pretraining text is not finite at step {step}")
                self.backward(self.config.pretrain_coefficient * loss)
                total += loss.item()
        return {"pretrain_loss": team.add_up({"": [total]})[""][0]}


def cut_pieces(path: str, tokenizer: Any, length: int) -> list[list[int]]:
    """Each document, closed by the end token, in pieces of `length`; a last one of a single token is left."""
    pieces = []
    for document in read_documents(path):
        ids = [*tokenizer(document, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
        pieces += [ids[start : start + length] for start in range(0, len(ids) - 1, length)]
    pieces = [piece for piece in pieces if len(piece) > 1]
    if not pieces:
        raise DataError("holds no text to learn from", file=path)
    return pieces

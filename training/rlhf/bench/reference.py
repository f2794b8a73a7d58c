"""The plain way, as one would write it with transformers alone: padded batches, all logits, pairs expanded.

The PPO loop is what TRL's trainer was in its last version: everything left-padded to the longest prompt of
the batch, responses always generated to their full length with all scores kept, logits computed over the
prompt too, entropy over the whole vocabulary.
"""

from __future__ import annotations

import itertools
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import log_softmax, logsigmoid

from training.rlhf import ppo_math
from training.rlhf.batches import pad_right
from training.rlhf.chat import Encoded
from training.rlhf.generation import left_padded_positions, pad_left

PAIRS_AT_ONCE = 8


def sft_loss(model: Any, rows: list[Encoded], pad_id: int) -> Tensor:
    """Mean over response tokens, from the logits of all tokens."""
    ids, attention, _ = pad_right([row.ids for row in rows], pad_id)
    labels = ids.masked_fill(attention == 0, -100)
    for number, row in enumerate(rows):
        labels[number, : len(row.prompt)] = -100
    return model(input_ids=ids, attention_mask=attention, labels=labels).loss


def ranking_losses(model: Any, prompt: list[int], responses: list[list[int]], pad_id: int) -> float:
    """Backward through all pairs of a ranking (the first is the best), each encoded anew; the loss."""
    pairs = list(itertools.combinations(range(len(responses)), 2))
    total = 0.0
    for start in range(0, len(pairs), PAIRS_AT_ONCE):
        some = pairs[start : start + PAIRS_AT_ONCE]
        texts = [prompt + responses[b] for b, _ in some] + [prompt + responses[w] for _, w in some]
        ids, attention, _ = pad_right(texts, pad_id)
        scores = model(input_ids=ids, attention_mask=attention).logits.squeeze(-1)
        better, worse = scores.split(len(some))
        loss = -logsigmoid(better - worse).sum() / len(pairs)
        loss.backward()
        total += float(loss.detach())
    return total


class PaddedPpo:
    """One step of PPO over padded rows."""

    def __init__(self, networks: list[Any], config: Any, pad: int, stop: int) -> None:
        self.policy, self.reference, self.reward, self.value = networks
        self.config, self.pad, self.stop = config, pad, stop

    @torch.no_grad()
    def rollout(self, prompts: list[list[int]]) -> dict[str, Tensor]:
        ids, attention = pad_left(prompts, self.pad)
        made = self.policy.generate(
            input_ids=ids,
            attention_mask=attention,
            max_new_tokens=self.config.maximum_new_tokens,
            min_new_tokens=self.config.maximum_new_tokens,
            do_sample=True,
            top_k=0,
            top_p=1.0,
            temperature=self.config.temperature,
            eos_token_id=None,
            pad_token_id=self.pad,
            output_scores=True,
            return_dict_in_generate=True,
        )
        responses = made.sequences[:, ids.shape[1] :]
        logits = torch.stack(made.scores, dim=1)  # (B, T, V)
        logprobs = log_softmax(logits, dim=-1).gather(2, responses[..., None]).squeeze(2)
        stopped = (responses == self.stop).int()
        lengths = torch.where(stopped.any(1), stopped.argmax(1) + 1, responses.shape[1])
        mask = torch.arange(responses.shape[1])[None] < lengths[:, None]
        return {
            "ids": torch.cat([ids, responses.masked_fill(~mask, self.pad)], dim=1),
            "attention": torch.cat([attention, mask.long()], dim=1),
            "responses": responses,
            "logprobs": logprobs,
            "mask": mask,
            "ended": stopped.any(1),
            "context": torch.tensor(ids.shape[1]),
        }

    @torch.no_grad()
    def measure(self, rows: dict[str, Tensor], coefficient: float, micro: int) -> dict[str, Tensor]:
        """Scores, reference log-probabilities, values; advantages and returns."""
        count, length = rows["mask"].shape
        reference, values, scores = torch.zeros(count, length), torch.zeros(count, length), torch.zeros(count)
        last = rows["attention"].shape[1] - length + rows["mask"].sum(1) - 1
        for start in range(0, count, micro):
            part = slice(start, start + micro)
            reference[part], _ = self._logprobs(self.reference, rows, part)
            values[part] = self._values(self.value, rows, part)
            every = self._run(self.reward, rows, part)
            scores[part] = every.gather(1, last[part, None]).squeeze(1)
        mask = rows["mask"]
        scores = torch.where(rows["ended"], scores, scores - self.config.missing_eos_penalty)
        logprobs = rows["logprobs"] * mask
        rewards = ppo_math.shaped_rewards(scores, logprobs, reference * mask, mask, coefficient)
        advantages, returns = ppo_math.generalized_advantages(
            rewards, values, mask, gamma=self.config.gamma, gae_lambda=self.config.gae_lambda
        )
        advantages = ppo_math.whiten(advantages, mask, shift_mean=True)
        kl = ((logprobs - reference) * mask).sum(1)
        return {
            "advantages": advantages,
            "returns": returns,
            "values": values,
            "scores": scores,
            "kl": kl,
            "logprobs": logprobs,
        }

    def update(self, rows: dict[str, Tensor], seen: dict[str, Tensor], chosen: Tensor, micro: int) -> None:
        """Gradients of one minibatch."""
        tokens = int(rows["mask"][chosen].sum())
        for start in range(0, len(chosen), micro):
            part = chosen[start : start + micro]
            mask = rows["mask"][part]
            logprobs, entropy = self._logprobs(self.policy, rows, part)
            values = self._values(self.value, rows, part)
            policy = ppo_math.policy_loss(
                logprobs, seen["logprobs"][part], seen["advantages"][part], mask, self.config.clip_range
            )
            value = ppo_math.value_loss(
                values, seen["values"][part], seen["returns"][part], mask, self.config.value_clip_range
            )
            loss = (policy.loss_sum + self.config.value_coefficient * value.loss_sum) / tokens
            loss.backward()
            float(entropy.mean())

    def _logprobs(self, model: Any, rows: dict[str, Tensor], part: Any) -> tuple[Tensor, Tensor]:
        context = int(rows["context"])
        attention = rows["attention"][part]
        logits = model(
            input_ids=rows["ids"][part],
            attention_mask=attention,
            position_ids=left_padded_positions(attention),
        ).logits  # (b, P + T, V): over the prompt too
        logits = logits[:, context - 1 : -1] / self.config.temperature
        every = log_softmax(logits, dim=-1)
        entropy = -(every.detach().exp() * every.detach()).sum(-1)
        return every.gather(2, rows["responses"][part][..., None]).squeeze(2), entropy

    def _values(self, model: Any, rows: dict[str, Tensor], part: Any) -> Tensor:
        return self._run(model, rows, part)[:, int(rows["context"]) - 1 : -1]

    def _run(self, model: Any, rows: dict[str, Tensor], part: Any) -> Tensor:
        attention = rows["attention"][part]
        hidden = model.transformer(
            input_ids=rows["ids"][part],
            attention_mask=attention,
            position_ids=left_padded_positions(attention),
        ).last_hidden_state
        return model.score(hidden).squeeze(-1)

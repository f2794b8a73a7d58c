"""One batch of experience: responses, scores, log-probabilities, values, and the advantages from them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from training.rlhf import ppo_math
from training.rlhf.batches import TokenBatch, micro_batches, read_ends, supervise_responses
from training.rlhf.chat import ChatEncoder
from training.rlhf.errors import NonFiniteError
from training.rlhf.generation import Sampled, generate, stop_ids
from training.rlhf.losses import selected_logprobs
from training.rlhf.models import SequenceScores, TokenLogits
from training.rlhf.rereading import Rereader
from training.rlhf.team import Team
from training.rlhf.text_metrics import distinct_n

Network = TypeVar("Network", bound=nn.Module)
ROWS_AT_A_TIME = 256  # sampled together


@dataclass
class Networks:
    """The four networks of PPO. `policy` and `value` learn; `reference` and `reward` never change."""

    policy: TokenLogits
    reference: TokenLogits
    reward: SequenceScores
    value: SequenceScores


@dataclass(frozen=True)
class Episodes:
    """Prompts with what the policy answered. Lists have one entry per episode."""

    prompts: list[list[int]]
    responses: list[Sampled]

    @property
    def sequences(self) -> list[list[int]]:
        return [
            prompt + response.tokens for prompt, response in zip(self.prompts, self.responses, strict=True)
        ]

    @property
    def lengths(self) -> list[int]:
        return [len(sequence) for sequence in self.sequences]

    @property
    def ended(self) -> Tensor:
        return torch.tensor([response.ended for response in self.responses])

    def batch(self, rows: list[int], pad_id: int, *, packed: bool) -> TokenBatch:
        """Chosen episodes, packed or padded, their response tokens labelled."""
        chosen = [self.prompts[row] + self.responses[row].tokens for row in rows]
        return supervise_responses(chosen, [len(self.prompts[row]) for row in rows], pad_id, packed=packed)


@dataclass(frozen=True)
class Minibatch:
    """Episodes of one optimizer step, and those of them that this process computes, in micro-batches."""

    rows: list[int]
    parts: list[list[int]]


@dataclass(frozen=True)
class Experience:
    """What an update learns from. Tensors are (B, T), T response tokens, zero outside `response_mask`."""

    episodes: Episodes
    response_mask: Tensor
    logprobs: Tensor
    reference_logprobs: Tensor
    values: Tensor
    advantages: Tensor
    returns: Tensor
    scores: Tensor  # (B,) after the charge for missing ends
    plan: list[Minibatch]  # of the first epoch


class Roller:
    """Samples with the policy and measures with the other three networks."""

    def __init__(
        self,
        networks: Networks,
        tokenizer: Any,
        config: Any,
        accelerator: Any,
        rereader: Rereader | None = None,
    ) -> None:
        self.networks, self.config, self.accelerator = networks, config, accelerator
        self.rereader = rereader  # where the reward model has a tokenizer of its own
        self.team = Team(accelerator)
        self.encoder = ChatEncoder(tokenizer)
        self.pad_id = self.encoder.pad_id
        self.stops = stop_ids(networks.policy.model, tokenizer, self.encoder.stop_id)
        together = [networks.policy, networks.reference, networks.value]
        self.packs = all(network.packs for network in together) and (
            rereader is not None or networks.reward.packs
        )
        self.seconds = {"generation": 0.0, "scoring": 0.0, "update": 0.0}

    def sample(
        self,
        prompts: list[list[int]],
        seeds: list[int],
        max_rows: int = ROWS_AT_A_TIME,
        *,
        place: Callable[[int], str] = "prompt {}".format,
    ) -> Episodes:
        """A response to each prompt; like lengths are generated together. `place`: where a prompt is from."""
        started = time.monotonic()
        order = self.team.share(sorted(range(len(prompts)), key=lambda row: (len(prompts[row]), row)))
        responses: dict[int, Sampled] = {}
        with self.team.together():
            for start in range(0, len(order), max_rows):
                rows = order[start : start + max_rows]
                with self.accelerator.autocast():
                    found = generate(
                        self.networks.policy.model,
                        [prompts[row] for row in rows],
                        seeds=[seeds[row] for row in rows],
                        pad_id=self.pad_id,
                        stops=self.stops,
                        max_new_tokens=self.config.maximum_new_tokens,
                        device=self.accelerator.device,
                        temperature=self.config.temperature,
                        place=[place(row) for row in rows].__getitem__,
                    )
                responses.update(zip(rows, found, strict=True))
        whole = {row: sampled for part in self.team.gather(responses) for row, sampled in part.items()}
        self.seconds["generation"] += time.monotonic() - started
        return Episodes(prompts, [whole[row] for row in range(len(prompts))])

    def cut(self, rows: Iterable[int], lengths: list[int], *, packed: bool | None = None) -> list[list[int]]:
        """The rows of this process's share, in micro-batches."""
        limit = self.config.micro_batch_tokens
        packed = self.packs if packed is None else packed
        return list(micro_batches(self.team.share(list(rows)), lengths, limit, packed=packed))

    def batch(self, episodes: Episodes, rows: list[int]) -> TokenBatch:
        return episodes.batch(rows, self.pad_id, packed=self.packs).to(self.accelerator.device)

    def logprobs(self, scorer: TokenLogits, batch: TokenBatch) -> Tensor:
        """(N,) log-probabilities of the response tokens at the sampling temperature, row by row."""
        with self.accelerator.autocast():
            logits = scorer(batch)  # (N, V)
        return selected_logprobs(logits, batch.targets, self.config.temperature)

    def values(self, batch: TokenBatch) -> Tensor:
        """(N,) value of the state before each response token, row by row."""
        with self.accelerator.autocast():
            return self.networks.value(batch)

    @torch.no_grad()
    def scores(self, episodes: Episodes) -> Tensor:
        """(B,) score at each response's last token, with the charge for missing ends; on the CPU."""
        sequences, pad_id, packed = episodes.sequences, self.pad_id, self.packs
        if self.rereader:
            sequences = self.rereader.sequences(episodes.prompts, episodes.responses)
            pad_id, packed = self.rereader.pad_id, self.networks.reward.packs
        scores = torch.zeros(len(sequences))
        for rows in self.cut(range(len(sequences)), list(map(len, sequences)), packed=packed):
            batch = read_ends([sequences[row] for row in rows], pad_id, packed=packed)
            with self.accelerator.autocast():
                scores[rows] = self.networks.reward(batch.to(self.accelerator.device)).cpu()
        self.team.add(scores)
        self._refuse_non_finite("the reward model's score", scores)
        return ppo_math.penalized_scores(
            scores,
            episodes.ended,
            self.config.missing_eos_penalty,
            self.config.missing_eos_mode,
            self.config.score_clip,
        )

    @torch.no_grad()
    def experience(self, episodes: Episodes, plan: list[Minibatch], kl_coefficient: float) -> Experience:
        """Everything an update needs.

        Measured in the very micro-batches of `plan`, so that the policy's first update sees the same numbers
        again and its ratio is exactly 1.
        """
        scores = self.scores(episodes)
        started = time.monotonic()
        count = [len(response.tokens) for response in episodes.responses]
        mask = torch.arange(max(count))[None, :] < torch.tensor(count)[:, None]  # (B, T)
        logprobs, reference, values = (torch.zeros(mask.shape) for _ in range(3))
        for rows in (rows for minibatch in plan for rows in minibatch.parts):
            batch = self.batch(episodes, rows)
            place = mask[rows]
            for target, found in (
                (logprobs, self.logprobs(self.networks.policy, batch)),
                (reference, self.logprobs(self.networks.reference, batch)),
                (values, self.values(batch)),
            ):
                part = torch.zeros(place.shape)
                part[place] = found.cpu()
                target[rows] = part
        self.team.add(logprobs, reference, values)
        for name, tensor in (
            ("policy's log-probability", logprobs),
            ("reference's log-probability", reference),
            ("value", values),
        ):
            self._refuse_non_finite(f"the {name}", tensor)
        rewards = ppo_math.shaped_rewards(scores, logprobs, reference, mask, kl_coefficient)
        if self.config.whiten_rewards:
            rewards = ppo_math.whiten(rewards, mask, shift_mean=False)
        advantages, returns = ppo_math.generalized_advantages(
            rewards, values, mask, gamma=self.config.gamma, gae_lambda=self.config.gae_lambda
        )
        if self.config.whiten_advantages:
            advantages = ppo_math.whiten(advantages, mask, shift_mean=True)
        self.seconds["scoring"] += time.monotonic() - started
        return Experience(episodes, mask, logprobs, reference, values, advantages, returns, scores, plan)

    @torch.no_grad()
    def held_out(
        self, prompts: list[list[int]], seeds: list[int], place: Callable[[int], str] = "prompt {}".format
    ) -> dict[str, float]:
        """Reward and KL of fresh samples on held-out prompts; the same seeds make evaluations comparable."""
        episodes = self.sample(prompts, seeds, place=place)
        scores = self.scores(episodes)
        k1 = k3 = 0.0
        for rows in self.cut(range(len(prompts)), episodes.lengths):
            batch = self.batch(episodes, rows)
            ratio = self.logprobs(self.networks.policy, batch) - self.logprobs(self.networks.reference, batch)
            k1 += float(ratio.double().sum())
            k3 += float((torch.expm1(-ratio.double()) + ratio.double()).sum())
        k1, k3 = self.team.add_up({"": [k1, k3]})[""]
        reward, kl = float(scores.double().mean()), k1 / len(prompts)
        found = {
            "validation_reward": reward,
            "validation_objective": reward - self.config.kl_coefficient * kl,
            "validation_kl": kl,
            "validation_kl_k3": k3 / len(prompts),
        }
        if not all(math.isfinite(value) for value in found.values()):
            raise NonFiniteError(f"the evaluation on held-out prompts is not finite: {found}")
        return found | length_metrics(episodes, "validation_")

    @staticmethod
    def _refuse_non_finite(name: str, tensor: Tensor) -> None:
        """tensor: (B,) or (B, T); names the first bad episode."""
        bad = (~torch.isfinite(tensor)).reshape(len(tensor), -1).any(dim=1)
        if bool(bad.any()):
            raise NonFiniteError(f"{name} is not finite in episode {int(bad.nonzero()[0])}")


def length_metrics(episodes: Episodes, prefix: str = "") -> dict[str, float]:
    """Mean length, share that ended, and how much of what is said differs."""
    count = len(episodes.responses)
    tokens = [response.tokens for response in episodes.responses]
    return {
        # What falls when a policy says the same to everything (of tokens, ends included).
        f"{prefix}distinct_1": distinct_n(tokens, 1),
        f"{prefix}distinct_2": distinct_n(tokens, 2),
        f"{prefix}response_length": sum(len(response.tokens) for response in episodes.responses) / count,
        f"{prefix}eos_rate": sum(response.ended for response in episodes.responses) / count,
    }


def frozen(network: Network) -> Network:
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    return network.eval()

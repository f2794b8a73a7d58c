"""The arithmetic of PPO on language, as pure functions. T counts response tokens; masks are True on them.

Shapes: (B, T) throughout, responses aligned left, `mask` the response mask. A response's last token is
where its mask is True for the last time; the score lands there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    return (values * mask).sum() / mask.sum()


def whiten(values: Tensor, mask: Tensor, *, shift_mean: bool) -> Tensor:
    """Scale to variance one over the mask; the mean becomes zero with `shift_mean` and else stays.

    Fewer than two tokens, or no variance at all, cannot be scaled: only the mean is treated then. The
    variance is the population's, as in OpenAI's lm-human-preferences.
    """
    mean = masked_mean(values, mask)
    variance = masked_mean((values - mean) ** 2, mask)
    whitened = (values - mean) * torch.rsqrt(variance + 1e-8)
    if not shift_mean:
        whitened = whitened + mean
    return torch.where(mask, whitened, torch.zeros_like(whitened))


def penalized_scores(scores: Tensor, ended: Tensor, penalty: float, mode: str, clip: float = 0.0) -> Tensor:
    """Scores with the charge for responses that do not end. scores, ended: (B,) -> (B,).

    `subtract` lowers the score by `penalty`; `replace` sets it to -penalty whatever was written (N+ details).
    """
    if clip:
        scores = scores.clamp(-clip, clip)
    charged = scores - penalty if mode == "subtract" else torch.full_like(scores, -penalty)
    return torch.where(ended, scores, charged)


def shaped_rewards(
    scores: Tensor, logprobs: Tensor, reference_logprobs: Tensor, mask: Tensor, kl_coefficient: float
) -> Tensor:
    """-coefficient * (log pi - log ref) at each response token, plus the score at the last one. -> (B, T)."""
    rewards = torch.where(mask, -kl_coefficient * (logprobs - reference_logprobs), torch.zeros_like(logprobs))
    last = mask.sum(dim=1) - 1  # (B,)
    rows = torch.arange(len(scores), device=scores.device)
    rewards[rows, last] += scores
    return rewards


def generalized_advantages(
    rewards: Tensor, values: Tensor, mask: Tensor, *, gamma: float, gae_lambda: float
) -> tuple[Tensor, Tensor]:
    """(advantages, returns), each (B, T) and zero outside the mask. Schulman et al., 1506.02438, equation 16.

    values[:, t] is the value of the state before token t. After the last response token the episode is
    over, so that what follows it is worth nothing.
    """
    values = torch.where(mask, values, torch.zeros_like(values))
    advantages = torch.zeros_like(rewards)
    running = torch.zeros_like(rewards[:, 0])
    following = torch.zeros_like(rewards[:, 0])
    for t in reversed(range(rewards.shape[1])):
        delta = rewards[:, t] + gamma * following - values[:, t]
        running = (delta + gamma * gae_lambda * running) * mask[:, t]
        advantages[:, t] = running
        following = values[:, t]
    return advantages, (advantages + values) * mask


class PolicyLoss(NamedTuple):
    """Sums over the mask; `ratio_deviation` is the largest |ratio - 1|."""

    loss_sum: Tensor
    clipped: Tensor
    ratio_deviation: Tensor


def policy_loss(
    logprobs: Tensor, old_logprobs: Tensor, advantages: Tensor, mask: Tensor, clip_range: float
) -> PolicyLoss:
    """Clipped surrogate, negated and summed over the mask. PPO, 1707.06347, equation 7."""
    change = torch.where(mask, logprobs - old_logprobs, torch.zeros_like(logprobs))
    ratio = change.exp()
    free = -advantages * ratio
    held = -advantages * ratio.clamp(1.0 - clip_range, 1.0 + clip_range)
    loss = (torch.maximum(free, held) * mask).sum()
    clipped = ((held > free) & mask).sum()
    return PolicyLoss(loss, clipped, ((ratio.detach() - 1.0).abs() * mask).max())


class ValueLoss(NamedTuple):
    loss_sum: Tensor
    clipped: Tensor


def value_loss(
    values: Tensor, old_values: Tensor, returns: Tensor, mask: Tensor, clip_range: float
) -> ValueLoss:
    """Half the larger of the squared errors of the value and of the value held near its old one, summed."""
    held = old_values + (values - old_values).clamp(-clip_range, clip_range)
    free_error, held_error = (values - returns) ** 2, (held - returns) ** 2
    loss = 0.5 * (torch.maximum(free_error, held_error) * mask).sum()
    return ValueLoss(loss, ((held_error > free_error) & mask).sum())


class KlEstimate(NamedTuple):
    """Per response, in nats, summed over its tokens. Both (B,)."""

    k1: Tensor  # log pi - log ref: unbiased, may be negative for a sample
    k3: Tensor  # ref/pi - 1 - log(ref/pi): unbiased, never negative, lower variance


def kl_estimates(logprobs: Tensor, reference_logprobs: Tensor, mask: Tensor) -> KlEstimate:
    """Estimates of KL(policy || reference) from the policy's own samples (Schulman, 2020, "Approximating
    KL").
    """
    log_ratio = torch.where(mask, logprobs - reference_logprobs, torch.zeros_like(logprobs))
    return KlEstimate(log_ratio.sum(dim=1), (torch.expm1(-log_ratio) + log_ratio).sum(dim=1))


@dataclass
class KlController:
    """The weight of the KL penalty. Ziegler et al., 1909.08593, section 2.2, when adaptive."""

    coefficient: float
    adaptive: bool
    target: float
    horizon: float

    def update(self, kl: float, episodes: int) -> None:
        """Move the weight after a batch of `episodes` that came out at `kl` nats per response."""
        if self.adaptive:
            error = min(max(kl / self.target - 1.0, -0.2), 0.2)
            self.coefficient *= 1.0 + error * episodes / self.horizon

"""Losses and statistics of supervised stages, as pure functions of tensors."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812 - the name everybody knows
from torch import Tensor

from training.rlhf.data import pair_margins, untied_pairs


class TokenLoss(NamedTuple):
    """Sums over labelled tokens; divide by the tokens of the whole batch, not of the micro-batch."""

    loss_sum: Tensor  # ()
    correct: Tensor  # ()
    tokens: int


class _ChosenLogprobs(torch.autograd.Function):
    """Log-softmax read at one column a row, with a single (N, V) tensor of its own instead of three.

    The logits are many times larger than all else of a small model, and what is kept of them decides speed
    and memory alike. The tensor of exponentials becomes the gradient in place, so backward runs once.
    """

    @staticmethod
    def forward(context: Any, logits: Tensor, tokens: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
        top = logits.amax(dim=-1, keepdim=True)
        exponentials = logits - top
        if temperature != 1.0:
            exponentials /= temperature
        chosen = exponentials.gather(1, tokens[:, None])
        is_likeliest = chosen == 0.0
        total = exponentials.exp_().sum(dim=-1, keepdim=True)
        context.save_for_backward(exponentials, total, tokens)
        context.temperature = temperature
        context.mark_non_differentiable(is_likeliest)
        return (chosen - total.log()).squeeze(1), is_likeliest.squeeze(1)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        exponentials, total, tokens = context.saved_tensors
        gradient = (gradients[0] / context.temperature)[:, None]
        exponentials *= -gradient / total
        return exponentials.scatter_add_(1, tokens[:, None], gradient), None, None


def token_loss(logits: Tensor, labels: Tensor) -> TokenLoss:
    """Cross-entropy, summed.

    logits: (N, V) at the labelled positions only; labels: (N,) the tokens that follow there.
    """
    logprobs, is_likeliest = _ChosenLogprobs.apply(logits.float(), labels, 1.0)
    return TokenLoss(-logprobs.sum(), is_likeliest.sum(), labels.numel())


def selected_logprobs(logits: Tensor, tokens: Tensor, temperature: float = 1.0) -> Tensor:
    """Log-probabilities of `tokens` under `logits / temperature`. logits: (N, V); tokens: (N,) -> (N,)."""
    return _ChosenLogprobs.apply(logits.float(), tokens, temperature)[0]


class PairwiseLoss(NamedTuple):
    """Per ranking: its loss, already weighted by 1 / C(K, 2), and counts of its untied pairs."""

    loss: Tensor  # ()
    correct: float
    pairs: int
    longer_wins: int


def score_loss(scores: Tensor, targets: list[float]) -> Tensor:
    """Mean squared distance of a prompt's scores from what people gave. scores: (K,) -> ()."""
    return F.mse_loss(scores.float(), torch.tensor(targets, device=scores.device))


def pairwise_loss(
    scores: Tensor,
    ranks: list[int | None],
    lengths: list[int] | None = None,
    *,
    margins: list[float | None] | None = None,
    margin_scale: float = 0.0,
) -> PairwiseLoss:
    """-1 / C(K, 2) * sum over pairs of log sigmoid(score of better - score of worse - margin).

    scores: (K,); ranks: 1 is best, equal ranks are ties and contribute nothing, None is unrankable and does
    not count towards K. InstructGPT, equation 1. An exactly equal score counts as half right.

    margins: one for each boundary between places; a pair's margin is `margin_scale` times their sum between
    the two (Llama 2, section 3.2.2), 0 where one is not known. Right and wrong do not depend on it.
    """
    ranked = [index for index, rank in enumerate(ranks) if rank is not None]
    better, worse = untied_pairs(ranks)
    if not better:
        return PairwiseLoss(scores.sum() * 0.0, 0.0, 0, 0)
    difference = scores[better].float() - scores[worse].float()  # (pairs,)
    all_pairs = len(ranked) * (len(ranked) - 1) // 2
    apart = difference
    if margin_scale and margins:
        known = pair_margins(ranks, margins, better, worse)
        wanted = torch.tensor([margin_scale * (margin or 0.0) for margin in known], device=scores.device)
        apart = difference - wanted
    loss = -F.logsigmoid(apart).sum() / all_pairs
    found = difference.detach()
    correct = float((found > 0).sum()) + 0.5 * float((found == 0).sum())
    longer = 0
    if lengths is not None:
        longer = sum(
            1
            for gap, b, w in zip(found.tolist(), better, worse, strict=True)
            if gap * (lengths[b] - lengths[w]) > 0
        )
    return PairwiseLoss(loss, correct, len(better), longer)

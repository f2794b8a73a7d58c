"""What runs measure, in words and figures that people read: the one table for runs and checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from annotate.words import _

from .models import Stage

# key: (label, decimals of the figure; None where only meaningful figures count). Shares are shown as shares.
WORDS: dict[str, tuple[str, int | None]] = {
    "train_loss": (_("Training loss"), 4),
    "validation_loss": (_("Validation loss"), 4),
    "train_accuracy": (_("Training accuracy"), 3),
    "validation_accuracy": (_("Validation accuracy"), 3),
    "validation_perplexity": (_("Validation perplexity"), 2),
    "validation_rows": (_("Held-out rows"), 0),
    "validation_pairs": (_("Held-out pairs"), 0),
    "validation_rankings": (_("Held-out rankings"), 0),
    "validation_longer_wins": (_("Held-out pairs whose longer answer is preferred"), 3),
    "train_rows": (_("Training rows"), 0),
    "train_rankings": (_("Training rankings"), 0),
    "reward_mean": (_("Mean reward of rollouts"), 3),
    "reward_std": (_("Spread of rewards of rollouts"), 3),
    "score_mean": (_("Mean score"), 3),
    "score_deviation": (_("Spread of scores"), 3),
    "validation_reward": (_("Held-out reward"), 3),
    "validation_reward_before": (_("Held-out reward before training"), 3),
    "kl": (_("KL of rollouts (nats per response)"), 3),
    "kl_k3": (_("KL of rollouts, k3 estimate (nats per response)"), 3),
    "validation_kl": (_("Held-out KL (nats per response)"), 3),
    "validation_kl_k3": (_("Held-out KL, k3 estimate (nats per response)"), 3),
    "kl_coefficient": (_("KL coefficient"), None),
    "policy_loss": (_("Policy loss"), 4),
    "value_loss": (_("Value loss"), 4),
    "value_mean": (_("Mean value"), 3),
    "clip_fraction": (_("Share clipped"), 3),
    "eos_rate": (_("Share that ended properly"), 3),
    "entropy": (_("Entropy"), 3),
    "response_length": (_("Response length (tokens)"), 1),
    "validation_response_length": (_("Held-out response length (tokens)"), 1),
    "distinct_1": (_("Different tokens"), 3),
    "distinct_2": (_("Different pairs of tokens"), 3),
    "validation_distinct_2": (_("Held-out: different pairs of tokens"), 3),
    "gradient_norm": (_("Gradient norm"), 3),
    "policy_gradient_norm": (_("Gradient norm of the policy"), 3),
    "value_gradient_norm": (_("Gradient norm of the value"), 3),
    "learning_rate": (_("Learning rate"), None),
    "tokens_per_second": (_("Tokens per second"), 0),
    "skipped_updates": (_("Skipped updates"), 0),
    "pretrain_loss": (_("Pre-training loss"), 4),
    "reward_loss": (_("Reward model: loss"), 4),
    "reward_accuracy": (_("Reward model: accuracy"), 3),
    "reward_accuracy_low": (_("Reward model: accuracy, lower end"), 3),
    "reward_accuracy_high": (_("Reward model: accuracy, upper end"), 3),
    "reward_pairs": (_("Reward model: pairs"), 0),
    "rouge_l": (_("ROUGE-L"), 3),
}

# The metrics by which a stage's checkpoints are chosen.
DECIDING: dict[str, tuple[str, ...]] = {
    Stage.PPO: ("validation_reward", "validation_kl"),
    Stage.REWARD: ("validation_accuracy",),
}
OTHERWISE = ("validation_loss",)


@dataclass(frozen=True)
class Figure:
    key: str
    label: str
    text: str


def label_of(key: str) -> str:
    """The words of a metric; of an unknown one its key with spaces."""
    known = WORDS.get(key)
    return known[0] if known else key.replace("_", " ")


def text_of(key: str, value: Any) -> str:
    """A figure as people read it; "–" for nothing, other things than numbers as they are."""
    if value is None:
        return "–"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    decimals = WORDS[key][1] if key in WORDS else None
    if decimals is None or (value and abs(value) < 0.5 * 10**-decimals):  # would be shown as 0
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    return f"{value:,.{decimals}f}"


def figures(metrics: Mapping[str, Any]) -> list[Figure]:
    """All that was measured, ordered by the words' keys."""
    return [Figure(key, label_of(key), text_of(key, value)) for key, value in sorted(metrics.items())]


def deciding(stage: str, metrics: Mapping[str, Any]) -> list[Figure]:
    """What decides between the checkpoints of a stage: always the same metrics, in one order."""
    keys = DECIDING.get(stage, OTHERWISE)
    return [Figure(key, label_of(key), text_of(key, metrics.get(key))) for key in keys]

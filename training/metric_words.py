"""What runs measure, in words and figures that people read: the one table for runs and checkpoints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from annotate.words import _
from training.rlhf.config.ppo import OF_ROLLOUTS

from .models import Stage

# key: (label, decimals of the figure; None where three figures that mean something are shown).
WORDS: dict[str, tuple[str, int | None]] = {
    "loss": (_("Loss"), 4),
    "perplexity": (_("Perplexity"), 2),
    "accuracy": (_("Accuracy"), 3),
    "rows": (_("Rows"), 0),
    "rows_left_out": (_("Rows left out"), 0),
    "rankings": (_("Rankings"), 0),
    "rankings_left_out": (_("Rankings left out"), 0),
    "completions": (_("Completions"), 0),
    "completions_left_out": (_("Completions left out"), 0),
    "epoch": (_("Epochs so far"), 2),
    "train_loss": (_("Training loss"), 4),
    "validation_loss": (_("Validation loss"), 4),
    "train_accuracy": (_("Training accuracy"), 3),
    "validation_accuracy": (_("Validation accuracy"), 3),
    "validation_perplexity": (_("Validation perplexity"), 2),
    "validation_rows": (_("Held-out rows"), 0),
    "validation_pairs": (_("Held-out pairs"), 0),
    "validation_rankings": (_("Held-out rankings"), 0),
    "validation_longer_wins": (_("Share of held-out pairs that the longer answer wins"), 3),
    "validation_score_error": (_("Held-out error of scores"), 3),
    "train_rows": (_("Training rows"), 0),
    "train_rankings": (_("Training rankings"), 0),
    "reward_mean": (_("Mean reward of rollouts"), 3),
    "reward_std": (_("Spread of rewards of rollouts"), 3),
    "score_mean": (_("Mean score"), 3),
    "score_deviation": (_("Spread of scores"), 3),
    "validation_reward": (_("Held-out reward"), 3),
    "validation_objective": (_("Held-out reward less the KL penalty"), 3),
    "objective_mean": (_("Reward of rollouts less the KL penalty"), 3),
    "validation_objective_before": (_("Held-out reward less the KL penalty before training"), 3),
    "validation_reward_before": (_("Held-out reward before training"), 3),
    "validation_kl_before": (_("Held-out KL before training"), 3),
    "validation_kl_k3_before": (_("Held-out KL before training, k3 estimate"), 3),
    "validation_response_length_before": (_("Held-out response length before training (tokens)"), 1),
    "validation_eos_rate_before": (_("Held-out share that ended properly before training"), 3),
    "validation_distinct_1_before": (_("Held-out diversity before training (distinct-1)"), 3),
    "validation_distinct_2_before": (_("Held-out diversity before training (distinct-2)"), 3),
    "kl": (_("KL of rollouts"), 3),
    "kl_k3": (_("KL of rollouts, k3 estimate"), 3),
    "validation_kl": (_("Held-out KL"), 3),
    "validation_kl_k3": (_("Held-out KL, k3 estimate"), 3),
    "kl_coefficient": (_("KL coefficient"), None),
    "policy_loss": (_("Policy loss"), 4),
    "value_loss": (_("Value loss"), 4),
    "value_mean": (_("Mean value"), 3),
    "clip_fraction": (_("Share clipped"), 3),
    "value_clip_fraction": (_("Share of values clipped"), 3),
    "eos_rate": (_("Share that ended properly"), 3),
    "validation_eos_rate": (_("Held-out share that ended properly"), 3),
    "entropy": (_("Entropy"), 3),
    "response_length": (_("Response length (tokens)"), 1),
    "validation_response_length": (_("Held-out response length (tokens)"), 1),
    "distinct_1": (_("Diversity (distinct-1)"), 3),
    "distinct_2": (_("Diversity (distinct-2)"), 3),
    "validation_distinct_1": (_("Held-out diversity (distinct-1)"), 3),
    "validation_distinct_2": (_("Held-out diversity (distinct-2)"), 3),
    "gradient_norm": (_("Gradient norm"), 3),
    "policy_gradient_norm": (_("Gradient norm of the policy"), 3),
    "value_gradient_norm": (_("Gradient norm of the value"), 3),
    "learning_rate": (_("Learning rate"), None),
    "tokens_per_second": (_("Tokens per second"), 0),
    "skipped_updates": (_("Skipped updates"), 0),
    "loss_scale": (_("Scale of the loss (fp16)"), 0),
    "episodes": (_("Episodes"), 0),
    "scores_cut": (_("Share of responses too long for the reward model"), 3),
    "seconds_generation": (_("Seconds of sampling"), 1),
    "seconds_scoring": (_("Seconds of scoring"), 1),
    "seconds_update": (_("Seconds of updates"), 1),
    "seconds_are_of_episodes": (_("Episodes that took these seconds, since the run was last begun"), 0),
    "pretrain_loss": (_("Pre-training loss"), 4),
    "reward_loss": (_("Reward model: loss"), 4),
    "reward_accuracy": (_("Reward model: accuracy"), 3),
    "reward_accuracy_low": (_("Reward model: accuracy, lower end"), 3),
    "reward_accuracy_high": (_("Reward model: accuracy, upper end"), 3),
    "reward_accuracy_ties_half": (_("Reward model: accuracy, ties as half"), 3),
    "reward_ceiling_low": (_("Reward model: ceiling of human agreement, lower end"), 3),
    "reward_ceiling_high": (_("Reward model: ceiling of human agreement, upper end"), 3),
    "reward_calibration_error": (_("Reward model: calibration error"), 3),
    "reward_longer_wins": (_("Reward model: share of pairs that the longer answer wins"), 3),
    "reward_pairs": (_("Reward model: pairs"), 0),
    "reward_tied_pairs": (_("Reward model: tied pairs"), 0),
    "people_agreement": (_("Agreement between people"), 3),
    "response_tokens": (_("Tokens of responses"), 0),
    "ratio_deviation": (_("Deviation of the ratio from 1"), 4),
    "first_ratio_deviation": (_("Deviation of the ratio from 1, first step"), 4),
    "answers": (_("Answers"), 0),
    "answers_ended": (_("Share of answers that ended properly"), 3),
    "answer_words": (_("Words per answer"), 1),
    "reference_words": (_("Words per reference"), 1),
    "rouge_l": ("ROUGE-L", 3),
    "bleu": ("BLEU", 3),
    "class_accuracy": (_("Classes right"), 3),
    "class_accuracy_low": (_("Classes right, lower end"), 3),
    "class_accuracy_high": (_("Classes right, upper end"), 3),
    "class_log_loss": (_("Log loss of classes"), 4),
    "class_mass": (_("Probability of naming any class"), 3),
    "class_macro_f1": (_("F1 of classes, each counted alike"), 3),
    "class_majority": (_("Share of the most frequent class"), 3),
    "class_rows": (_("Prompts with a class"), 0),
    "safety_prompts": (_("Safety prompts"), 0),
    "refusal_rate": (_("Safety prompts refused"), 3),
    "refusal_rate_low": (_("Safety prompts refused, lower end"), 3),
    "refusal_rate_high": (_("Safety prompts refused, upper end"), 3),
    "over_refusal_rate": (_("Harmless prompts refused"), 3),
    "over_refusal_rate_low": (_("Harmless prompts refused, lower end"), 3),
    "over_refusal_rate_high": (_("Harmless prompts refused, upper end"), 3),
    "weights": (_("Weights"), 0),
    "bytes": (_("Bytes"), 0),
    "logit_difference": (_("Largest difference of logits"), None),
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
    return known[0] if known else key.replace("_", " ").capitalize()


def text_of(key: str, value: Any) -> str:
    """A figure as people read it; "—" for nothing, other things than numbers as they are."""
    if value is None:
        return "—"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    decimals = WORDS[key][1] if key in WORDS else None
    if decimals is None or (value and abs(value) < 0.5 * 10**-decimals):  # would be shown as 0
        return _short(value)
    return f"{value:,.{decimals}f}"


def _short(value: float) -> str:
    """Three figures that mean something; small ones as charts.js writes them: 4.01e-5."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    if value and abs(value) < 1e-3:
        mantissa, power = f"{value:.2e}".split("e")
        return f"{mantissa}e{int(power)}"
    return f"{value:.3g}"


def figures(metrics: Mapping[str, Any]) -> list[Figure]:
    """All that was measured, in the order of the table above; what it does not know comes last."""
    places = {key: place for place, key in enumerate(WORDS)}
    ordered = sorted(metrics, key=lambda key: (places.get(key, len(places)), key))
    return [Figure(key, label_of(key), text_of(key, metrics[key])) for key in ordered]


def deciding(stage: str, metrics: Mapping[str, Any], best_metric: str = "") -> list[Figure]:
    """What decides between the checkpoints of a stage: always the same metrics, in one order; what chose the
    best one (`best_metric`, where a run has that field) comes first.
    """
    keys = dict.fromkeys([*filter(None, [best_metric]), *DECIDING.get(stage, OTHERWISE)])
    return [Figure(key, label_of(key), text_of(key, metrics.get(key))) for key in keys]


def chosen_by(hyperparameters: Mapping[str, Any], checkpoints: Iterable[Any]) -> str:
    """The metric that chooses a run's best checkpoint; empty where its stage has no such field. PPO without
    held-out prompts goes by its practice prompts, and what it measured tells.
    """
    name = str(hyperparameters.get("best_metric", ""))
    measured = set().union(*(each.metrics for each in checkpoints))
    instead = OF_ROLLOUTS.get(name, name)
    return instead if name not in measured and instead in measured else name

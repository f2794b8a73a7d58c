"""Measure a language model on demonstrations, a reward model on rankings, or both; answers are in
`result.json`.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from training.rlhf.answers import measure_answers, require_room
from training.rlhf.behaviour import measure_classes, measure_safety
from training.rlhf.chat import ChatEncoder
from training.rlhf.data import read_demonstrations, read_rankings
from training.rlhf.encoding import EncodedRanking, encode_rankings, encode_rows, tied_pairs
from training.rlhf.models import context_length, load_language_model, load_reward_model, silence_dropout
from training.rlhf.reward_report import JudgedPair, judged_pairs, report
from training.rlhf.run import Run
from training.rlhf.session import open_accelerator
from training.rlhf.stages.reward import RankingTask
from training.rlhf.stages.sft import ResponseTask


def execute(run: Run, config: Any) -> None:
    accelerator = open_accelerator(config)
    total = bool(config.model) + bool(config.reward_model)
    run.state("running", total_steps=total)
    metrics: dict[str, float] = {}
    for name, measure in (("model", measure_language_model), ("reward_model", measure_reward_model)):
        if getattr(config, name):
            metrics |= measure(run, config, accelerator)
            run.step += 1
            run.progress(total, None)
    run.metrics(metrics)
    run.finish("succeeded", metrics=metrics)


def measure_language_model(run: Run, config: Any, accelerator: Any) -> dict[str, float]:
    """On demonstrations loss, perplexity and top-1 accuracy per response token, what the model answers by
    itself, and how well it names classes; on safety prompts how often it refuses."""
    model, tokenizer = load_language_model(config.model, allowed_hub_ids=config.allowed_hub_ids)
    if config.safety_file or (config.messages_file and config.answers):
        require_room(model, config)  # before anything is measured
    metrics: dict[str, float] = {}
    if config.messages_file:
        metrics |= measure_demonstrations(model, tokenizer, run, config, accelerator)
    if config.safety_file:
        metrics |= measure_safety(_placed(model, accelerator), tokenizer, run, config, accelerator)
    return metrics


def measure_demonstrations(
    model: nn.Module, tokenizer: Any, run: Run, config: Any, accelerator: Any
) -> dict[str, float]:
    rows = read_demonstrations(config.messages_file)
    limit = min(config.maximum_length, context_length(model))
    encoded = encode_rows(
        rows, ChatEncoder(tokenizer), limit, "drop", config.messages_file, run, learns=False
    )
    task = ResponseTask(_placed(model, accelerator), tokenizer, [], encoded, config, accelerator)
    found = task.evaluate()
    answered = {}
    if config.answers:
        answered = measure_answers(rows, model, tokenizer, run, config, accelerator)
    if config.classification != "off":
        answered |= measure_classes(rows, model, tokenizer, run, config, accelerator)
    return answered | {
        "loss": found["validation_loss"],
        "perplexity": found["validation_perplexity"],
        "accuracy": found["validation_accuracy"],
        "rows": len(encoded),
        "rows_left_out": len(rows) - len(encoded),
        "response_tokens": sum(len(row.response) for row in encoded),
    }


def measure_reward_model(run: Run, config: Any, accelerator: Any) -> dict[str, float]:
    """Loss, accuracy over untied pairs and with ties as half, and how often the longer completion wins; and
    the report "reward": where it is right, how sure it is, and what people's agreement allows.
    """
    rows = read_rankings(config.comparisons_file)
    model, tokenizer = load_reward_model(config.reward_model, allowed_hub_ids=config.allowed_hub_ids)
    silence_dropout(model)
    limit = min(config.maximum_length, context_length(model))
    encoder = ChatEncoder(tokenizer)
    encoded = encode_rankings(rows, encoder, limit, "drop", config.comparisons_file, run, learns=False)
    task = RankingTask(_placed(model, accelerator), tokenizer, [], encoded, config, accelerator)
    judged: list[JudgedPair] = []

    def note(ranking: EncodedRanking, scores: list[float]) -> None:
        lengths = [len(response) for response in ranking.responses]
        judged.extend(judged_pairs(ranking.source, ranking.kept, scores, lengths))

    found = task.evaluate(note)
    told = report(judged, rows)
    run.report("reward", told)
    pairs, tied = found["validation_pairs"], tied_pairs(rows, encoder, limit)
    return {
        "reward_loss": found["validation_loss"],
        "reward_accuracy": found["validation_accuracy"],
        "reward_pairs": pairs,
        "reward_tied_pairs": tied,
        # As agreement between people is counted: who prefers neither agrees by half.
        "reward_accuracy_ties_half": (found["validation_accuracy"] * pairs + tied / 2) / (pairs + tied),
        "reward_longer_wins": found["validation_longer_wins"],
        "rankings": len(encoded),
        "rankings_left_out": len(rows) - len(encoded),
        **_headlines(told),
    }


def _headlines(told: dict[str, Any]) -> dict[str, float]:
    """Of the report, what one looks at first."""
    metrics = {
        "reward_accuracy_low": told["overall"]["low"],
        "reward_accuracy_high": told["overall"]["high"],
        "reward_calibration_error": told["calibration"]["expected_error"],
    }
    if told["ceiling"]:
        metrics["people_agreement"] = told["people"]["accuracy"]
        metrics |= {f"reward_ceiling_{end}": told["ceiling"][end] for end in ("low", "high")}
    return metrics


def _placed(model: nn.Module, accelerator: Any) -> nn.Module:
    return model.to(accelerator.device).eval()

"""The table that the demo prints, from what the database holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from annotate.errors import Invalid
from annotate.words import _
from labeling.models import Completion, DatasetVersion, Ranking, SubmissionStatus, TaskKind
from labeling.quality.intervals import wilson_interval
from labeling.reports import stored_agreement
from labeling.sample_project import Scoreboard, evaluate_models
from training.models import Checkpoint, Round, RoundStep, RoundStepKind, RunEvent, TrainingRun

from .demo import EVALUATION_NAME, SCOREBOARD_NAME
from .follow_ups import best_checkpoint
from .preparation import held_out_split

Kind = RoundStepKind
SAME = "  the same, by the other rule"
TIES_HALF, UNTIED = ", a tie counts half", " that nobody tied"


@dataclass(frozen=True)
class Report:
    """`lines` are (what, value) of the round; `scoreboard` compares the models on held-out prompts."""

    lines: list[tuple[str, str]]
    scoreboard: Scoreboard

    def as_text(self) -> str:
        width = max(len(what) for what, _ in self.lines)
        rows = [f"{what:<{width}}   {value}" for what, value in self.lines]
        return "\n".join([*rows, "", self.scoreboard.as_text()])


def report(*, round: Round, base: Checkpoint) -> Report:
    """Read the figures of a round that is done and whose measurements have run."""
    steps = {step.kind: step for step in round.steps.select_related("run", "batch", "dataset_version")}
    comparisons = steps[Kind.COMPARISON_DATASET].dataset_version
    if comparisons is None:
        raise Invalid(
            _("%(step)s has no version to report on.") % {"step": steps[Kind.COMPARISON_DATASET]},
            code="no_version",
        )
    runs = {kind: _run_of(steps[kind]) for kind in (Kind.SFT_RUN, Kind.PPO_RUN)}
    measured = round.project.runs.filter(name=EVALUATION_NAME).latest("created_at").metrics
    lines = [
        *_labeling_lines(round),
        *_sft_lines(runs[Kind.SFT_RUN], measured),
        *_reward_lines(comparisons, measured),
        *_ppo_lines(runs[Kind.PPO_RUN]),
        (
            "Blind ranking by people, PPO against SFT",
            _blind_ranking(steps[Kind.RANK_AGAIN], runs[Kind.PPO_RUN]),
        ),
    ]
    models = {
        "base": base,
        "sft": best_checkpoint(runs[Kind.SFT_RUN]),
        "ppo": best_checkpoint(runs[Kind.PPO_RUN]),
    }
    return Report(lines, scoreboard(round, models))


def _run_of(step: RoundStep) -> TrainingRun:
    if step.run is None:
        raise Invalid(_("%(step)s has no run to report on.") % {"step": step}, code="no_run")
    return step.run


def _labeling_lines(round: Round) -> list[tuple[str, str]]:
    submissions = round.project.submissions.filter(import_record=None)
    lines = []
    for kind, label in TaskKind.choices:
        rows = submissions.filter(kind=kind)
        reviewed = rows.filter(reviews__isnull=False).distinct().count()
        accepted = rows.filter(status=SubmissionStatus.ACCEPTED).count()
        lines.append((f"{label}s", f"{rows.count()} by people, {accepted} accepted, {reviewed} reviewed"))
    imported = round.project.submissions.exclude(import_record=None).count()
    lines.insert(1, ("Imported demonstrations", str(imported)))
    for what, measure, rule in (
        ("Pairwise agreement of annotators", "pairwise_agreement", TIES_HALF),
        (SAME, "pairwise_agreement_decided", UNTIED),
    ):
        agreement = stored_agreement(round.project, measure)
        if agreement["value"] is not None and agreement["low"] is not None:
            value = f"{agreement['value']:.1%} ({agreement['low']:.1%} to {agreement['high']:.1%})"
            lines.append((what, f"{value} of {agreement['size']} pairs{rule}"))
    return lines


def _first(run: TrainingRun, name: str) -> float | None:
    """The metric's value in the run's first evaluation, before any step."""
    events = RunEvent.objects.filter(run=run, type="metrics").order_by("sequence")
    return next((event.data[name] for event in events if name in event.data), None)


def _sft_lines(run: TrainingRun, measured: dict[str, Any]) -> list[tuple[str, str]]:
    before, after = _first(run, "validation_loss"), run.metrics.get("validation_loss")
    return [
        ("SFT validation loss, before and after", f"{_number(before)} → {_number(after)}"),
        ("SFT loss on the test split", f"{_number(measured.get('loss'))} nats a response token"),
    ]


def _reward_lines(comparisons: DatasetVersion, measured: dict[str, Any]) -> list[tuple[str, str]]:
    """By both rules, as the agreement of people above it, on the split that the evaluation read."""
    accuracy, pairs = measured.get("reward_accuracy"), measured.get("reward_pairs")
    if accuracy is None or not pairs:
        return []
    tied = measured.get("reward_tied_pairs", 0)
    what = f"Reward model's accuracy, {held_out_split(comparisons)} split"
    return [
        (what, _accuracy(accuracy * pairs + tied / 2, pairs + tied, TIES_HALF)),
        (SAME, _accuracy(accuracy * pairs, pairs, UNTIED)),
    ]


def _accuracy(right: float, pairs: float, rule: str) -> str:
    low, high = wilson_interval(min(right, pairs), pairs)
    return f"{right / pairs:.1%} ({low:.1%} to {high:.1%}) of {pairs:.0f} pairs{rule}"


def _ppo_lines(run: TrainingRun) -> list[tuple[str, str]]:
    metrics = run.metrics
    reward = (
        f"{_number(metrics.get('validation_reward_before'))} → {_number(metrics.get('validation_reward'))}"
    )
    return [
        ("PPO: held-out reward, before and after", reward),
        ("PPO: KL to the SFT model", f"{_number(metrics.get('validation_kl'))} nats a response"),
    ]


def _blind_ranking(step: RoundStep, run: TrainingRun) -> str:
    """Share of blind pairs in which people put the PPO model's answer first; a tie is half."""
    if step.batch is None:
        return "left out of the plan"
    ppo = best_checkpoint(run).pk
    wins = total = 0.0
    rankings = Ranking.objects.filter(is_current=True, submission__task__batch=step.batch).values_list(
        "tiers", flat=True
    )
    tiers = list(rankings)
    ids = {pk for each in tiers for tier in each for pk in tier}
    of_ppo = set(Completion.objects.filter(pk__in=ids, checkpoint_key=ppo).values_list("pk", flat=True))
    for each in tiers:
        if sum(map(len, each)) == 2:
            total += 1
            wins += 0.5 if len(each) == 1 else float(each[0][0] in of_ppo)
    if not total:
        return "nothing to compare: both models answer alike"
    low, high = wilson_interval(wins, total)
    return f"{wins / total:.0%} ({low:.0%} to {high:.0%}) of {total:.0f} judgments, different answers only"


def scoreboard(round: Round, models: dict[str, Checkpoint]) -> Scoreboard:
    """Guideline scores and win-rates of the models' answers to the held-out prompts that all of them
    answered.
    """
    run = round.project.runs.filter(name=SCOREBOARD_NAME).latest("created_at")
    answers: dict[str, dict[int, str]] = {name: {} for name in models}
    names: dict[UUID | None, str] = {checkpoint.pk: name for name, checkpoint in models.items()}
    messages: dict[int, list[dict[str, str]]] = {}
    rows = Completion.objects.filter(project=round.project, run_key=run.pk).select_related("prompt")
    for completion in rows.order_by("prompt_id", "pk"):
        answers[names[completion.checkpoint_key]].setdefault(completion.prompt_id, completion.text)
        messages[completion.prompt_id] = completion.prompt.messages
    shared = sorted(set.intersection(*(set(each) for each in answers.values())))
    return evaluate_models(
        [messages[pk] for pk in shared], {name: [each[pk] for pk in shared] for name, each in answers.items()}
    )


def _number(value: float | None) -> str:
    return "—" if value is None else f"{value:.2f}"

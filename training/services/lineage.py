"""From a checkpoint back to the judgments that made it, and forward to what was made with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from annotate.words import _
from labeling.models import Completion, CompletionScore, DatasetVersion
from training.models import Checkpoint, RunInput, RunInputRole, TrainingRun
from training.rlhf.checkpoints import digest

from .locations import texts_directory

DEEPEST = 20  # checkpoints one behind the other


@dataclass
class Ancestor:
    """A run on the way back, and what it read."""

    run: TrainingRun
    checkpoint: Checkpoint | None  # the one that was used further on; None for the run asked about
    inputs: list[RunInput] = field(default_factory=list)

    @property
    def versions(self) -> list[tuple[str, DatasetVersion]]:
        return [(row.get_role_display(), row.dataset_version) for row in self.inputs if row.dataset_version]


def ancestry(run: TrainingRun) -> list[Ancestor]:
    """The run itself, the runs whose checkpoints it started from, and so on.

    Each run once, the nearest first.
    """
    found: list[Ancestor] = []
    seen = {run.pk}
    waiting: list[tuple[TrainingRun, Checkpoint | None]] = [(run, None)]
    while waiting and len(found) < DEEPEST:
        current, used = waiting.pop(0)
        rows = current.inputs.select_related("dataset_version__dataset__project", "checkpoint__run__project")
        ancestor = Ancestor(current, used, list(rows))
        found.append(ancestor)
        for row in ancestor.inputs:
            if row.checkpoint is not None and row.checkpoint.run_id not in seen:
                seen.add(row.checkpoint.run_id)
                waiting.append((row.checkpoint.run, row.checkpoint))
    return found


def card_lineage(run: TrainingRun) -> list[dict[str, Any]]:
    """What made the checkpoint that `run` reads, for its card: as training.rlhf.lineage has it, with names
    that people know and the digests of frozen versions. People appear in it nowhere.
    """
    exported = Checkpoint.objects.select_related("run__project").get(
        used_by_runs__run=run, used_by_runs__role=RunInputRole.MODEL
    )
    steps = []
    for ancestor in ancestry(exported.run):
        used = ancestor.checkpoint or exported
        started = next((row.checkpoint for row in ancestor.inputs if row.role == RunInputRole.MODEL), None)
        data = [
            {
                "role": str(role),
                "name": str(version),
                "rows": version.row_count,
                "sha256": version.sha256,
            }
            for role, version in ancestor.versions
        ]
        base = Path(ancestor.run.base_model).name
        steps.append(
            {
                "stage": ancestor.run.stage,
                "step": used.step,
                "name": str(ancestor.run),
                "manifest_sha256": used.manifest_sha256,
                "base": str(started) if started else base,
                "data": data + _texts_of(ancestor.run),
            }
        )
    return steps


def _texts_of(run: TrainingRun) -> list[dict[str, Any]]:
    found = []
    for name in run.options.get("text_files", []):
        path = texts_directory(run.project) / name
        sha256 = digest(path)["sha256"] if path.is_file() else ""
        found.append({"role": str(_("Text")), "name": name, "sha256": sha256})
    return found


@dataclass
class Descendants:
    """What was made with a checkpoint."""

    inputs: list[RunInput]  # of the runs that read it, the newest first
    completions: int
    scores: int  # completions it has scored

    @property
    def runs(self) -> list[tuple[str, TrainingRun]]:
        """(role in the run, the run)."""
        return [(row.get_role_display(), row.run) for row in self.inputs]


def descendants(checkpoint: Checkpoint) -> Descendants:
    rows = (
        RunInput.objects.filter(checkpoint=checkpoint)
        .select_related("run__project")
        .order_by("-run__created_at")
    )
    return Descendants(
        inputs=list(rows[:200]),
        completions=Completion.objects.filter(checkpoint_key=checkpoint.pk).count(),
        scores=CompletionScore.objects.filter(scorer_key=checkpoint.pk).count(),
    )


def runs_using(version: DatasetVersion) -> list[TrainingRun]:
    """Runs that read a dataset version, the newest first."""
    return list(
        TrainingRun.objects.filter(inputs__dataset_version=version).distinct().select_related("project")[:200]
    )


def checkpoints_of(runs: list[TrainingRun]) -> list[Checkpoint]:
    """What runs ended with, the newest first: of each its final checkpoint, not those on the way."""
    found = Checkpoint.objects.filter(run__in=runs, is_final=True).select_related("project", "run")
    return list(found.order_by("-created_at")[:200])

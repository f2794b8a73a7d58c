"""Lineage in both directions: from a judgment to the versions that hold it, from a version to what used
it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import structlog

from labeling.models import (
    UNJUDGED,
    DatasetKind,
    DatasetVersion,
    DatasetVersionStatus,
    Prompt,
    Submission,
    TaskKind,
)

from . import dataset_files

log = structlog.get_logger(__name__)
KIND_OF_DATASET = {TaskKind.DEMONSTRATION: DatasetKind.SFT, TaskKind.RANKING: DatasetKind.COMPARISON}


@dataclass(frozen=True)
class Usage:
    """Something that was made from a dataset version: a run, a checkpoint."""

    kind: str  # "Reward model run"
    name: str
    path: str  # its page
    status: str = ""


UsageProvider = Callable[[DatasetVersion], Iterable[Usage]]
_providers: dict[str, UsageProvider] = {}


def register_usage(name: str, provider: UsageProvider) -> None:
    """Let another app say what it made from a version (labeling knows nothing of runs). Call it in
    AppConfig.ready."""
    _providers[name] = provider


def usages_of(version: DatasetVersion) -> list[Usage]:
    """What was made from a version, as the registered apps tell."""
    return [usage for provider in _providers.values() for usage in provider(version)]


def versions_containing(*, submission: Submission) -> list[DatasetVersion]:
    """The ready versions that hold a judgment, newest first: one binary search in a file for each version
    there is."""
    kinds = [KIND_OF_DATASET[TaskKind(submission.kind)]]
    if submission.demonstrations.filter(is_current=True, started_from__isnull=False).exists():
        kinds.append(DatasetKind.COMPARISON)  # as a pair with the draft it was made of
    return _holding(submission.project_id, kinds, submission.pk)


def versions_with_prompt(*, prompt: Prompt) -> list[DatasetVersion]:
    """The ready datasets of prompts, or of completions to them, that hold a prompt, newest first."""
    return _holding(prompt.project_id, list(UNJUDGED), prompt.pk)


def _holding(project_id: int, kinds: list[DatasetKind], member_id: int) -> list[DatasetVersion]:
    versions = DatasetVersion.objects.filter(
        dataset__project=project_id, dataset__kind__in=kinds, status=DatasetVersionStatus.READY
    ).select_related("dataset__project")
    found = []
    for version in versions:
        try:
            if dataset_files.has_member(version, member_id):
                found.append(version)
        except FileNotFoundError:
            # `verify` says so loudly; a page that only lists versions must not break.
            log.warning("dataset_files_missing", version=str(version.public_id))
    return found

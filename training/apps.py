from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from django.apps import AppConfig

if TYPE_CHECKING:  # models cannot be imported before the apps are ready
    from pathlib import Path

    from labeling.models import DatasetVersion, Project
    from labeling.services.export_encoders import Encoder
    from labeling.services.lineage import Usage


class TrainingConfig(AppConfig):
    name = "training"
    default_auto_field = "django.db.models.BigAutoField"
    verbose_name = "Training: models learn"

    def ready(self) -> None:
        from labeling.services.export_encoders import register_encoder
        from labeling.services.lineage import register_usage
        from labeling.services.token_counts import register_tokenizer
        from labeling.services.verification import register

        register("checkpoint", verify_checkpoints)
        register_usage("runs", usages_by_runs)
        register_tokenizer(tokenizer_of_project)
        register_encoder(_encoder())


def usages_by_runs(version: DatasetVersion) -> list[Usage]:
    """The runs that read a dataset version and the checkpoints they left, for its page: the way forward from
    people's judgments."""
    from django.urls import reverse

    from labeling.services.lineage import Usage
    from training.services.lineage import checkpoints_of, runs_using

    runs = runs_using(version)
    found = [
        Usage(
            kind=run.get_stage_display(),
            name=str(run),
            path=reverse("training:run_detail", args=[run.project.slug, run.number]),
            status=run.status,
        )
        for run in runs
    ]
    return found + [
        Usage(
            kind=checkpoint.get_kind_display(),
            name=str(checkpoint),
            path=reverse("training:checkpoint_detail", args=[checkpoint.project.slug, checkpoint.pk]),
        )
        for checkpoint in checkpoints_of(runs)
    ]


def _encoder() -> Encoder:
    from training.services.encoding import TokenEncoder

    return TokenEncoder()


def tokenizer_of_project(project: Project) -> Path | None:
    """The tokenizer that counts the tokens of the project's texts."""
    from training.services.tokenizers import tokenizer_of

    return tokenizer_of(project)


def verify_checkpoints() -> Iterator[tuple[str, list[str]]]:
    """What `manage.py verify` checks of this room: every digest of every kept checkpoint."""
    from training.services.checkpoints import verify_all

    for checkpoint, problem in verify_all():
        yield f"{checkpoint.project.slug}: {checkpoint} ({checkpoint.pk})", [problem] if problem else []

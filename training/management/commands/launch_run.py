"""`manage.py launch_run`: order a run from the command line, and wait for it if asked to."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError

from annotate.errors import DomainError
from labeling.models import Project
from training.models import RunInputRole, RunStatus, Stage, TrainingRun
from training.services.command_line import acting_user, find_project, parse_settings, say_error
from training.services.learning_curves import create_learning_curve
from training.services.references import resolve_inputs
from training.services.runs import create_run
from training.services.texts import save_text

LOOK_SECONDS = 0.5
# The role that --dataset fills, by stage.
DATASET_ROLE = {
    Stage.PRETRAIN: RunInputRole.TRAIN_DATA,
    Stage.SFT: RunInputRole.TRAIN_DATA,
    Stage.REWARD: RunInputRole.TRAIN_DATA,
    Stage.PPO: RunInputRole.PROMPTS,
    Stage.SAMPLE: RunInputRole.PROMPTS,
    Stage.EVALUATE: RunInputRole.DEMONSTRATIONS,
}


class Command(BaseCommand):
    help = "Queue a training run. References: an id, NAME@v1 for a dataset version, run:7 for a checkpoint."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--project", required=True, metavar="SLUG")
        parser.add_argument("--stage", required=True, choices=Stage.values)
        parser.add_argument(
            "--dataset", action="append", default=[], metavar="NAME@v1", help="what is learnt from"
        )
        parser.add_argument("--mix", metavar="NAME@v1", help="former data mixed in (mix_ratio)")
        parser.add_argument("--model", metavar="run:N", help="the checkpoint to start from")
        parser.add_argument(
            "--base-model", default="", help="or a folder in MODEL_DIRS, or an allowed hub id"
        )
        parser.add_argument("--reward-model", metavar="run:N")
        parser.add_argument("--demonstrations", metavar="NAME@v1", help="zero the reward model's mean")
        parser.add_argument("--safety", metavar="NAME@v1", help="evaluate: prompts that ought to be refused")
        parser.add_argument(
            "--sample-from", action="append", default=[], metavar="run:N", help="several times"
        )
        parser.add_argument("--split", action="append", default=[], help="of the prompts to sample for")
        parser.add_argument(
            "--text-file",
            action="append",
            default=[],
            type=Path,
            help="pretrain on this text; evaluate: a list of safety prompts",
        )
        parser.add_argument("--preset", default="")
        parser.add_argument(
            "--set", action="append", default=[], metavar="KEY=VALUE", help="a hyperparameter"
        )
        parser.add_argument("--name", default="")
        parser.add_argument(
            "--rank", type=int, metavar="K", help="sample: make a ranking batch with K a task"
        )
        parser.add_argument(
            "--then-score",
            action="store_true",
            help="reward: then score what people rank, so that rankings it contradicts come before reviewers",
        )
        parser.add_argument(
            "--learning-curve",
            action="store_true",
            help="sft, reward: three runs, on 25, 50 and 100 % of the training prompts",
        )
        parser.add_argument("--user", help="on whose behalf; else the project's first admin")
        parser.add_argument(
            "--wait", action="store_true", help="until it has ended; exit status 1 if it failed"
        )

    def handle(self, **options: Any) -> None:
        try:
            project = find_project(options["project"])
            user = acting_user(project, options["user"], get_user_model())
            runs = self.create(project, user, options)
        except DomainError as error:
            raise CommandError(say_error(error)) from error
        for run in runs:
            self.stdout.write(f"Run {run.number} ({run.get_stage_display()}) is queued: {run.pk}")
        for run in runs if options["wait"] else []:
            self.wait(run)

    def create(self, project: Project, user, options: dict[str, Any]) -> list[TrainingRun]:
        stage = options["stage"]
        role = DATASET_ROLE.get(stage, RunInputRole.TRAIN_DATA)
        if stage == Stage.EVALUATE and options["reward_model"]:
            role = RunInputRole.TRAIN_DATA  # its comparisons; --demonstrations names the language model's
        references: dict[str, Any] = {
            role: options["dataset"] if stage == Stage.PRETRAIN else next(iter(options["dataset"]), None),
            RunInputRole.MODEL: options["model"],
            RunInputRole.REWARD_MODEL: options["reward_model"],
            RunInputRole.SAMPLE_FROM: options["sample_from"],
        }
        if options["demonstrations"]:
            references[RunInputRole.DEMONSTRATIONS] = options["demonstrations"]
        if options["safety"]:
            references[RunInputRole.PROMPTS] = options["safety"]
        if options["mix"]:
            references[RunInputRole.MIX_DATA] = options["mix"]
        run_options: dict[str, Any] = {}
        follow_up: dict[str, Any] = {"ranking_batch": {"size": options["rank"]}} if options["rank"] else {}
        if options["then_score"]:
            follow_up["score"] = True
        if options["split"]:
            run_options["splits"] = options["split"]
        if options["text_file"]:
            run_options["text_files"] = [self.upload(project, path, user) for path in options["text_file"]]
        given = {
            "project": project,
            "stage": stage,
            "name": options["name"],
            "preset": options["preset"],
            "hyperparameters": parse_settings(options["set"]),
            "inputs": resolve_inputs(project, stage, references),
            "base_model": options["base_model"],
            "options": run_options,
            "follow_up": follow_up,
            "acting_user": user,
        }
        return create_learning_curve(**given) if options["learning_curve"] else [create_run(**given)]

    def upload(self, project: Project, path: Path, user) -> str:
        try:
            with open(path, "rb") as file:
                return save_text(
                    project=project, name=path.name, file=file, acting_user=user, reuse=True
                ).name
        except OSError as error:
            raise CommandError(f"{path}: {error.strerror}") from error

    def wait(self, run: TrainingRun) -> None:
        """Print progress until the run has ended.

        Somebody else works on it: `manage.py up` or a Celery worker.
        """
        shown = ""
        while True:
            run.refresh_from_db()
            line = describe(run)
            if line != shown:
                self.stdout.write(line)
                self.stdout.flush()
                shown = line
            if run.is_terminal:
                break
            time.sleep(LOOK_SECONDS)
        for name, value in sorted(run.metrics.items()):
            self.stdout.write(f"  {name}: {value:.6g}" if isinstance(value, float) else f"  {name}: {value}")
        if run.status != RunStatus.SUCCEEDED:
            raise CommandError(f"Run {run.number} {run.get_status_display().lower()}: {run.error_message}")


def describe(run: TrainingRun) -> str:
    steps = f" step {run.step} of {run.total_steps}" if run.total_steps else ""
    left = f", {run.seconds_left:.0f} s left" if run.seconds_left and run.status == RunStatus.RUNNING else ""
    return f"Run {run.number}: {run.get_status_display().lower()}{steps}{left}"

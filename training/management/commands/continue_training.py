"""`manage.py continue_training`: train anew on all data and go on from a checkpoint, and compare the two."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError

from annotate.errors import DomainError
from training.models import FollowUpStatus, RunStatus
from training.services import continuations as service
from training.services.command_line import acting_user, find_project, parse_settings, say_error
from training.services.references import resolve_checkpoint, resolve_version

LOOK_SECONDS = 0.5


class Command(BaseCommand):
    help = "Two runs (A anew on all data, B goes on from a checkpoint) and their comparison, as one."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--project", required=True, metavar="SLUG")
        parser.add_argument("--stage", required=True, choices=[str(stage) for stage in service.KIND])
        parser.add_argument("--start", required=True, metavar="run:N", help="B goes on from this checkpoint")
        parser.add_argument("--former", required=True, metavar="NAME@v1", help="what it learnt")
        parser.add_argument("--new", required=True, metavar="NAME@v2", help="what B learns")
        parser.add_argument("--all", required=True, metavar="NAME@v3", help="what A learns")
        parser.add_argument(
            "--anew-from", default="", metavar="run:N", help="A's start; else what --start began from"
        )
        parser.add_argument("--base-model", default="", help="or a base model for A")
        parser.add_argument("--mix-ratio", type=float, default=0.0, help="former rows for each new one, in B")
        parser.add_argument("--rate", type=float, default=1.0, help="B's learning rate, times this")
        parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="of both runs")
        parser.add_argument("--name", default="")
        parser.add_argument("--user", help="on whose behalf; else the project's first admin")
        parser.add_argument("--wait", action="store_true", help="until the comparison is there, and print it")

    def handle(self, **options: Any) -> None:
        try:
            pair = self.create(options)
        except DomainError as error:
            raise CommandError(say_error(error)) from error
        for letter, run in (("A", pair.anew), ("B", pair.onward)):
            self.stdout.write(f"{letter}: run {run.number} is queued: {run.pk}")
        if options["wait"]:
            self.wait(pair)

    def create(self, options: dict[str, Any]) -> service.Continuation:
        project = find_project(options["project"])
        anew = options["anew_from"]
        return service.create_continuation(
            project=project,
            stage=options["stage"],
            start=resolve_checkpoint(project, options["start"], field="start"),
            former_data=resolve_version(project, options["former"], field="former_data"),
            new_data=resolve_version(project, options["new"], field="new_data"),
            all_data=resolve_version(project, options["all"], field="all_data"),
            anew_from=resolve_checkpoint(project, anew, field="anew_from") if anew else None,
            base_model=options["base_model"],
            mix_ratio=options["mix_ratio"],
            learning_rate_multiplier=options["rate"],
            hyperparameters=parse_settings(options["set"]),
            name=options["name"],
            acting_user=acting_user(project, options["user"], get_user_model()),
        )

    def wait(self, pair: service.Continuation) -> None:
        """Somebody else works on them: `manage.py up` or a Celery worker."""
        while True:
            there = [*service.evaluations_of(pair).values()]
            for run in (pair.anew, pair.onward, *there):
                run.refresh_from_db()
                if run.status in (RunStatus.FAILED, RunStatus.CANCELLED):
                    raise CommandError(
                        f"Run {run.number} {run.get_status_display().lower()}: {run.error_message}"
                    )
                if run.follow_up_status == FollowUpStatus.FAILED:
                    raise CommandError(f"Run {run.number}: {run.follow_up_message}")
            found = service.verdict_of(pair)
            if found["is_complete"]:
                break
            time.sleep(LOOK_SECONDS)
        self.stdout.write(f"{found['metric']} on held-out rows:")
        for which, row in found["values"].items():
            self.stdout.write(f"  {which:<8} former {row['former']:.4f}   new {row['new']:.4f}")
        for which, lost in found["forgotten"].items():
            self.stdout.write(f"  forgotten by {which}: {lost:+.4f}")
        for held_out, ahead in found["ahead"].items():
            self.stdout.write(f"  B ahead of A on {held_out}: {ahead:+.4f}")

"""`manage.py run_round`: one turn of the loop from a terminal, with progress as it goes."""

from __future__ import annotations

import json
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError

from annotate.errors import DomainError
from labeling.models import Project
from training.models import Round, RoundStatus, RoundStep, RoundStepStatus
from training.services.command_line import acting_user, find_project, parse_settings, say_error
from training.services.round_steps import look
from training.services.rounds import advance_round, create_round

LOOK_SECONDS = 1.0


class Command(BaseCommand):
    help = (
        "Begin a round, or follow one, and print what happens until it is done. "
        "Runs are worked on by `manage.py up` or a Celery worker; people (or `simulate`) do their part."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--project", required=True, metavar="SLUG")
        parser.add_argument("--plan", default="", help="the plan as JSON, or a file that holds it")
        parser.add_argument(
            "--set", action="append", default=[], metavar="KEY=VALUE", help="an entry of the plan"
        )
        parser.add_argument(
            "--round", type=int, metavar="N", help="follow this round instead of beginning one"
        )
        parser.add_argument("--user", help="on whose behalf; else the project's first admin")
        parser.add_argument("--no-wait", action="store_true", help="only begin it")

    def handle(self, **options: Any) -> None:
        try:
            project = find_project(options["project"])
            round = self.begin(project, options)
        except DomainError as error:
            raise CommandError(say_error(error)) from error
        self.stdout.write(f"{round} of {project.slug}")
        if not options["no_wait"]:
            self.follow(round)

    def begin(self, project: Project, options: dict[str, Any]) -> Round:
        if options["round"]:
            found = project.rounds.filter(number=options["round"]).first()
            if found is None:
                raise CommandError(f"There is no round {options['round']} in this project.")
            return found
        plan = {**read_plan(options["plan"]), **parse_settings(options["set"])}
        user = acting_user(project, options["user"], get_user_model())
        return create_round(project=project, plan=plan, acting_user=user)

    def follow(self, round: Round) -> None:
        """Advance and report until the round is done; ends with an error where a person must decide."""
        said: dict[str, str] = {}
        while True:
            advance_round(round_id=round.pk)
            round.refresh_from_db()
            steps = list(
                round.steps.select_related("run", "batch", "dataset_version__dataset").order_by("position")
            )
            for step in steps:
                line = describe(step)
                if said.get(step.kind) != line and step.status != RoundStepStatus.WAITING:
                    said[step.kind] = line
                    self.stdout.write(line)
                    self.stdout.flush()
            if round.status == RoundStatus.DONE:
                return
            if round.status == RoundStatus.CANCELLED:
                raise CommandError(f"{round} was ended.")
            for step in steps:
                if step.status == RoundStepStatus.FAILED:
                    raise CommandError(f"“{step.get_kind_display()}” has failed: {step.message}")
                if step.status == RoundStepStatus.READY:
                    raise CommandError(f"“{step.get_kind_display()}” waits for somebody to start it.")
            time.sleep(LOOK_SECONDS)


def read_plan(text: str) -> dict[str, Any]:
    """JSON, or the JSON in a file of that name."""
    if not text:
        return {}
    source = text
    if not text.lstrip().startswith("{"):
        try:
            source = Path(text).read_text(encoding="utf-8")
        except OSError as error:
            raise CommandError(f"{text}: {error.strerror}") from error
    try:
        plan = json.loads(source)
    except ValueError as error:
        raise CommandError(f"The plan is not JSON: {error}") from error
    if not isinstance(plan, dict):
        raise CommandError("The plan must be a JSON object.")
    return plan


def describe(step: RoundStep) -> str:
    text = f"  {step.position:>2}. {step.get_kind_display()}: {step.get_status_display().lower()}"
    if step.status == RoundStepStatus.ACTIVE:
        seen = look(step)
        if step.run is not None and step.run.total_steps:
            text += f", step {step.run.step} of {step.run.total_steps}"
        elif seen.note:
            text += f", {seen.note.lower()}"
    if step.message:
        text += f" ({step.message})"
    return text

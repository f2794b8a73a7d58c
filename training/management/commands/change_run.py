"""`manage.py change_run`: what the buttons of a run's page do."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError

from annotate.errors import DomainError, NotFound
from annotate.words import _
from training.services.command_line import acting_user, find_project, say_error
from training.services.runs import CHANGES


class Command(BaseCommand):
    help = "Cancel a run, resume a cancelled one, retry a failed one, or try again what should have followed."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("change", choices=list(CHANGES))
        parser.add_argument("number", type=int, help="of the run")
        parser.add_argument("--project", required=True, metavar="SLUG")
        parser.add_argument("--user", help="on whose behalf; else the project's first admin")

    def handle(self, **options: Any) -> None:
        try:
            project = find_project(options["project"])
            user = acting_user(project, options["user"], get_user_model())
            run = project.runs.filter(number=options["number"]).first()
            if run is None:
                said = _("There is no run %(number)s in this project.")
                raise NotFound(said % {"number": options["number"]}, field="number")
            run = CHANGES[options["change"]](run=run, acting_user=user)
        except DomainError as error:
            raise CommandError(say_error(error)) from error
        self.stdout.write(f"Run {run.number} is {run.status}.")

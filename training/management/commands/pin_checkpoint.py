"""`manage.py pin_checkpoint`: keep the files of a checkpoint, or let retention remove them."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError

from annotate.errors import DomainError
from training.services.checkpoints import set_pinned
from training.services.command_line import acting_user, find_project, say_error
from training.services.references import resolve_checkpoint


class Command(BaseCommand):
    help = "Keep a checkpoint's files whatever its run's retention says; --unpin takes that back."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("checkpoint", metavar="run:N@STEP", help="or its id, or run:N for the best one")
        parser.add_argument("--project", required=True, metavar="SLUG")
        parser.add_argument("--unpin", action="store_true")
        parser.add_argument("--user", help="on whose behalf; else the project's first admin")

    def handle(self, **options: Any) -> None:
        try:
            project = find_project(options["project"])
            user = acting_user(project, options["user"], get_user_model())
            checkpoint = resolve_checkpoint(project, options["checkpoint"], field="checkpoint")
            checkpoint = set_pinned(checkpoint=checkpoint, is_pinned=not options["unpin"], acting_user=user)
        except DomainError as error:
            raise CommandError(say_error(error)) from error
        self.stdout.write(f"{checkpoint} is {'pinned' if checkpoint.is_pinned else 'not pinned'}.")

"""`manage.py setup_link`: the link that makes the first administrator, printed again."""

from __future__ import annotations

from django.core.management.base import BaseCommand, CommandError

from annotate.accounts import setup_token
from annotate.accounts.services import is_setup_open


class Command(BaseCommand):
    help = "Print the one-time link for making the first administrator of a fresh site."

    def add_arguments(self, parser) -> None:
        parser.add_argument("--if-open", action="store_true", help="say nothing where there are accounts")

    def handle(self, *args, if_open: bool, **options) -> None:
        if not is_setup_open():
            if if_open:
                return
            raise CommandError(
                "This site has accounts already. For another administrator: python manage.py createsuperuser"
            )
        self.stdout.write(f"{setup_token.address()}/setup/?token={setup_token.ensure()}")

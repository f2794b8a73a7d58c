"""manage.py erase_person USERNAME [--confirm USERNAME]"""

from __future__ import annotations

from django.core.management.base import BaseCommand, CommandError

from annotate.accounts.models import User
from annotate.errors import DomainError
from labeling.services.erasure import erase_person, measure_extent, require_erasable


class Command(BaseCommand):
    help = (
        "Erase who somebody is: name, address, password, tokens, sessions. Their judgments stay under the "
        "pseudonym, so that dataset versions can still be verified. It cannot be taken back."
    )

    def add_arguments(self, parser) -> None:
        parser.add_argument("username")
        parser.add_argument(
            "--confirm", metavar="USERNAME", help="their user name once more; asked for where it is left out"
        )

    def handle(self, *args, **options) -> None:
        user = User.objects.filter(username=options["username"]).first()
        if user is None:
            raise CommandError(f"There is no person “{options['username']}”.")
        try:
            require_erasable(user=user, acting_user=None)
            confirmation = options["confirm"] if options["confirm"] is not None else self._ask(user)
            extent = erase_person(user=user, acting_user=None, confirmation=confirmation)
        except DomainError as error:
            raise CommandError(f"{error.message} {error.hint or ''}".strip()) from error
        self.stdout.write(
            f"Erased. What stays is under {user.pseudonym}: {extent.submissions:,} submissions, "
            f"{extent.reviews:,} reviews, {extent.comments:,} comments, {extent.ledger_entries:,} entries of "
            "the ledger. What they wrote about themselves in free text is there too."
        )

    def _ask(self, user: User) -> str:
        extent = measure_extent(user)
        self.stdout.write(
            f"{user.username} ({user.email}), in {extent.projects:,} projects. Goes: name, address, "
            f"password, {extent.tokens:,} tokens, sessions, {extent.leases:,} tasks in hand, "
            f"{extent.drafts:,} drafts. Stays under {user.pseudonym}: {extent.submissions:,} submissions, "
            f"{extent.reviews:,} reviews, "
            f"{extent.comments:,} comments, {extent.ledger_entries:,} entries of the ledger."
        )
        return input("Type their user name to erase them: ")

"""manage.py verify: are frozen things as they were made?"""

from __future__ import annotations

from django.core.management.base import BaseCommand, CommandError

from labeling.services import verification
from labeling.services.told import Remark


class Command(BaseCommand):
    help = "Recompute the hashes of everything that was frozen and say what was changed. Exit status 1 if so."

    def handle(self, *args, **options) -> None:
        checked = bad = 0
        for kind, label, said in verification.verify_all():
            checked += 1
            problems = [each for each in said if not isinstance(each, Remark)]
            for remark in said:
                if isinstance(remark, Remark):
                    self.stdout.write(f"note {kind} {label}: {remark}")
            if problems:
                bad += 1
                self.stdout.write(self.style.ERROR(f"BAD  {kind} {label}"))
                for problem in problems:
                    self.stdout.write(f"     {problem}")
            elif options["verbosity"] > 1:
                self.stdout.write(f"ok   {kind} {label}")
        if bad:
            raise CommandError(f"{bad:,} of {checked:,} are not as they were made.")
        self.stdout.write(f"{checked:,} checked; all are as they were made.")

"""manage.py compare_datasets OLD NEW [--change added|removed|changed] [--json]"""

from __future__ import annotations

import json

from django.core.management.base import BaseCommand, CommandError

from annotate.errors import DomainError
from labeling.services.dataset_diff import CHANGES, RowChange, compare_versions
from labeling.services.dataset_names import WAYS, find_version

LONGEST = 60  # characters of a value in a line for people


class Command(BaseCommand):
    help = "Say row by row what was added, removed and changed between two frozen dataset versions."

    def add_arguments(self, parser) -> None:
        parser.add_argument("old", metavar="OLD", help=WAYS)
        parser.add_argument("new", metavar="NEW", help="the same")
        parser.add_argument("--change", choices=CHANGES, default="", help="only these; all if left out")
        parser.add_argument("--json", action="store_true", help="JSON lines: the counts, then each change")

    def handle(self, *args, **options) -> None:
        try:
            found = compare_versions(old=find_version(options["old"]), new=find_version(options["new"]))
            if options["json"]:
                self.stdout.write(json.dumps({"counts": found.counts, "unchanged": found.unchanged}))
            else:
                counts = ", ".join(f"{found.counts[change]:,} {change}" for change in CHANGES)
                self.stdout.write(f"{found.old} → {found.new}: {counts}, {found.unchanged:,} unchanged")
            for each in found.every_change(change=options["change"]):
                self.stdout.write(_as_json(each) if options["json"] else _as_text(each))
        except DomainError as error:
            raise CommandError(f"{error.message} {error.hint or ''}".strip()) from error


def _as_json(each: RowChange) -> str:
    row = each.new if each.new is not None else each.old
    rest = {"fields": [field.to_json() for field in each.fields]} if each.fields else {"row": row}
    return json.dumps({"change": each.change, "id": each.id, **rest}, ensure_ascii=False)


def _as_text(each: RowChange) -> str:
    split, number = each.new_at or each.old_at or ("", 0)
    lines = [f"{each.change:<8}{each.id}  {split} {number}"]
    lines += [f"        {field.field}: {_short(field.old)} → {_short(field.new)}" for field in each.fields]
    return "\n".join(lines)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"

"""`manage.py verify`: are the day sums those of the entries?"""

from __future__ import annotations

from collections.abc import Iterator

from django.db.models import Sum

from labeling.models import LedgerDay, LedgerEntry, Project


def verify_ledgers() -> Iterator[tuple[str, list[str]]]:
    """One thing to check per project that has a ledger."""
    for project in Project.objects.filter(ledger_entries__isnull=False).distinct().order_by("pk"):
        yield project.slug, problems_of(project=project)


def problems_of(*, project: Project) -> list[str]:
    """A sentence for each day whose sums are not those of its entries."""
    key = ("user__username", "batch", "day", "work")
    days = LedgerDay.objects.filter(project=project).order_by()
    kept = {row[:4]: row[4:] for row in days.values_list(*key, "seconds", "pieces")}
    entries = LedgerEntry.objects.filter(project=project).order_by().values_list(*key)
    summed = entries.annotate(s=Sum("seconds"), p=Sum("pieces"))
    counted = {row[:4]: row[4:] for row in summed}
    nothing = (0, 0)
    return [
        f"{day}, {person}, {work}: the day has {kept.get(group, nothing)}, its entries "
        f"{counted.get(group, nothing)} (seconds, pieces)"
        for group in sorted(kept.keys() | counted.keys(), key=str)
        for person, _, day, work in [group]
        if kept.get(group, nothing) != counted.get(group, nothing)
    ]

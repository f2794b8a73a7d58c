"""What was done before there was a ledger is in it once, on the right days."""

from __future__ import annotations

import importlib
from datetime import date
from pathlib import Path

import pytest
from django.apps import apps

from labeling import migrations
from labeling.models import Demonstration, LedgerDay, LedgerEntry, Review, Skip, Submission

from .judgments import make_demonstration, make_ranking
from .ledger_time import at

pytestmark = [pytest.mark.django_db, pytest.mark.database]


@pytest.fixture
def carry_over():
    [name] = [path.stem for path in Path(migrations.__path__[0]).glob("????_ledger.py")]
    return importlib.import_module(f"labeling.migrations.{name}").carry_over


def test_submissions_revisions_reviews_and_skips(cast, carry_over):
    cast.annotator.timezone = "Europe/Berlin"
    cast.annotator.save()
    submission = make_demonstration(cast.project, cast.annotator, decision="accepted", reviewer=cast.lead)
    first = submission.demonstrations.get()
    Demonstration.objects.filter(pk=first.pk).update(
        active_seconds=50, created_at=at("2026-10-24 22:30"), is_current=False
    )
    for revision, origin, seconds in ((2, "resubmission", 20), (3, "fix", 7)):
        made = Demonstration.objects.create(
            submission=submission, text="Mended.", author=cast.annotator, revision=revision, origin=origin,
            active_seconds=seconds, is_current=origin == "fix",
        )  # fmt: skip
        Demonstration.objects.filter(pk=made.pk).update(created_at=at("2026-10-25 10:00"))
    Review.objects.update(active_seconds=9, created_at=at("2026-10-26 10:00"))
    ranking = make_ranking(cast.project, cast.peer)
    Skip.objects.create(task=ranking.task, user=cast.annotator, reason="unclear")
    Submission.objects.filter(pk=ranking.pk).update(annotator=cast.peer)
    assert not LedgerEntry.objects.exists()
    carry_over(apps, None)
    entries = LedgerEntry.objects.order_by("pk").values_list("user__username", "work", "seconds", "pieces")
    assert list(entries) == [
        ("anna", "demonstration", 50, 1),
        ("anna", "demonstration", 20, 0),  # the fix is the reviewer's, and is in the review's time
        ("petra", "ranking", 0, 1),
        ("lena", "review", 9, 1),
        ("anna", "ranking", 0, 0),
    ]
    day = LedgerDay.objects.get(user=cast.annotator, work="demonstration")
    # Half past midnight in Berlin, on the day with 25 hours.
    assert (day.day, day.seconds, day.pieces) == (date(2026, 10, 25), 70, 1)
    assert LedgerDay.objects.get(user=cast.annotator, work="ranking").skips == 1

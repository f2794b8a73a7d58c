"""Lists sorted by something that some rows do not have: those come last, on either database."""

from __future__ import annotations

import pytest
from django.urls import reverse
from django.utils import timezone

from labeling.models import Skip, SkipReason, Submission, Task
from tests.factories import make_demonstration_batch
from tests.labeling.work import do_next

pytestmark = [pytest.mark.django_db, pytest.mark.database]


def shown(client, cast, user, name, sort):
    client.force_login(user)
    page = client.get(reverse(f"labeling:{name}", args=[cast.project.slug]), {"sort": sort})
    return [row.pk for row in page.context["listing"].page]


def test_what_was_not_decided_comes_after_what_was(cast, client):
    make_demonstration_batch(cast.project, tasks=2, review_rate=1.0)
    first, second = do_next(cast.annotator, cast.project), do_next(cast.annotator, cast.project)
    Submission.objects.filter(pk=first.pk).update(decided_at=timezone.now())
    assert shown(client, cast, cast.annotator, "history", "decided") == [first.pk, second.pk]


def test_what_is_not_parked_comes_after_what_is(cast, client):
    batch = make_demonstration_batch(cast.project, tasks=2)
    skipped, parked = batch.tasks.order_by("pk")
    Skip.objects.create(task=skipped, user=cast.annotator, reason=SkipReason.UNCLEAR)
    Task.objects.filter(pk=parked.pk).update(parked_at=timezone.now())
    assert shown(client, cast, cast.lead, "tasks_skipped", "parked") == [parked.pk, skipped.pk]

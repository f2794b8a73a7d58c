"""Of several senders at once, one sends each mail: real processes on the real database."""

from __future__ import annotations

from collections import Counter

import pytest
from django.db import transaction

from labeling.models import Notification
from labeling.services.activity import notify
from tests.cast import make_cast
from tests.factories import make_user

from .crew import Crew

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.database, pytest.mark.slow]
PEOPLE, LINES = 20, 3


def mails_of(what: str, folder) -> Counter:
    """How many mails each person got, by three processes that all begin at once."""
    cast = make_cast()
    people = [make_user(f"reader{number}") for number in range(PEOPLE)]
    with transaction.atomic():
        for user in people:
            for number in range(LINES):
                notify(user=user, kind="submission.returned", text=f"Line {number}.")
    order = {"do": what, "project": cast.project.pk, "users": [cast.admin.pk], "outbox": str(folder)}
    crew = Crew([order] * 3)
    crew.go()
    crew.facts()
    texts = "\n".join(path.read_text() for path in folder.iterdir())
    return Counter(line for line in texts.splitlines() if line.startswith("To: "))


def test_everybody_gets_one_mail(tmp_path):
    mails = mails_of("mail", tmp_path)
    assert len(mails) == PEOPLE and set(mails.values()) == {1}
    assert set(Notification.objects.values_list("mail_status", flat=True)) == {"sent"}


def test_without_the_claim_people_get_it_twice(tmp_path):
    """The race is real: senders that read first and mark afterwards double mails."""
    assert max(mails_of("mail without claim", tmp_path).values()) > 1

"""The audit trail shows when somebody meddled with it behind the site's back."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import transaction
from django.test import override_settings
from django.utils import timezone

from labeling.models import AuditEvent, AuditSeal
from labeling.services import audit_seals
from labeling.services.activity import record_event
from labeling.services.audit_seals import seal_events, verify_audit_trail
from tests.site_process import ROOT, database_url

pytestmark = pytest.mark.django_db


@pytest.fixture
def later():
    return timezone.now() + timedelta(minutes=2)


def write(cast, count: int) -> None:
    for number in range(count):
        with transaction.atomic():
            record_event(
                action="project.changed", actor=cast.lead, obj=cast.project, project=cast.project,
                old={"rate": 0.1}, new={"rate": number / 3, "name": "Überblick 海獭"},
            )  # fmt: skip


def problems() -> list[str]:
    return [problem for _, found in verify_audit_trail() for problem in found]


@pytest.fixture
def sealed(cast, later):
    """Three seals: what making the cast wrote and two rows, then two and two more."""
    write(cast, 2)
    for minutes in (0, 1, 2):
        seal_events(now=later + timedelta(minutes=minutes))
        write(cast, 2)
    assert AuditSeal.objects.count() == 3 and not problems()


def test_rows_are_sealed_once_they_are_a_minute_old(cast, later):
    write(cast, 3)
    assert seal_events() == 0
    everything = AuditEvent.objects.count()
    assert seal_events(now=later) == everything
    assert seal_events(now=later) == 0
    assert AuditSeal.objects.get().event_count == everything


def test_many_rows_go_under_several_seals(cast, later, monkeypatch):
    monkeypatch.setattr(audit_seals, "ROWS_PER_SEAL", 4)
    write(cast, 10)
    everything = AuditEvent.objects.count()
    assert seal_events(now=later) == everything
    assert sum(seal.event_count for seal in AuditSeal.objects.all()) == everything
    assert {seal.event_count for seal in AuditSeal.objects.all()[:2]} == {4}
    assert not problems()


@pytest.mark.parametrize("field", ["action", "actor", "object_id", "data", "created_at", "project"])
def test_a_changed_row_shows(cast, sealed, field):
    event = AuditEvent.objects.filter(seal__number=2).first()
    values = {
        "action": "project.renamed", "actor": cast.admin, "object_id": "0", "data": {"new": {"rate": 0.5}},
        "created_at": event.created_at + timedelta(microseconds=1), "project": None,
    }  # fmt: skip
    AuditEvent.objects.filter(pk=event.pk).update(**{field: values[field]})
    assert problems() == ["rows under it, or the seal before it, were changed, removed or added"]


def test_a_removed_row_shows(sealed):
    AuditEvent.objects.filter(seal__number=1).last().delete()
    assert any("rows were put under it" in problem for problem in problems())


def test_a_row_taken_out_of_its_seal_shows(sealed):
    event = AuditEvent.objects.filter(seal__number=2).first()
    AuditEvent.objects.filter(pk=event.pk).update(seal=None)
    assert any("rows were put under it" in problem for problem in problems())


def test_a_row_slipped_in_with_an_old_date_shows_once_it_is_sealed(cast, sealed, later):
    AuditSeal.objects.update(created_at=later)
    write(cast, 1)
    forged = AuditEvent.objects.first()
    AuditEvent.objects.filter(pk=forged.pk).update(created_at=timezone.now() - timedelta(days=3))
    seal_events(now=later)
    assert [f"row {forged.pk} says" in problem for problem in problems()] == [True]


def test_rows_and_seals_rewritten_together_lack_the_signature(sealed):
    AuditEvent.objects.filter(seal__number=1).update(action="nothing.happened")
    before = audit_seals.START
    for seal in AuditSeal.objects.order_by("number"):  # as somebody would who has only the database
        rows = list(seal.events.order_by("pk").values_list(*audit_seals.COLUMNS))
        before = audit_seals.digest_of(before, rows)
        AuditSeal.objects.filter(pk=seal.pk).update(
            sha256=before, signature=audit_seals.signature_of(before, "guessed")
        )
    assert len(problems()) == 3 and all("SECRET_KEY" in problem for problem in problems())


def test_a_missing_seal_shows(sealed):
    seal = AuditSeal.objects.get(number=2)
    seal.events.all().delete()
    seal.delete()
    assert "seals 2 to 2 before it are missing" in problems()


def test_a_former_secret_key_still_vouches(sealed, settings):
    former = settings.SECRET_KEY
    with override_settings(SECRET_KEY="n" * 50, SECRET_KEY_FALLBACKS=[former]):
        assert not problems()
    with override_settings(SECRET_KEY="n" * 50, SECRET_KEY_FALLBACKS=[]):
        assert problems()


def test_manage_verify_names_the_seal_and_fails(sealed, capsys):
    call_command("verify")
    AuditEvent.objects.filter(seal__number=2).update(action="x")
    with pytest.raises(CommandError):
        call_command("verify")
    assert "BAD  audit trail seal 2" in capsys.readouterr().out


SEALER = """
import django; django.setup()
from datetime import timedelta
from django.utils import timezone
from labeling.services import audit_seals
audit_seals.ROWS_PER_SEAL = 3
audit_seals.seal_events(now=timezone.now() + timedelta(minutes=2))
"""


@pytest.mark.django_db(transaction=True)
def test_several_sealers_at_once_make_one_chain(cast):
    write(cast, 60)
    environment = {**os.environ, "DATABASE_URL": database_url(), "DJANGO_SETTINGS_MODULE": "tests.settings"}
    sealers = [
        subprocess.Popen([sys.executable, "-c", SEALER], cwd=ROOT, env=environment, stderr=subprocess.PIPE)
        for _ in range(4)
    ]
    for sealer in sealers:
        _, error = sealer.communicate(timeout=120)
        assert sealer.returncode == 0, error.decode()
    seal_events(now=timezone.now() + timedelta(minutes=2))
    assert not problems()
    assert not AuditEvent.objects.filter(seal=None).exists()
    numbers = list(AuditSeal.objects.values_list("number", flat=True))
    assert numbers == list(range(1, len(numbers) + 1))

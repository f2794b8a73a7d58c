"""Writes compiled once leave the rows that QuerySet.update(), delete() and create() leave."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import F
from django.db.models.functions import Now
from django.db.models.signals import post_save
from django.forms.models import model_to_dict
from django.utils import timezone

from annotate.accounts.models import User
from annotate.prepared import Prepared, PreparedDelete, PreparedInsert, PreparedUpdate
from labeling.models import (
    AuditEvent,
    FormVersion,
    LedgerDay,
    Membership,
    Notification,
    Project,
)

pytestmark = [pytest.mark.django_db, pytest.mark.database]


def members(pk, now, role):
    return Membership.objects.filter(pk=pk), {"last_active_at": now, "role": role}


def test_an_update_changes_what_the_querysets_would(cast):
    mine, theirs = Membership.objects.order_by("pk")[:2]
    prepared = PreparedUpdate(members, pk=int, now=datetime | None, role=str)
    for now, role in ((timezone.now(), "lead"), (None, "annotator"), (timezone.now(), "lead")):
        assert prepared.run(pk=mine.pk, now=now, role=role) == 1
        rows, values = members(theirs.pk, now, role)
        assert rows.update(**values) == 1
        for each in (mine, theirs):
            each.refresh_from_db()
        assert (mine.last_active_at, mine.role) == (theirs.last_active_at, theirs.role) == (now, role)
    assert prepared.run(pk=0, now=None, role="lead") == 0


def test_every_kind_of_value_comes_through(cast):
    membership = cast.project.memberships.first()
    day = LedgerDay.objects.create(project=cast.project, user=cast.annotator, day=date(2026, 3, 1), work="x")
    add = PreparedUpdate(
        lambda pk, day, seconds: (
            LedgerDay.objects.filter(pk=pk),
            {"day": day, "seconds": F("seconds") + seconds},
        ),
        pk=int,
        day=date,
        seconds=int,
    )
    assert add.run(pk=day.pk, day=date(2026, 12, 31), seconds=5) == 1
    assert add.run(pk=day.pk, day=date(2026, 12, 31), seconds=-2) == 1
    day.refresh_from_db()
    assert (day.day, day.seconds) == (date(2026, 12, 31), 3)

    put_off = PreparedUpdate(
        lambda pk, by: (Membership.objects.filter(pk=pk), {"last_active_at": Now() + by}),
        pk=int,
        by=timedelta,
    )
    put_off.run(pk=membership.pk, by=timedelta(days=1, seconds=0.5))
    membership.refresh_from_db()
    assert abs(membership.last_active_at - timezone.now() - timedelta(days=1)) < timedelta(hours=1)

    store = PreparedUpdate(
        lambda pk, values: (Project.objects.filter(pk=pk), {"settings_json": values}), pk=int, values=dict
    )
    values = {"text": "100 % 'quoted' %s $1 ü\n", "list": [1, None, {"a": 0.5}]}
    store.run(pk=cast.project.pk, values=values)
    assert Project.objects.get(pk=cast.project.pk).settings_json == values


def test_values_are_values_and_never_sql(cast):
    rename = PreparedUpdate(
        lambda pk, name: (User.objects.filter(pk=pk), {"first_name": name}), pk=int, name=str
    )
    for text in ("'; DROP TABLE labeling_task; --", "%s %% $1", "\\'", "naïve 漢字"):
        rename.run(pk=cast.annotator.pk, name=text)
        assert User.objects.get(pk=cast.annotator.pk).first_name == text


def test_a_delete_deletes_those_rows_only(cast):
    for person in (cast.annotator, cast.lead):
        Notification.objects.create(user=person, kind="a", text="one")
    prepared = PreparedDelete(lambda user: Notification.objects.filter(user=user), user=int)
    assert prepared.run(user=cast.annotator.pk) == 1
    assert prepared.run(user=cast.annotator.pk) == 0
    assert Notification.objects.get().user == cast.lead


def test_an_insert_stores_what_create_stores(cast):
    fields = {
        "project": cast.project,
        "actor": cast.lead,
        "action": "test.done",
        "object_type": "project",
        "object_id": "7",
        "data": {"old": None, "new": ["100 %", {"n": 1}]},
    }
    prepared = PreparedInsert(AuditEvent)
    made = [prepared.create(**fields), AuditEvent.objects.create(**fields), prepared.create(**fields)]
    assert len({each.pk for each in made}) == 3
    assert len({each.created_at for each in made}) == 3  # of its own moment, not of the first
    stored = [AuditEvent.objects.get(pk=each.pk) for each in made]
    for each, read in zip(made, stored, strict=True):
        assert not each._state.adding
        assert (each.created_at, each.data) == (read.created_at, read.data)
    ids = [{**model_to_dict(each), "id": None} for each in stored]
    assert ids[0] == ids[1] == ids[2]
    assert prepared.create(**fields | {"project": None, "actor": None}).project_id is None


def test_an_insert_may_change_the_row_that_is_there(cast):
    before = cast.project.memberships.get(user=cast.annotator)
    count = Membership.objects.count()
    prepared = PreparedInsert(Membership, update=["role"], unique=["project", "user"])
    prepared.create(project=cast.project, user=cast.annotator, role="lead", max_tasks_per_day=3)
    after = cast.project.memberships.get(user=cast.annotator)
    assert (after.pk, after.role, after.max_tasks_per_day) == (before.pk, "lead", None)
    prepared.create(project=cast.project, user=cast.outsider, role="lead")
    assert cast.project.memberships.get(user=cast.outsider).role == "lead"
    assert Membership.objects.count() == count + 1


def test_a_broken_constraint_is_djangos_error(cast):
    prepared = PreparedInsert(Membership)
    with pytest.raises(IntegrityError), transaction.atomic():
        prepared.create(project=cast.project, user=cast.annotator, role="annotator")
    assert cast.project.memberships.filter(user=cast.annotator).count() == 1


def test_what_would_be_left_out_is_refused(cast):
    with pytest.raises(TypeError, match="more than an INSERT"):
        PreparedInsert(FormVersion).create(form=cast.project.forms.first(), number=9, layout="ranking")

    def heard(**_):
        raise AssertionError("not reached")

    post_save.connect(heard, sender=Notification)
    try:
        with pytest.raises(TypeError, match="more than an INSERT"):
            PreparedInsert(Notification).create(user=cast.lead, kind="a", text="b")
    finally:
        post_save.disconnect(heard, sender=Notification)
    with pytest.raises(TypeError, match="plain value"):
        PreparedInsert(AuditEvent).create(object_id=Now())
    with pytest.raises(TypeError, match="nothing hangs"):
        PreparedDelete(lambda pk: Project.objects.filter(pk=pk), pk=int).run(pk=0)


@pytest.mark.parametrize("value", ["1", True, None, datetime(2026, 1, 1, tzinfo=UTC)])
def test_values_of_another_kind_are_refused(value):
    prepared = PreparedUpdate(lambda pk: (User.objects.filter(pk=pk), {"first_name": "x"}), pk=int)
    with pytest.raises(TypeError):
        prepared.run(pk=value)


IS_POSTGRES = connection.vendor == "postgresql"


def on_the_server(statement: str) -> list[tuple]:
    """Runs on PostgreSQL only: SQLite prepares nothing on a server."""
    if not IS_POSTGRES:
        return []
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []


def prepared_there() -> set[str]:
    rows = on_the_server("SELECT name, statement FROM pg_prepared_statements")
    return {text for name, text in rows if name.startswith("annotate_")}


def test_the_server_prepares_each_statement_once_a_connection(cast):
    prepared = PreparedUpdate(members, pk=int, now=datetime | None, role=str)
    before = prepared_there()
    for pk in (1, 2, 3):
        prepared.run(pk=pk, now=None, role="lead")
    new = prepared_there() - before
    assert len(new) == IS_POSTGRES
    assert all("$1" in text for text in new)


@pytest.mark.django_db(transaction=True)
def test_what_somebody_dropped_on_the_server_is_made_anew(cast):
    prepared = PreparedUpdate(members, pk=int, now=datetime | None, role=str)
    prepared.run(pk=1, now=None, role="lead")
    on_the_server("DEALLOCATE ALL")
    pk = cast.project.memberships.get(user=cast.annotator).pk
    assert prepared.run(pk=pk, now=None, role="lead") == 1
    with transaction.atomic():
        assert prepared.run(pk=pk, now=None, role="lead") == 1


@pytest.mark.django_db(transaction=True)
def test_a_migration_under_a_connection_costs_no_error(cast):
    prepared = Prepared(lambda pk: User.objects.filter(pk=pk), pk=int)
    assert prepared.first(pk=cast.lead.pk) == cast.lead
    on_the_server("ALTER TABLE accounts_user ALTER COLUMN first_name TYPE varchar(151)")
    try:
        assert prepared.first(pk=cast.lead.pk) == cast.lead
        assert prepared.first(pk=cast.lead.pk) == cast.lead
    finally:
        on_the_server("ALTER TABLE accounts_user ALTER COLUMN first_name TYPE varchar(150)")


def test_a_site_behind_a_pooler_prepares_nothing(cast, settings):
    settings.DATABASE_PREPARE = False
    prepared = PreparedUpdate(members, pk=int, now=datetime | None, role=str)
    before = prepared_there()
    assert prepared.run(pk=cast.project.memberships.first().pk, now=None, role="lead") == 1
    assert prepared_there() == before

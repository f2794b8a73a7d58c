"""Queries compiled once answer as the querysets they were made of, whatever the values and the thread."""

from __future__ import annotations

import threading

import pytest
from django.db import IntegrityError, connection, connections, transaction
from django.db.models import Count, Exists, OuterRef, Value, signals
from django.test.utils import CaptureQueriesContext

from annotate.accounts.models import User
from annotate.prepared import Prepared, PreparedIn, PreparedInsert
from annotate.prepared.statements import with_constants
from labeling.models import Membership, Project

pytestmark = [pytest.mark.django_db, pytest.mark.database]


def members(project, role):
    return (
        Membership.objects.select_related("user", "project").filter(project=project, role=role).order_by("pk")
    )


def test_it_finds_what_the_queryset_finds_with_what_hangs_on_it(cast):
    prepared = Prepared(members, project=int, role=str)
    for project in Project.objects.all():
        for role in ("annotator", "lead", "admin", "nobody"):
            found = prepared.all(project=project.pk, role=role)
            expected = list(members(project.pk, role))
            assert found == expected
            for mine, theirs in zip(found, expected, strict=True):
                assert mine.__dict__.keys() == theirs.__dict__.keys()
                assert (mine.user, mine.project, mine.joined_at) == (
                    theirs.user,
                    theirs.project,
                    theirs.joined_at,
                )
                assert mine.project.settings_json == theirs.project.settings_json  # converted, not as stored
                assert mine._state.db == "default" and not mine._state.adding


def test_one_query_and_what_hangs_on_it_costs_none(cast):
    prepared = Prepared(members, project=int, role=str)
    prepared.all(project=cast.project.pk, role="lead")
    with CaptureQueriesContext(connection) as queries:
        [lead] = prepared.all(project=cast.project.pk, role="lead")
        assert lead.user.username and lead.project.slug
    assert len(queries) == 1


def test_rows_annotations_and_first(cast):
    def rows(user):
        mine = Membership.objects.filter(project=OuterRef("pk"), user=user)
        return Project.objects.annotate(n=Count("memberships"), is_mine=Exists(mine), one=Value(1)).order_by(
            "pk"
        )

    prepared = Prepared(rows, user=int)
    found = [(each.pk, each.n, each.is_mine, each.one) for each in prepared.all(user=cast.annotator.pk)]
    assert found == [(each.pk, each.n, each.is_mine, each.one) for each in rows(cast.annotator.pk)]
    lists = Prepared(lambda user: rows(user).values_list("slug", "is_mine"), user=int)
    assert lists.all(user=cast.annotator.pk) == list(rows(cast.annotator.pk).values_list("slug", "is_mine"))
    assert lists.first(user=cast.annotator.pk) == lists.all(user=cast.annotator.pk)[0]
    assert Prepared(lambda pk: User.objects.filter(pk=pk), pk=int).first(pk=0) is None


def test_values_are_values_and_never_sql(cast):
    prepared = Prepared(lambda name: User.objects.filter(username=name), name=str)
    assert prepared.all(name="' OR 1=1 --") == []
    assert prepared.first(name="anna") == cast.annotator


def test_it_is_compiled_once_and_answers_in_every_thread(transactional_db, make_user):
    user = make_user("ann")
    built = []

    def build(pk):
        built.append(pk)
        return User.objects.filter(pk=pk)

    prepared, found = Prepared(build, pk=int), []

    def ask() -> None:
        found.append(prepared.first(pk=user.pk))
        connections.close_all()

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [user] * 8 and len(built) == 1


def test_locks_are_kept(cast):
    prepared = Prepared(lambda pk: User.objects.select_for_update(no_key=True).filter(pk=pk), pk=int)
    with transaction.atomic(), CaptureQueriesContext(connection) as queries:
        prepared.first(pk=cast.lead.pk)
    text = queries[0]["sql"]  # on PostgreSQL it is prepared here, and executed by name
    assert ("FOR NO KEY UPDATE" in text) == connection.features.has_select_for_update


def test_lists_of_keys_of_any_length(cast):
    prepared = PreparedIn(lambda keys: User.objects.filter(pk__in=keys).order_by("pk"))
    everybody = list(User.objects.order_by("pk"))
    keys = [each.pk for each in everybody]
    for length in range(len(keys) + 1):
        assert prepared.all(keys[:length]) == everybody[:length]
    assert prepared.all([*keys, *range(10**6, 10**6 + 30)]) == everybody  # longer than any that is compiled


@pytest.mark.parametrize("name", ["it's", "100%", "%s", "a''b", '"', "ends with \\", "", "%%"])
def test_constants_of_any_text_are_asked_for_as_they_are(cast, name):
    User.objects.filter(pk=cast.peer.pk).update(display_name=name)
    prepared = Prepared(lambda pk: User.objects.filter(pk=pk, display_name=name), pk=int)
    assert prepared.all(pk=cast.peer.pk) == [cast.peer]
    assert Prepared(lambda pk: User.objects.filter(pk=pk, display_name=f"{name}x"), pk=int).all(pk=1) == []


def test_what_is_no_plain_constant_stays_a_parameter_and_holes_keep_their_places():
    given = ("a = %s AND b = %s AND c LIKE 'x%%' AND d = %s AND e = %s", [1.5, "y%", "hole", None], {2: 0})
    assert with_constants(*given) == (
        "a = %s AND b = 'y%%' AND c LIKE 'x%%' AND d = %s AND e = NULL", [1.5, "hole"], {1: 0}
    )  # fmt: skip
    assert with_constants("a = %s", ["nul\x00"], {}) == ("a = %s", ["nul\x00"], {})


def test_models_that_do_more_when_they_are_made_are_refused(cast):
    signals.post_init.connect(print, sender=Membership, dispatch_uid="test")
    try:
        with pytest.raises(TypeError, match="something of its own"):
            Prepared(lambda pk: Membership.objects.filter(pk=pk), pk=int).all(pk=1)
    finally:
        signals.post_init.disconnect(sender=Membership, dispatch_uid="test")
    with pytest.raises(TypeError, match="all columns"):
        Prepared(lambda pk: User.objects.only("username").filter(pk=pk), pk=int).all(pk=1)


def test_errors_are_djangos_own(cast):
    double = PreparedInsert(Membership)
    with pytest.raises(IntegrityError), transaction.atomic():
        double.create(project=cast.project, user=cast.annotator, role="annotator")
    with transaction.atomic():
        with pytest.raises(IntegrityError), transaction.atomic():
            double.create(project=cast.project, user=cast.annotator, role="annotator")
        transaction.set_rollback(True)
        with pytest.raises(transaction.TransactionManagementError):
            Prepared(lambda pk: User.objects.filter(pk=pk), pk=int).all(pk=1)
        transaction.set_rollback(False)


@pytest.mark.parametrize("values", [{}, {"pk": "1"}, {"pk": True}, {"pk": 1, "more": 2}, {"key": 1}])
def test_wrong_values_are_refused(values):
    with pytest.raises(TypeError):
        Prepared(lambda pk: User.objects.filter(pk=pk), pk=int).all(**values)


@pytest.mark.parametrize(
    "build",
    [
        lambda pk: User.objects.all(),  # never asks for the value
        lambda pk: User.objects.filter(pk__in=[pk + 1]),  # sends another
        lambda pk: User.objects.filter(pk=pk).prefetch_related("memberships"),
        lambda pk: User.objects.filter(pk=pk).values_list("pk", flat=True),
        lambda pk: User.objects.filter(pk=pk).values("pk"),
    ],
)
def test_querysets_that_cannot_be_prepared_are_refused(build):
    with pytest.raises(TypeError):
        Prepared(build, pk=int).all(pk=1)

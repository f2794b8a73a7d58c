"""Who somebody is can be erased; what they judged stays, and versions made of it verify and rebuild alike."""

from __future__ import annotations

import io
from datetime import timedelta

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone

from annotate.accounts.models import User
from annotate.accounts.services import create_api_token, update_profile
from annotate.errors import Conflict, Forbidden, Gone, Invalid
from labeling.models import (
    Assignment,
    AssignmentStatus,
    AuditEvent,
    AuditSeal,
    Comment,
    Draft,
    ImportUpload,
    LedgerEntry,
    Notification,
    SavedView,
    Submission,
    TaskKind,
    Webhook,
    WebhookDelivery,
)
from labeling.services import datasets, erasure, people, verification
from labeling.services.activity import notify, record_event
from labeling.services.audit_seals import seal_events
from labeling.services.comments import add_comment
from labeling.services.drafts import save_draft
from labeling.services.reviews import accept_submission
from labeling.services.told import Remark
from labeling.services.uploads import begin_upload
from labeling.talk import piece_of
from tests.factories import make_demonstration_batch, make_ranking_batch, make_user, publish_guideline

from .work import claim, do_next

pytestmark = [pytest.mark.django_db, pytest.mark.database]

USERNAME, EMAIL, NAME, HANDLE = "alindqvist", "anna.lindqvist@example.org", "Anna Lindqvist", "@AnnaLindqvist"
NAMES = (USERNAME, EMAIL, NAME, HANDLE, "Lindqvist", "lindqvist")


@pytest.fixture
def anna(cast) -> User:
    """Somebody of whom there is something in every place a name can get to."""
    _, token = people.invite_person(
        project=cast.project, email=EMAIL, role="annotator", acting_user=cast.lead
    )
    user = people.register_by_invitation(
        token=token, username=USERNAME, display_name=NAME, password="correct horse battery"
    )
    User.objects.filter(pk=user.pk).update(first_name="Anna", last_name="Lindqvist")
    EmailAddress.objects.create(user=user, email=EMAIL, primary=True, verified=True)
    Authenticator.objects.create(user=user, type="totp", data={"secret": "x"})
    create_api_token(user=user, name="Lindqvist's script")
    with transaction.atomic():  # as invitations did before
        record_event(
            action="invitation.sent", actor=cast.lead, obj=cast.project, project=cast.project, email=EMAIL
        )
        record_event(
            action="invitation.sent", actor=cast.lead, obj=cast.project, email=f"jo.{EMAIL}", project=None
        )
    publish_guideline(cast.project, TaskKind.DEMONSTRATION, readers=[user])
    make_demonstration_batch(cast.project, tasks=4, overlap=1, review_rate=1.0)
    first = do_next(user, cast.project)
    accept_submission(submission=first, revision=1, reviewer=cast.lead)
    accept_submission(submission=do_next(user, cast.project), revision=1, reviewer=cast.lead)
    make_ranking_batch(cast.project, tasks=1, k=3)
    publish_guideline(cast.project, TaskKind.RANKING, readers=[user])
    do_next(user, cast.project, kind=TaskKind.RANKING)
    slot = claim(user, cast.project, TaskKind.DEMONSTRATION)
    save_draft(task=slot.task, user=user, body={"text": "I, Anna Lindqvist, think"}, revision=1)
    add_comment(piece=piece_of(first), author=user, text="Why?")
    add_comment(piece=piece_of(first), author=cast.lead, text=f"Look, {HANDLE.upper()}, it is fine.")
    SavedView.objects.create(project=cast.project, owner=user, page="history", name="Lindqvist's")
    begin_upload(project=cast.project, kind="prompts", filename="l.jsonl", size_bytes=9, acting_user=user)
    hook = Webhook.objects.create(project=cast.project, url="https://example.org/", secret_sealed="x")
    WebhookDelivery.objects.create(
        webhook=hook, event="test", body=f'{{"to": "{EMAIL}"}}', next_try_at=timezone.now()
    )
    kind = ContentType.objects.get_for_model(User)
    LogEntry.objects.log_actions(cast.admin.pk, [user], CHANGE, f"Changed {EMAIL}.", single_object=True)
    assert LogEntry.objects.filter(content_type=kind, object_repr=NAME).exists()
    return User.objects.get(pk=user.pk)


def places_of(text: str) -> list[str]:
    """table.column of every cell of the database that holds the text, in any case."""
    found = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            for column in connection.introspection.get_table_description(cursor, table):
                name, holder = connection.ops.quote_name(column.name), connection.ops.quote_name(table)
                cursor.execute(
                    f"SELECT count(*) FROM {holder} WHERE lower(CAST({name} AS text)) LIKE %s",  # noqa: S608
                    [f"%{text.lower()}%"],
                )
                if cursor.fetchone()[0]:
                    found.append(f"{table}.{column.name}")
    return found


def problems() -> list[str]:
    return [
        f"{label}: {each}"
        for _, label, said in verification.verify_all()
        for each in said
        if not isinstance(each, Remark)
    ]


def erase(user: User, acting_user: User | None) -> erasure.Extent:
    return erasure.erase_person(user=user, acting_user=acting_user, confirmation=user.username)


def frozen(cast, kind: str = "sft"):
    dataset = datasets.create_dataset(
        project=cast.project, kind=kind, name=kind, recipe={}, acting_user=cast.admin
    )
    return datasets.freeze_dataset(dataset=dataset, acting_user=cast.admin)


def test_the_database_no_longer_knows_the_name_or_the_address(cast, anna):
    before = {name: places_of(name) for name in NAMES}
    assert "accounts_user.username" in before[USERNAME]
    expected = {
        "accounts_user.email", "account_emailaddress.email", "labeling_invitation.email",
        "labeling_auditevent.data", "labeling_webhookdelivery.body", "django_admin_log.change_message",
    }  # fmt: skip
    assert expected <= set(before[EMAIL])
    assert {"labeling_comment.text", "labeling_notification.text"} <= set(before[HANDLE])
    assert {"labeling_draft.body", "labeling_notification.text"} <= set(before[NAME])
    erase(anna, cast.admin)
    others = AuditEvent.objects.get(project=None, action="invitation.sent")
    assert others.data["email"] == f"jo.{EMAIL}"  # somebody else's
    AuditEvent.objects.filter(pk=others.pk).delete()
    assert {name: places_of(name) for name in NAMES} == {name: [] for name in NAMES}


def test_versions_verify_and_rebuild_to_the_same_bytes(cast, anna):
    versions = [frozen(cast), frozen(cast, "comparison")]
    seal_events(now=timezone.now() + timedelta(minutes=2))
    assert problems() == []
    judgments = list(Submission.objects.values("pk", "annotator__pseudonym", "status").order_by("pk"))
    time = list(LedgerEntry.objects.values("user", "seconds", "pieces", "day").order_by("pk"))
    erase(anna, cast.admin)
    assert problems() == []
    seal_events(now=timezone.now() + timedelta(minutes=2))
    assert problems() == []
    assert judgments == list(Submission.objects.values("pk", "annotator__pseudonym", "status").order_by("pk"))
    assert time == list(LedgerEntry.objects.values("user", "seconds", "pieces", "day").order_by("pk"))
    for version in versions:
        again = datasets.freeze_dataset(dataset=version.dataset, acting_user=cast.admin, force=True)
        assert again.sha256 == version.sha256 and again.pk != version.pk


def test_an_address_goes_from_sealed_rows_and_the_seals_still_tell_of_tampering(cast, anna):
    seal_events(now=timezone.now() + timedelta(minutes=2))
    event = AuditEvent.objects.get(data__email=EMAIL)
    assert event.seal is not None
    erase(anna, cast.admin)
    event.refresh_from_db()
    assert event.data == {"email": f"erased-{anna.pk}@erased.invalid"}
    told = AuditEvent.objects.get(action="person.erased").data
    assert told["rows"] == [event.pk] and set(told["blanked"]) == {str(event.seal.number)}
    remarks = [each for _, _, said in verification.verify_all() for each in said if isinstance(each, Remark)]
    assert any("was taken out of its rows" in each for each in remarks)
    assert problems() == []
    point = transaction.savepoint()
    for change in (
        {"data": {"email": "x@example.org"}}, {"action": "invitation.revoked"}, {"actor": cast.admin},
    ):  # fmt: skip
        AuditEvent.objects.filter(pk=event.pk).update(**change)
        [problem] = problems()
        assert problem.endswith("were changed, removed or added since an address was taken out of them")
        transaction.savepoint_rollback(point)
        point = transaction.savepoint()
    # With the database and without the key: nothing one writes into the seal or the trail makes it good.
    AuditSeal.objects.filter(pk=event.seal_id).update(blanked_sha256="", blanked_signature="")
    assert [each.split(": ")[1] for each in problems()] == [
        "rows under it, or the seal before it, were changed, removed or added"
    ]
    AuditSeal.objects.filter(pk=event.seal_id).update(blanked_sha256="0" * 64, blanked_signature="0" * 64)
    assert [each.split(": ")[1] for each in problems()] == [
        "an address was taken out of its rows, but not signed with this site's SECRET_KEY"
    ]
    transaction.savepoint_rollback(point)
    told = AuditEvent.objects.filter(action="person.erased").first()
    AuditEvent.objects.filter(pk=told.pk).update(data={})
    assert [each.split(": ")[1] for each in problems()] == [
        "an address was taken out of its rows, but no audit row of an erasure says so"
    ]


def test_a_seal_that_did_not_fit_is_not_made_to_fit(cast, anna):
    seal_events(now=timezone.now() + timedelta(minutes=2))
    event = AuditEvent.objects.get(data__email=EMAIL)
    other = AuditEvent.objects.filter(seal=event.seal).exclude(pk=event.pk).first()
    AuditEvent.objects.filter(pk=other.pk).update(object_id="0")
    assert "rows under it" in " ".join(problems())
    erase(anna, cast.admin)
    assert "rows under it" in " ".join(problems())
    assert places_of(EMAIL) == ["labeling_auditevent.data"]  # jo.anna's


def test_two_people_erased_under_one_seal(cast, anna):
    with transaction.atomic():
        record_event(
            action="invitation.sent", actor=cast.lead, obj=cast.project, project=cast.project,
            email=cast.peer.email,
        )  # fmt: skip
    seal_events(now=timezone.now() + timedelta(minutes=2))
    erase(anna, cast.admin)
    erase(cast.peer, cast.admin)
    assert problems() == []


def test_the_person_can_no_longer_get_in(cast, anna, settings):
    client, fresh = Client(), Client()
    client.force_login(anna)
    _, token = create_api_token(user=anna, name="more")
    assert client.get("/profile/").status_code == 200
    headers = {"authorization": f"Token {token}"}
    assert fresh.get("/api/me/", headers=headers).status_code == 200
    erase(anna, cast.admin)
    assert client.get("/profile/").status_code == 302
    assert fresh.get("/api/me/", headers=headers).status_code == 401
    for login in (USERNAME, EMAIL, anna.pseudonym):
        answer = fresh.post("/accounts/login/", {"login": login, "password": "correct horse battery"})
        assert answer.status_code == 200 and "_auth_user_id" not in fresh.session
    # A request that was on its way brings nothing back.
    with pytest.raises(Gone):
        update_profile(user=anna, display_name=NAME, timezone="UTC", theme="dark")
    with pytest.raises(Gone):
        create_api_token(user=anna, name="late")


def test_work_in_hand_is_free_again_and_what_was_handed_in_late_is_kept(cast, anna):
    late = Draft.objects.filter(user=anna).get()
    other = make_demonstration_batch(cast.project, tasks=1).tasks.get()
    Draft.objects.create(task=other, user=anna, body={"text": "too late"}, is_late=True)
    slot = Assignment.objects.get(task=late.task)
    Assignment.objects.filter(task=other).update(reserved_for=anna)
    extent = erase(anna, cast.admin)
    assert (extent.leases, extent.drafts, extent.late_answers, extent.submissions) == (1, 1, 1, 3)
    slot.refresh_from_db()
    assert (slot.status, slot.annotator) == (AssignmentStatus.OPEN, None)
    assert list(Draft.objects.filter(user=anna).values_list("task", flat=True)) == [other.pk]
    assert not Assignment.objects.filter(reserved_for=anna).exists()
    assert not ImportUpload.objects.filter(created_by=anna).exists()


def test_talk_goes_on_under_the_pseudonym(cast, anna):
    erase(anna, cast.admin)
    texts = list(Comment.objects.order_by("pk").values_list("text", flat=True))
    assert texts == ["Why?", f"Look, @{anna.pseudonym}, it is fine."]
    lines = Notification.objects.filter(user=cast.lead).values_list("text", flat=True)
    assert any(anna.pseudonym in line for line in lines)
    assert User.objects.get(pk=anna.pk).name == anna.pseudonym


def test_a_name_is_replaced_where_it_stands_as_a_word(cast, anna):
    User.objects.filter(pk=anna.pk).update(display_name="Ann", first_name="", last_name="")
    notify(user=cast.lead, kind="test", text="Ann asked about Annotator, Hann and ann")
    erase(User.objects.get(pk=anna.pk), cast.admin)
    line = Notification.objects.get(kind="test")
    assert line.text == f"{anna.pseudonym} asked about Annotator, Hann and ann"


def test_nobody_erases_themselves_or_the_last_administrator(cast, anna):
    with pytest.raises(Forbidden, match="Nobody erases themselves"):
        erase(cast.admin, cast.admin)
    root = make_user("root", is_superuser=True)
    with pytest.raises(Conflict, match="the site's last administrator"):
        erase(root, None)
    with pytest.raises(Conflict, match="The last admin of Tidy answers"):
        erase(cast.admin, root)
    with pytest.raises(Forbidden, match="one of its staff"):
        erase(cast.outsider, cast.admin)
    other = make_user("other-root", is_superuser=True)
    erase(root, other)
    with pytest.raises(Conflict, match="erased already"):
        erase(User.objects.get(pk=root.pk), other)


def test_an_admin_reaches_only_people_of_their_own_projects(cast, anna):
    _, token = people.invite_person(
        project=cast.other_project, email=EMAIL, role="annotator", acting_user=cast.outsider
    )
    people.accept_invitation(token=token, user=anna)
    with pytest.raises(Forbidden, match="projects that you are no admin of"):
        erase(anna, cast.admin)
    erase(anna, make_user("root", is_superuser=True))
    events = AuditEvent.objects.filter(action="person.erased")
    assert {each.project for each in events} == {cast.project, cast.other_project}


def test_the_user_name_has_to_be_typed(cast, anna):
    with pytest.raises(Invalid) as caught:
        erasure.erase_person(user=anna, acting_user=cast.admin, confirmation=NAME)
    assert caught.value.field == "confirm"
    assert User.objects.get(pk=anna.pk).username == USERNAME


def test_the_page_says_what_goes_and_what_stays(cast, anna):
    client = Client()
    client.force_login(cast.admin)
    member = cast.project.memberships.get(user=anna)
    page = f"/projects/{cast.project.slug}/people/{member.pk}/erase/"
    text = client.get(page).content.decode()
    for said in (EMAIL, "1 draft", "3 submissions", anna.pseudonym, "cannot erase", "backups"):
        assert said in text
    assert client.post(page, {"confirm": "anna"}).status_code == 422
    answer = client.post(page, {"confirm": USERNAME}, follow=True)
    assert answer.redirect_chain and "erased on" in answer.content.decode()
    again = client.get(page).content.decode()
    assert "erased already" in again and "Erase for good" not in again


def test_by_the_api(cast, anna):
    client = Client()
    client.force_login(cast.admin)
    member = cast.project.memberships.get(user=anna)
    url = f"/api/projects/{cast.project.slug}/members/{member.pk}/"
    assert client.get(f"{url}erasure/").json()["submissions"] == 3
    refused = client.post(f"{url}erasure/", {"confirm": "x"}, content_type="application/json")
    assert refused.status_code == 422 and refused.json()["error"]["field"] == "confirm"
    done = client.post(f"{url}erasure/", {"confirm": USERNAME}, content_type="application/json")
    assert done.status_code == 200 and done.json()["drafts"] == 1
    shown = client.get(url).json()
    assert shown["name"] == anna.pseudonym and shown["erased_at"] and shown["status"] == "removed"


def test_by_the_command(cast, anna, monkeypatch):
    with pytest.raises(CommandError, match="There is no person"):
        call_command("erase_person", "nobody")
    with pytest.raises(CommandError, match="Type their user name"):
        call_command("erase_person", USERNAME, confirm="other")
    out = io.StringIO()
    monkeypatch.setattr("builtins.input", lambda _question: USERNAME)
    call_command("erase_person", USERNAME, stdout=out)
    assert "3 submissions" in out.getvalue()
    call_command("verify", stdout=io.StringIO())


def test_nobody_brings_an_erased_person_back_to_work(cast, anna):
    erase(anna, cast.admin)
    member = cast.project.memberships.get(user=anna)
    with pytest.raises(Conflict, match="was erased"):
        people.resume_member(membership=member, acting_user=cast.admin)
    _, token = people.invite_person(
        project=cast.other_project, email=EMAIL, role="annotator", acting_user=cast.outsider
    )
    with pytest.raises(Gone, match="was erased"):  # a request of theirs that was on its way
        people.accept_invitation(token=token, user=anna)
    again = people.register_by_invitation(
        token=token, username=USERNAME, display_name=NAME, password="correct horse battery"
    )
    assert again.pk != anna.pk and again.pseudonym != anna.pseudonym  # they come back as somebody new


def test_mails_in_the_outbox_go(cast, anna, settings, tmp_path, django_capture_on_commit_callbacks):
    settings.EMAIL_FILE_PATH = tmp_path
    (tmp_path / "a.log").write_text(f"To: {EMAIL}\n")
    (tmp_path / "b.log").write_text(f"To: jo.{EMAIL}\n")
    with django_capture_on_commit_callbacks(execute=True):
        erase(anna, cast.admin)
    assert [path.name for path in tmp_path.iterdir()] == ["b.log"]

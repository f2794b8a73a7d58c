from datetime import timedelta

import pytest
from django.core import mail
from django.utils import timezone

from annotate.accounts.models import User
from annotate.errors import Conflict, Forbidden, Gone, NotFound
from labeling.models import AssignmentStatus, Invitation, MembershipStatus, Role
from labeling.services import people
from labeling.services.assignments import claim_next
from labeling.services.batch_control import close_batch
from labeling.services.task_control import assign_task
from tests.factories import make_demonstration_batch, make_user

pytestmark = [pytest.mark.django_db, pytest.mark.database]
PASSWORD = "a long enough secret"


def invite(cast, email="new@example.com", role=Role.ANNOTATOR, **fields):
    return people.invite_person(
        project=cast.project, email=email, role=role, acting_user=cast.admin, **fields
    )


def test_an_invitation_brings_a_new_person_in_once(cast, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        _, token = invite(cast, email="New@Example.com")
    assert token in mail.outbox[0].body
    user = people.register_by_invitation(token=token, username="new", display_name="New", password=PASSWORD)
    assert cast.project.memberships.get(user=user).role == Role.ANNOTATOR
    with pytest.raises(Gone):
        people.accept_invitation(token=token, user=user)


def test_only_the_hash_of_the_token_is_stored(cast):
    invitation, token = invite(cast)
    assert token not in str(Invitation.objects.filter(pk=invitation.pk).values())


def test_an_expired_a_revoked_and_an_unknown_token_say_so(cast):
    invitation, token = invite(cast)
    Invitation.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    with pytest.raises(Gone, match="expired"):
        people.find_invitation(token)
    invitation, token = invite(cast)
    people.revoke_invitation(invitation=invitation, acting_user=cast.admin)
    with pytest.raises(Gone, match="withdrawn"):
        people.find_invitation(token)
    with pytest.raises(NotFound):
        people.find_invitation("made-up")


def test_an_invitation_is_for_its_own_address_only(cast):
    _, token = invite(cast, email="somebody@example.com")
    with pytest.raises(Forbidden):
        people.accept_invitation(token=token, user=cast.outsider)
    assert not cast.project.memberships.filter(user=cast.outsider).exists()


def test_a_refused_registration_leaves_neither_account_nor_membership(cast):
    _, token = invite(cast)
    with pytest.raises(Exception, match="too short"):
        people.register_by_invitation(token=token, username="new", display_name="", password="short")
    assert not User.objects.filter(email="new@example.com").exists()
    assert people.find_invitation(token).is_open


def test_a_lead_invites_annotators_but_nobody_above(cast):
    lead = cast.project.memberships.get(user=cast.lead)
    with pytest.raises(Forbidden):
        invite(cast, role=Role.ADMIN, acting_membership=lead)
    invite(cast, role=Role.ANNOTATOR, acting_membership=lead)


def test_a_second_invitation_to_an_address_replaces_the_first(cast):
    _, first = invite(cast)
    invite(cast)
    with pytest.raises(Gone):
        people.find_invitation(first)


def test_a_project_keeps_an_active_admin(cast):
    admin = cast.project.memberships.get(user=cast.admin)
    for change in (
        lambda: people.change_role(membership=admin, role=Role.LEAD, acting_user=cast.admin),
        lambda: people.pause_member(membership=admin, acting_user=cast.admin),
        lambda: people.remove_member(membership=admin, acting_user=cast.admin),
    ):
        with pytest.raises(Conflict):
            change()


def test_pausing_somebody_frees_their_lease_at_once(cast):
    batch = make_demonstration_batch(cast.project, tasks=1)
    slot = batch.assignments.get()
    soon = timezone.now() + timedelta(minutes=5)
    batch.assignments.update(status=AssignmentStatus.LEASED, annotator=cast.annotator, lease_expires_at=soon)
    member = cast.project.memberships.get(user=cast.annotator)
    people.pause_member(membership=member, acting_user=cast.lead)
    slot.refresh_from_db()
    assert (slot.status, slot.annotator) == (AssignmentStatus.OPEN, None)
    member.refresh_from_db()
    assert member.status == MembershipStatus.PAUSED


def test_somebody_who_was_removed_can_be_invited_back(cast):
    member = cast.project.memberships.get(user=cast.annotator)
    people.remove_member(membership=member, acting_user=cast.admin)
    _, token = invite(cast, email=cast.annotator.email, role=Role.LEAD)
    back = people.accept_invitation(token=token, user=cast.annotator)
    assert (back.pk, back.status, back.role) == (member.pk, MembershipStatus.ACTIVE, Role.LEAD)


def test_the_invitation_page_makes_the_account_and_signs_in(cast, client):
    _, token = invite(cast)
    assert client.get(f"/invitations/{token}/").status_code == 200
    answer = client.post(
        f"/invitations/{token}/", {"username": "newbie", "display_name": "Newbie", "password": PASSWORD}
    )
    assert answer.status_code == 302
    assert answer["Location"] == f"/projects/{cast.project.slug}/work/"
    assert client.get("/projects/?all").status_code == 200


def test_the_invitation_page_shows_mistakes_next_to_the_field(cast, client):
    make_user("taken")
    _, token = invite(cast)
    answer = client.post(f"/invitations/{token}/", {"username": "taken", "password": PASSWORD})
    assert answer.status_code == 422
    assert "already exists" in answer.content.decode()


def test_what_a_lead_kept_for_somebody_who_is_paused_is_everybodys_again(cast):
    make_demonstration_batch(cast.project, tasks=1)
    member = cast.project.memberships.get(user=cast.annotator)
    assign_task(task=cast.project.tasks.get(), membership=member, acting_user=cast.lead)
    people.pause_member(membership=member, acting_user=cast.admin)
    assert claim_next(user=cast.peer, project=cast.project) is not None


def test_work_in_a_closed_batch_ends_with_the_one_who_had_it(cast):
    batch = make_demonstration_batch(cast.project, tasks=1)
    slot = claim_next(user=cast.annotator, project=cast.project)
    close_batch(batch=batch, acting_user=cast.lead)
    member = cast.project.memberships.get(user=cast.annotator)
    people.remove_member(membership=member, acting_user=cast.admin)
    slot.refresh_from_db()
    assert (slot.status, slot.task.status) == ("void", "closed")


def test_a_link_of_old_takes_nothing_from_a_member(cast):
    _, token = invite(cast, email="elsewhere@example.com")
    admin = cast.admin
    admin.email = "elsewhere@example.com"
    admin.save()
    with pytest.raises(Conflict, match="in this project already"):
        people.accept_invitation(token=token, user=admin)
    assert cast.project.memberships.get(user=admin).role == Role.ADMIN
    assert Invitation.objects.get(email=admin.email).accepted_at is None

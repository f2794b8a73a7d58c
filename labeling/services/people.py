"""Invitations and memberships. Nobody signs up by themselves."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.mail import send_mail
from django.core.validators import validate_email
from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from annotate.accounts.erasure import require_account
from annotate.accounts.models import User
from annotate.accounts.services import create_user
from annotate.errors import Conflict, Forbidden, Gone, Invalid, NotFound
from annotate.words import _, in_a_sentence, later
from labeling.models import (
    Invitation,
    Membership,
    MembershipStatus,
    Project,
    Role,
)

from .activity import notify, record_event
from .assignments import free_work_of

LONGEST_INVITATION_DAYS = 60


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def invitation_url(token: str) -> str:
    return settings.SITE_URL + reverse("labeling:invitation", args=[token])


@transaction.atomic
def invite_person(
    *,
    project: Project,
    email: str,
    role: str,
    acting_user,
    acting_membership: Membership | None = None,
    days: int = 7,
) -> tuple[Invitation, str]:
    """A single-use invitation, mailed after the commit. The token is returned once and only its hash is
    stored.

    An open invitation to the same address is replaced. Raises Invalid, Conflict (is a member already),
    Forbidden (a
    lead may invite annotators only).
    """
    email = email.strip().lower()
    try:
        validate_email(email)
    except ValidationError as error:
        raise Invalid("This is not an e-mail address.", field="email") from error
    if role not in Role.values:
        raise Invalid(_("Choose one of %(known)s.") % {"known": ", ".join(Role.values)}, field="role")
    if not 1 <= days <= LONGEST_INVITATION_DAYS:
        raise Invalid(_("Between 1 and %(most)s days.") % {"most": LONGEST_INVITATION_DAYS}, field="days")
    if acting_membership and role != Role.ANNOTATOR and not acting_membership.is_at_least(Role.ADMIN):
        raise Forbidden("A lead may invite annotators; an admin invites leads and admins.", field="role")
    standing = project.memberships.exclude(status=MembershipStatus.REMOVED)
    if standing.filter(user__email__iexact=email).exists():
        raise Conflict(_("%(email)s is in this project already.") % {"email": email}, field="email")
    now = timezone.now()
    project.invitations.open().filter(email=email).update(revoked_at=now)
    token = secrets.token_urlsafe(32)
    invitation = Invitation.objects.create(
        project=project,
        email=email,
        role=role,
        token_sha256=_hash(token),
        created_by=acting_user,
        expires_at=now + timedelta(days=days),
    )
    # The address is in the invitation alone, where it can be erased: audit rows are under seals.
    record_event(action="invitation.sent", actor=acting_user, obj=invitation, project=project, role=role)
    transaction.on_commit(lambda: _mail_invitation(invitation, token))
    return invitation, token


def _mail_invitation(invitation: Invitation, token: str) -> None:
    """In the language of whoever invites: what the guest reads is not known yet."""
    invites = _("%(who)s invites you to work on “%(project)s” as %(role)s.") % {
        "who": invitation.created_by.name,
        "project": invitation.project.name,
        "role": in_a_sentence(Role(invitation.role).label),
    }
    begin = _("Open this link to begin; it works once, until %(until)s UTC:") % {
        "until": f"{invitation.expires_at:%Y-%m-%d %H:%M}"
    }
    send_mail(
        subject=_("You are invited to %(project)s") % {"project": invitation.project.name},
        message=f"{invites}\n\n{begin}\n\n{invitation_url(token)}\n",
        from_email=None,
        recipient_list=[invitation.email],
        # The page shows the link as well: a mail server that is away must not undo an invitation.
        fail_silently=True,
    )


def find_invitation(token: str) -> Invitation:
    """The open invitation of a token. Raises NotFound, or Gone with the reason it can no longer be used."""
    invitation = (
        Invitation.objects.select_related("project", "created_by").filter(token_sha256=_hash(token)).first()
    )
    if invitation is None:
        raise NotFound("There is no such invitation.", hint="Check that the link was copied whole.")
    if invitation.accepted_at:
        raise Gone("This invitation was used already.", hint="If it was you, sign in.")
    if invitation.revoked_at:
        raise Gone("This invitation was withdrawn.", hint="Ask for a new one.")
    if not invitation.is_open:
        raise Gone("This invitation has expired.", hint="Ask for a new one.")
    return invitation


@transaction.atomic
def accept_invitation(*, token: str, user) -> Membership:
    """Bring the signed-in person into the project, once: of two at the same time one wins.

    Raises NotFound, Gone, Forbidden where the invitation is for another address, or Conflict where they are
    in the project: a link of old would take their role from them, or end a pause.
    """
    invitation = find_invitation(token)
    require_account(user)
    if user.email.lower() != invitation.email:
        raise Forbidden(
            _("This invitation is for %(email)s, and you are signed in as %(own)s.")
            % {"email": invitation.email, "own": user.email},
            hint="Sign out, then open the link again.",
        )
    standing = invitation.project.memberships.exclude(status=MembershipStatus.REMOVED)
    if standing.filter(user=user).exists():
        raise Conflict(_("%(email)s is in this project already.") % {"email": user.email})
    claimed = (
        Invitation.objects.open()
        .filter(pk=invitation.pk)
        .update(accepted_at=timezone.now(), accepted_by=user)
    )
    if claimed != 1:
        raise Gone("This invitation was used already.", hint="If it was you, sign in.")
    membership, created = Membership.objects.get_or_create(
        project=invitation.project, user=user, defaults={"role": invitation.role}
    )
    if not created:
        membership.role, membership.status = invitation.role, MembershipStatus.ACTIVE
        membership.save(update_fields=["role", "status"])
    record_event(
        action="invitation.accepted",
        actor=user,
        obj=invitation,
        project=invitation.project,
        user=user.pseudonym,
        role=invitation.role,
    )
    notify(
        user=invitation.created_by,
        project=invitation.project,
        kind="invitation.accepted",
        text=later(
            "%(who)s joined %(project)s as %(role)s.",
            who=user.name,
            project=invitation.project.name,
            role=in_a_sentence(Role(invitation.role).label),
        ),
        path=reverse("labeling:people", args=[invitation.project.slug]),
    )
    return membership


@transaction.atomic
def register_by_invitation(*, token: str, username: str, display_name: str, password: str) -> User:
    """A new account for the invited address, and the membership with it. Raises as the two steps do."""
    invitation = find_invitation(token)
    if User.objects.filter(email__iexact=invitation.email).exists():
        raise Conflict(
            _("There is an account for %(email)s.") % {"email": invitation.email},
            hint="Sign in, then open the link again.",
        )
    user = create_user(
        username=username, email=invitation.email, password=password, display_name=display_name
    )
    accept_invitation(token=token, user=user)
    return user


@transaction.atomic
def revoke_invitation(*, invitation: Invitation, acting_user) -> None:
    """Make an open invitation's link useless."""
    if Invitation.objects.open().filter(pk=invitation.pk).update(revoked_at=timezone.now()) != 1:
        raise Conflict("This invitation is no longer open.")
    record_event(action="invitation.revoked", actor=acting_user, obj=invitation, project=invitation.project)


@transaction.atomic
def change_role(*, membership: Membership, role: str, acting_user) -> Membership:
    """Give a member another role. A project always keeps an active admin."""
    if role not in Role.values:
        raise Invalid(_("Choose one of %(known)s.") % {"known": ", ".join(Role.values)}, field="role")
    if membership.role == Role.ADMIN and role != Role.ADMIN:
        _require_another_admin(membership)
    old, membership.role = membership.role, role
    membership.save(update_fields=["role"])
    record_event(
        action="membership.role_changed",
        actor=acting_user,
        obj=membership,
        project=membership.project,
        old={"role": old},
        new={"role": role},
    )
    return membership


def pause_member(*, membership: Membership, acting_user) -> Membership:
    """Hand out no more work; leases and slots kept for them are freed at once, history stays readable."""
    return _set_status(membership, MembershipStatus.PAUSED, acting_user)


def resume_member(*, membership: Membership, acting_user) -> Membership:
    return _set_status(membership, MembershipStatus.ACTIVE, acting_user)


def remove_member(*, membership: Membership, acting_user) -> Membership:
    """Take away access; leases and slots kept for them are freed at once, what they did stays."""
    return _set_status(membership, MembershipStatus.REMOVED, acting_user)


@transaction.atomic
def _set_status(membership: Membership, status: MembershipStatus, acting_user) -> Membership:
    if status == MembershipStatus.ACTIVE and membership.user.erased_at is not None:
        raise Conflict(_("This person was erased."), code="erased")
    if status != MembershipStatus.ACTIVE and membership.role == Role.ADMIN:
        _require_another_admin(membership)
    old, membership.status = membership.status, status
    membership.save(update_fields=["status"])
    freed: dict[str, list[int]] = {}
    if status != MembershipStatus.ACTIVE:
        # After the row is ours: a claim locks it first, so it has committed by now or will see the status.
        tasks = free_work_of(user=membership.user, project=membership.project)
        membership.freed_count = len(tasks)
        freed = {"freed_tasks": tasks} if tasks else {}
    record_event(
        action="membership.status_changed",
        actor=acting_user,
        obj=membership,
        project=membership.project,
        old={"status": old},
        new={"status": status},
        **freed,
    )
    return membership


def _require_another_admin(membership: Membership) -> None:
    # Lock all admins of the project in one order, so that two admins cannot remove each other at once.
    admins = list(
        Membership.objects.select_for_update()
        .filter(project=membership.project, role=Role.ADMIN, status=MembershipStatus.ACTIVE)
        .order_by("pk")
    )
    if all(admin.pk == membership.pk for admin in admins):
        raise Conflict(
            "A project needs at least one active admin.",
            hint="Make somebody else an admin first.",
            field="role",
        )

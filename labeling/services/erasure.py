"""Erasing a person's identity: who they were goes, what they judged stays under their pseudonym.

Dataset versions name people by pseudonym only, and digests of judgments hold ids only, so versions are
rebuilt to the same bytes and `manage.py verify` passes as before (decision 41).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from annotate.accounts.erasure import erase_account, erased_address, names_of, renamed
from annotate.accounts.models import ApiToken, User
from annotate.errors import Conflict, Forbidden, Invalid
from annotate.words import _
from labeling.models import (
    Assignment,
    AssignmentStatus,
    Comment,
    DefaultView,
    Draft,
    ImportUpload,
    Invitation,
    LedgerEntry,
    MemberLanguage,
    Membership,
    MembershipStatus,
    Notification,
    Project,
    Review,
    Role,
    SavedView,
    Submission,
    WebhookDelivery,
)
from labeling.talk import handle_of

from .activity import record_event
from .audit_blanking import blank_rows, find_rows_with
from .people import remove_member
from .uploads import cancel_upload


@dataclass(frozen=True)
class Extent:
    """How much of a person there is, over all projects."""

    projects: int
    leases: int  # goes
    drafts: int
    invitations: int
    notifications: int
    views: int
    tokens: int
    submissions: int  # stays
    reviews: int
    comments: int
    ledger_entries: int
    late_answers: int


def measure_extent(user: User) -> Extent:
    """A dozen counts."""
    drafts = Draft.objects.filter(user=user)
    leased = Assignment.objects.filter(annotator=user, status=AssignmentStatus.LEASED)
    return Extent(
        projects=user.memberships.count(),
        leases=leased.count(),
        drafts=drafts.filter(is_late=False).count(),
        invitations=Invitation.objects.filter(email__iexact=user.email).count(),
        notifications=Notification.objects.filter(user=user).count(),
        views=SavedView.objects.filter(owner=user).count(),
        tokens=ApiToken.objects.filter(user=user).count(),
        submissions=Submission.objects.filter(annotator=user).count(),
        reviews=Review.objects.filter(reviewer=user).count(),
        comments=Comment.objects.filter(author=user).count(),
        ledger_entries=LedgerEntry.objects.filter(user=user).count(),
        late_answers=drafts.filter(is_late=True).count(),
    )


def require_erasable(*, user: User, acting_user: User | None) -> None:
    """Raises Forbidden or Conflict with the reason why this person may not be erased, or not by this one.

    `acting_user` is None for the command, which whoever runs the site's machine calls.
    """
    if user.erased_at is not None:
        raise Conflict(_("This person was erased already."), code="erased")
    if acting_user is not None:
        _require_reach(user, acting_user)
    _require_another_superuser(user, User.objects.all())
    alone = _projects_of_which_alone_admin(user)
    if alone:
        raise Conflict(
            _("The last admin of %(projects)s.") % {"projects": ", ".join(alone)},
            hint=_("Make somebody else an admin there first."),
        )


def _require_reach(user: User, acting_user: User) -> None:
    """The site's administrators may; others where they are admins of all projects the person was ever in."""
    if user == acting_user:
        raise Forbidden(_("Nobody erases themselves."), hint=_("Ask another admin: it cannot be taken back."))
    if acting_user.is_superuser:
        return
    if user.is_superuser or user.is_staff:
        raise Forbidden(_("Only an administrator of the site may erase one of its staff."))
    mine = Membership.objects.filter(user=acting_user, role=Role.ADMIN, status=MembershipStatus.ACTIVE)
    if user.memberships.exclude(project__in=mine.values("project")).exists():
        raise Forbidden(
            _("They also belong to projects that you are no admin of."),
            hint=_("An administrator of the site can erase them."),
        )


def _require_another_superuser(user: User, people: QuerySet[User]) -> None:
    admins = people.filter(is_superuser=True, is_active=True).order_by("pk")
    if user.is_superuser and user.is_active and all(each.pk == user.pk for each in admins):
        raise Conflict(
            _("This is the site's last administrator."), hint=_("Make somebody else an administrator first.")
        )


def _projects_of_which_alone_admin(user: User) -> list[str]:
    admins = Membership.objects.filter(role=Role.ADMIN, status=MembershipStatus.ACTIVE)
    mine = admins.filter(user=user).values("project")
    shared = admins.exclude(user=user).values("project")
    return list(Project.objects.filter(pk__in=mine).exclude(pk__in=shared).values_list("name", flat=True))


def erase_person(*, user: User, acting_user: User | None, confirmation: str) -> Extent:
    """Erase who this person is, everywhere, for good; what was there. `confirmation` is their user name.

    1. The audit rows that hold their address are looked up: that reads the whole trail, so before the lock.
    2. Memberships end, by which leases are freed; what only they could see goes.
    3. Their name goes where it was written into lines for others.
    4. The account becomes the pseudonym; the audit row says what was done.

    Raises Invalid (confirmation), Forbidden and Conflict as require_erasable does.
    """
    if confirmation.strip() != user.username:
        raise Invalid(_("Type their user name, exactly as it is written."), field="confirm")
    require_erasable(user=user, acting_user=acting_user)
    rows = find_rows_with(user.email)
    uploads = list(ImportUpload.objects.filter(created_by=user))
    with transaction.atomic():
        extent = _erase(User.objects.get(pk=user.pk), acting_user, rows)
    for upload in uploads:
        cancel_upload(upload=upload)
    user.refresh_from_db()
    return extent


def _erase(user: User, acting_user: User | None, rows: list[int]) -> Extent:
    require_erasable(user=user, acting_user=acting_user)  # again, now that nobody else can change it
    extent, address = measure_extent(user), erased_address(user)
    memberships = list(user.memberships.select_related("project", "user").order_by("pk"))
    for membership in memberships:
        if membership.status != MembershipStatus.REMOVED:
            remove_member(membership=membership, acting_user=acting_user)
    Assignment.objects.filter(reserved_for=user, status=AssignmentStatus.OPEN).update(reserved_for=None)
    Draft.objects.filter(user=user, is_late=False).delete()
    SavedView.objects.filter(owner=user).delete()
    DefaultView.objects.filter(user=user).delete()
    MemberLanguage.objects.filter(membership__in=memberships).delete()
    Notification.objects.filter(user=user).delete()
    invited = Invitation.objects.filter(email__iexact=user.email)
    invited.open().update(revoked_at=timezone.now())
    invited.update(email=address)
    _rename_in_lines(user, [each.project_id for each in memberships])
    blanked = blank_rows(rows, text=user.email, by=address)
    # People are the last that anybody locks; two who erase one another at once meet here.
    _require_another_superuser(user, User.objects.select_for_update())
    erase_account(user=user)
    _record(user, acting_user, [each.project for each in memberships], *blanked)
    return extent


def _rename_in_lines(user: User, projects: list[int]) -> None:
    """Notifications of others, which say who did it; mentions in comments; what webhooks were sent."""
    names, handle = names_of(user), handle_of(user)
    mention = re.compile(rf"(?<![\w@]){re.escape(handle)}(?![\w-])", re.IGNORECASE)
    ours = f"@{user.pseudonym}"
    for comment in Comment.objects.filter(thread__project__in=projects, text__icontains=handle):
        comment.text = mention.sub(ours, comment.text)
        comment.save(update_fields=["text"])
    for name in [handle, *names]:
        for line in Notification.objects.filter(text__icontains=name):
            line.text = renamed(mention.sub(ours, line.text), names, user.pseudonym)[:300]
            line.save(update_fields=["text"])
    written = json.dumps(user.email, ensure_ascii=False)[1:-1]
    for delivery in WebhookDelivery.objects.filter(body__icontains=written):
        delivery.body = renamed(delivery.body, [written], erased_address(user))
        delivery.save(update_fields=["body"])


def _record(
    user: User,
    acting_user: User | None,
    projects: list[Project],
    rows: list[int],
    blanked: dict[str, str],
) -> None:
    """An audit row for each project they were in, so that its leads can read of it; the first one says which
    audit rows their address was taken out of."""
    told: dict[str, Any] = {"rows": rows, "blanked": blanked} if rows else {}
    everywhere: list[Project | None] = [*projects] if projects else [None]
    for project in everywhere:
        record_event(
            action="person.erased",
            actor=acting_user,
            obj=user,
            project=project,
            pseudonym=user.pseudonym,
            **told,
        )
        told = {}

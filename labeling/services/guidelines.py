"""Guidelines: drafted by leads, published as immutable versions, acknowledged before work."""

from __future__ import annotations

import hashlib

from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from annotate.errors import Conflict, Invalid, NotFound
from annotate.words import _, in_a_sentence, later
from labeling.models import (
    Guideline,
    GuidelineAcknowledgement,
    GuidelineVersion,
    MembershipStatus,
    Project,
    TaskKind,
)

from .activity import notify, record_event

LONGEST_GUIDELINE = 200_000  # characters


def _locked(project: Project, kind: str) -> Guideline:
    if kind not in TaskKind.values:
        raise Invalid(_("Choose one of %(known)s.") % {"known": ", ".join(TaskKind.values)}, field="kind")
    guideline = Guideline.objects.select_for_update().filter(project=project, kind=kind).first()
    if guideline is None:
        raise NotFound("This project has no such guideline.")
    return guideline


@transaction.atomic
def save_draft(*, project: Project, kind: str, markdown: str, revision: int, acting_user) -> Guideline:
    """Store the draft if nobody else has saved since `revision`; the new revision is in the answer.

    Raises Conflict with the stored text in its details when somebody has.
    """
    guideline = _locked(project, kind)
    if len(markdown) > LONGEST_GUIDELINE:
        raise Invalid(
            _("At most %(most)s characters.") % {"most": f"{LONGEST_GUIDELINE:,}"}, field="markdown"
        )
    if guideline.draft_revision != revision:
        raise Conflict(
            _("%(who)s has saved this draft since you opened it.") % {"who": guideline.draft_updated_by},
            code="stale_draft",
            field="markdown",
            hint="Your text is still in the editor. Compare, then save again.",
            details=[{"field": "markdown", "message": guideline.draft_markdown}],
        )
    guideline.draft_markdown = markdown.replace("\r\n", "\n")
    guideline.draft_revision += 1
    guideline.draft_updated_at, guideline.draft_updated_by = timezone.now(), acting_user
    guideline.save()
    return guideline


@transaction.atomic
def publish_version(
    *, project: Project, kind: str, acting_user, change_summary: str = ""
) -> GuidelineVersion:
    """Publish the draft as the next version, and tell the people who work under it.

    Raises Invalid for an empty draft, Conflict when it equals the current version.
    """
    guideline = _locked(project, kind)
    markdown = guideline.draft_markdown.strip()
    if not markdown:
        raise Invalid("The draft is empty.", field="markdown", hint="Write the guideline first.")
    current = guideline.current
    if current and current.markdown == markdown:
        raise Conflict(
            _("The draft is the same as version %(number)s.") % {"number": current.number},
            hint="Change it, then publish.",
        )
    version = GuidelineVersion.objects.create(
        guideline=guideline,
        number=current.number + 1 if current else 1,
        markdown=markdown,
        change_summary=change_summary.strip()[:300],
        sha256=hashlib.sha256(markdown.encode()).hexdigest(),
        published_by=acting_user,
    )
    record_event(
        action="guideline.published",
        actor=acting_user,
        obj=version,
        project=project,
        kind=kind,
        number=version.number,
        sha256=version.sha256,
    )
    path = reverse("labeling:guidelines", args=[project.slug])
    for membership in project.memberships.filter(status=MembershipStatus.ACTIVE).select_related("user"):
        if membership.user_id != acting_user.pk:
            notify(
                user=membership.user,
                project=project,
                kind="guideline.published",
                text=later(
                    "%(project)s: %(kind)s guideline, version %(number)s. %(what)s",
                    project=project.name,
                    kind=in_a_sentence(TaskKind(kind).label),
                    number=version.number,
                    what=version.change_summary or _("Please read it before your next task."),
                ),
                path=path,
            )
    return version


@transaction.atomic
def acknowledge_version(*, version: GuidelineVersion, user) -> GuidelineAcknowledgement:
    """The person says that they have read this version. Saying it twice changes nothing."""
    acknowledgement, created = GuidelineAcknowledgement.objects.get_or_create(version=version, user=user)
    if created:
        record_event(
            action="guideline.acknowledged",
            actor=user,
            obj=version,
            project=version.guideline.project,
            number=version.number,
        )
    return acknowledgement


def current_version(project: Project, kind: str) -> GuidelineVersion | None:
    """The version in force for a task kind, or None before the first is published."""
    return GuidelineVersion.objects.filter(guideline__project=project, guideline__kind=kind).first()

"""Drafts: what a person has typed so far. One per task and person; it outlives the lease."""

from __future__ import annotations

import json
from typing import Any

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from annotate.errors import Conflict, Gone, Invalid, NotFound
from annotate.words import _
from labeling.models import Assignment, AssignmentStatus, Draft, Membership, MembershipStatus, Skip, Task

from .slots import deadline, lost_lease

LARGEST_DRAFT = 2_000_000  # characters of its JSON
LONGEST_SITTING = 6 * 3600  # seconds; more on one task is a clock gone wrong, not work


class StaleDraft(Conflict):
    """Another window has saved since: carries the stored text beside the one that was refused."""

    default_code = "stale_draft"

    def __init__(self, *, stored: Draft, sent: dict[str, Any]) -> None:
        super().__init__(
            "This draft was changed in another window.",
            hint="Both texts are kept. Choose one, or merge them.",
            details=[
                {"field": "stored", "message": json.dumps(stored.body, ensure_ascii=False)},
                {"field": "sent", "message": json.dumps(sent, ensure_ascii=False)},
            ],
        )
        self.stored, self.sent = stored, sent

    def as_dict(self, request_id: str | None = None) -> dict[str, Any]:
        """The usual shape, and beside it what the page needs to show both texts."""
        return {
            **super().as_dict(request_id),
            "revision": self.stored.revision,
            "fields": self.stored.body,
        }


@transaction.atomic
def save_draft(*, task: Task, user, body: dict[str, Any], revision: int, active_seconds: int = 0) -> Draft:
    """Store the draft if it is still at `revision`; active work also puts off the lease's deadline.

    The same body twice is one save. Raises StaleDraft with both bodies, Gone after the task was submitted,
    skipped or closed, Conflict while it is returned and not taken up, NotFound for a task this person was
    never handed. Neither a lease that ran out nor a pause stops saving what was begun.
    """
    body = _checked(body)
    # The slot before the words, as skips and expiries lock them.
    slots = Assignment.objects.select_for_update(no_key=True, of=("self",)).select_related("project")
    slot = slots.filter(task=task, annotator=user).first()
    stored = Draft.objects.select_for_update(no_key=True).filter(task=task, user=user).first()
    not_at_work = (AssignmentStatus.SUBMITTED, AssignmentStatus.RETURNED, AssignmentStatus.VOID)
    if slot is not None and slot.status in not_at_work and not _mending_was_paused(slot, stored):
        raise lost_lease(slot, user)
    if stored is None:
        if slot is None:
            raise NotFound("There is no such task in your hands.")
        # Returned work that is taken up again, whose draft became a submission: a fresh one begins.
        stored = Draft.objects.create(task=task, user=user, counted_from=slot.leased_at)
    if Skip.objects.filter(task=task, user=user).exists() and (
        slot is None or slot.status != AssignmentStatus.LEASED
    ):
        raise Gone("You have skipped this task.", code="skipped")
    if stored.is_late:
        raise Gone("This task went to somebody else; your text is kept for a lead.", code="late")
    if stored.revision != revision and stored.body != body:
        raise StaleDraft(stored=stored, sent=body)
    if stored.body != body or active_seconds > stored.active_seconds:
        saved = Draft.objects.filter(pk=stored.pk, revision=stored.revision).update(
            body=body,
            revision=F("revision") + int(stored.body != body),
            active_seconds=max(stored.active_seconds, sane_seconds(active_seconds)),
            updated_at=timezone.now(),
        )
        stored.refresh_from_db()
        if saved != 1:
            raise StaleDraft(stored=stored, sent=body)
    if slot is not None and slot.status == AssignmentStatus.LEASED:
        mine = Assignment.objects.filter(pk=slot.pk, annotator=user, status=AssignmentStatus.LEASED)
        mine.update(lease_expires_at=deadline(slot.project))
    return stored


def _mending_was_paused(slot: Assignment, stored: Draft | None) -> bool:
    """Whether its author was paused while they mended returned work: their words are still taken."""
    if slot.status != AssignmentStatus.RETURNED or stored is None:
        return False
    members = Membership.objects.filter(project=slot.project_id, user=slot.annotator_id)
    return members.filter(status=MembershipStatus.PAUSED).exists()


def sane_seconds(value: int) -> int:
    """Active seconds as reported by a browser, within what one sitting can be."""
    return max(0, min(int(value), LONGEST_SITTING))


def _checked(body: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise Invalid("Send an object with the fields of the draft.", field="fields")
    body = _storable(body)
    if len(json.dumps(body)) > LARGEST_DRAFT:
        raise Invalid(
            _("A draft holds at most %(most)s characters.") % {"most": f"{LARGEST_DRAFT:,}"}, field="fields"
        )
    return body


def _storable(value: Any) -> Any:
    """What every database can store: a draft must not be refused for a stray character, so it is left out."""
    if isinstance(value, str):
        return value.replace("\x00", "").encode("utf-8", "ignore").decode()
    if isinstance(value, dict):
        return {_storable(str(key)): _storable(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_storable(each) for each in value]
    return value

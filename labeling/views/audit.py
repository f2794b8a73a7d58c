"""The audit trail for admins: who did what to which object, with old and new values."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import HttpRequest, HttpResponseBase
from django.urls import reverse

from annotate.accounts.models import User
from annotate.words import _
from labeling import list_columns
from labeling.access import project_route
from labeling.list_pages import answer_list
from labeling.listing import DateFilter, Filter, Listing
from labeling.models import AuditEvent, Project, action_in_words
from labeling.permissions import Action
from labeling.services.activity import SYSTEM

from .submissions import midnight

# Objects that have a page, by the name the trail has for them.
PAGES = {
    "batch": "labeling:batch_detail",
    "importrecord": "labeling:import_detail",
    "membership": "labeling:person",
    "prompt": "labeling:prompt_detail",
    "submission": "labeling:submission_detail",
    "task": "labeling:task_detail",
}


@project_route(Action.VIEW_AUDIT)
def audit(request: HttpRequest, *, project, membership) -> HttpResponseBase:
    listing = Listing(
        request,
        project.audit_events.select_related("actor"),
        sorts={"newest": (_("Newest first"), "-id"), "oldest": (_("Oldest first"), "id")},
        search=_search,
        filters=_filters(project),
    )
    if request.GET.get("format") != "csv":
        for event in listing.page:
            event.address = _address(project, event)
    return answer_list(request, "labeling/audit.html", listing, page="audit", columns=list_columns.AUDIT)


# --- Inside -------------------------------------------------------------------------------------------------
def _search(rows: QuerySet[AuditEvent], text: str) -> QuerySet[AuditEvent]:
    """A number or "submission 12" is an object, anything else a person."""
    kind, _blank, number = text.rpartition(" ")
    found = Q(object_id=text)
    for name in ("display_name", "username", "pseudonym"):
        found |= Q(**{f"actor__{name}__icontains": text})
    if kind:
        found |= Q(object_type=kind.lower().replace(" ", ""), object_id=number)
    return rows.filter(found)


def _filters(project: Project) -> list[Filter]:
    actions = project.audit_events.order_by("action").values_list("action", flat=True).distinct()
    return [
        Filter(
            "who",
            _("Who"),
            [("", _("Everybody")), *((str(each.pk), each.name) for each in _people(project)), _the_system()],
            apply=lambda rows, who: rows.filter(actor=None if who == SYSTEM else who),
        ),
        Filter(
            "action",
            _("What"),
            [("", _("All")), *((action, action_in_words(action)) for action in actions)],
        ),
        DateFilter("from", _("From"), apply=lambda rows, day: rows.filter(created_at__gte=midnight(day))),
        DateFilter(
            "to",
            _("To"),
            apply=lambda rows, day: rows.filter(created_at__lt=midnight(day) + timedelta(days=1)),
        ),
    ]


def _people(project: Project) -> QuerySet[User]:
    """Members, former ones too, and who acted here without being one: admins of the site. One query."""
    acted = AuditEvent.objects.filter(project=project, actor=OuterRef("pk"))
    is_member = Q(pk__in=project.memberships.values("user"))
    return User.objects.filter(is_member | Exists(acted)).order_by("display_name", "username")


def _the_system() -> tuple[str, str]:
    return SYSTEM, _("The system")


def _address(project: Project, event: AuditEvent) -> str:
    """The page of what it was done to; "" where that has none."""
    if event.object_type not in PAGES or not event.object_id.isdigit():
        return ""
    return reverse(PAGES[event.object_type], args=[project.slug, int(event.object_id)])

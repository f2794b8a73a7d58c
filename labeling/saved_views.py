"""Read side of saved views: which of a list's views somebody sees, and with which it opens."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Q
from django.urls import reverse

from .models import DefaultView, Membership, Project, Role, SavedView

# Lists that can be kept as a view: their name and the route of their page.
LISTS = {
    "people": "labeling:people",
    "history": "labeling:history",
    "batches": "labeling:batches",
    "prompts": "labeling:prompts",
    "review": "labeling:review_queue",
    "submissions": "labeling:submissions",
    "appeals": "labeling:appeals",
    "gold": "labeling:gold",
    "disagreements": "labeling:quality_items",
    "skipped": "labeling:tasks_skipped",
    "audit": "labeling:audit",
    "comments": "labeling:comment_threads",
    "imports": "labeling:imports",
    "datasets": "labeling:datasets",
    "tasks": "labeling:batch_detail",
    "skips": "labeling:person_skips",
    "time": "labeling:person_time",
    "webhooks": "labeling:webhooks",
    "deliveries": "labeling:webhook",
    "runs": "training:runs",
    "rounds": "training:rounds",
    "checkpoints": "training:checkpoints",
}
# Lists of one's own that span projects: their views belong to no project and are shared with nobody.
OWN_LISTS = {
    "projects": "labeling:project_list",
    "notifications": "labeling:notifications",
}
# Of these there is one for each batch, person or webhook: a view of one opens in each of them.
OF_ONE = {"tasks", "skips", "time", "deliveries"}


@dataclass(frozen=True)
class Views:
    """What the controls of a list show of views. `is_default`: the one that is open opens by itself.

    `of`: the key of the batch, person or webhook whose list it is; None for a list of the project.
    """

    project: Project | None
    page: str
    of: int | None
    rows: list[SavedView]
    current: SavedView | None
    is_default: bool
    may_share: bool

    @property
    def save_url(self) -> str:
        return self._url("save")

    @property
    def default_url(self) -> str:
        return self._url("default", self.current)

    @property
    def delete_url(self) -> str:
        return self._url("delete", self.current)

    def _url(self, verb: str, view: SavedView | None = None) -> str:
        of_view = [] if view is None else [view.pk]
        if self.project is None:
            return reverse(f"labeling:own_view_{verb}", args=of_view)
        return reverse(f"labeling:view_{verb}", args=[self.project.slug, *of_view])


def visible_views(*, project: Project | None, user, is_lead: bool):
    """One's own views, and for leads those that are shared."""
    seen = Q(owner=user) | Q(is_shared=True) if is_lead else Q(owner=user)
    return SavedView.objects.filter(seen, project=project).select_related("owner")


def lists_of(project: Project | None) -> dict[str, str]:
    """Lists of a project, or without one those that span projects."""
    return OWN_LISTS if project is None else LISTS


def page_address(*, project: Project | None, page: str, of: int | None = None) -> str:
    """Where a list is; `of` says whose it is where there are several."""
    if project is None:
        return reverse(OWN_LISTS[page])
    return reverse(LISTS[page], args=[project.slug, of] if page in OF_ONE else [project.slug])


def views_for(
    *,
    project: Project | None,
    user,
    page: str,
    membership: Membership | None,
    current: str = "",
    of: int | None = None,
) -> Views:
    """Two queries."""
    is_lead = membership is not None and membership.is_at_least(Role.LEAD)
    rows = list(visible_views(project=project, user=user, is_lead=is_lead).filter(page=page))
    opened = next((row for row in rows if str(row.pk) == current), None)
    default = DefaultView.objects.filter(project=project, user=user, page=page).values_list("view", flat=True)
    is_default = opened is not None and opened.pk == default.first()
    return Views(project, page, of, rows, opened, is_default, is_lead)


def default_view(*, project: Project | None, user, page: str) -> SavedView | None:
    """The view with which a list opens for somebody; none that is not theirs or shared any more."""
    found = DefaultView.objects.filter(project=project, user=user, page=page).select_related("view").first()
    if found is None or (found.view.owner_id != user.pk and not found.view.is_shared):
        return None
    return found.view

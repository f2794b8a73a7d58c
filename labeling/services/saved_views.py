"""Views of lists: kept under a name, shared with the project's leads, opened by default, taken away."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode

from django.db import transaction

from annotate.errors import Forbidden, Invalid, NotFound
from annotate.names import check_name
from annotate.words import _
from labeling.models import DefaultView, Membership, Project, Role, SavedView
from labeling.saved_views import lists_of, visible_views

from .activity import record_event
from .judgments import clean_line

LONGEST_NAME, LONGEST_QUERY = 80, 1000
MOST_VIEWS = 100  # of one person and list
NOT_KEPT = {"page", "view", "format", "csrfmiddlewaretoken"}


@transaction.atomic
def save_view(
    *,
    project: Project | None,
    membership: Membership | None,
    acting_user,
    page: str,
    name: str,
    query: str,
    is_shared: bool = False,
    is_default: bool = False,
) -> SavedView:
    """Keep a list's query under a name; the same name again replaces one's own. Sharing needs a lead.

    Without a project: of a list that spans projects.
    """
    known = lists_of(project)
    if page not in known:
        raise Invalid(_("Choose one of %(known)s.") % {"known": ", ".join(known)}, field="page")
    name = check_name(clean_line(name, "name", LONGEST_NAME))
    if not name:
        raise Invalid("Give the view a name.", field="name")
    if is_shared and not (membership is not None and membership.is_at_least(Role.LEAD)):
        raise Forbidden("Only leads share views.", field="is_shared")
    own = SavedView.objects.filter(project=project, owner=acting_user, page=page)
    if own.exclude(name=name).count() >= MOST_VIEWS:
        raise Invalid(
            _("At most %(most)s views of one list.") % {"most": MOST_VIEWS},
            hint="Delete one first.",
            field="name",
        )
    view, _made = SavedView.objects.update_or_create(
        project=project,
        owner=acting_user,
        page=page,
        name=name,
        defaults={"query": clean_query(query), "is_shared": is_shared},
    )
    record_event(
        action="view.saved",
        actor=acting_user,
        obj=view,
        project=project,
        page=page,
        name=name,
        query=view.query,
        is_shared=is_shared,
    )
    if is_default:
        _open_with(view, acting_user)
    return view


@transaction.atomic
def set_default(*, view: SavedView, acting_user, is_default: bool = True) -> None:
    """Open the list with this view from now on, or no more."""
    if is_default:
        _open_with(view, acting_user)
    else:
        DefaultView.objects.filter(project=view.project, user=acting_user, view=view).delete()
    record_event(
        action="view.default_set" if is_default else "view.default_cleared",
        actor=acting_user,
        obj=view,
        project=view.project,
        page=view.page,
    )


@transaction.atomic
def delete_view(*, view: SavedView, acting_user) -> None:
    """Take one's own view away, also for those it was shared with. Raises Forbidden for another's."""
    if view.owner_id != acting_user.pk:
        raise Forbidden("Only its owner deletes a view.", hint="Save one of your own.")
    record_event(
        action="view.deleted",
        actor=acting_user,
        obj=view,
        project=view.project,
        page=view.page,
        name=view.name,
    )
    view.delete()


def find_view(*, project: Project | None, membership: Membership | None, user, pk: int) -> SavedView:
    """One of the views this person sees. Raises NotFound."""
    is_lead = membership is not None and membership.is_at_least(Role.LEAD)
    view = visible_views(project=project, user=user, is_lead=is_lead).filter(pk=pk).first()
    if view is None:
        raise NotFound("There is no such view.")
    view.project = project
    return view


def clean_query(query: str) -> str:
    """A query string without what belongs to one visit, in a form that goes into any address."""
    pairs = _pairs(query)
    kept = urlencode([(name, value.replace("\0", "")) for name, value in pairs if name not in NOT_KEPT])
    if len(kept) > LONGEST_QUERY:
        raise Invalid("This search is too long to be kept.", field="query")
    return kept


def _open_with(view: SavedView, user) -> None:
    DefaultView.objects.update_or_create(
        project=view.project, user=user, page=view.page, defaults={"view": view}
    )


def _pairs(query: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(str(query).lstrip("?"), errors="replace", max_num_fields=50)
    except ValueError as error:
        raise Invalid("This search has too many parts to be kept.", field="query") from error

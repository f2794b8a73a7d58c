"""What the API's views of both apps share: the project in the path, and a policy named by the class."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from rest_framework import mixins, viewsets
from rest_framework.exceptions import MethodNotAllowed
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.permissions import BasePermission
from rest_framework.serializers import ListSerializer, Serializer

from annotate.api.filters import own_parameters, refuse_unknown
from annotate.errors import Invalid
from annotate.words import _
from labeling.models import Membership, Project
from labeling.permissions import Action, load_project

_threads = threading.local()
CSRF_FIELD = "csrfmiddlewaretoken"  # of forms that a page sends
PROJECT = "projects/<slug:slug>/"  # where the routes of a project begin
# What the verbs of a route do in its viewset.
LIST: dict[str, Any] = {"get": "list"}
LIST_CREATE: dict[str, Any] = {"get": "list", "post": "create"}
ONE: dict[str, Any] = {"get": "retrieve"}


class NamedPolicy(BasePermission):
    """Asks the policy of the view for the action at hand; an action without one is refused (deny by
    default).
    """

    def has_permission(self, request, view) -> bool:
        if not request.user.is_authenticated:
            return False
        action = view.policy_of(request)
        if action is None and not hasattr(view, request.method.lower()):
            raise MethodNotAllowed(request.method)
        if action is None:
            return False
        view.project, view.membership = load_project(request.user, view.kwargs["slug"], action)
        return True


class ProjectViewMixin:
    """For viewsets and APIViews under /api/projects/{slug}/.

    `policy` maps a viewset action ("list", "create", "submit") or an HTTP method ("get", "post") to an
    Action.
    After the permission check `self.project` and `self.membership` are set; querysets start from the project.
    `own_parameters` maps names as of `policy` to what a list is asked by in the address, where neither its
    filters nor valid_query say so: nothing else is taken (annotate.api.filters).
    """

    policy: ClassVar[dict[str, Action]] = {}
    own_parameters: ClassVar[dict[str, tuple[str, ...]]] = {}
    permission_classes: Sequence[Any] = [NamedPolicy]
    request: Any  # DRF's, of somebody who is signed in
    project: Project
    membership: Membership

    def policy_of(self, request) -> Action | None:
        name = getattr(self, "action", None) or request.method.lower()
        return self.policy.get(name)

    def initial(self, request, *args, **kwargs) -> None:
        super().initial(request, *args, **kwargs)  # type: ignore[misc]  # of the view beside it
        own = own_parameters(self)
        if own is not None:
            refuse_unknown(request, own)


class ProjectRows(
    ProjectViewMixin, mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet
):
    """List and retrieve of rows that belong to the project in the path."""


class AnyAccept(BaseContentNegotiation):
    """For downloads: `?format=` names our export format, not a renderer, and any Accept header will do."""

    def select_parser(self, request, parsers):
        return parsers[0]

    def select_renderer(self, request, renderers, format_suffix=None):
        return renderers[0], renderers[0].media_type


LONGEST_KEY = 200  # characters of what is one of a list: a reason, a flag, a margin, a check


def valid_input(serializer_class: type[Serializer], request) -> dict[str, Any]:
    """The request's body in the serializer's shape. Raises DRF's ValidationError, answered as 422, and
    Invalid (422) for names that the serializer takes no value for: left out in silence they pass for done.
    """
    taken = _kept(serializer_class)
    if unknown := sorted(_not_taken(taken, request.data)):
        message = _("This request takes no %(name)s.")
        names = sorted(name for name, each in taken.fields.items() if not each.read_only)
        raise Invalid(
            message % {"name": unknown[0][:80]},
            code="unknown_field",
            field=unknown[0][:80],
            hint=str(_("It takes: %(known)s.") % {"known": ", ".join(names)}),
            details=[{"field": name[:80], "message": message % {"name": name[:80]}} for name in unknown[:20]],
        )
    return _valid(serializer_class, request.data)


def valid_query(serializer_class: type[Serializer], request) -> dict[str, Any]:
    """The address's query in the serializer's shape. Raises as valid_input does, and Invalid (400) for names
    that the serializer does not know."""
    refuse_unknown(request, _kept(serializer_class).fields)
    return _valid(serializer_class, request.query_params)


def shaped(serializer_class: type[Serializer], row: Any) -> dict[str, Any]:
    """What the serializer makes of one row; it may know nothing of the request."""
    return _kept(serializer_class).to_representation(row)


def _not_taken(taken: Any, sent: Any, place: str = "") -> Iterator[str]:
    """Where `sent` names what the serializer does not take: "status", or "prompts.0.status" further in."""
    if isinstance(taken, ListSerializer) and isinstance(sent, list):
        for number, each in enumerate(sent):
            yield from _not_taken(taken.child, each, f"{place}{number}.")
    elif isinstance(taken, Serializer) and isinstance(sent, Mapping):
        for name in sent:
            field = taken.fields.get(name)
            if field is None or field.read_only:
                if name != CSRF_FIELD:
                    yield f"{place}{name}"
            else:
                yield from _not_taken(field, sent[name], f"{place}{name}.")


def _valid(serializer_class: type[Serializer], data: Any) -> dict[str, Any]:
    return _kept(serializer_class).run_validation(data)


def _kept(serializer_class: type[Serializer]) -> Serializer:
    """One instance a thread: making one copies all its fields, which costs more than what it does then."""
    kept = _threads.__dict__.setdefault("serializers", {})
    if serializer_class not in kept:
        kept[serializer_class] = serializer_class()
    return kept[serializer_class]

"""What the API's views of both apps share: the project in the path, and a policy named by the class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from rest_framework import mixins, viewsets
from rest_framework.exceptions import MethodNotAllowed
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.permissions import BasePermission

from annotate.api.filters import own_parameters, refuse_unknown
from labeling.models import Membership, Project
from labeling.permissions import Action, load_project

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

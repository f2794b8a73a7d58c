"""How routes name their policy, for pages of both apps. tests/security/test_routes.py knows every route
by it.

    @project_route(Action.REVIEW)
    def review_queue(request, project, membership): ...

Public and merely signed-in routes are marked with `public_route` and `signed_in_route`. That nobody gets
in without
signing in is the middleware's business (annotate.middleware.SignInRequiredMiddleware): it covers every
view but public ones.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponseBase
from django.views.decorators.http import require_http_methods

from .permissions import Action, load_project

View = Callable[..., HttpResponseBase]


def public_route(view: View) -> View:
    """Anybody may call it, signed in or not."""
    view.route_policy = "public"  # type: ignore[attr-defined]
    return login_not_required(view)


def signed_in_route(view: View) -> View:
    """Needs a signed-in person; the view scopes its rows to them."""
    view.route_policy = "signed in"  # type: ignore[attr-defined]
    return view


def project_route(action: Action, methods: tuple[str, ...] = ("GET", "HEAD")) -> Callable[[View], View]:
    """Loads the project named by `slug` for `action` and passes project and membership to the view.

    Answers 404 to people outside the project, 403 to members whose role does not reach, 405 to other methods.
    """

    def decorate(view: View) -> View:
        @functools.wraps(view)
        def guarded(request: HttpRequest, slug: str, **kwargs) -> HttpResponseBase:
            project, membership = load_project(request.user, slug, action)
            request.project, request.membership = project, membership  # type: ignore[attr-defined]
            return view(request, project=project, membership=membership, **kwargs)

        wrapped = require_http_methods(list(methods))(guarded)
        wrapped.route_policy = action  # type: ignore[attr-defined]
        wrapped.route_methods = tuple(m for m in methods if m != "HEAD")  # type: ignore[attr-defined]
        return wrapped

    return decorate

"""Pages of the site itself: the front door, health, the gallery of components."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.core.cache import caches
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from annotate.accounts.services import is_setup_open
from annotate.cache import TolerantRedisCache
from annotate.errors import NotFound


@login_not_required
@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """Sends a person to their projects, a stranger to sign-in, and the first visitor to set-up."""
    if request.user.is_authenticated:
        return redirect("labeling:project_list")
    return redirect("setup" if is_setup_open() else settings.LOGIN_URL)


@login_not_required
@never_cache
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """This process answers; nothing else is asked."""
    return HttpResponse("ok", content_type="text/plain")


@login_not_required
@never_cache
@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """200 where requests can be served: the database answers and its tables are current; else 503.

    A missing Redis does not make us unready: labeling goes on and runs wait.
    """
    checks: dict[str, str] = {}
    ready = True
    try:
        executor = MigrationExecutor(connection)
        pending = executor.migration_plan(executor.loader.graph.leaf_nodes())
        checks["database"] = "ok"
        checks["migrations"] = f"{len(pending)} pending" if pending else "ok"
        ready = not pending
    except DatabaseError:
        checks["database"] = "unreachable"
        ready = False
    if settings.REDIS_URL:
        redis = caches["default"]
        answers = isinstance(redis, TolerantRedisCache) and redis.is_reachable()
        checks["redis"] = "ok" if answers else "unreachable"
    response = JsonResponse({"ready": ready, "checks": checks}, status=200 if ready else 503)
    if not ready:
        response["Retry-After"] = "5"
    return response


@login_not_required
@require_safe
def design(request: HttpRequest) -> HttpResponse:
    """Every component on one page, for those who build pages. Only where DEBUG is on."""
    if not settings.DEBUG:
        raise NotFound("There is nothing here.")
    return render(request, "components/gallery.html")

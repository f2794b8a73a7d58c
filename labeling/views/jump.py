"""What the command palette lists (static/js/palette.js)."""

from __future__ import annotations

from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe

from labeling.access import signed_in_route
from labeling.jumping import targets
from labeling.models import Project
from labeling.permissions import membership_of


@signed_in_route
@require_safe
def jump(request: HttpRequest) -> JsonResponse:
    """`?q=…&project=SLUG`: where this person may go. A project they are no member of adds nothing."""
    project = Project.objects.filter(slug=_asked(request, "project")).first()
    membership = membership_of(request.user, project) if project is not None else None
    found = targets(user=request.user, membership=membership, query=_asked(request, "q"))
    response = JsonResponse({"targets": found})
    response["Cache-Control"] = "private, no-store"
    return response


def _asked(request: HttpRequest, name: str) -> str:
    return request.GET.get(name, "").replace("\x00", "")  # PostgreSQL takes no NUL

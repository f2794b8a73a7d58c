"""The statements of a hand-out, compiled once (annotate.prepared); used by services.assignments."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db.models import F
from django.db.models.functions import Now

from annotate.prepared import Prepared, PreparedUpdate
from labeling.models import Assignment, AssignmentStatus, Project

from .forms import version_in_force
from .slots import deadline, lease_time

CLAIMED = Prepared(
    lambda pk: Assignment.objects.select_related(
        "task__prompt", "batch", "guideline_version", "form_version"
    ).filter(pk=pk),
    pk=int,
)


def lease_fields(user, expires_at, presentation, version, form_version) -> dict[str, Any]:
    """What a slot becomes when it is handed out; `user`, `version` and `form_version` by key."""
    return {
        "status": AssignmentStatus.LEASED,
        "annotator_id": user,
        "fence": F("fence") + 1,
        "leased_at": Now(),
        "lease_expires_at": expires_at,
        "presentation": presentation,
        "guideline_version_id": version,
        "form_version_id": form_version,
        "handout_rank": 0,
    }


LEASE_OPEN = PreparedUpdate(
    lambda pk, fence, user, lease, presentation, version, project, layout: (
        Assignment.objects.filter(pk=pk, fence=fence, status=AssignmentStatus.OPEN, annotator=None),
        lease_fields(user, Now() + lease, presentation, version, version_in_force(project, layout)),
    ),
    pk=int,
    fence=int,
    user=int,
    lease=timedelta,
    presentation=dict,
    version=int | None,
    project=int,
    layout=str,
)


def store_lease(
    assignment: Assignment, user, project: Project, presentation: dict[str, Any], version_id: int | None
) -> int:
    """Lease a slot that is still as it was read; how many there were (1 or 0)."""
    layout = str(assignment.batch.layout)
    if assignment.status == AssignmentStatus.OPEN:
        return LEASE_OPEN.run(
            pk=assignment.pk,
            fence=assignment.fence,
            user=user.pk,
            lease=lease_time(project),
            presentation=presentation,
            version=version_id,
            project=project.pk,
            layout=layout,
        )
    as_read = Assignment.objects.filter(pk=assignment.pk, status=assignment.status, fence=assignment.fence)
    form_version = version_in_force(project, layout)
    return as_read.update(**lease_fields(user.pk, deadline(project), presentation, version_id, form_version))

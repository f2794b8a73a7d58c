"""Read side: returned work that nobody mends. It waits for a lead, who decides on it anew.

Nothing is stored of it: who is back from a pause finds their returned work as it was (docs/decisions/0047).
"""

from __future__ import annotations

from django.db.models import Exists, OuterRef, QuerySet

from .models import (
    Appeal,
    Assignment,
    AssignmentStatus,
    Membership,
    MembershipStatus,
    Project,
    Skip,
    Submission,
    SubmissionStatus,
    TaskKind,
    TaskStatus,
)


def unmended(project: Project) -> QuerySet[Submission]:
    """Returned work whose author has passed on its task, or does not work here at present. Not what is in
    hand, what an open appeal is about, or what a lead ended with its task.
    """
    at_work = Membership.objects.filter(
        project=OuterRef("project"),
        user=OuterRef("annotator"),
        status=MembershipStatus.ACTIVE,
        user__is_active=True,
    )
    skipped = Skip.objects.filter(task=OuterRef("task"), user=OuterRef("annotator"))
    waits = Assignment.objects.filter(pk=OuterRef("assignment"), status=AssignmentStatus.RETURNED).exclude(
        task__status=TaskStatus.CLOSED
    )
    appealed = Appeal.objects.open().filter(submission=OuterRef("pk"))
    # By kind too: as the index on project, kind and status goes.
    returned = project.submissions.filter(kind__in=TaskKind.values, status=SubmissionStatus.RETURNED)
    return returned.filter(Exists(waits), ~Exists(at_work) | Exists(skipped), ~Exists(appealed))


def why_unmended(submission: Submission) -> str:
    """ "skipped" or "away" for one that nobody mends, else ""; up to two queries."""
    if not is_unmended(submission):
        return ""
    return "skipped" if Skip.objects.filter(task=submission.task_id, user=submission.annotator_id) else "away"


def is_unmended(submission: Submission) -> bool:
    """Whether this one is among them: a query, for returned work."""
    if submission.status != SubmissionStatus.RETURNED:
        return False
    return unmended(submission.project).filter(pk=submission.pk).exists()

"""One's own work: the list, and each piece with its reviews and what changed. Leads open everybody's
pieces.
"""

from __future__ import annotations

from typing import Any

from django.db.models import F
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render

from annotate.errors import NotFound
from annotate.words import _
from labeling import list_columns, queues, talk, timesheet
from labeling.access import project_route
from labeling.list_pages import answer_list
from labeling.listing import Filter, Listing
from labeling.models import Appeal, Submission, SubmissionStatus, TaskKind
from labeling.noted_texts import noted_texts
from labeling.permissions import Action, can
from labeling.services.adjudications import standing_adjudication
from labeling.services.appeal_rules import appealable_review
from labeling.services.lineage import versions_containing
from labeling.services.review_rules import is_undecided

from . import side_by_side
from .presenting import prompt_flag_labels, revisions_of, with_labels

REOPENED_FROM = (SubmissionStatus.ACCEPTED, SubmissionStatus.RETURNED)


@project_route(Action.VIEW_OWN_WORK)
def history(request: HttpRequest, *, project, membership) -> HttpResponseBase:
    mine = project.submissions.filter(annotator=request.user)
    listing = Listing(
        request,
        mine.select_related("prompt"),
        sorts={
            "newest": (_("Newest first"), "-id"),
            "oldest": (_("Oldest first"), "id"),
            "decided": (_("Last decided"), (F("decided_at").desc(nulls_last=True), "-id")),
        },
        search=lambda rows, text: rows.filter(prompt__preview__icontains=text),
        filters=[
            Filter("kind", _("Kind"), [("", _("All")), *TaskKind.choices]),
            Filter("status", _("Status"), [("", _("All")), *SubmissionStatus.choices]),
        ],
    )
    context = {
        "today": queues.day_of_work(project=project, user=request.user),
        "seconds": timesheet.all_seconds(user=request.user, project=project),
        "returned": queues.returned_work(user=request.user, project=project).count(),
    }
    return answer_list(
        request,
        "labeling/history.html",
        listing,
        page="history",
        columns=list_columns.HISTORY,
        context=context,
    )


@project_route(Action.VIEW_OWN_WORK)
def submission_detail(request: HttpRequest, *, project, membership, pk: int) -> HttpResponse:
    """A piece with its revisions and reviews: one's own, or anybody's for leads."""
    is_lead = can(membership, Action.REVIEW)
    submission = find_submission(project, pk)
    if not is_lead and submission.annotator_id != request.user.pk:
        raise NotFound("There is no such submission.")
    revisions = revisions_of(submission, reveal=is_lead)
    is_own = submission.annotator_id == request.user.pk
    context = {
        "submission": submission,
        "revisions": revisions,
        "current": revisions[-1],
        "prompt_flags": prompt_flag_labels(submission, revisions[-1].judgment),
        "reviews": with_labels(
            submission.reviews.select_related("reviewer"), project.settings.return_reasons
        ),
        "is_lead": is_lead,
        "is_own": is_own,
        "noted_texts": noted_texts(submission),
        "versions": versions_containing(submission=submission) if is_lead else None,
        "may_review": is_lead and not is_own and is_undecided(submission),
        "may_reopen": is_lead and not is_own and submission.status in REOPENED_FROM,
        "may_adjudicate": is_lead and submission.kind == TaskKind.RANKING and submission.task is not None,
        "appeal": Appeal.objects.filter(submission=submission).select_related("decided_by").first(),
        "talk": talk.talk_of(talk.piece_of(submission), request.user),
        "appealable": appealable_review(submission) if is_own else None,
        **_settled(submission),
    }
    return render(request, "labeling/submission_detail.html", context)


def _settled(submission: Submission) -> dict[str, Any]:
    """The task's settled order beside this ranking, once there is one."""
    settled = standing_adjudication(submission.task) if submission.kind == TaskKind.RANKING else None
    if settled is None:
        return {}
    answer = side_by_side.answers_of(submission)[0]
    shown = side_by_side.as_shown(submission, answer.judgment)
    return {"settled": settled, "settled_grid": side_by_side.rank_grid([answer], shown, settled)}


def find_submission(project, pk: int) -> Submission:
    """One of the project's submissions with what a page needs beside it, or NotFound."""
    rows = project.submissions.select_related("prompt", "annotator", "task__batch", "import_record")
    submission = rows.filter(pk=pk).first()
    if submission is None:
        raise NotFound("There is no such submission.")
    submission.project = project
    return submission

"""Everybody's work for leads: where each number of the quality pages leads, and the way back into work."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta

from django.contrib import messages
from django.db.models import F
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils import timezone

from annotate.errors import Invalid, NotFound
from annotate.forms import whole_number
from annotate.words import _
from labeling import acceptance, list_columns, quality_page
from labeling.access import project_route
from labeling.list_pages import answer_list
from labeling.listing import DateFilter, Filter, Listing
from labeling.models import GuidelineVersion, SubmissionStatus, TaskKind
from labeling.permissions import Action
from labeling.services.requeue import MOST_AT_ONCE, RequeueMode, requeue_submissions

AGREEMENT_CHOICES = [
    ("", _("Any")),
    ("below-50", _("below 50 %")),
    ("50-70", _("50 to 70 %")),
    ("70-90", _("70 to 90 %")),
    ("from-90", _("90 % and more")),
]
KNOWN_CHOICES = [
    ("", _("Any")),
    ("gold", _("Gold, decided")),
    ("passed", _("Gold passed")),
    ("missed", _("Gold missed")),
    ("repeat", _("Repeats")),
]


@project_route(Action.REVIEW)
def submissions(request: HttpRequest, *, project, membership) -> HttpResponseBase:
    """Everybody's work, filtered: where each number of the quality pages leads."""
    return answer_list(
        request,
        "labeling/submissions.html",
        _listing(request, project),
        page="submissions",
        columns=list_columns.SUBMISSIONS,
        context={"modes": RequeueMode.choices, "most": MOST_AT_ONCE},
    )


@project_route(Action.REVIEW, methods=("POST",))
def submissions_requeue(request: HttpRequest, *, project, membership) -> HttpResponse:
    """Have the chosen work, or all that the filters show, judged again."""
    if request.POST.get("everything"):
        ids = list(_listing(request, project).rows.values_list("pk", flat=True)[: MOST_AT_ONCE + 1])
    else:
        ids = [whole_number(each) for each in request.POST.getlist("chosen")]
    try:
        answer = requeue_submissions(
            project=project,
            submission_ids=ids,
            mode=request.POST.get("mode", ""),
            note=request.POST.get("note", ""),
            acting_user=request.user,
        )
    except Invalid as error:
        context = {
            "listing": _listing(request, project),
            "modes": RequeueMode.choices,
            "most": MOST_AT_ONCE,
            "error": error,
            "sent": request.POST,
            "chosen": ids,
        }
        return render(request, "labeling/submissions.html", context, status=422)
    if answer.done:
        messages.success(request, _("To be judged again: %(n)s.") % {"n": len(answer.done)})
    for pk, why in answer.refused[:5]:
        messages.warning(request, _("%(pk)s stays as it is. %(why)s") % {"pk": pk, "why": why})
    if len(answer.refused) > 5:
        messages.warning(request, _("And %(n)s more stay as they are.") % {"n": len(answer.refused) - 5})
    return redirect(quality_page.submissions_url(project, _listing(request, project).query_string()))


# --- Inside ---------------------------------------------------------------------------------------------
def _listing(request: HttpRequest, project) -> Listing:
    rows = quality_page.submissions_of(project)
    task = request.GET.get("task", "")
    if task:
        rows = rows.filter(task=_task(project, task))
    return Listing(
        request,
        rows,
        sorts={
            "newest": (_("Newest first"), "-id"),
            "oldest": (_("Oldest first"), "id"),
            "fastest": (_("Least active time first"), ("active_seconds", "id")),
            "slowest": (_("Most active time first"), ("-active_seconds", "id")),
            "agreement": (
                _("Lowest agreement first"),
                (F("task__agreement__value").asc(nulls_last=True), "id"),
            ),
        },
        search=lambda rows, text: rows.filter(prompt__preview__icontains=text),
        filters=_filters(project),
        kept={"task": task},
        path=quality_page.submissions_url(project),
    )


def _filters(project) -> list[Filter]:
    members = project.memberships.select_related("user").order_by("user__display_name")
    people = [(str(each.user_id), each.user.name) for each in members]
    batches = [
        (str(pk), name) for pk, name in project.batches.order_by("-pk").values_list("pk", "name")[:200]
    ]
    versions = GuidelineVersion.objects.filter(guideline__project=project).order_by("-number")
    numbers = list(dict.fromkeys(versions.values_list("number", flat=True)))
    return [
        Filter("kind", _("Kind"), [("", _("All")), *TaskKind.choices]),
        Filter("status", _("Status"), [("", _("All")), *SubmissionStatus.choices]),
        Filter("review", _("Review"), [("", _("Any")), *acceptance.CHOICES], apply=acceptance.by_review),
        Filter(
            "person",
            _("Person"),
            [("", _("Everybody")), *people],
            apply=lambda rows, value: rows.filter(annotator=value),
        ),
        Filter("with", _("Judged too by"), [("", _("Anybody")), *people], apply=quality_page.together_with),
        Filter(
            "batch",
            _("Batch"),
            [("", _("All")), *batches],
            apply=lambda rows, value: rows.filter(task__batch=value),
        ),
        Filter(
            "category",
            _("Category"),
            [("", _("All")), *((each, each) for each in quality_page.categories_of(project))],
            apply=lambda rows, value: rows.filter(prompt__category=value),
        ),
        Filter(
            "guideline",
            _("Guideline"),
            [("", _("Any")), *((str(number), f"version {number}") for number in numbers)],
            apply=quality_page.made_under,
        ),
        Filter(
            "agreement",
            _("Agreement"),
            AGREEMENT_CHOICES,
            apply=lambda rows, value: quality_page.within(rows, value, "task__agreement__value"),
        ),
        Filter("known", _("Known answer"), KNOWN_CHOICES, apply=quality_page.by_known_answer),
        Filter(
            "shared",
            _("Judged by"),
            [("", _("Any number")), ("yes", _("Two or more"))],
            apply=lambda rows, value: quality_page.shared_only(rows),
        ),
        DateFilter("from", _("From"), apply=lambda rows, day: rows.filter(created_at__gte=midnight(day))),
        DateFilter(
            "to",
            _("To"),
            apply=lambda rows, day: rows.filter(created_at__lt=midnight(day) + timedelta(days=1)),
        ),
    ]


def _task(project, text: str) -> int:
    number = whole_number(text)
    if not project.tasks.filter(pk=number).exists():
        raise NotFound("There is no such task.")
    return number


def midnight(day: str) -> datetime:
    return datetime.combine(date.fromisoformat(day), time(), tzinfo=timezone.get_current_timezone())

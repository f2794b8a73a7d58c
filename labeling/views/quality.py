"""Quality for leads: how much people agree, where they do not, each person's leanings, the work behind it."""

from __future__ import annotations

from collections.abc import Iterable

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render

from annotate.words import _
from labeling import list_columns, quality_page, trends
from labeling.access import project_route
from labeling.flag_words import flags_of
from labeling.list_pages import answer_list, csv_lines
from labeling.listing import Filter, Listing
from labeling.permissions import Action, can
from labeling.services.quality_reports import request_report

from .presenting import labels
from .submissions import AGREEMENT_CHOICES

MOST_ROWS = 100  # of one cut on the page; the API has them all
TABS = {
    "agreement": _("Agreement"),
    "ratings": _("Scores and flags"),
    "meters": _("Leanings and pace"),
}


@project_route(Action.REVIEW)
def quality(request: HttpRequest, *, project, membership) -> HttpResponse:
    """The stored report: headline, trend and one cut of it (`by`); or scores and flags; or meters (`tab`)."""
    report = quality_page.report_of(project)
    tab = request.GET.get("tab", "")
    tab = tab if tab in TABS else "agreement"
    context = {"report": report, "tab": tab, "tabs": TABS, "body": report.body}
    if not report.body:
        return render(request, "labeling/quality.html", context)
    is_csv = request.GET.get("format") == "csv"
    if tab == "meters":
        context["meters"] = quality_page.meters_of(report.body)
        if is_csv:
            return _csv(project, "meters", quality_page.meters_as_table(context["meters"]["people"]))
    elif tab == "ratings":
        context["ratings"] = _with_flag_labels(project, report.body["ratings"])
    else:
        cut = request.GET.get("by", "")
        cut = cut if cut in quality_page.CUTS else "person"
        rows = quality_page.rows_of(project, report.body, cut)
        if is_csv:
            return _csv(project, f"agreement-by-{cut}", quality_page.cut_as_table(rows))
        context |= {"most_rows": MOST_ROWS, "shown": f":{MOST_ROWS}"}
        context |= {
            "cut": cut,
            "cuts": quality_page.CUTS,
            "rows": rows,
            "curve": quality_page.trend(report.body),
            "agreement_trend": trends.agreement(report),
        }
        context["heat_map"] = quality_page.heat_map(rows) if cut == "pair" else None
    return render(request, "labeling/quality.html", context)


@project_route(Action.REVIEW, methods=("POST",))
def quality_refresh(request: HttpRequest, *, project, membership) -> HttpResponse:
    report = request_report(project=project, acting_user=request.user)
    if report.requested_at is None:
        messages.success(request, "The numbers are up to date.")
    else:
        messages.info(request, "The numbers are being computed. Reload the page in a minute.")
    return redirect("labeling:quality", slug=project.slug)


@project_route(Action.REVIEW)
def quality_items(request: HttpRequest, *, project, membership) -> HttpResponseBase:
    """Where people disagree: tasks with the lowest agreement, by category and flag."""
    report = quality_page.report_of(project)
    groups = report.body.get("disagreements", {"category": [], "flag": []})
    flags = [group["key"] for group in groups["flag"]]
    known = flags_of(project)
    words = labels((*known.completion, *known.prompt), flags)
    categories = [group["key"] for group in groups["category"] if group["key"]]
    listing = Listing(
        request,
        quality_page.disagreements(project),
        sorts={
            "lowest": (_("Lowest agreement first"), ("value", "-comparisons", "task")),
            "highest": (_("Highest agreement first"), ("-value", "-comparisons", "task")),
            "newest": (_("Newest task first"), "-task"),
        },
        search=lambda rows, text: rows.filter(task__prompt__preview__icontains=text),
        filters=[
            Filter(
                "category",
                _("Category"),
                [("", _("All")), *((each, each) for each in categories)],
                apply=lambda rows, value: rows.filter(task__prompt__category=value),
            ),
            Filter(
                "flag",
                _("Flag"),
                [("", _("Any")), *zip(flags, words, strict=True)],
                apply=quality_page.with_flag,
            ),
            Filter(
                "agreement",
                _("Agreement"),
                AGREEMENT_CHOICES,
                apply=lambda rows, value: quality_page.within(rows, value, "value"),
            ),
        ],
    )
    label_of = dict(zip(flags, words, strict=True))
    for row in listing.page:
        row.flag_labels = [label_of.get(key, key) for key in row.flags.strip("|").split("|") if key]
    for group in groups["flag"]:
        group["label"] = label_of[group["key"]]
    context = {
        "report": report,
        "groups": groups,
        "may_edit": can(membership, Action.EDIT_GUIDELINES),
    }
    return answer_list(
        request,
        "labeling/quality_items.html",
        listing,
        page="disagreements",
        columns=list_columns.DISAGREEMENTS,
        context=context,
    )


# --- Inside -------------------------------------------------------------------------------------------------
def _csv(project, name: str, lines: Iterable[list]) -> HttpResponse:
    answer = HttpResponse(csv_lines(lines), content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="{project.slug}-{name}.csv"'
    return answer


def _with_flag_labels(project, ratings: dict) -> dict:
    known = flags_of(project)
    for section, choices in (("completion_flags", known.completion), ("prompt_flags", known.prompt)):
        for row in ratings[section]["by_flag"]:
            [row["label"]] = labels(choices, [row["key"]])
    return ratings

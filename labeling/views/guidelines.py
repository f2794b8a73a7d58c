"""Reading, drafting, publishing, comparing and acknowledging guidelines."""

from __future__ import annotations

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import ngettext

from annotate.errors import Conflict, DomainError, NotFound
from annotate.forms import add_domain_error, whole_number
from annotate.words import _
from labeling.access import project_route
from labeling.guideline_reading import earlier_read
from labeling.models import Guideline, GuidelineVersion, TaskAgreement, TaskKind
from labeling.permissions import Action, can
from labeling.quality_page import items_to_clarify
from labeling.services import guidelines as service
from labeling.textdiff import line_diff


class DraftForm(forms.Form):
    markdown = forms.CharField(
        required=False,
        label=_("Guideline"),
        strip=False,
        widget=forms.Textarea(attrs={"rows": 24, "class": "mono"}),
    )
    revision = forms.IntegerField(widget=forms.HiddenInput, min_value=0)


class PublishForm(forms.Form):
    change_summary = forms.CharField(
        required=False,
        max_length=300,
        label=_("What changed"),
        help_text=_("Shown to annotators, who are asked to read the new version."),
    )


@project_route(Action.READ_GUIDELINES)
def guidelines(request: HttpRequest, *, project, membership) -> HttpResponse:
    """The versions in force, one per task kind, and whether the reader has acknowledged them."""
    rows = []
    for guideline in project.guidelines.order_by("kind"):
        version = guideline.current
        rows.append(
            {
                "guideline": guideline,
                "version": version,
                "acknowledged": version is not None
                and version.acknowledgements.filter(user=request.user).exists(),
                "previous": earlier_read(version, request.user),
                "has_draft": bool(guideline.draft_markdown.strip())
                and (version is None or guideline.draft_markdown.strip() != version.markdown),
            }
        )
    context = {"rows": rows, "may_edit": can(membership, Action.EDIT_GUIDELINES)}
    return render(request, "labeling/guidelines.html", context)


@project_route(Action.READ_GUIDELINES, methods=("POST",))
def guideline_acknowledge(request: HttpRequest, *, project, membership, pk: int) -> HttpResponse:
    version = GuidelineVersion.objects.filter(guideline__project=project, pk=pk).first()
    if version is None:
        raise NotFound("There is no such guideline version.")
    service.acknowledge_version(version=version, user=request.user)
    target = request.POST.get("next", "")
    if url_has_allowed_host_and_scheme(target, allowed_hosts=None):
        return redirect(target)
    messages.success(request, "Noted. You can work under this version now.")
    return redirect("labeling:guidelines", slug=project.slug)


@project_route(Action.EDIT_GUIDELINES, methods=("GET", "HEAD", "POST"))
def guideline_edit(request: HttpRequest, *, project, membership, kind: str) -> HttpResponse:
    """The draft editor. Saving from a stale tab answers 409 with both texts; nothing is lost."""
    guideline = _guideline(project, kind)
    theirs = None
    status = 200
    if request.method == "POST":
        form = DraftForm(request.POST)
        if form.is_valid():
            try:
                service.save_draft(project=project, kind=kind, acting_user=request.user, **form.cleaned_data)
            except Conflict as error:
                guideline.refresh_from_db()
                theirs, status = guideline.draft_markdown, 409
                form = DraftForm({**form.cleaned_data, "revision": guideline.draft_revision})
                add_domain_error(form, error)
            except DomainError as error:
                add_domain_error(form, error)
                status = 422
            else:
                messages.success(request, "The draft is saved. Annotators see it once you publish it.")
                return redirect(request.get_full_path())
        else:
            status = 422
    else:
        initial = {"markdown": guideline.draft_markdown, "revision": guideline.draft_revision}
        form = DraftForm(initial=initial)
    current = guideline.current
    items = _items(request, project)
    said = ngettext(
        "Clarified after %(count)s item on which people disagreed.",
        "Clarified after %(count)s items on which people disagreed.",
        len(items),
    )
    summary = said % {"count": len(items)} if items else ""
    context = {
        "guideline": guideline,
        "form": form,
        "publish_form": PublishForm(initial={"change_summary": summary}),
        "items": items,
        "theirs": theirs,
        "current": current,
        "changes": line_diff(current.markdown if current else "", guideline.draft_markdown),
        "is_changed": current is None or current.markdown != guideline.draft_markdown.strip(),
    }
    return render(request, "labeling/guideline_edit.html", context, status=status)


@project_route(Action.EDIT_GUIDELINES, methods=("POST",))
def guideline_preview(request: HttpRequest, *, project, membership, kind: str) -> HttpResponse:
    """The text in the editor as annotators will see it."""
    _guideline(project, kind)
    text = request.POST.get("markdown", "")[: service.LONGEST_GUIDELINE]
    return render(request, "labeling/_guideline_preview.html", {"markdown": text})


@project_route(Action.EDIT_GUIDELINES, methods=("POST",))
def guideline_publish(request: HttpRequest, *, project, membership, kind: str) -> HttpResponse:
    form = PublishForm(request.POST)
    if not form.is_valid():
        raise NotFound("The summary is too long.")
    version = service.publish_version(
        project=project, kind=kind, acting_user=request.user, **form.cleaned_data
    )
    messages.success(
        request,
        _("Version %(number)s is in force. Annotators are asked to read it.") % {"number": version.number},
    )
    return redirect("labeling:guidelines", slug=project.slug)


@project_route(Action.READ_GUIDELINES)
def guideline_versions(request: HttpRequest, *, project, membership, kind: str) -> HttpResponse:
    guideline = _guideline(project, kind)
    versions = list(guideline.versions.select_related("published_by").prefetch_related("acknowledgements"))
    for index, version in enumerate(versions[:-1]):
        version.older = versions[index + 1]
    context = {
        "guideline": guideline,
        "versions": versions,
        "may_edit": can(membership, Action.EDIT_GUIDELINES),
    }
    return render(request, "labeling/guideline_versions.html", context)


@project_route(Action.READ_GUIDELINES)
def guideline_version(request: HttpRequest, *, project, membership, kind: str, number: int) -> HttpResponse:
    version = _version(_guideline(project, kind), number)
    return render(
        request, "labeling/guideline_version.html", {"version": version, "guideline": version.guideline}
    )


@project_route(Action.READ_GUIDELINES)
def guideline_diff(
    request: HttpRequest, *, project, membership, kind: str, older: int, newer: int
) -> HttpResponse:
    guideline = _guideline(project, kind)
    before, after = _version(guideline, older), _version(guideline, newer)
    context = {
        "guideline": guideline,
        "before": before,
        "after": after,
        "changes": line_diff(before.markdown, after.markdown),
    }
    page = "labeling/_diff_lines.html" if getattr(request, "htmx", False) else "labeling/guideline_diff.html"
    return render(request, page, context)


def _items(request: HttpRequest, project) -> list[TaskAgreement]:
    """The tasks that a lead brought along from “Where people disagree” (`?item=`). One query, or none."""
    if "item" not in request.GET:
        return []
    return items_to_clarify(project, [whole_number(each) for each in request.GET.getlist("item")])


def _guideline(project, kind: str) -> Guideline:
    guideline = project.guidelines.filter(kind=kind).first() if kind in TaskKind.values else None
    if guideline is None:
        raise NotFound("There is no such guideline.")
    return guideline


def _version(guideline: Guideline, number: int) -> GuidelineVersion:
    version = guideline.versions.filter(number=number).first()
    if version is None:
        raise NotFound(_("There is no version %(number)s of this guideline.") % {"number": number})
    return version

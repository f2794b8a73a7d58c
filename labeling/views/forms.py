"""Forms: what is in force, the editor with its live preview, publishing, comparing."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from annotate.errors import Conflict, DomainError, Invalid, NotFound
from annotate.forms import whole_number
from annotate.words import _
from labeling.access import project_route
from labeling.asking import asked
from labeling.form_editor import changed, definition_of, in_lines, rows_of, scale_of
from labeling.models import Form, FormDefinition, FormVersion, Layout
from labeling.models.form_definition import ASKED, FIELDS, PER, QUESTION_TYPES, default_json
from labeling.permissions import Action, can
from labeling.services import forms as service
from labeling.services.judgments import margin_choices
from labeling.services.pairwise import strengths
from labeling.textdiff import line_diff

SAMPLE_TEXTS = (
    _("This is where a model’s answer stands. People read it before they judge it."),
    _("This is another model’s answer to the same prompt."),
)
TYPE_LABELS = {
    "yes_no": _("Yes or no"),
    "one_of": _("One of …"),
    "several_of": _("Several of …"),
    "scale": _("Scale"),
    "short_text": _("Short text"),
    "long_text": _("Long text"),
}
ASKED_LABELS = {"required": _("Required"), "offered": _("Offered"), "hidden": _("Hidden")}
PER_LABELS = {"task": _("once a task"), "completion": _("of each completion")}


class PublishForm(forms.Form):
    change_summary = forms.CharField(
        required=False,
        max_length=service.LONGEST_SUMMARY,
        label=_("What changed"),
        help_text=_("Shown to the people who work with it."),
    )


@project_route(Action.EDIT_FORMS)
def form_list(request: HttpRequest, *, project, membership) -> HttpResponse:
    """The form in force for each layout, and whether a draft waits."""
    found = {form.layout: form for form in project.forms.all()}
    rows = []
    for layout in Layout.values:
        version = found[layout].current
        rows.append({"form": found[layout], "version": version, "lines": in_lines(version.definition)})
    return render(request, "labeling/forms.html", {"rows": rows})


@project_route(Action.EDIT_FORMS, methods=("GET", "HEAD", "POST"))
def form_edit(request: HttpRequest, *, project, membership, layout: str) -> HttpResponse:
    """The draft editor. POST saves; with `do` it adds, moves or removes a row on the page, and saves nothing.

    Saving from a stale tab answers 409 with what was saved meanwhile; nothing is lost.
    """
    form = _form(project, layout)
    if request.method != "POST":
        return _editor(request, form, form.draft_json or form.current.definition_json)
    definition = definition_of(request.POST, layout)
    revision = whole_number(request.POST.get("revision"))
    if "do" in request.POST:
        definition, focus = changed(definition, request.POST["do"])
        return _editor(request, form, definition, focus=focus, revision=revision)
    try:
        service.save_draft(
            project=project, layout=layout, definition=definition, revision=revision, acting_user=request.user
        )
    except DomainError as error:
        if isinstance(error, Conflict):
            form.refresh_from_db()
            return _editor(request, form, definition, error=error)
        return _editor(request, form, definition, error=error, revision=revision)
    messages.success(request, "The draft is saved. People see it once you publish it.")
    return redirect("labeling:form_edit", slug=project.slug, layout=layout)


@project_route(Action.EDIT_FORMS, methods=("POST",))
def form_preview(request: HttpRequest, *, project, membership, layout: str) -> HttpResponse:
    """The form on the page as people will see it; what makes no sense yet is said instead."""
    _form(project, layout)
    context = _preview(layout, definition_of(request.POST, layout))
    return render(request, "labeling/_form_preview.html", context)


@project_route(Action.EDIT_FORMS, methods=("POST",))
def form_publish(request: HttpRequest, *, project, membership, layout: str) -> HttpResponse:
    """Publish the saved draft; `discard` forgets it instead."""
    _form(project, layout)
    if request.POST.get("discard"):
        service.discard_draft(project=project, layout=layout, acting_user=request.user)
        messages.info(request, "The draft is discarded.")
        return redirect("labeling:form_edit", slug=project.slug, layout=layout)
    form = PublishForm(request.POST)
    if not form.is_valid():
        raise Invalid(
            _("At most %(most)s characters.") % {"most": service.LONGEST_SUMMARY}, field="change_summary"
        )
    version = service.publish_version(
        project=project, layout=layout, acting_user=request.user, **form.cleaned_data
    )
    messages.success(
        request, _("Version %(number)s is in force. Work in hand keeps its own.") % {"number": version.number}
    )
    return redirect("labeling:forms", slug=project.slug)


@project_route(Action.READ_FORMS)
def form_versions(request: HttpRequest, *, project, membership, layout: str) -> HttpResponse:
    form = _form(project, layout)
    versions = list(form.versions.select_related("published_by"))
    rows = [
        {"version": version, "older": older}
        for version, older in zip(versions, [*versions[1:], None], strict=True)
    ]
    return render(request, "labeling/form_versions.html", {"form_object": form, "rows": rows})


@project_route(Action.READ_FORMS)
def form_version(request: HttpRequest, *, project, membership, layout: str, number: int) -> HttpResponse:
    form = _form(project, layout)
    version = _version(form, number)
    context = {
        "form_object": form,
        "version": version,
        "lines": in_lines(version.definition),
        "may_edit": can(membership, Action.EDIT_FORMS),
    }
    return render(request, "labeling/form_version.html", context)


@project_route(Action.READ_FORMS)
def form_diff(
    request: HttpRequest, *, project, membership, layout: str, older: int, newer: int
) -> HttpResponse:
    form = _form(project, layout)
    before, after = _version(form, older), _version(form, newer)
    context = {
        "form_object": form,
        "before": before,
        "after": after,
        "changes": line_diff(in_lines(before.definition), in_lines(after.definition)),
    }
    return render(request, "labeling/form_diff.html", context)


# --- Inside -------------------------------------------------------------------------------------------------
def _form(project, layout: str) -> Form:
    form = project.forms.filter(layout=layout).first() if layout in Layout.values else None
    if form is None:
        raise NotFound("There is no such form.")
    return form


def _version(form: Form, number: int) -> FormVersion:
    version = form.versions.filter(number=number).first()
    if version is None:
        raise NotFound(_("There is no version %(number)s of this form.") % {"number": number})
    return version


def _editor(
    request: HttpRequest,
    form: Form,
    definition: dict[str, Any],
    *,
    error: DomainError | None = None,
    focus: str = "",
    revision: int | None = None,
) -> HttpResponse:
    layout, current = form.layout, form.current
    has = FIELDS[layout]
    lines = in_lines(current.definition)
    saved = in_lines(FormDefinition.from_json(layout, form.draft_json)) if form.draft_json else lines
    context = {
        "form_object": form,
        "current": current,
        "definition_values": {**default_json(layout), **definition},
        "scale": scale_of(definition["scale"]) if "scale" in has else None,
        "lists": [_list_of(definition, name) for name in ("completion_flags", "prompt_flags") if name in has],
        "questions": rows_of(definition, "questions"),
        "has": dict.fromkeys(has, True),
        "types": [(name, TYPE_LABELS[name]) for name in QUESTION_TYPES],
        "per": [(name, PER_LABELS[name]) for name in PER if layout != "demonstration" or name == "task"],
        "asked_choices": [(name, ASKED_LABELS[name]) for name in ASKED],
        "revision": form.draft_revision if revision is None else revision,
        "error": error,
        "wrong": _control(error.field) if error and error.field else "",
        "focus": focus,
        "publish_form": PublishForm(),
        "is_changed": saved != lines,
        "changes": line_diff(lines, saved),
        "theirs": saved if isinstance(error, Conflict) else None,
        **_preview(layout, definition),
    }
    template = "labeling/form_edit.html"
    if getattr(request, "htmx", False) and "do" in request.POST:
        template = "labeling/_form_editor.html"
    return render(request, template, context, status=error.status if error else 200)


def _list_of(definition: dict[str, Any], name: str) -> dict[str, Any]:
    titles = {"completion_flags": _("Flags of a completion"), "prompt_flags": _("Flags of the prompt")}
    return {"name": name, "title": titles[name], "rows": rows_of(definition, name)}


def _control(field: str) -> str:
    """The id of the control an error's field is about: "questions.2.label" is questions-2-label."""
    return field.replace(".", "-")


def _preview(layout: str, values: dict[str, Any]) -> dict[str, Any]:
    """What the work screen's fragments need to show a form that nobody has been handed."""
    try:
        form = service.checked_definition(layout, values)
    except Invalid as error:
        return {"preview_problem": error.message}
    flags = [{"key": flag.key, "label": flag.label} for flag in form.prompt_flags]
    completions = [
        {"id": f"sample-{index}", "text": text, "asked": asked(form, f"sample-{index}", {})}
        for index, text in enumerate(map(str, SAMPLE_TEXTS))
    ]
    return {
        "sheet": SimpleNamespace(form=form, rules={"prompt_flags": flags}, margins=margin_choices(form)),
        "layout": layout,
        "completions": completions if layout != "demonstration" else [],
        "asked": asked(form, "task", {}),
        "pairwise": {"strength": "", "scores": {}, "flags": {}},
        "strengths": strengths(allow_ties=form.allow_ties),
        "fields": {},
        "chosen_flags": [],
    }

"""Forms: what people are asked, drafted by leads and published as immutable versions."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.db.models import Subquery
from django.urls import reverse
from django.utils import timezone

from annotate.errors import Conflict, Invalid, NotFound
from annotate.words import _, in_a_sentence, later
from labeling.models import (
    Assignment,
    DefinitionError,
    Draft,
    Form,
    FormDefinition,
    FormVersion,
    Layout,
    MembershipStatus,
    Project,
    Submission,
    TaskKind,
)

from .activity import notify, record_event
from .judgments import clean_line

LONGEST_SUMMARY = 300


def create_forms(*, project: Project, acting_user, definitions: Mapping[str, Any] | None = None) -> None:
    """Version 1 of each layout's form for a new project, in the caller's transaction: the defaults, or those
    given by layout. Raises Invalid.
    """
    for layout in Layout.values:
        form = Form.objects.create(project=project, layout=layout)
        _publish(form, 1, checked_definition(layout, (definitions or {}).get(layout, {})), "", acting_user)


@transaction.atomic
def save_draft(*, project: Project, layout: str, definition: Any, revision: int, acting_user) -> Form:
    """Store the draft if nobody else has saved since `revision`; the new revision is in the answer.

    Raises Invalid naming the field, Conflict with the stored draft in its details when somebody has.
    """
    form = _locked(project, layout)
    draft = checked_definition(layout, definition).to_json()
    if form.draft_revision != revision:
        raise Conflict(
            _("%(who)s has saved this draft since you opened it.") % {"who": form.draft_updated_by},
            code="stale_draft",
            field="revision",
            hint="What you entered is still here. Compare, then save again.",
            details=[{"field": "definition", "message": json.dumps(form.draft_json, ensure_ascii=False)}],
        )
    form.draft_json = draft
    _touch(form, acting_user)
    return form


@transaction.atomic
def discard_draft(*, project: Project, layout: str, acting_user) -> Form:
    """Forget the draft: the editor begins again from the version in force."""
    form = _locked(project, layout)
    if form.draft_json is not None:
        record_event(
            action="form.draft_discarded",
            actor=acting_user,
            obj=form,
            project=project,
            layout=layout,
            old=form.draft_json,
        )
        form.draft_json = None
        _touch(form, acting_user)
    return form


@transaction.atomic
def publish_version(*, project: Project, layout: str, acting_user, change_summary: str = "") -> FormVersion:
    """Publish the draft as the next version and tell the people who work with it; work in hand keeps its own.

    Raises Conflict where there is no draft, or when it asks the same as the current version.
    """
    change_summary = clean_line(change_summary, "change_summary", LONGEST_SUMMARY)
    form = _locked(project, layout)
    if form.draft_json is None:
        raise Conflict(
            "There is no draft to publish.", code="no_draft", hint="Change the form, save, publish."
        )
    definition = checked_definition(layout, form.draft_json)
    current = form.current
    if current.definition == definition:
        raise Conflict(
            _("The draft asks the same as version %(number)s.") % {"number": current.number},
            hint="Change it, then publish.",
        )
    version = _publish(form, current.number + 1, definition, change_summary, acting_user)
    form.draft_json = None
    _touch(form, acting_user)
    path = reverse("labeling:form_version", args=[project.slug, layout, version.number])
    label = in_a_sentence(Layout(layout).label)
    told = project.memberships.filter(status=MembershipStatus.ACTIVE).exclude(user=acting_user)
    for membership in told.select_related("user"):
        notify(
            user=membership.user,
            project=project,
            kind="form.published",
            text=later(
                "%(project)s: %(layout)s form, version %(number)s. %(what)s",
                project=project.name,
                layout=label,
                number=version.number,
                what=version.change_summary or _("Your next task asks it."),
            ),
            path=path,
        )
    return version


def version_in_force(project: Project | int, layout: str) -> Subquery:
    """The id of a layout's newest version, for use inside another statement."""
    versions = FormVersion.objects.filter(form__project=project, form__layout=layout)
    return Subquery(versions.order_by("-number").values("pk")[:1])


def current_version(project: Project, layout: str) -> FormVersion:
    """The version in force for a layout (one query). Raises NotFound for a layout there is none of."""
    found = FormVersion.objects.filter(form__project=project, form__layout=layout).first()
    if found is None:
        raise NotFound("There is no such form.")
    return found


def form_shown(assignment: Assignment, user, fence: int) -> FormVersion:
    """The form of the lease this work was done under: that of the slot in hand, else of the person's last
    lease of the task; the version in force where neither is known any more.
    """
    in_hand = assignment.annotator_id == user.pk and assignment.fence == fence
    if in_hand and assignment.form_version is not None:
        return assignment.form_version
    draft = Draft.objects.select_related("form_version").filter(task=assignment.task_id, user=user).first()
    if draft is not None and draft.form_version is not None:
        return draft.form_version
    return current_version(assignment.project, assignment.batch.layout)


def layout_of(submission: Submission) -> str:
    """How the work was laid out; imported rankings are read by the ranking form."""
    if submission.task is not None:
        return submission.task.batch.layout
    return Layout.DEMONSTRATION if submission.kind == TaskKind.DEMONSTRATION else Layout.RANKING


def form_behind(judgment: Any, submission: Submission) -> FormVersion:
    """The version a judgment was made with; for an imported one, the version in force."""
    return judgment.form_version or current_version(submission.project, layout_of(submission))


def checked_definition(layout: str, definition: Any) -> FormDefinition:
    """Raises Invalid naming the field ("questions.2.label", counted from 0)."""
    try:
        return FormDefinition.from_json(layout, definition)
    except DefinitionError as error:
        raise Invalid(f"{_in_words(error.field)}: {error.message}.", field=error.field) from error


def _in_words(path: str) -> str:
    """A place in a definition as people count: "questions.0.label" is "Question 1, label"."""
    words = [str(int(part) + 1) if part.isdigit() else part.replace("_", " ") for part in path.split(".")]
    text = words[0]
    for word in words[1:]:
        text += f" {word}" if word.isdigit() else f", {word}"
    return text[:1].upper() + text[1:]


def definition_digest(definition: Any) -> str:
    """SHA-256 (hex) of a definition as canonical JSON."""
    text = json.dumps(definition, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _locked(project: Project, layout: str) -> Form:
    form = None
    if layout in Layout.values:
        form = Form.objects.select_for_update().filter(project=project, layout=layout).first()
    if form is None:
        raise NotFound("There is no such form.", field="layout")
    return form


def _touch(form: Form, acting_user) -> None:
    form.draft_revision += 1
    form.draft_updated_at, form.draft_updated_by = timezone.now(), acting_user
    form.save()


def _publish(form: Form, number: int, definition: FormDefinition, summary: str, acting_user) -> FormVersion:
    values = definition.to_json()
    version = FormVersion.objects.create(
        form=form,
        layout=form.layout,
        number=number,
        definition_json=values,
        change_summary=summary,
        sha256=definition_digest(values),
        published_by=acting_user,
    )
    record_event(
        action="form.published",
        actor=acting_user,
        obj=version,
        project=form.project,
        layout=form.layout,
        number=number,
        sha256=version.sha256,
    )
    return version

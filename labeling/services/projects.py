"""Projects: opened by site staff, shaped by their admins."""

from __future__ import annotations

from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import OuterRef, Subquery, Value
from django.utils import timezone
from django.utils.text import slugify

from annotate.errors import Conflict, Forbidden, Invalid
from annotate.names import check_name
from annotate.words import _
from labeling.models import (
    Assignment,
    AssignmentStatus,
    Guideline,
    Membership,
    MembershipStatus,
    Project,
    ProjectSettings,
    Prompt,
    Role,
    TaskKind,
)
from labeling.models.project import LONGEST_DESCRIPTION
from labeling.models.project_settings import MOVED_TO_FORMS
from labeling.permissions import can_create_projects

from .activity import record_event
from .answer_index import follow_setting
from .forms import create_forms
from .written_prompts import language_of_batch


@transaction.atomic
def create_project(
    *,
    name: str,
    acting_user,
    slug: str | None = None,
    description: str = "",
    settings: dict[str, Any] | None = None,
    forms: dict[str, Any] | None = None,
) -> Project:
    """A new project with an empty guideline for each task kind, and a form for each layout (`forms`:
    definitions by layout, where they are not the defaults); its creator becomes its first admin.

    Raises Forbidden (not site staff), Invalid (name, settings, forms), Conflict (the slug is taken).
    """
    if not can_create_projects(acting_user):
        raise Forbidden("Only site staff may open projects.", hint="Ask the person who runs this site.")
    name = check_name(name)
    if not name:
        raise Invalid("Give the project a name.", field="name")
    slug = slugify(slug or name)[:60]
    if not slug:
        raise Invalid("The short name needs at least one letter or digit.", field="slug")
    check_description(description)
    project = Project(name=name[:120], slug=slug, description=description.strip(), created_by=acting_user)
    project.settings_json = _checked(settings or {})
    try:
        with transaction.atomic():
            project.save()
    except IntegrityError as error:
        raise Conflict(
            _("There is a project “%(slug)s” already.") % {"slug": slug}, field="slug", hint="Choose another."
        ) from error
    follow_setting(project, was="off", now=project.settings.check_near_duplicate)
    Membership.objects.create(project=project, user=acting_user, role=Role.ADMIN)
    Guideline.objects.bulk_create([Guideline(project=project, kind=kind) for kind in TaskKind.values])
    create_forms(project=project, acting_user=acting_user, definitions=forms)
    record_event(action="project.created", actor=acting_user, obj=project, project=project, name=project.name)
    return project


def check_description(description: str) -> None:
    if len(description) > LONGEST_DESCRIPTION:
        raise Invalid(
            _("At most %(most)s characters.") % {"most": f"{LONGEST_DESCRIPTION:,}"}, field="description"
        )


@transaction.atomic
def update_project(*, project: Project, name: str, description: str, acting_user) -> Project:
    """Rename or redescribe; the slug stays, because links rely on it."""
    name = check_name(name)
    if not name:
        raise Invalid("Give the project a name.", field="name")
    check_description(description)
    old = {"name": project.name, "description": project.description}
    project.name, project.description = name[:120], description.strip()
    project.save(update_fields=["name", "description"])
    new = {"name": project.name, "description": project.description}
    if old != new:
        record_event(
            action="project.renamed", actor=acting_user, obj=project, project=project, old=old, new=new
        )
    return project


@transaction.atomic
def update_settings(*, project: Project, values: dict[str, Any], acting_user) -> Project:
    """Change some settings, leave the others. Raises Invalid naming the setting and its bounds.

    Work in hand keeps what it was shown; new hand-outs follow the new settings.
    """
    locked = Project.objects.select_for_update().get(pk=project.pk)
    old = locked.settings.to_json()
    new = _checked({**old, **values})
    locked.settings_json = project.settings_json = new
    locked.save(update_fields=["settings_json"])
    follow_setting(project, was=old["check_near_duplicate"], now=new["check_near_duplicate"])
    if new["match_languages"] != old.get("match_languages"):
        _mirror_languages(project, new["match_languages"])
    changed = [key for key in new if new[key] != old.get(key)]
    if changed:
        record_event(
            action="project.settings_changed",
            actor=acting_user,
            obj=project,
            project=project,
            old={key: old.get(key) for key in changed},
            new={key: new[key] for key in changed},
        )
    return project


@transaction.atomic
def archive_project(*, project: Project, acting_user) -> Project:
    """Put the project away: it hands out no more work, and everything in it can still be read."""
    if project.archived_at is None:
        project.archived_at = timezone.now()
        project.save(update_fields=["archived_at"])
        record_event(action="project.archived", actor=acting_user, obj=project, project=project)
    return project


@transaction.atomic
def restore_project(*, project: Project, acting_user) -> Project:
    """Take an archived project into use again."""
    if project.archived_at is not None:
        project.archived_at = None
        project.save(update_fields=["archived_at"])
        record_event(action="project.restored", actor=acting_user, obj=project, project=project)
    return project


@transaction.atomic
def add_member(*, project: Project, user, role: str, acting_user) -> Membership:
    """Bring somebody with an account in directly, or back in; commands and tests use it, pages invite."""
    membership, _ = Membership.objects.update_or_create(
        project=project, user=user, defaults={"role": Role(role), "status": MembershipStatus.ACTIVE}
    )
    record_event(
        action="membership.added",
        actor=acting_user,
        obj=membership,
        project=project,
        user=user.pseudonym,
        role=membership.role,
    )
    return membership


def _mirror_languages(project: Project, matched: bool) -> None:
    """Slots tell the prompt's language only where it decides who may have them."""
    language = Subquery(Prompt.objects.filter(tasks=OuterRef("task")).values("language")[:1])
    live = [AssignmentStatus.OPEN, AssignmentStatus.LEASED, AssignmentStatus.RETURNED]
    Assignment.objects.filter(project=project, status__in=live).update(
        language=language if matched else Value("")
    )
    if matched:  # prompts that are still to be written have none: the batch says which
        for batch in project.batches.filter(writes_prompt=True):
            if wanted := language_of_batch(batch):
                Assignment.objects.filter(batch=batch, status__in=live).update(language=wanted)


def _checked(values: dict[str, Any]) -> dict[str, Any]:
    try:
        return ProjectSettings.from_json(values).to_json()
    except ValueError as error:
        field, _colon, problem = str(error).partition(": ")
        hint = None
        if field in MOVED_TO_FORMS:
            where = f"/api/projects/{{slug}}/forms/{MOVED_TO_FORMS[field]}/draft/"
            hint = _("Change it with the form: %(where)s.") % {"where": where}
        raise Invalid(f"{field}: {problem}.", field=field, hint=hint) from error

"""Presets kept in a project."""

from __future__ import annotations

from typing import Any

from django.db import IntegrityError, transaction

from annotate.errors import Conflict, Invalid
from annotate.names import check_name
from annotate.words import _
from labeling.models import Project
from labeling.services.activity import record_event
from training.models import Preset
from training.rlhf.config import PRESETS

from .hyperparameters import check_hyperparameters


@transaction.atomic
def save_preset(
    *, project: Project, stage: str, name: str, values: dict[str, Any], acting_user, description: str = ""
) -> Preset:
    """Keep checked hyperparameters under a name.

    Raises Invalid (name, values) or Conflict (the name is taken).
    """
    name = check_name(name)
    if not name or len(name) > 60:
        raise Invalid("Give the preset a name of at most 60 characters.", field="name")
    checked = check_hyperparameters(stage, values)
    if name in PRESETS.get(stage, {}):
        raise Conflict(
            _("“%(name)s” is a preset that ships with the site.") % {"name": name},
            field="name",
            hint="Choose another name.",
        )
    try:
        with transaction.atomic():
            preset = Preset.objects.create(
                project=project,
                stage=stage,
                name=name,
                description=description.strip()[:300],
                values=checked,
                created_by=acting_user,
            )
    except IntegrityError as error:
        raise Conflict(
            _("There is a preset “%(name)s” already.") % {"name": name},
            field="name",
            hint="Choose another name.",
        ) from error
    record_event(
        action="preset.saved", actor=acting_user, obj=preset, project=project, name=name, stage=stage
    )
    return preset


@transaction.atomic
def delete_preset(*, preset: Preset, acting_user) -> None:
    """Forget a kept preset; runs made from it keep their values."""
    record_event(
        action="preset.deleted",
        actor=acting_user,
        obj=preset,
        project=preset.project,
        name=preset.name,
        values=preset.values,
    )
    preset.delete()

"""How programs and commands name dataset versions and checkpoints.

<uuid>            a dataset version (its public id) or a checkpoint
NAME@v2           version 2 of the dataset NAME; NAME alone is its newest ready version
run:7             the best checkpoint of run 7;  run:7@120  the one of step 120
"""

from __future__ import annotations

import uuid
from typing import Any

from annotate.errors import Invalid, storable
from annotate.words import _
from labeling.models import DatasetVersion, DatasetVersionStatus, Project
from training.models import Checkpoint

from .follow_ups import best_checkpoint
from .inputs import INPUTS

HINT = "An id, NAME@v1 for a dataset version, or run:7 for a checkpoint."


def resolve_inputs(project: Project, stage: str, references: dict[str, Any]) -> dict[str, Any]:
    """{role: reference or list of them} as create_run takes it. Raises Invalid naming the role."""
    specs = {str(spec.role): spec for spec in INPUTS.get(stage, ())}
    found: dict[str, Any] = {}
    for role, value in references.items():
        if value in (None, "", []):
            continue
        values = value if isinstance(value, list | tuple) else [value]
        sources = [resolve(project, each, field=role) for each in values]
        is_many = role in specs and specs[role].is_many
        found[role] = sources if is_many or len(sources) > 1 else sources[0]
    return found


def resolve(project: Project, reference: Any, *, field: str) -> DatasetVersion | Checkpoint:
    """What a reference names in this project. Raises Invalid."""
    text = storable(str(reference)).replace("\x00", "\\x00").strip()
    source = _by_uuid(project, text)
    if source is None and text.startswith("run:"):
        source = _by_run(project, text.removeprefix("run:"))
    if source is None:
        source = _by_name(project, text)
    if source is None:
        raise Invalid(
            _("“%(text)s” names nothing in this project.") % {"text": text[:120]}, field=field, hint=HINT
        )
    return source


def resolve_version(project: Project, reference: Any, *, field: str) -> DatasetVersion:
    source = resolve(project, reference, field=field)
    if not isinstance(source, DatasetVersion):
        raise Invalid(
            _("“%(reference)s” is a checkpoint, not a dataset version.") % {"reference": reference},
            field=field,
        )
    return source


def resolve_checkpoint(project: Project, reference: Any, *, field: str) -> Checkpoint:
    source = resolve(project, reference, field=field)
    if not isinstance(source, Checkpoint):
        raise Invalid(
            _("“%(reference)s” is a dataset version, not a checkpoint.") % {"reference": reference},
            field=field,
        )
    return source


def _by_uuid(project: Project, text: str) -> DatasetVersion | Checkpoint | None:
    try:
        key = uuid.UUID(text)
    except ValueError:
        return None
    version = (
        DatasetVersion.objects.filter(dataset__project=project, public_id=key)
        .select_related("dataset")
        .first()
    )
    return version or Checkpoint.objects.filter(project=project, pk=key).select_related("run").first()


def _by_run(project: Project, text: str) -> Checkpoint | None:
    number, _, step = text.partition("@")
    if not number.isdecimal() or len(number) > 9 or (step and not (step.isdecimal() and len(step) <= 9)):
        return None
    run = project.runs.filter(number=int(number)).first()
    if run is None:
        return None
    return run.checkpoints.present().filter(step=int(step)).first() if step else best_checkpoint(run)


def _by_name(project: Project, text: str) -> DatasetVersion | None:
    name, separator, number = text.rpartition("@v")
    versions = DatasetVersion.objects.filter(dataset__project=project).select_related("dataset")
    if separator and number.isdecimal() and len(number) <= 9:
        return versions.filter(dataset__name=name, number=int(number)).first()
    return versions.filter(dataset__name=text, status=DatasetVersionStatus.READY).order_by("-number").first()

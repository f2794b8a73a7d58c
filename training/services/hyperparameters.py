"""Hyperparameters as people and programs give them: checked against the one definition in
training.rlhf.config.

Fields that name files or models never come from outside: they are filled in when a run starts
(services/inputs.py).
"""

from __future__ import annotations

from typing import Any

from annotate.errors import Invalid
from annotate.words import _
from labeling.models import Project
from training.models import Preset, Stage
from training.rlhf.config import PRESETS, as_dict, describe, validate
from training.rlhf.config.fields import FieldSpec, check_value, unknown_field
from training.rlhf.errors import ConfigError, ModelFolderError
from training.rlhf.template_trial import check_template

# Filled in by us: paths, lists of paths, and the hub ids that settings allow.
OURS = ("path", "paths", "list")
STAND_IN = "filled-in-when-the-run-starts"


def fields_of(stage: str) -> list[FieldSpec]:
    """The hyperparameters of a stage, in the order a form should show them."""
    _check_stage(stage)
    return [spec for spec in describe(stage) if spec.type not in OURS]


def check_hyperparameters(stage: str, values: dict[str, Any]) -> dict[str, Any]:
    """All hyperparameters of the stage, defaults filled in.

    Raises Invalid with one detail for each field that is wrong, each naming the permitted values.
    """
    specs = fields_of(stage)
    if not isinstance(values, dict):
        raise Invalid("Hyperparameters are an object of names and values.", field="hyperparameters")
    by_name = {spec.name: spec for spec in specs}
    problems: list[ConfigError] = [unknown_field(name, specs) for name in values if name not in by_name]
    for name in values:
        if name in by_name:
            try:
                check_value(by_name[name], values[name])
            except ConfigError as error:
                problems.append(error)
    if problems:
        raise _refusal(problems)
    try:
        config = as_dict(validate(stage, {**_stand_ins(stage), **values}))
    except ConfigError as error:
        raise _refusal([error]) from error
    return {name: config[name] for name in by_name}


def check_typed_template(values: dict[str, Any]) -> None:
    """Raises Invalid where the chat template that somebody typed loops, or fills the memory."""
    try:
        check_template(values.get("chat_template"), "chat_template")
    except ModelFolderError as error:
        raise Invalid(error.message, field="chat_template", code=error.code) from error


def _stand_ins(stage: str) -> dict[str, Any]:
    """Something in place of every file, so that the rules between fields can be checked before files are
    known.
    """
    return {
        spec.name: [STAND_IN] if spec.type == "paths" else STAND_IN
        for spec in describe(stage)
        if spec.type in OURS[:2]
    }


def _refusal(problems: list[ConfigError]) -> Invalid:
    details = [{"field": error.field, "message": error.message} for error in problems]
    first = problems[0]
    message = (
        first.message
        if len(problems) == 1
        else _("%(count)s hyperparameters are wrong: %(first)s; …")
        % {"count": len(problems), "first": first.message}
    )
    return Invalid(message, code="bad_hyperparameters", field=first.field, details=details)


def presets_of(project: Project, stage: str) -> list[dict[str, Any]]:
    """Presets of the papers and those kept in this project.

    {"name", "description", "values", "is_kept", "id"}.
    """
    _check_stage(stage)
    built_in = [
        {
            "id": None,
            "name": name,
            "description": preset["description"],
            "values": preset["values"],
            "is_kept": False,
        }
        for name, preset in PRESETS.get(stage, {}).items()
    ]
    kept = [
        {
            "id": row.pk,
            "name": row.name,
            "description": row.description,
            "values": row.values,
            "is_kept": True,
        }
        for row in Preset.objects.filter(project=project, stage=stage)
    ]
    return built_in + kept


def preset_values(project: Project, stage: str, name: str) -> dict[str, Any]:
    """The values of one preset; Invalid where there is none of that name."""
    presets = presets_of(project, stage)
    for preset in presets:
        if preset["name"] == name:
            return dict(preset["values"])
    raise Invalid(
        _("There is no preset “%(name)s” for this stage.") % {"name": name[:60]},
        field="preset",
        hint=_("Presets: %(names)s") % {"names": ", ".join(preset["name"] for preset in presets)},
    )


def _check_stage(stage: str) -> None:
    if stage not in Stage.values:
        raise Invalid(_("A stage is one of %(known)s.") % {"known": ", ".join(Stage.values)}, field="stage")

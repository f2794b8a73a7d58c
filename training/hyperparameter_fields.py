"""Form fields of hyperparameters, made of the declarations in training.rlhf.config."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext

from annotate.words import _
from training.rlhf.config.fields import OUR_CHOICE, FieldSpec, figure

# Sections of hyperparameters, what one changes most first; unknown ones come before. Only the first is open.
GROUPS: dict[str, str] = {
    "schedule": _("Schedule"),
    "optimizer": _("Optimizer"),
    "rollout": _("Rollout"),
    "KL": _("KL"),
    "objective": _("Objective"),
    "data": _("Data"),
    "fine-tuning": _("Fine-tuning"),
    "model": _("Model"),
    "device": _("Device"),
}
# What may be entered, by type of a field; a box to tick, a list and a line of text show it by themselves.
ALLOWED: dict[str, str] = {
    "integer": _("A whole number from %(low)s to %(high)s."),
    "number": _("A finite number from %(low)s to %(high)s."),
    "paths": _("A list of paths."),
    "list": _("A list of texts."),
}


def hyperparameter_field(spec: FieldSpec, initial: Any) -> forms.Field:
    """The form field of a hyperparameter; its bounds stand in the help, its default and source too."""
    label = spec.name.replace("_", " ").capitalize()
    common: dict[str, Any] = {
        "required": False,
        "label": label,
        "initial": initial,
        "help_text": _help_of(spec),
    }
    if spec.type == "boolean":
        return forms.BooleanField(**common)
    if spec.type == "choice":
        return forms.ChoiceField(choices=[(value, value) for value in spec.choices or ()], **common)
    bounds: dict[str, Any] = {"min_value": spec.minimum, "max_value": spec.maximum}
    if spec.type == "integer":
        return forms.IntegerField(**bounds, **common)
    if spec.type == "number":
        widget = forms.NumberInput(attrs={"step": "any"})
        return forms.FloatField(**bounds, **common, widget=widget)
    # Not stripped: a stop sequence may well begin with a space.
    area = forms.Textarea(attrs={"rows": 2})
    return forms.CharField(**common, max_length=20_000, strip=False, widget=area)


def _help_of(spec: FieldSpec) -> str:
    """What it is, what is allowed, its default and whence, in the reader's language: `training.rlhf` knows no
    Django, and the catalogues take the texts from its declarations (annotate.catalogues).
    """
    said = [gettext(spec.help)]
    if spec.type in ALLOWED:
        said.append(
            ALLOWED[spec.type] % {"low": figure(spec.minimum or 0), "high": figure(spec.maximum or 0)}
        )
    said.append(_("Default: %(value)s.") % {"value": _default_of(spec)})
    if spec.source.startswith(OUR_CHOICE):
        said.append(_("Our choice: %(why)s.") % {"why": gettext(spec.source.removeprefix(OUR_CHOICE))})
    else:
        said.append(_("Source: %(source)s.") % {"source": spec.source})
    return " ".join(str(each) for each in said)


def _default_of(spec: FieldSpec) -> str:
    """The default as people read it, whatever a preset has filled in."""
    if isinstance(spec.default, bool):
        return str(_("on") if spec.default else _("off"))
    if isinstance(spec.default, int | float):
        return figure(spec.default)
    return str(spec.default).strip() or str(_("empty"))

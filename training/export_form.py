"""The form on a checkpoint's page that orders an export; its fields are those of the stage itself."""

from __future__ import annotations

from django import forms

from annotate.words import _
from training.hyperparameter_fields import hyperparameter_field
from training.models import Stage
from training.services.hyperparameters import fields_of

SHOWN = {
    "format": _("Format"),
    "weights": _("Number format"),
    "name": _("Name on the card"),
    "license": _("Licence"),
    "license_name": _("Name of the licence"),
    "license_link": _("Address of the licence"),
}


class ExportForm(forms.Form):
    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        specs = {spec.name: spec for spec in fields_of(Stage.EXPORT)}
        for name, label in SHOWN.items():
            field = hyperparameter_field(specs[name], specs[name].default)
            field.label = label
            if isinstance(field.widget, forms.Textarea):
                field.widget = forms.TextInput()
            self.fields[name] = field

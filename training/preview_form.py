"""The shape of the question which tokens are learnt: a dataset version, a model, a limit."""

from __future__ import annotations

from typing import Any

from django import forms

from annotate.words import _
from labeling.models import DatasetVersion, Project
from training.forms import CheckpointField, VersionField, checkpoints_of, split_field, versions_of
from training.models import Checkpoint, CheckpointKind, Stage
from training.rlhf.template_styles import GPT3, OWN, SIMPLE, STYLES
from training.services.hyperparameters import fields_of
from training.services.locations import known_base_models
from training.services.token_preview import STAGE_OF

TEMPLATE_FIELDS = ("template", "separator", "stop_sequence")
TEMPLATE_WORDS = {
    OWN: _("the model's own, or the simple one"),
    SIMPLE: _("the simple one"),
    GPT3: _("as GPT-3: separator, space, stop sequence"),
}


class TokenPreviewForm(forms.Form):
    """Sent by GET: what it shows has an address. Its names are those of the form of a run."""

    use_required_attribute = False  # the page opens with some fields filled in by a link

    train_data = VersionField(queryset=DatasetVersion.objects.none(), label=_("Dataset version"))
    split = split_field()
    model = CheckpointField(
        queryset=Checkpoint.objects.none(), required=False, label=_("Checkpoint"), empty_label="—"
    )
    base_model = forms.ChoiceField(required=False, label=_("Or a base model"))
    maximum_length = forms.IntegerField(
        min_value=8, max_value=1_000_000, initial=512, label=_("Most tokens of a row (maximum_length)")
    )
    template = forms.ChoiceField(required=False, label=_("How conversations are written down (template)"))
    separator = forms.CharField(
        required=False, max_length=200, strip=False, label=_("Separator, of the style gpt3")
    )
    stop_sequence = forms.CharField(
        required=False, max_length=200, strip=False, label=_("Stop sequence, of the style gpt3")
    )
    rows = forms.IntegerField(min_value=1, max_value=30, initial=6, label=_("Rows to show"))

    def __init__(self, data: Any, *, project: Project) -> None:
        super().__init__(data)
        choices: dict[str, Any] = dict(self.fields)
        choices["train_data"].queryset = versions_of(project, tuple(STAGE_OF))
        choices["model"].queryset = checkpoints_of(project, CheckpointKind.CAUSAL_LM)
        choices["base_model"].choices = [("", "—"), *((name, name) for name in known_base_models())]
        choices["template"].choices = [(style, TEMPLATE_WORDS[style]) for style in STYLES]
        for spec in fields_of(Stage.SFT):
            if spec.name in TEMPLATE_FIELDS:
                self.fields[spec.name].initial = spec.default

    def template_options(self) -> dict[str, str]:
        """Of the template's fields those that were filled in."""
        return {name: self.cleaned_data[name] for name in TEMPLATE_FIELDS if self.cleaned_data.get(name)}

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if not self.errors and bool(data.get("model")) == bool(data.get("base_model")):
            self.add_error("model", _("Choose a checkpoint or a base model."))
        return data

"""Shape of the form that orders both ways of taking in new data."""

from __future__ import annotations

from typing import Any

from django import forms

from annotate.words import _
from labeling.models import DatasetKind, DatasetVersion, Project
from training.forms import CheckpointField, VersionField, checkpoints_of, choices_of, versions_of
from training.models import Checkpoint, CheckpointKind, Stage
from training.services.continuations import KIND
from training.services.locations import known_base_models

DATA = {Stage.SFT: DatasetKind.SFT, Stage.REWARD: DatasetKind.COMPARISON}


class ContinuationForm(forms.Form):
    """A trains anew from the base on all data, B goes on from a checkpoint on the new data."""

    start = CheckpointField(
        queryset=Checkpoint.objects.none(),
        label=_("Former checkpoint"),
        help_text=_("B goes on from it. Both runs take the hyperparameters it was trained with."),
    )
    former_data = VersionField(
        queryset=DatasetVersion.objects.none(),
        label=_("Former data"),
        help_text=_("What it learnt. Its held-out rows show what was forgotten."),
    )
    new_data = VersionField(
        queryset=DatasetVersion.objects.none(), label=_("New data"), help_text=_("What B learns.")
    )
    all_data = VersionField(
        queryset=DatasetVersion.objects.none(),
        label=_("All data"),
        help_text=_("What A learns: a version that holds the former rows and the new ones."),
    )
    anew_from = CheckpointField(
        queryset=Checkpoint.objects.none(),
        required=False,
        empty_label=_("What the former checkpoint began from"),
        label=_("A starts from"),
    )
    base_model = forms.ChoiceField(required=False, label=_("Or a base model"))
    mix_ratio = forms.FloatField(
        min_value=0,
        max_value=100,
        initial=0,
        label=_("Former rows for each new one"),
        help_text=_("B learns so many former rows beside the new ones; 0: new data only."),
    )
    learning_rate_multiplier = forms.FloatField(
        min_value=0.0001,
        max_value=10,
        initial=0.3,
        label=_("B’s learning rate, times"),
        help_text=_("Below 1 less is forgotten, and less is learnt."),
    )
    name = forms.CharField(max_length=110, required=False, label=_("Name"))

    def __init__(self, *args, project: Project, stage: str, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        kind = Stage(stage)
        choices_of(self, "start").queryset = checkpoints_of(project, KIND[kind])
        choices_of(self, "anew_from").queryset = checkpoints_of(project, CheckpointKind.CAUSAL_LM)
        for field in ("former_data", "new_data", "all_data"):
            choices_of(self, field).queryset = versions_of(project, [DATA[kind]])
        choices_of(self, "base_model").choices = [("", "—"), *((name, name) for name in known_base_models())]

    def given(self) -> dict[str, Any]:
        """As `create_continuation` takes it."""
        return dict(self.cleaned_data)

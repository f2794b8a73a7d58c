"""Shape of the form of a round."""

from __future__ import annotations

from typing import Any

from django import forms

from annotate.words import _
from labeling.models import Project
from training.forms import CheckpointField, checkpoints_of, choices_of
from training.models import Checkpoint, CheckpointKind, RoundStepKind
from training.services.hyperparameters import presets_of
from training.services.locations import known_base_models


class RoundForm(forms.Form):
    """The plan of a round, as far as people set it by hand; presets stand for hyperparameters."""

    checkpoint = CheckpointField(
        queryset=Checkpoint.objects.none(), required=False, label=_("SFT starts from")
    )
    base_model = forms.ChoiceField(required=False, label=_("Or a base model"))
    demonstration_prompts = forms.IntegerField(
        min_value=0,
        max_value=100_000,
        initial=0,
        label=_("Prompts people answer first"),
        help_text=_("0 goes on with the demonstrations there are."),
    )
    ranking_prompts = forms.IntegerField(
        min_value=1, max_value=100_000, initial=50, label=_("Prompts whose completions people rank")
    )
    ranking_test_share = forms.FloatField(
        min_value=0,
        max_value=0.5,
        initial=0.1,
        label=_("Share of them from the test split"),
        help_text=_("No model learns from these rankings: the reward model is measured on them."),
    )
    completions_per_prompt = forms.IntegerField(min_value=2, max_value=9, label=_("Completions per task (K)"))
    ranking_overlap = forms.IntegerField(min_value=1, max_value=20, label=_("People per ranking"))
    temperature = forms.FloatField(min_value=0, max_value=10, initial=1.0, label=_("Temperature"))
    maximum_new_tokens = forms.IntegerField(
        min_value=1, max_value=100_000, initial=64, label=_("Longest completion in tokens")
    )
    again_prompts = forms.IntegerField(
        min_value=0,
        max_value=100_000,
        initial=20,
        label=_("Held-out prompts for SFT against PPO"),
        help_text=_("Ranked blind at the end; 0 leaves that out."),
    )
    sft_preset = forms.ChoiceField(required=False, label=_("Preset of the SFT run"))
    reward_preset = forms.ChoiceField(required=False, label=_("Preset of the reward run"))
    ppo_preset = forms.ChoiceField(required=False, label=_("Preset of the PPO run"))
    by_hand = forms.MultipleChoiceField(
        required=False,
        choices=RoundStepKind.choices,
        widget=forms.CheckboxSelectMultiple,
        label=_("Steps that wait for you"),
        help_text=_("All others start by themselves as soon as the step before is done."),
    )

    def __init__(self, *args, project: Project, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        choices_of(self, "checkpoint").queryset = checkpoints_of(project, CheckpointKind.CAUSAL_LM)
        choices_of(self, "base_model").choices = [("", "—"), *((name, name) for name in known_base_models())]
        for stage in ("sft", "reward", "ppo"):
            names = [each["name"] for each in presets_of(project, stage)]
            choices_of(self, f"{stage}_preset").choices = [
                ("", _("Defaults")),
                *((name, name) for name in names),
            ]
        self.fields["completions_per_prompt"].initial = project.settings.completions_per_task
        self.fields["ranking_overlap"].initial = project.settings.default_overlap

    def plan(self) -> dict[str, Any]:
        values = dict(self.cleaned_data)
        checkpoint = values.pop("checkpoint")
        values["checkpoint"] = str(checkpoint.pk) if checkpoint else ""
        return values

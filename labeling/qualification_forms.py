"""Shapes of the forms about qualification; the rules are in services."""

from __future__ import annotations

from django import forms

from annotate.words import _

from .models import Batch


class ScreeningForm(forms.Form):
    batch = forms.ModelChoiceField(
        queryset=Batch.objects.none(),
        label=_("Screening batch"),
        help_text=_("A batch made for screening. Rankings need a known answer on every task."),
    )
    tasks_per_attempt = forms.IntegerField(
        min_value=1,
        max_value=1_000,
        initial=5,
        label=_("Tasks per attempt"),
        help_text=_("A retry takes other tasks of the batch, so give it more than one attempt needs."),
    )
    minimum_ranking_agreement = forms.FloatField(
        min_value=0, max_value=1, initial=0.75, label=_("Least agreement on rankings")
    )
    minimum_flag_agreement = forms.FloatField(
        min_value=0, max_value=1, initial=0.75, label=_("Least agreement on flags")
    )
    minimum_demonstration_score = forms.FloatField(
        min_value=1, max_value=7, initial=6, label=_("Least mean score of demonstrations")
    )
    retry_days = forms.IntegerField(
        min_value=0,
        max_value=365,
        initial=7,
        label=_("Days until a retry"),
        help_text=_("0: a lead decides whether somebody tries again."),
    )
    passes_automatically = forms.BooleanField(
        required=False, initial=True, label=_("The cut-offs decide; else a lead does every time")
    )
    keep_qualified = forms.BooleanField(
        required=False,
        initial=True,
        label=_("Who passed the last set stays qualified"),
        help_text=_("Leave it out to recalibrate everybody, as after a new guideline version."),
    )

    def __init__(self, *args, batches, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["batch"]
        if isinstance(field, forms.ModelChoiceField):
            field.queryset = batches


class BoundsForm(forms.Form):
    max_tasks_per_day = forms.IntegerField(
        required=False,
        min_value=0,
        max_value=10_000,
        label=_("Tasks a day"),
        help_text=_("Empty: the project's."),
    )
    max_hours_per_day = forms.FloatField(
        required=False, min_value=0, max_value=24, label=_("Hours a day"), help_text=_("0: no bound.")
    )

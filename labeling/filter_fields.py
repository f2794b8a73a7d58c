"""The fields of a recipe's filters, mixed into the form of a recipe."""

from __future__ import annotations

from typing import Any

from django import forms

from annotate.words import _

from .models import Project
from .preparation_words import FIXES, title_of_fix
from .services.recipe_filters import PERSONAL_DATA

NUMBERS = ("least_characters", "most_characters", "category_most")


class FilterFields(forms.Form):
    """What of the selected rows is left out, masked or capped. Left empty a field does not restrict."""

    languages = forms.MultipleChoiceField(required=False, label=_("Languages"))
    least_characters = forms.IntegerField(
        required=False,
        min_value=0,
        label=_("At least so many characters"),
        help_text=_("Of the answer, of all completions together, or of the prompt in a prompts dataset."),
    )
    most_characters = forms.IntegerField(required=False, min_value=0, label=_("At most so many characters"))
    blocked_words = forms.CharField(
        required=False,
        label=_("Blocked words"),
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_("One word or phrase a line; rows that hold one are left out."),
    )
    personal_data = forms.ChoiceField(
        required=False, choices=list(PERSONAL_DATA.items()), label=_("Personal data")
    )
    category_most = forms.IntegerField(
        required=False, min_value=0, label=_("At most so many rows of one category")
    )
    least_agreement = forms.FloatField(
        required=False,
        min_value=0,
        max_value=100,
        label=_("Least agreement %"),
        help_text=_("Of the people who ranked a task, pair by pair; tasks of one person pass."),
    )
    fixes = forms.MultipleChoiceField(
        required=False,
        choices=[(name, title_of_fix(name)) for name in FIXES],
        label=_("Fixes"),
        widget=forms.CheckboxSelectMultiple,
        help_text=_("Those of the preparation report, worked out anew for each version."),
    )

    def offer_languages(self, project: Project) -> None:
        named = project.prompts.exclude(language="").order_by("language")
        found = named.values_list("language", flat=True).distinct()
        self.fields["languages"].choices = [(name, name) for name in found[:200]]  # type: ignore[attr-defined]

    def filters(self) -> dict[str, Any]:
        """The cleaned fields as `filters` of a recipe."""
        data = self.cleaned_data
        filters: dict[str, Any] = {name: data[name] for name in NUMBERS if data.get(name)}
        for name in ("languages", "fixes"):
            if data.get(name):
                filters[name] = data[name]
        if words := data["blocked_words"].split("\n"):
            filters["blocked_words"] = [word.strip() for word in words if word.strip()]
        if data["personal_data"]:
            filters["personal_data"] = data["personal_data"]
        if data["least_agreement"]:
            filters["least_agreement"] = data["least_agreement"] / 100
        return filters

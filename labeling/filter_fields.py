"""The fields of a recipe's filters, mixed into the form of a recipe."""

from __future__ import annotations

from typing import Any

from django import forms

from annotate.errors import Invalid
from annotate.words import _

from .models import Project
from .preparation_words import FIXES, title_of_fix
from .services.recipe_filters import PERSONAL_DATA, weights_of_lines

NUMBERS = ("least_characters", "most_characters", "category_most")
SCORES = ("least_score", "most_score")


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
    names = forms.BooleanField(
        required=False,
        label=_("People's names too"),
        help_text=_(
            "Told by given names, titles and introductions: of ten that are found about nine are names."
        ),
    )
    category_most = forms.IntegerField(
        required=False, min_value=0, label=_("At most so many rows of one category")
    )
    least_score = forms.FloatField(
        required=False,
        label=_("Scored at least"),
        help_text=_(
            "Of a ranking its best completion, as the person or its file scored it; else as the file did."
        ),
    )
    most_score = forms.FloatField(required=False, label=_("Scored at most"))
    scored_only = forms.BooleanField(required=False, label=_("Only rows with a score"))
    weights = forms.CharField(
        required=False,
        label=_("Weights"),
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_(
            "One a line: category, source, annotator or language, a name or * for all others, and the share "
            "of such rows that is kept. For example: category law 1, then category * 0.5."
        ),
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

    def clean_weights(self) -> str:
        try:
            weights_of_lines(self.cleaned_data["weights"])
        except Invalid as error:
            raise forms.ValidationError(" ".join(filter(None, [error.message, error.hint]))) from error
        return self.cleaned_data["weights"]

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
        filters |= {name: data[name] for name in SCORES if data.get(name) is not None}
        filters |= {name: True for name in ("names", "scored_only") if data.get(name)}
        if data["weights"]:
            filters["weights"] = weights_of_lines(data["weights"])
        if data["least_agreement"]:
            filters["least_agreement"] = data["least_agreement"] / 100
        return filters

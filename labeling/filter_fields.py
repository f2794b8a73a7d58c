"""The fields of a recipe's filters, mixed into the form of a recipe."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django import forms

from annotate.errors import Invalid
from annotate.words import _

from .models import Project
from .preparation_words import FIXES, title_of_fix
from .services.recipe_filters import PERSONAL_DATA, cap_lines, caps_of_lines, weight_lines, weights_of_lines

NUMBERS = ("least_characters", "most_characters")
# Offered where prompts are not marked; any other can be named through the API.
TOLD = ("ar", "de", "en", "es", "fr", "hi", "it", "ja", "ko", "nl", "pl", "pt", "ru", "tr", "uk", "zh")
SCORES = ("least_score", "most_score")


class FilterFields(forms.Form):
    """What of the selected rows is left out, masked or capped. Left empty a field does not restrict."""

    languages = forms.MultipleChoiceField(
        required=False,
        label=_("Languages"),
        help_text=_("Of prompts: as they are marked, else as their texts tell."),
    )
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
    category_most = forms.CharField(
        required=False,
        label=_("At most so many rows of one category"),
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text=_("A number for each, or one a line: law 500, then * 100 for all others."),
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

    evaluation = forms.TypedMultipleChoiceField(
        required=False,
        coerce=int,
        label=_("Evaluation sets"),
        help_text=_("Imports whose prompts may not be trained on: for the fix that leaves leaks out."),
    )

    def clean_weights(self) -> str:
        return self._read_by(weights_of_lines, "weights")

    def clean_category_most(self) -> str:
        return self._read_by(caps_of_lines, "category_most")

    def _read_by(self, read: Callable[[str], Any], name: str) -> str:
        try:
            read(self.cleaned_data[name])
        except Invalid as error:
            raise forms.ValidationError(" ".join(filter(None, [error.message, error.hint]))) from error
        return self.cleaned_data[name]

    def offer_languages(self, project: Project) -> None:
        named = project.prompts.exclude(language="").order_by("language")
        found = set(named.values_list("language", flat=True).distinct()[:200])
        if project.prompts.written().filter(language="").exists():
            found.update(TOLD)
        self.fields["languages"].choices = [(name, name) for name in sorted(found)]  # type: ignore[attr-defined]

    def filters(self) -> dict[str, Any]:
        """The cleaned fields as `filters` of a recipe."""
        data = self.cleaned_data
        filters: dict[str, Any] = {name: data[name] for name in NUMBERS if data.get(name)}
        for name in ("languages", "fixes", "evaluation"):
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
        if data["category_most"]:
            filters["category_most"] = caps_of_lines(data["category_most"])
        if data.get("least_agreement"):
            filters["least_agreement"] = data["least_agreement"] / 100
        return filters


def filter_values(filters: Mapping[str, Any]) -> dict[str, Any]:
    """Stored filters as the fields show them."""
    shown = dict(filters)
    if "blocked_words" in shown:
        shown["blocked_words"] = "\n".join(shown["blocked_words"])
    if "weights" in shown:
        shown["weights"] = "\n".join(weight_lines(shown["weights"]))
    if "category_most" in shown:
        shown["category_most"] = "\n".join(cap_lines(shown["category_most"]))
    if "least_agreement" in shown:
        shown["least_agreement"] = round(shown["least_agreement"] * 100, 6)
    return shown

"""Shapes of the forms of imports and datasets; the rules are in services."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms

from annotate.words import _

from .filter_fields import FilterFields, filter_values
from .formats import SPLITS
from .forms import offer
from .kind_fields import KindFields
from .models import (
    Dataset,
    DatasetKind,
    GuidelineVersion,
    ImportKind,
    ImportStatus,
    Project,
    Submission,
    TaskKind,
)
from .services.prompt_fields import offered_fields
from .services.recipe_kinds import without_useless_entries
from .services.recipes import DECISIONS, DEFAULT_FRACTIONS, DEFAULT_SOURCES, RANKINGS, SOURCES

FIELD_WORDS = {"category": _("Category"), "language": _("Language")}
MOST_CHOICES = 200  # in one list of a form; more can be named through the API


class SeveralFilesInput(forms.ClearableFileInput):
    allow_multiple_selected = True


class SeveralFilesField(forms.FileField):
    """One or more files; cleaned to a list."""

    widget = SeveralFilesInput

    def clean(self, data: Any, initial: Any = None) -> list:
        files = data if isinstance(data, list | tuple) else [data]
        # Emptiness and size are the service's to say, with what to do about it.
        return [super(SeveralFilesField, self).clean(file, initial) for file in files]


class UploadForm(forms.Form):
    kind = forms.ChoiceField(choices=ImportKind.choices, label=_("What is in it"), widget=forms.RadioSelect)
    files = SeveralFilesField(  # type: ignore[assignment]  # Django takes fields off the class
        label=_("Files"),
        allow_empty_file=True,
        help_text=_(
            "JSON lines, JSON, CSV, TSV, Parquet, plain text or a Stack Exchange dump, also compressed "
            "with gzip or Zstandard. Several at once are read alike."
        ),
    )
    licence = forms.CharField(
        required=False,
        max_length=120,
        label=_("Licence"),
        help_text=_("Kept with every row, such as CC BY-NC 4.0."),
    )


def _numbers(rows, label) -> list[tuple[int, str]]:
    return [(row.pk, label(row)) for row in rows[:MOST_CHOICES]]


class RecipeForm(KindFields, FilterFields):
    """A dataset's name, kind and recipe. Lists without a choice do not restrict."""

    name = forms.CharField(max_length=120, label=_("Name"))
    kind = forms.ChoiceField(
        choices=DatasetKind.choices,
        label=_("Kind"),
        help_text=_(
            "Completions without an order hold every answer to a prompt, ranked or not, "
            "to be taken elsewhere: no run learns from them."
        ),
    )
    sources = forms.MultipleChoiceField(
        choices=list(SOURCES.items()), label=_("Sources"), widget=forms.CheckboxSelectMultiple
    )
    decisions = forms.MultipleChoiceField(
        choices=list(DECISIONS.items()),
        label=_("Review"),
        widget=forms.CheckboxSelectMultiple,
        help_text=_("Of people's work. Work that was returned or rejected never gets in."),
    )
    batches = forms.TypedMultipleChoiceField(coerce=int, required=False, label=_("Batches"))
    imports = forms.TypedMultipleChoiceField(coerce=int, required=False, label=_("Imports"))
    categories = forms.MultipleChoiceField(required=False, label=_("Categories"))
    guideline_versions = forms.TypedMultipleChoiceField(
        coerce=int, required=False, label=_("Guideline versions")
    )
    annotators = forms.MultipleChoiceField(required=False, label=_("Only these people"))
    exclude_annotators = forms.MultipleChoiceField(required=False, label=_("Leave out people"))
    rankings = forms.ChoiceField(
        choices=list(RANKINGS.items()),
        required=False,
        label=_("Rankings"),
        help_text=_("Of comparison datasets."),
    )
    include_scores = forms.BooleanField(
        required=False,
        label=_("With scores"),
        help_text=_(
            "Of comparison datasets: rows also hold the scores people gave, for reward runs that learn them."
        ),
    )
    include_fields = forms.MultipleChoiceField(
        required=False,
        label=_("Fields of prompts"),
        widget=forms.CheckboxSelectMultiple,
        help_text=_("Go along with each row, where its prompt has them. What a format cannot hold it says."),
    )
    submitted_from = forms.DateField(
        required=False,
        label=_("From"),
        widget=forms.DateInput(attrs={"type": "date"}),
        help_text=_("First day, UTC."),
    )
    submitted_until = forms.DateField(
        required=False,
        label=_("Until"),
        widget=forms.DateInput(attrs={"type": "date"}),
        help_text=_("Last day, UTC."),
    )
    train = forms.FloatField(min_value=0, max_value=100, label=_("Train %"))
    validation = forms.FloatField(min_value=0, max_value=100, label=_("Validation %"))
    test = forms.FloatField(min_value=0, max_value=100, label=_("Test %"))
    salt = forms.CharField(
        required=False,
        max_length=100,
        label=_("Salt of the split"),
        help_text=_("The project's short name if empty: a prompt is then on the same side in all datasets."),
    )

    def __init__(
        self, *args, project: Project, dataset: Dataset | None = None, is_sent: bool = False, **kwargs
    ) -> None:
        """With a dataset, whose name and kind stay, its newest recipe is what is there to be changed.
        `is_sent`: to be made, not only counted."""
        if dataset is not None:
            stored = without_useless_entries(dataset.kind, dataset.recipe)
            kwargs["initial"] = {"name": dataset.name, "kind": dataset.kind, **form_values(stored)}
        super().__init__(*args, **kwargs)
        self.project, self.dataset, self.is_sent = project, dataset, is_sent
        fields = self.fields
        offer(
            fields["batches"],
            _numbers(project.batches.order_by("-pk"), lambda row: f"{row.name} ({row.get_kind_display()})"),
        )
        succeeded = project.imports.filter(status=ImportStatus.SUCCEEDED).order_by("-pk")
        for name in ("imports", "evaluation"):
            offer(fields[name], _numbers(succeeded, str))
        named = project.prompts.exclude(category="").order_by("category")
        categories = named.values_list("category", flat=True).distinct()
        offer(fields["categories"], [(name, name) for name in categories[:MOST_CHOICES]])
        versions = GuidelineVersion.objects.filter(guideline__project=project).select_related("guideline")
        offer(
            fields["guideline_versions"],
            _numbers(
                versions.order_by("guideline__kind", "-number"),
                lambda row: f"{TaskKind(row.guideline.kind).label} {row.number}",
            ),
        )
        people = Submission.objects.filter(project=project, annotator__isnull=False).order_by()
        pseudonyms = sorted(people.values_list("annotator__pseudonym", flat=True).distinct())
        for name in ("annotators", "exclude_annotators"):
            offer(fields[name], [(pseudonym, pseudonym) for pseudonym in pseudonyms])
        # The newest prompts do not have every key there is; more can be named through the API.
        named_fields = [(name, FIELD_WORDS.get(name, name)) for name in offered_fields(project)]
        offer(fields["include_fields"], named_fields)
        self.offer_languages(project)
        for name, field in list(fields.items()):
            if isinstance(field, forms.MultipleChoiceField):
                self._offer_chosen(name, field)
                if not field.choices:
                    del fields[name]
        kind = dataset.kind if dataset is not None else self.data.get("kind", self.initial.get("kind"))
        self.fit_to_kind(kind or DatasetKind.values[0])
        for name in ("name", "kind") if dataset is not None else ():
            fields[name].disabled = True
        initial: dict[str, Any] = {"sources": list(DEFAULT_SOURCES), "decisions": list(DECISIONS)}
        initial |= {split: DEFAULT_FRACTIONS[split] * 100 for split in SPLITS}
        for name in initial.keys() & fields.keys():
            fields[name].initial = initial[name]

    def _offer_chosen(self, name: str, field: forms.MultipleChoiceField) -> None:
        """What the recipe names is offered, also where there is too much to offer all."""
        choices: list = list(field.choices)  # type: ignore[arg-type]  # `offer` made it a list
        known = {str(value) for value, _label in choices}
        more = [value for value in self.initial.get(name) or () if str(value) not in known]
        field.choices = [*choices, *((value, str(value)) for value in more)]

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        total = sum(data.get(split) or 0 for split in SPLITS)
        if not self.errors and abs(total - 100) > 1e-6:
            said = _("The three shares make %(total)s %%; they must make 100 %%.")
            self.add_error("train", said % {"total": f"{total:g}"})
        return data

    def recipe(self) -> dict[str, Any]:
        """The cleaned fields as a recipe for the services. Of a dataset's: what was changed of it; what the
        form does not show, or shows rounded, stays as it is."""
        made = self._recipe()
        if self.dataset is None:
            return made
        changed = {each if each not in SPLITS else "fractions" for each in self.changed_data}
        before = without_useless_entries(self.dataset.kind, self.dataset.recipe)
        recipe = before | {name: made[name] for name in changed & made.keys()}
        filters = dict(recipe.get("filters", {}))
        for name in changed & FilterFields.base_fields.keys():
            filters.pop(name, None)
            if name in made.get("filters", {}):
                filters[name] = made["filters"][name]
        return recipe | {"filters": filters}

    def _recipe(self) -> dict[str, Any]:
        data = self.cleaned_data
        recipe: dict[str, Any] = {
            name: data[name]
            for name in ("sources", "decisions", "batches", "imports", "categories", "guideline_versions",
                         "annotators", "exclude_annotators", "include_fields", "salt")
            if name in data
        }  # fmt: skip
        for name in ("submitted_from", "submitted_until"):
            recipe[name] = data[name].isoformat() if data[name] else ""
        if filters := self.filters():
            recipe["filters"] = filters
        recipe["rankings"] = data.get("rankings") or "each"
        recipe["include_scores"] = data.get("include_scores", False)
        recipe["fractions"] = {split: data[split] / 100 for split in SPLITS}
        return recipe


def form_values(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """A stored recipe as the fields of the form show it."""
    fractions = recipe.get("fractions", DEFAULT_FRACTIONS)
    shown = {name: value for name, value in recipe.items() if name not in ("fractions", "filters")}
    return (
        shown
        | {split: round(fractions.get(split, 0) * 100, 6) for split in SPLITS}
        | filter_values(recipe.get("filters", {}))
    )

"""Shapes of the forms of projects, people, guidelines and batches; the rules are in services."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from django import forms

from .models import Layout, ProjectSettings, Role, TaskKind


class ProjectForm(forms.Form):
    name = forms.CharField(max_length=120, label="Name")
    description = forms.CharField(
        required=False,
        label="Description",
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="What it is for.",
    )


class NewProjectForm(ProjectForm):
    slug = forms.SlugField(
        required=False,
        max_length=60,
        label="Short name",
        help_text="Part of every address, such as /projects/tidy-answers/. Made from the name where empty.",
    )
    field_order = ["name", "slug", "description"]


class InvitationForm(forms.Form):
    email = forms.EmailField(label="E-mail address")
    role = forms.ChoiceField(choices=Role.choices, label="Role")
    days = forms.IntegerField(
        min_value=1, max_value=60, initial=7, label="Days until it expires", help_text="The link works once."
    )


class RegistrationForm(forms.Form):
    username = forms.CharField(max_length=150, label="User name", help_text="What you sign in with.")
    display_name = forms.CharField(
        max_length=100, required=False, label="Name", help_text="What colleagues see."
    )
    password = forms.CharField(
        label="Password",
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text="At least 10 characters.",
    )


class BatchForm(forms.Form):
    name = forms.CharField(max_length=120, label="Name")
    kind = forms.ChoiceField(choices=TaskKind.choices, label="Kind of task")
    limit = forms.IntegerField(
        min_value=1, max_value=100_000, initial=100, label="Tasks at most", help_text="The oldest come first."
    )
    category = forms.ChoiceField(required=False, label="Category of prompts")
    layout = forms.ChoiceField(
        choices=[
            (Layout.RANKING, "Ranking of K completions"),
            (Layout.PAIRWISE, "Pairwise: two, and how much better"),
        ],
        required=False,
        label="Layout of rankings",
    )
    completions_per_task = forms.IntegerField(
        min_value=2,
        max_value=9,
        label="Completions per ranking (K)",
        help_text="Used for rankings only; pairwise always shows two.",
    )
    overlap = forms.IntegerField(
        min_value=1, max_value=20, label="Overlap", help_text="How many people judge each task."
    )
    review_rate = forms.FloatField(
        min_value=0,
        max_value=1,
        label="Review rate",
        help_text="Share sampled for review: 0.1 is one in ten.",
    )
    priority = forms.IntegerField(
        min_value=-100, max_value=100, initial=0, label="Priority", help_text="Higher is handed out first."
    )
    starts_from_draft = forms.BooleanField(
        required=False,
        label="Start from a model’s draft",
        help_text="Demonstrations only: who writes edits the newest model’s answer, where there is one.",
    )
    writes_prompt = forms.BooleanField(
        required=False,
        label="Who answers writes the prompt too",
        help_text="Demonstrations only: as many tasks as you say above, each without a prompt. "
        "The category is what their form starts from.",
    )
    deadline_at = forms.DateTimeField(
        required=False,
        label="Deadline",
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
        help_text="Nearer deadlines go first among equal priorities. Afterwards nothing is handed out.",
    )
    purpose = forms.ChoiceField(
        choices=[
            ("work", "Work"),
            ("calibration", "Calibration: the same tasks to everybody"),
            ("screening", "Screening: for those who are not qualified yet"),
        ],
        required=False,
        label="Purpose",
    )

    def clean_purpose(self) -> str:
        return self.cleaned_data["purpose"] or "work"

    def __init__(self, *args, project, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        settings = project.settings
        self.fields["overlap"].initial = settings.default_overlap
        self.fields["review_rate"].initial = settings.demonstration_review_rate
        self.fields["completions_per_task"].initial = settings.completions_per_task
        categories = project.prompts.active().exclude(category="").order_by("category")
        names = categories.values_list("category", flat=True).distinct()
        offer(self.fields["category"], [("", "All categories"), *((name, name) for name in names)])

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        data["layout"] = data.get("layout") or Layout.RANKING
        if data["layout"] == Layout.PAIRWISE:
            data["completions_per_task"] = 2
        return data


class BatchPolicyForm(forms.Form):
    priority = forms.IntegerField(min_value=-100, max_value=100, label="Priority")
    review_rate = forms.FloatField(min_value=0, max_value=1, label="Review rate")
    deadline_at = forms.DateTimeField(
        required=False,
        label="Deadline",
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
    )


SETTING_LABELS = {
    "completions_per_task": "Completions per task (K)",
    "check_length": "Length",
    "check_blocked_words": "Blocked words in answers",
    "check_personal_data": "Personal data",
    "check_repeated_prompt": "Repeated prompt",
    "check_near_duplicate": "Near duplicates",
    "check_untouched_draft": "Untouched draft",
}


def offer(field: forms.Field, choices: Iterable[tuple[Any, str]]) -> None:
    """Give a choice field what there is to choose from, where that depends on the project."""
    if not isinstance(field, forms.ChoiceField):
        raise TypeError(f"{field!r} is no choice field")
    field.choices = list(choices)


class SettingsForm(forms.Form):
    """One field per ProjectSettings entry, made from its definition. Lists are edited as `key: label`
    lines.
    """

    def __init__(self, *args, settings: ProjectSettings, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        for spec in dataclasses.fields(ProjectSettings):
            self.fields[spec.name] = self._field(spec, getattr(settings, spec.name))

    @staticmethod
    def _field(spec: dataclasses.Field, value) -> forms.Field:
        label = SETTING_LABELS.get(spec.name) or spec.name.replace("_", " ").capitalize()
        options = {"label": label, "help_text": spec.metadata["help"], "initial": value}
        bounds = {"min_value": spec.metadata["minimum"], "max_value": spec.metadata["maximum"]}
        match str(spec.type):
            case "bool":
                return forms.BooleanField(required=False, **options)
            case "int":
                return forms.IntegerField(**options, **bounds)
            case "float":
                return forms.FloatField(**options, **bounds)
            case "str":
                return forms.ChoiceField(choices=spec.metadata["choices"], **options)
        if spec.metadata["words"]:
            options["initial"] = "\n".join(value)
            return WordListField(
                widget=forms.Textarea(attrs={"rows": 4, "dir": "auto"}), required=False, **options
            )
        options["initial"] = "\n".join(f"{item['key']}: {item['label']}" for item in value)
        options["help_text"] += " One “key: label” a line."
        return FlagListField(
            widget=forms.Textarea(attrs={"rows": max(3, len(value))}), required=False, **options
        )


class FlagListField(forms.CharField):
    """Lines of `key: label` as the list of {"key", "label"} that ProjectSettings keeps."""

    def clean(self, value):
        items: list[dict[str, str]] = []
        for number, line in enumerate(super().clean(value).splitlines(), start=1):
            if not line.strip():
                continue
            key, colon, label = (part.strip() for part in line.partition(":"))
            if not (key and colon and label):
                raise forms.ValidationError(f"Line {number}: write “key: label”.")
            if any(item["key"] == key for item in items):
                raise forms.ValidationError(f"Line {number}: the key “{key}” is there twice.")
            items.append({"key": key, "label": label})
        return items


class WordListField(forms.CharField):
    """One entry a line; empty lines and repeats are left out."""

    def clean(self, value):
        lines = (line.strip() for line in super().clean(value).splitlines())
        return list(dict.fromkeys(line for line in lines if line))

"""Shapes of the forms of projects, people, guidelines and batches; the rules are in services."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from django import forms

from annotate.words import _

from .models import Layout, ProjectSettings, Role, TaskKind
from .models.project import LONGEST_DESCRIPTION
from .setting_groups import SETTING_GROUPS


class ProjectForm(forms.Form):
    name = forms.CharField(max_length=120, label=_("Name"))
    description = forms.CharField(
        required=False,
        max_length=LONGEST_DESCRIPTION,
        label=_("Description"),
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_("What it is for."),
    )


class NewProjectForm(ProjectForm):
    slug = forms.SlugField(
        required=False,
        max_length=60,
        label=_("Short name"),
        help_text=_(
            "Part of every address, such as /projects/tidy-answers/. Made from the name where empty."
        ),
    )
    field_order = ["name", "slug", "description"]


class InvitationForm(forms.Form):
    email = forms.EmailField(label=_("E-mail address"))
    role = forms.ChoiceField(choices=Role.choices, label=_("Role"))
    days = forms.IntegerField(
        min_value=1,
        max_value=60,
        initial=7,
        label=_("Days until it expires"),
        help_text=_("The link works once."),
    )


class ErasureForm(forms.Form):
    confirm = forms.CharField(
        max_length=150,
        label=_("Their user name"),
        help_text=_("Typed as it is written above, to confirm. It cannot be taken back."),
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )


class RegistrationForm(forms.Form):
    username = forms.CharField(max_length=150, label=_("User name"), help_text=_("What you sign in with."))
    display_name = forms.CharField(
        max_length=100, required=False, label=_("Name"), help_text=_("What colleagues see.")
    )
    password = forms.CharField(
        label=_("Password"),
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text=_("At least 10 characters."),
    )


LONGEST = {"category": 80, "language": 16}  # as Prompt has them


# The sections of the page that makes a batch: (heading, fields).
BATCH_GROUPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("", ("name", "kind", "purpose")),
    (_("Tasks"), ("limit", "category", "language")),
    (_("Policy"), ("overlap", "review_rate", "priority", "deadline_at")),
    (_("Rankings only"), ("layout", "completions_per_task")),
    (_("Demonstrations only"), ("starts_from_draft", "writes_prompt")),
)


class BatchForm(forms.Form):
    name = forms.CharField(max_length=120, label=_("Name"))
    kind = forms.ChoiceField(choices=TaskKind.choices, label=_("Kind of task"))
    limit = forms.IntegerField(
        min_value=1,
        max_value=100_000,
        initial=100,
        label=_("Tasks at most"),
        help_text=_("The oldest come first."),
    )
    category = forms.ChoiceField(required=False, label=_("Category of prompts"))
    language = forms.ChoiceField(required=False, label=_("Language of prompts"))
    layout = forms.ChoiceField(
        choices=[
            (Layout.RANKING, _("Ranking of K completions")),
            (Layout.PAIRWISE, _("Pairwise: two, and how much better")),
        ],
        required=False,
        label=_("Layout of rankings"),
    )
    completions_per_task = forms.IntegerField(
        min_value=2,
        max_value=9,
        label=_("Completions per ranking (K)"),
        help_text=_("Pairwise always shows two."),
    )
    overlap = forms.IntegerField(
        min_value=1, max_value=20, label=_("Overlap"), help_text=_("How many people judge each task.")
    )
    review_rate = forms.FloatField(
        min_value=0,
        max_value=1,
        label=_("Review rate"),
        help_text=_("Share sampled for review: 0.1 is one in ten."),
    )
    priority = forms.IntegerField(
        min_value=-100,
        max_value=100,
        initial=0,
        label=_("Priority"),
        help_text=_("Higher is handed out first."),
    )
    starts_from_draft = forms.BooleanField(
        required=False,
        label=_("Start from a model’s draft"),
        help_text=_("Who writes edits the newest model’s answer, where there is one."),
    )
    writes_prompt = forms.BooleanField(
        required=False,
        label=_("Who answers writes the prompt too"),
        help_text=_(
            "As many tasks as you say above, each without a prompt. "
            "The category is what their form starts from, the language what they are asked to write in."
        ),
    )
    deadline_at = forms.DateTimeField(
        required=False,
        label=_("Deadline"),
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
        help_text=_("Nearer deadlines go first among equal priorities. Afterwards nothing is handed out."),
    )
    purpose = forms.ChoiceField(
        choices=[
            ("work", _("Work")),
            ("calibration", _("Calibration: the same tasks to everybody")),
            ("screening", _("Screening: for those who are not qualified yet")),
        ],
        required=False,
        label=_("Purpose"),
    )

    def groups(self) -> list[tuple[str, list[forms.BoundField]]]:
        return [(heading, [self[name] for name in names]) for heading, names in BATCH_GROUPS]

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
        languages = project.prompts.active().exclude(language="").order_by("language")
        codes = languages.values_list("language", flat=True).distinct()
        for field, every, known in (
            ("category", _("All categories"), list(names)),
            ("language", _("All languages"), list(codes)),
        ):
            # A gap may be of a kind that no prompt here has yet: what a link proposes can be chosen too.
            proposed = str((self.data or self.initial).get(field) or "")[: LONGEST[field]]
            known += [proposed] if proposed and proposed not in known else []
            offer(self.fields[field], [("", every), *((name, name) for name in known)])

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        data["layout"] = data.get("layout") or Layout.RANKING
        if data["layout"] == Layout.PAIRWISE:
            data["completions_per_task"] = 2
        return data


class BatchPolicyForm(forms.Form):
    priority = forms.IntegerField(
        min_value=-100, max_value=100, label=_("Priority"), help_text=_("Higher is handed out first.")
    )
    review_rate = forms.FloatField(
        min_value=0,
        max_value=1,
        label=_("Review rate"),
        help_text=_("Share sampled for review: 0.1 is one in ten."),
    )
    deadline_at = forms.DateTimeField(
        required=False,
        label=_("Deadline"),
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
    )


SETTING_LABELS = {
    "lease_minutes": _("Lease (minutes)"),
    "demonstration_review_rate": _("Review rate of demonstrations"),
    "ranking_review_rate": _("Review rate of rankings"),
    "new_person_reviews": _("First judgments reviewed"),
    "review_flagged": _("Review what carries a flag"),
    "low_agreement_below": _("Low agreement below"),
    "consensus_rule": _("Consensus rule"),
    "model_conflict_confidence": _("Model disagrees from"),
    "default_overlap": _("Overlap of a new batch"),
    "max_tasks_per_day": _("Tasks a day"),
    "max_hours_per_day": _("Hours a day"),
    "match_languages": _("Match languages"),
    "calibration_rate": _("Calibration rate"),
    "gold_rate": _("Gold rate"),
    "gold_pass_mark": _("Gold pass mark"),
    "review_missed_gold": _("Review missed gold"),
    "repeat_rate": _("Repeat rate"),
    "repeat_after_days": _("Repeat after (days)"),
    "skips_until_parked": _("Skips until parked"),
    "require_qualification": _("Require qualification"),
    "completions_per_task": _("Completions per task (K)"),
    "response_min_characters": _("Shortest demonstration (characters)"),
    "response_max_characters": _("Longest demonstration (characters)"),
    "prompt_min_characters": _("Shortest prompt (characters)"),
    "prompt_max_characters": _("Longest prompt (characters)"),
    "check_length": _("Outside these lengths"),
    "blocked_words": _("Blocked words"),
    "check_blocked_words": _("With a blocked word"),
    "check_personal_data": _("With personal data"),
    "check_repeated_prompt": _("Repeats the prompt"),
    "check_near_duplicate": _("Nearly the same as another"),
    "near_duplicate_share": _("Nearly the same from (share)"),
    "check_untouched_draft": _("A draft left as it was"),
    "show_pay": _("Show pay"),
    "return_reasons": _("Return reasons"),
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

    def groups(self) -> list[tuple[str, str, list[forms.BoundField]]]:
        """(key, heading, fields) of each section of the page."""
        return [(key, heading, [self[name] for name in names]) for key, heading, names in SETTING_GROUPS]

    @staticmethod
    def _field(spec: dataclasses.Field, value) -> forms.Field:
        options = {"label": SETTING_LABELS[spec.name], "help_text": spec.metadata["help"], "initial": value}
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
        options["help_text"] = f"{options['help_text']} {_('One “key: label” a line.')}"
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
                raise forms.ValidationError(_("Line %(number)s: write “key: label”.") % {"number": number})
            if any(item["key"] == key for item in items):
                raise forms.ValidationError(
                    _("Line %(number)s: the key “%(key)s” is there twice.") % {"number": number, "key": key}
                )
            items.append({"key": key, "label": label})
        return items


class WordListField(forms.CharField):
    """One entry a line; empty lines and repeats are left out."""

    def clean(self, value):
        lines = (line.strip() for line in super().clean(value).splitlines())
        return list(dict.fromkeys(line for line in lines if line))

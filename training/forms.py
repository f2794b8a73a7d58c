"""Shapes of the forms of runs and sampling (that of rounds is in round_forms.py).

What is allowed is said by services and training.rlhf.config.
"""

from __future__ import annotations

from typing import Any

from django import forms

from annotate.words import _
from labeling.models import Batch, DatasetKind, DatasetVersion, DatasetVersionStatus, Project
from training.hyperparameter_fields import GROUPS, hyperparameter_field
from training.models import Checkpoint, CheckpointKind, Stage
from training.rlhf.config.fields import FieldSpec
from training.services.hyperparameters import fields_of, presets_of
from training.services.inputs import ANY_CHECKPOINT, ANY_KIND, INPUTS, InputSpec
from training.services.locations import known_base_models, text_files

OPEN_GROUPS = 1
# What one changes most, in this order, of a stage that has the first of them.
FOREMOST = ("learning_rate", "value_learning_rate", "epochs", "maximum_steps", "steps", "batch_size")
PREFIX = "hp_"  # of hyperparameters, so that none is taken for a field of the form itself


NO_VERSION: dict[str, str] = {
    DatasetKind.SFT: _("no dataset of demonstrations is frozen yet. Freeze one first."),
    DatasetKind.COMPARISON: _("no dataset of comparisons is frozen yet. Freeze one first."),
    DatasetKind.PROMPTS: _("no dataset is frozen yet. Freeze one first."),
}
NO_MODEL: dict[str, str] = {
    Stage.PRETRAIN: _("there is no language model yet. Pretrain one first."),
    Stage.SFT: _("there is no language model yet. Train one with SFT first."),
    Stage.REWARD: _("there is no reward model yet. Train one first."),
}
# What makes the model that a stage is missing: for SFT a base model, afterwards the SFT model.
MADE_BY: dict[str, Stage] = {
    Stage.SFT: Stage.PRETRAIN,
    Stage.REWARD: Stage.SFT,
    Stage.PPO: Stage.SFT,
    Stage.SAMPLE: Stage.SFT,
    Stage.EVALUATE: Stage.SFT,
    Stage.SCORE: Stage.REWARD,
    ANY_CHECKPOINT: Stage.SFT,
    CheckpointKind.REWARD_MODEL: Stage.REWARD,
}


class VersionField(forms.ModelChoiceField):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **({"empty_label": "—"} | kwargs))

    def label_from_instance(self, version: DatasetVersion) -> str:
        rows = _("%(rows)s rows") % {"rows": f"{version.row_count:,}"}
        return f"{version} · {version.dataset.get_kind_display()} · {rows}"


class VersionsField(forms.ModelMultipleChoiceField, VersionField):
    """Several versions."""


class CheckpointField(forms.ModelChoiceField):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **({"empty_label": "—"} | kwargs))

    def label_from_instance(self, checkpoint: Checkpoint) -> str:
        return checkpoint_label(checkpoint)


class CheckpointsField(forms.ModelMultipleChoiceField, CheckpointField):
    """Several checkpoints."""


def checkpoint_label(checkpoint: Checkpoint) -> str:
    marks = f" · {_('best')}" if checkpoint.is_best else ""
    number = _("Run %(number)s") % {"number": checkpoint.run.number}
    return f"{number} · {checkpoint}{marks}"


def versions_of(project: Project, kinds):
    rows = DatasetVersion.objects.filter(dataset__project=project, status=DatasetVersionStatus.READY)
    return rows.filter(dataset__kind__in=kinds).select_related("dataset").order_by("-created_at")


def checkpoints_of(project: Project, *kinds: str):
    rows = Checkpoint.objects.present().filter(project=project).select_related("run")
    if ANY_CHECKPOINT not in kinds:
        rows = rows.filter(kind__in=kinds)
    return rows.order_by("-created_at", "-is_best", "-step")


class RunForm(forms.Form):
    """A run of one stage: inputs and hyperparameters, generated from their definitions."""

    name = forms.CharField(
        max_length=120, required=False, label=_("Name"), help_text=_("Empty: “SFT run 7”.")
    )

    def __init__(
        self, *args, project: Project, stage: str, preset: str = "", copied: dict | None = None, **kwargs
    ) -> None:
        """`copied`: hyperparameters of another run, to begin with instead of a preset's."""
        super().__init__(*args, **kwargs)
        self.project, self.stage = project, stage
        self.presets = presets_of(project, stage)
        values: dict[str, Any] = next((each["values"] for each in self.presets if each["name"] == preset), {})
        self.preset_values = values
        self.preset = preset if any(each["name"] == preset for each in self.presets) else ""
        for spec in INPUTS[stage]:
            self.fields[str(spec.role)] = _input_field(project, spec)
            if spec.or_base_model:
                self.fields["base_model"] = forms.ChoiceField(
                    required=False,
                    label=_("Or a base model"),
                    choices=[("", "—"), *((name, name) for name in known_base_models())],
                    help_text=_("Folders in MODEL_DIRS and hub ids the administrator allows."),
                )
        if stage in ("pretrain", "ppo", "evaluate"):
            names = [path.name for path in text_files(project)]
            self.fields["text_files"] = forms.MultipleChoiceField(
                required=False,
                label=_("Or a list of safety prompts") if stage == Stage.EVALUATE else _("Texts"),
                choices=[(name, name) for name in names],
                widget=forms.CheckboxSelectMultiple,
                help_text=_("Uploaded to this project.") if names else _("None yet: upload one below."),
            )
        if stage in ("pretrain", "sft", "ppo"):
            _add_sampling_fields(self, project)
        if stage in (Stage.SFT, Stage.REWARD):
            self.fields["learning_curve"] = forms.BooleanField(
                required=False,
                label=_("As a learning curve"),
                help_text=_(
                    "Three runs, on 25, 50 and 100 % of the training prompts: is it worth collecting more?"
                ),
            )
        if stage == Stage.REWARD:
            self.fields["after_score"] = forms.BooleanField(
                required=False,
                initial=True,
                label=_("Then score what people rank"),
                help_text=_(
                    "Rankings it contradicts with confidence come before reviewers; none is changed."
                ),
            )
        for field in fields_of(stage):
            self.fields[PREFIX + field.name] = hyperparameter_field(
                field, (copied or values).get(field.name, field.default)
            )

    def ask_for_hyperparameters_only(self) -> None:
        """For a preset: inputs need not be there yet."""
        for name, field in self.fields.items():
            if not name.startswith(PREFIX):
                field.required = False

    def input_fields(self) -> list[forms.BoundField]:
        names = [str(spec.role) for spec in INPUTS[self.stage]] + [
            "base_model",
            "text_files",
            "learning_curve",
        ]
        return [self[name] for name in names if name in self.fields]

    def missing(self) -> list[tuple[str, str, str]]:
        """What this stage needs and the project has none of: (what, route that makes it, its query)."""
        found = []
        for spec in INPUTS[self.stage]:
            can_do_without = not spec.is_required or (spec.or_base_model and known_base_models())
            if can_do_without or choices_of(self, str(spec.role)).queryset.exists():
                continue
            if spec.datasets:
                kind = spec.datasets[0] if len(spec.datasets) == 1 else str(DatasetKind.PROMPTS)
                found.append((f"{spec.label}: {NO_VERSION[kind]}", "labeling:dataset_new", f"?kind={kind}"))
            else:
                stage = MADE_BY[
                    self.stage if spec.checkpoint == CheckpointKind.CAUSAL_LM else spec.checkpoint
                ]
                found.append((f"{spec.label}: {NO_MODEL[stage]}", "training:run_new", f"?stage={stage}"))
        return found

    def sampling_fields(self) -> list[forms.BoundField]:
        return [self[name] for name in self.fields if name.startswith("after_")]

    def groups(self) -> list[dict[str, Any]]:
        """Hyperparameters by section: {"title", "fields", "is_plain", "is_open", "changed"}.

        Of a stage that learns, what one changes most comes first and is no fold. Of others the first section
        is open. So is whichever has an error.
        """
        specs = fields_of(self.stage)
        foremost = {"": [spec for name in FOREMOST for spec in specs if spec.name == name]}
        if not any(spec.name == FOREMOST[0] for spec in specs):
            foremost = {}
        found: dict[str, list[FieldSpec]] = dict(foremost)
        for spec in specs:
            if spec not in foremost.get("", ()):
                found.setdefault(spec.group or "settings", []).append(spec)
        order = list(GROUPS)
        opened = () if foremost else order[:OPEN_GROUPS]
        ordered = sorted(found, key=lambda title: order.index(title) if title in GROUPS else -1)
        groups = []
        for title in ordered:
            fields = [self[PREFIX + spec.name] for spec in found[title]]
            is_known = title in GROUPS
            groups.append(
                {
                    "title": GROUPS.get(title, _("Settings") if title else _("What one changes most")),
                    "fields": fields,
                    "is_plain": not title,
                    "is_open": not is_known or title in opened or any(field.errors for field in fields),
                    "changed": [spec.name for spec in found[title] if spec.name in self.preset_values],
                }
            )
        return groups

    def hyperparameters(self) -> dict[str, Any]:
        """What was filled in; an emptied field means its default."""
        values = {
            name.removeprefix(PREFIX): value
            for name, value in self.cleaned_data.items()
            if name[:3] == PREFIX
        }
        return {name: value for name, value in values.items() if value not in (None, "")}

    def inputs(self) -> dict[str, Any]:
        values = {str(spec.role): self.cleaned_data.get(str(spec.role)) for spec in INPUTS[self.stage]}
        return {
            role: list(value) if hasattr(value, "filter") else value
            for role, value in values.items()
            if value
        }

    def options(self) -> dict[str, Any]:
        names = self.cleaned_data.get("text_files")
        return {"text_files": names} if names else {}

    def follow_up(self) -> dict[str, Any]:
        data = self.cleaned_data
        if data.get("after_score"):
            return {"score": True}
        if not data.get("after_prompts"):
            return {}
        count = data["after_completions"] or self.project.settings.completions_per_task
        batch = {"size": count} if count >= 2 else None
        temperature = data["after_temperature"]
        plan = {
            "prompts_version": data["after_prompts"].pk,
            "splits": [data["after_split"] or "train"],
            "completions_per_prompt": count,
            "temperature": 1.0 if temperature is None else temperature,
        }
        return {"sample": {**plan, "ranking_batch": batch}} if batch else {"sample": plan}


def _add_sampling_fields(form: forms.Form, project: Project) -> None:
    form.fields["after_prompts"] = VersionField(
        queryset=versions_of(project, ANY_KIND),
        required=False,
        empty_label=_("Nothing"),
        label=_("Then sample completions for"),
        help_text=_("When the run has succeeded, its best checkpoint answers them and people rank."),
    )
    form.fields["after_split"] = split_field()
    form.fields["after_completions"] = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=9,
        initial=project.settings.completions_per_task,
        label=_("Completions per prompt (K)"),
    )
    form.fields["after_temperature"] = forms.FloatField(
        required=False, min_value=0, max_value=10, initial=1.0, label=_("Temperature")
    )


def choices_of(form: forms.Form, name: str) -> Any:
    """A field of choices; its class is not known to the type checker."""
    return form.fields[name]


def split_field() -> forms.ChoiceField:
    choices = [("train", _("Train")), ("validation", _("Validation")), ("test", _("Test"))]
    return forms.ChoiceField(choices=choices, label=_("Split"), required=False)


def _input_field(project: Project, spec: InputSpec) -> forms.Field:
    common: dict[str, Any] = {
        "required": spec.is_required and not spec.or_base_model,
        "label": spec.label,
        "help_text": spec.help,
    }
    if spec.datasets:
        version_field = VersionsField if spec.is_many else VersionField
        return version_field(queryset=versions_of(project, spec.datasets), **common)
    checkpoint_field = CheckpointsField if spec.is_many else CheckpointField
    return checkpoint_field(queryset=checkpoints_of(project, spec.checkpoint, spec.also_checkpoint), **common)


class TextUploadForm(forms.Form):
    file = forms.FileField(
        label=_("Text file"), help_text=_("Plain text, or JSON lines with a field “text”. UTF-8.")
    )


class PresetForm(forms.Form):
    # It stands, closed, inside the form of a run: a browser must not hold the run back for its empty name.
    use_required_attribute = False

    preset_name = forms.CharField(max_length=60, label=_("Keep as preset"))
    preset_description = forms.CharField(max_length=300, required=False, label=_("What it is good for"))


# Hyperparameters of sampling that one changes most, as people call them.
SAMPLED: dict[str, str] = {
    "completions_per_prompt": _("Completions per prompt and checkpoint"),
    "temperature": _("Temperature"),
    "top_p": _("Top p"),
    "max_new_tokens": _("Longest completion in tokens"),
}


class SampleForm(forms.Form):
    """Checkpoints, prompts, and the ranking batch that is made when the completions are there."""

    checkpoints = CheckpointsField(
        queryset=Checkpoint.objects.none(), label=_("Checkpoints"), widget=forms.CheckboxSelectMultiple
    )
    prompts_version = VersionField(
        queryset=DatasetVersion.objects.none(),
        required=False,
        label=_("Prompts of a dataset version"),
        empty_label="—",
    )
    split = split_field()
    batch = forms.ModelChoiceField(
        queryset=Batch.objects.none(), required=False, label=_("Or the prompts of a batch"), empty_label="—"
    )
    prompt_limit = forms.IntegerField(
        min_value=1,
        max_value=100_000,
        required=False,
        label=_("Prompts at most"),
        help_text=_("Of the batch; empty: all."),
    )
    make_batch = forms.BooleanField(required=False, initial=True, label=_("Then ask people to rank them"))
    batch_name = forms.CharField(max_length=120, required=False, label=_("Name of the ranking batch"))
    layout = forms.ChoiceField(
        choices=[
            ("ranking", _("Ranking of K completions")),
            ("pairwise", _("Pairwise: two, and how much better")),
        ],
        required=False,
        label=_("Layout"),
        help_text=_("Pairwise with two checkpoints is a blind A/B evaluation."),
    )
    size = forms.IntegerField(
        min_value=2,
        max_value=9,
        label=_("Completions per task (K)"),
        help_text=_("Pairwise always shows two."),
    )
    overlap = forms.IntegerField(min_value=1, max_value=20, label=_("People per task"))
    review_rate = forms.FloatField(
        min_value=0,
        max_value=1,
        label=_("Review rate"),
        help_text=_("Share sampled for review: 0.1 is one in ten."),
    )
    name = forms.CharField(max_length=120, required=False, label=_("Name of the sample run"))

    def __init__(self, *args, project: Project, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        choices_of(self, "checkpoints").queryset = checkpoints_of(project, CheckpointKind.CAUSAL_LM)
        choices_of(self, "prompts_version").queryset = versions_of(project, ANY_KIND)
        choices_of(self, "batch").queryset = project.batches.order_by("-created_at")
        for spec in fields_of(Stage.SAMPLE):
            field = self.fields[spec.name] = hyperparameter_field(spec, spec.default)
            field.required = spec.name in SAMPLED
            field.label = SAMPLED.get(spec.name, field.label)
        settings = project.settings
        self.fields["completions_per_prompt"].initial = settings.completions_per_task
        self.fields["size"].initial = settings.completions_per_task
        self.fields["overlap"].initial = settings.default_overlap
        self.fields["review_rate"].initial = settings.ranking_review_rate

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if bool(data.get("prompts_version")) == bool(data.get("batch")):
            self.add_error("prompts_version", _("Choose a dataset version, or a batch."))
        return data

    def foremost(self) -> list[forms.BoundField]:
        return [self[name] for name in SAMPLED]

    def others(self) -> list[forms.BoundField]:
        """What one seldom changes, in a fold; open where something is wrong in it."""
        return [self[spec.name] for spec in fields_of(Stage.SAMPLE) if spec.name not in SAMPLED]

    def others_are_open(self) -> bool:
        return any(field.errors for field in self.others())

    def hyperparameters(self) -> dict[str, Any]:
        given = {spec.name: self.cleaned_data[spec.name] for spec in fields_of(Stage.SAMPLE)}
        return {name: value for name, value in given.items() if value not in (None, "")}

    def batch_plan(self) -> dict[str, Any] | None:
        data = self.cleaned_data
        if not data["make_batch"]:
            return None
        plan = {name: data[name] for name in ("size", "overlap", "review_rate")}
        plan |= {"name": data["batch_name"], "layout": data["layout"] or "ranking"}
        return plan | {"size": 2} if plan["layout"] == "pairwise" else plan

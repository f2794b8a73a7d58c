"""The plan of a round: what each step of the loop does, checked when the round is made."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from annotate.errors import DomainError, Invalid
from annotate.words import _
from labeling.models import Project
from training.models import Checkpoint, CheckpointKind, RoundStepKind, Stage

from .hyperparameters import check_hyperparameters, preset_values
from .locations import check_base_model
from .machines import check_device


def _entry(default: Any, help: str, low: float | None = None, high: float | None = None) -> Any:
    metadata = {"help": help, "minimum": low, "maximum": high}
    if callable(default):
        return field(default_factory=default, metadata=metadata)
    return field(default=default, metadata=metadata)


MUST_BE = {
    "int": _("Must be a whole number."),
    "float": _("Must be a number."),
    "str": _("Must be text."),
    "dict": _("Must be an object."),
}


@dataclass(frozen=True)
class RoundPlan:
    """Raises Invalid naming the entry when built from values that make no sense.

    See `from_json` for the rest.
    """

    checkpoint: str = _entry("", "The checkpoint that SFT starts from (its id).")
    base_model: str = _entry("", "Or a base model: a folder in MODEL_DIRS, or an allowed hub id.")
    demonstration_prompts: int = _entry(
        0, "Prompts that people answer first. 0 goes on with the demonstrations there are.", 0, 100_000
    )
    demonstration_overlap: int = _entry(1, "People per prompt.", 1, 20)
    demonstration_review_rate: float = _entry(0.25, "Share of demonstrations that go to review.", 0, 1)
    ranking_prompts: int = _entry(50, "Prompts whose completions people rank.", 1, 100_000)
    ranking_test_share: float = _entry(
        0.1,
        "Share of them that is taken from the test split: no model learns from those rankings, "
        "and the reward model is measured on them.",
        0,
        0.5,
    )
    completions_per_prompt: int = _entry(4, "Completions per ranking task (K).", 2, 9)
    ranking_overlap: int = _entry(1, "People per ranking task.", 1, 20)
    ranking_review_rate: float = _entry(0.1, "Share of rankings that go to review.", 0, 1)
    temperature: float = _entry(1.0, "Temperature of the completions that people rank.", 0, 10)
    maximum_new_tokens: int = _entry(64, "Longest completion in tokens.", 1, 100_000)
    again_prompts: int = _entry(
        20,
        "Prompts on which people compare the better model with the SFT model. 0 leaves that out.",
        0,
        100_000,
    )
    sft_preset: str = _entry("", "Preset of the SFT run.")
    sft: dict = _entry(dict, "Hyperparameters of the SFT run, over the preset's.")
    reward_preset: str = _entry("", "Preset of the reward run.")
    reward: dict = _entry(dict, "Hyperparameters of the reward run, over the preset's.")
    ppo_preset: str = _entry("", "Preset of the PPO run.")
    ppo: dict = _entry(dict, "Hyperparameters of the PPO run, over the preset's.")
    by_hand: tuple = _entry(tuple, "Steps that wait until somebody starts them.")

    def __post_init__(self) -> None:
        for spec in dataclasses.fields(self):
            self._check(spec, getattr(self, spec.name))
        object.__setattr__(self, "by_hand", tuple(self.by_hand))
        for kind in self.by_hand:
            if kind not in RoundStepKind.values:
                raise Invalid(
                    _("“%(kind)s” is no step.") % {"kind": kind},
                    field="by_hand",
                    hint=_("Steps: %(known)s.") % {"known": ", ".join(RoundStepKind.values)},
                )

    @staticmethod
    def _check(spec: dataclasses.Field, value: Any) -> None:
        low, high = spec.metadata["minimum"], spec.metadata["maximum"]
        kinds: dict[str, Any] = {
            "int": int,
            "float": (int, float),
            "str": str,
            "dict": Mapping,
            "tuple": (list, tuple),
        }
        if isinstance(value, bool) or not isinstance(value, kinds[str(spec.type)]):
            what = MUST_BE.get(str(spec.type), _("Must be a list."))
            raise Invalid(f"{spec.name}: {what}", field=spec.name)
        if low is not None and not low <= value <= high:
            raise Invalid(
                _("%(name)s: must be from %(low)s to %(high)s.")
                % {"name": spec.name, "low": f"{low:g}", "high": f"{high:g}"},
                field=spec.name,
            )

    @classmethod
    def from_json(cls, values: Mapping[str, Any] | None, project: Project) -> RoundPlan:
        """The plan, checked against the project: its checkpoints, presets and hyperparameters."""
        values = dict(values or {})
        known = {spec.name for spec in dataclasses.fields(cls)}
        for name in values:
            if name not in known:
                raise Invalid(
                    _("A plan has no “%(name)s”.") % {"name": name},
                    field=str(name),
                    hint=_("It has %(known)s.") % {"known": ", ".join(sorted(known))},
                )
        plan = cls(**{**cls.defaults(project), **values})
        plan._check_base(project)
        for stage in (Stage.SFT, Stage.REWARD, Stage.PPO):
            plan._check_stage(project, stage)
        return plan

    @staticmethod
    def defaults(project: Project) -> dict[str, Any]:
        """What the project's settings say."""
        settings = project.settings
        return {
            "demonstration_overlap": settings.default_overlap,
            "ranking_overlap": settings.default_overlap,
            "demonstration_review_rate": settings.demonstration_review_rate,
            "ranking_review_rate": settings.ranking_review_rate,
            "completions_per_prompt": settings.completions_per_task,
        }

    def to_json(self) -> dict[str, Any]:
        values = dataclasses.asdict(self)
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    def _check_base(self, project: Project) -> None:
        if bool(self.checkpoint) == bool(self.base_model):
            raise Invalid("Choose what SFT starts from: a checkpoint, or a base model.", field="checkpoint")
        if self.base_model:
            check_base_model(self.base_model)
        else:
            self.start_checkpoint(project)

    def start_checkpoint(self, project: Project) -> Checkpoint | None:
        """The checkpoint that SFT starts from.

        None where it is a base model. Raises Invalid if it is not there.
        """
        if not self.checkpoint:
            return None
        found = find_checkpoint(project, self.checkpoint)
        if found is None or found.kind != CheckpointKind.CAUSAL_LM:
            raise Invalid("There is no such language model in this project.", field="checkpoint")
        return found

    def _check_stage(self, project: Project, stage: Stage) -> None:
        preset, own = getattr(self, f"{stage}_preset"), getattr(self, str(stage))
        try:
            values = preset_values(project, stage, preset) if preset else {}
            check_device(check_hyperparameters(stage, {**values, **own}))
        except DomainError as error:
            field = f"{stage}_preset" if error.field == "preset" else f"{stage}.{error.field}"
            raise Invalid(f"{stage.label}: {error.message}", field=field, hint=error.hint) from error


def find_checkpoint(project: Project, key: str) -> Checkpoint | None:
    try:
        parsed = uuid.UUID(str(key))
    except ValueError:
        return None
    return Checkpoint.objects.present().filter(project=project, pk=parsed).select_related("run").first()

"""What each stage reads: which dataset versions and checkpoints fit, and how they become fields of its
configuration.

Beside rows of RunInput a run may have options: "splits" (of a prompts version), "prompt_ids" (prompts chosen
one by one) and "text_files" (names of texts uploaded for pretraining).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db.models import BigIntegerField

from annotate.errors import Invalid
from annotate.words import _, in_a_sentence
from labeling.models import DatasetKind, DatasetVersion, DatasetVersionStatus, Project, Prompt
from training.models import Checkpoint, CheckpointKind, RunInputRole, Stage

from .locations import check_text_name, text_files
from .model_kinds import check_kind

SPLITS = ("train", "validation", "test")
# Of completions without an order nothing can be learnt.
ANY_KIND = tuple(kind for kind in DatasetKind.values if kind != DatasetKind.COMPLETIONS)
ANY_CHECKPOINT = "any"


@dataclass(frozen=True)
class InputSpec:
    """One input of a stage.

    `datasets`: kinds of dataset that fit; `checkpoint`: the kind of checkpoint that fits, or ANY_CHECKPOINT.
    """

    role: RunInputRole
    label: str
    help: str
    datasets: tuple[str, ...] = ()
    checkpoint: str = ""
    also_checkpoint: str = ""  # another kind that fits
    is_required: bool = True
    is_many: bool = False
    or_base_model: bool = False  # a base model may stand in for the checkpoint


START = _("The model that is trained further: one of the checkpoints, or a base model.")


def _mixed(kind: str) -> InputSpec:
    return InputSpec(
        RunInputRole.MIX_DATA,
        _("Mixed in"),
        _("Former data beside the new, so that what was learnt from it stays; mix_ratio says how much."),
        datasets=(kind,),
        is_required=False,
    )


INPUTS: dict[str, tuple[InputSpec, ...]] = {
    Stage.PRETRAIN: (
        InputSpec(
            RunInputRole.TRAIN_DATA,
            _("Dataset versions"),
            _("Their conversations are read as plain text."),
            datasets=ANY_KIND,
            is_required=False,
            is_many=True,
        ),
    ),
    Stage.SFT: (
        InputSpec(
            RunInputRole.TRAIN_DATA,
            _("Demonstrations"),
            _("An SFT dataset version."),
            datasets=(DatasetKind.SFT,),
        ),
        InputSpec(
            RunInputRole.MODEL,
            _("Start from"),
            START,
            checkpoint=CheckpointKind.CAUSAL_LM,
            or_base_model=True,
        ),
        _mixed(DatasetKind.SFT),
    ),
    Stage.REWARD: (
        InputSpec(
            RunInputRole.TRAIN_DATA,
            _("Comparisons"),
            _("A comparison dataset version."),
            datasets=(DatasetKind.COMPARISON,),
        ),
        InputSpec(
            RunInputRole.MODEL,
            _("Start from"),
            _("Usually the SFT checkpoint; a former reward model goes on with the head it has."),
            checkpoint=CheckpointKind.CAUSAL_LM,
            also_checkpoint=CheckpointKind.REWARD_MODEL,
            or_base_model=True,
        ),
        InputSpec(
            RunInputRole.DEMONSTRATIONS,
            _("Demonstrations"),
            _("Their mean score becomes zero. Without them, the mean over the training completions does."),
            datasets=(DatasetKind.SFT,),
            is_required=False,
        ),
        _mixed(DatasetKind.COMPARISON),
    ),
    Stage.PPO: (
        InputSpec(
            RunInputRole.PROMPTS,
            _("Prompts"),
            _("Prompts to practise on; any dataset version."),
            datasets=ANY_KIND,
        ),
        InputSpec(
            RunInputRole.MODEL,
            _("Policy"),
            _("The SFT checkpoint to improve; also the reference."),
            checkpoint=CheckpointKind.CAUSAL_LM,
        ),
        InputSpec(
            RunInputRole.REWARD_MODEL,
            _("Reward model"),
            _("Scores what the policy writes."),
            checkpoint=CheckpointKind.REWARD_MODEL,
        ),
    ),
    Stage.SAMPLE: (
        InputSpec(
            RunInputRole.SAMPLE_FROM,
            _("Checkpoints"),
            _("Each answers every prompt."),
            checkpoint=CheckpointKind.CAUSAL_LM,
            is_many=True,
        ),
        InputSpec(
            RunInputRole.PROMPTS,
            _("Prompts"),
            _("A dataset version whose prompts are answered."),
            datasets=ANY_KIND,
            is_required=False,
        ),
    ),
    Stage.EVALUATE: (
        InputSpec(
            RunInputRole.MODEL,
            _("Language model"),
            _("Measured on held-out demonstrations."),
            checkpoint=CheckpointKind.CAUSAL_LM,
            is_required=False,
        ),
        InputSpec(
            RunInputRole.DEMONSTRATIONS,
            _("Demonstrations"),
            _("What the language model is measured on."),
            datasets=(DatasetKind.SFT,),
            is_required=False,
        ),
        InputSpec(
            RunInputRole.PROMPTS,
            "Safety prompts",
            "Prompts of any dataset version that the language model ought to refuse: how often does it?",
            datasets=ANY_KIND,
            is_required=False,
        ),
        InputSpec(
            RunInputRole.REWARD_MODEL,
            _("Reward model"),
            _("Measured on held-out comparisons."),
            checkpoint=CheckpointKind.REWARD_MODEL,
            is_required=False,
        ),
        InputSpec(
            RunInputRole.TRAIN_DATA,
            _("Comparisons"),
            _("What the reward model is measured on."),
            datasets=(DatasetKind.COMPARISON,),
            is_required=False,
        ),
    ),
    Stage.SCORE: (
        InputSpec(
            RunInputRole.REWARD_MODEL,
            _("Reward model"),
            _("Scores the completions of ranking tasks that it has not scored yet."),
            checkpoint=CheckpointKind.REWARD_MODEL,
        ),
    ),
    Stage.EXPORT: (
        InputSpec(
            RunInputRole.MODEL, "Checkpoint", "The model that is given away.", checkpoint=ANY_CHECKPOINT
        ),
    ),
}

Source = DatasetVersion | Checkpoint


def check_inputs(
    *, project: Project, stage: str, inputs: dict[str, Any], base_model: str, options: dict[str, Any]
) -> list[tuple[str, Source]]:
    """(role, source) of each input.

    Raises Invalid naming the role that is missing, foreign or of the wrong kind.
    """
    specs = {str(spec.role): spec for spec in INPUTS[Stage(stage)]}
    for role in inputs:
        if role not in specs:
            raise Invalid(
                _("A %(stage)s run has no input “%(role)s”.") % {"stage": stage, "role": role},
                field=str(role),
                hint=_("Its inputs: %(known)s.") % {"known": ", ".join(specs)},
            )
    found: list[tuple[str, Source]] = []
    for role, spec in specs.items():
        sources = _as_list(inputs.get(role))
        if len(sources) > 1 and not spec.is_many:
            raise Invalid(_("%(input)s: choose one.") % {"input": spec.label}, field=role)
        if spec.or_base_model and bool(sources) == bool(base_model):
            both = _("%(input)s: choose not both.")
            said = both if sources else _("%(input)s: choose a checkpoint or a base model.")
            raise Invalid(said % {"input": spec.label}, field=role)
        if not sources and spec.is_required and not spec.or_base_model:
            raise Invalid(_("%(input)s: choose one.") % {"input": spec.label}, field=role, hint=spec.help)
        for source in sources:
            _check_source(project, spec, source)
            check_kind(Stage(stage), role, spec.label, source)
            found.append((role, source))
    if base_model and not any(spec.or_base_model for spec in specs.values()):
        raise Invalid(
            _("A %(stage)s run does not start from a base model.") % {"stage": stage}, field="base_model"
        )
    _check_together(project, Stage(stage), {role for role, _ in found}, options)
    return found


def check_options(project: Project, stage: str, options: dict[str, Any]) -> dict[str, Any]:
    """Options that this stage knows, checked. Raises Invalid."""
    known = {
        Stage.SAMPLE: {"splits", "prompt_ids"},
        Stage.PRETRAIN: {"text_files"},
        Stage.PPO: {"text_files"},
        Stage.EVALUATE: {"text_files"},
    }.get(Stage(stage), set())
    for name in options:
        if name not in known:
            raise Invalid(
                _("A %(stage)s run has no option “%(name)s”.") % {"stage": stage, "name": name},
                field=str(name),
            )
    checked: dict[str, Any] = {}
    if options.get("splits"):
        checked["splits"] = check_splits(options["splits"])
    if options.get("prompt_ids"):
        checked["prompt_ids"] = _check_prompts(project, options["prompt_ids"])
    if options.get("text_files"):
        present = {path.name for path in text_files(project)}
        for name in _listed(options["text_files"], "text_files"):
            if check_text_name(name) not in present:
                raise Invalid(
                    _("No text “%(name)s” was uploaded to this project.") % {"name": name}, field="text_files"
                )
        checked["text_files"] = list(options["text_files"])
    return checked


def check_texts(stage: str, hyperparameters: dict[str, Any], options: dict[str, Any]) -> None:
    """PPO reads texts only where they have a weight, and has a weight only with texts. Raises Invalid."""
    weight, texts = hyperparameters.get("pretrain_coefficient", 0), bool(options.get("text_files"))
    if stage == Stage.PPO and bool(weight) != texts:
        raise Invalid(
            "Texts to go on predicting and the weight of their loss (pretrain_coefficient) go together.",
            field="pretrain_coefficient" if texts else "text_files",
        )


def check_labels(values: dict[str, Any], sources: list[tuple[str, Source]]) -> None:
    """Scores can be learnt from a version whose recipe includes them. Raises Invalid."""
    if values.get("labels", "ranks") == "ranks":
        return
    for role, source in sources:
        is_learnt = role in (RunInputRole.TRAIN_DATA, RunInputRole.MIX_DATA)
        if not is_learnt or not isinstance(source, DatasetVersion):
            continue
        if not source.recipe.get("include_scores"):
            raise Invalid(
                _("labels: %(version)s holds ranks, no scores of single completions.") % {"version": source},
                field="labels",
                hint="Choose ranks, or freeze a version of a recipe with scores (include_scores).",
            )


def _listed(value: Any, field: str) -> list[Any]:
    if isinstance(value, list | tuple):
        return list(value)
    raise Invalid("Must be a list.", field=field)


def check_splits(splits: Iterable[str]) -> list[str]:
    chosen = [splits] if isinstance(splits, str) else _listed(splits, "splits")
    for split in chosen:
        if split not in SPLITS:
            raise Invalid(_("A split is one of %(known)s.") % {"known": ", ".join(SPLITS)}, field="splits")
    return list(dict.fromkeys(chosen))


def _as_list(value: Any) -> list[Source]:
    if value is None or value == "":
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def refuse_completions(version: DatasetVersion, *, label: str, field: str) -> None:
    """Raises Invalid where the version holds completions without an order."""
    if version.dataset.kind == DatasetKind.COMPLETIONS:
        raise Invalid(
            _("%(input)s: %(source)s holds completions without an order, of which no run can learn.")
            % {"input": label, "source": version},
            field=field,
            hint="Have them ranked and freeze comparisons, or freeze their prompts.",
        )


def _check_source(project: Project, spec: InputSpec, source: Source) -> None:
    role = str(spec.role)
    if isinstance(source, DatasetVersion):
        if source.dataset.project_id != project.pk:
            raise Invalid(
                _("%(input)s: there is no such dataset version in this project.") % {"input": spec.label},
                field=role,
            )
        refuse_completions(source, label=spec.label, field=role)
        if source.dataset.kind not in spec.datasets:
            wanted = " or ".join(str(DatasetKind(kind).label) for kind in spec.datasets) or "a checkpoint"
            raise Invalid(
                _("%(input)s: %(source)s is not what fits here (%(wanted)s).")
                % {"input": spec.label, "source": source, "wanted": wanted},
                field=role,
            )
        if source.status != DatasetVersionStatus.READY:
            raise Invalid(
                _("%(input)s: %(source)s is not frozen yet.") % {"input": spec.label, "source": source},
                field=role,
            )
        return
    if source.project_id != project.pk:
        raise Invalid(
            _("%(input)s: there is no such checkpoint in this project.") % {"input": spec.label}, field=role
        )
    if source.kind not in (spec.checkpoint, spec.also_checkpoint) and spec.checkpoint != ANY_CHECKPOINT:
        wanted = CheckpointKind(spec.checkpoint).label if spec.checkpoint else _("Dataset version")
        said = {"input": spec.label, "source": source, "wanted": in_a_sentence(wanted)}
        raise Invalid(_("%(input)s: %(source)s is not a %(wanted)s.") % said, field=role)
    if not Checkpoint.objects.present().filter(pk=source.pk).exists():
        raise Invalid(
            _("%(input)s: the files of %(source)s were removed.") % {"input": spec.label, "source": source},
            field=role,
        )


def _check_together(project: Project, stage: Stage, roles: set[str], options: dict[str, Any]) -> None:
    """Rules that concern several inputs."""
    if stage == Stage.PRETRAIN and not roles and not options.get("text_files"):
        raise Invalid("Choose a text or a dataset version to learn from.", field="text_files")
    if stage == Stage.SAMPLE and (RunInputRole.PROMPTS in roles) == bool(options.get("prompt_ids")):
        raise Invalid("Choose a dataset version, or prompts, to answer.", field="prompts")
    if stage == Stage.EVALUATE:
        has_texts = bool(options.get("text_files"))
        measured = (
            (
                RunInputRole.MODEL,
                has_texts or bool(roles & {RunInputRole.DEMONSTRATIONS, RunInputRole.PROMPTS}),
            ),
            (RunInputRole.REWARD_MODEL, RunInputRole.TRAIN_DATA in roles),
        )
        for model, has_data in measured:
            if (model in roles) != has_data:
                raise Invalid("A model and the data it is measured on go together.", field=str(model))
        if not roles:
            raise Invalid("Choose a model and the data it is measured on.", field="model")
        if has_texts and (RunInputRole.PROMPTS in roles or len(options["text_files"]) > 1):
            raise Invalid("Safety prompts come from one dataset version or one list.", field="text_files")


def _check_prompts(project: Project, prompt_ids: Iterable[int]) -> list[int]:
    given = _listed(prompt_ids, "prompt_ids")
    chosen = list(
        dict.fromkeys(pk for pk in given if type(pk) is int and 0 < pk <= BigIntegerField.MAX_BIGINT)
    )
    if len(chosen) < len(set(map(str, given))):
        raise Invalid("Prompts are named by their number.", field="prompt_ids")
    present: set[int] = set()
    for start in range(0, len(chosen), 500):
        present |= set(
            Prompt.objects.written()
            .filter(project=project, pk__in=chosen[start : start + 500])
            .values_list("pk", flat=True)
        )
    missing = [pk for pk in chosen if pk not in present]
    if missing:
        raise Invalid(_("There is no prompt %(n)s in this project.") % {"n": missing[0]}, field="prompt_ids")
    return chosen

"""What may happen by itself when a run has succeeded, checked when the run is made.

{"sample": {"prompts_version": 3, "splits": ["train"], "prompt_ids": [..], "completions_per_prompt": 4,
            "temperature": 1.0, "max_new_tokens": 48, "ranking_batch": {...}}}     after pretrain, sft, ppo
{"measured_too": true}    beside any of these: its best checkpoint is measured on the test split of what it
                          learnt from, made by services/learning_curves.py alone            after sft, reward
{"record": true, "ranking_batch": {"name": "…", "size": 4, "layout": "ranking", "overlap": 1,
                                   "review_rate": 0.1, "priority": 0}}
                                                                                   after sample
{"score": true}       the completions that people rank, by the reward model that was made        after reward
{"record": true}                                                                               after score
{"compare": {...}}    a pair that trains anew and goes on, made by services/continuations.py alone: both are
                      measured on the same held-out sets when both have succeeded        after sft, reward
"""

from __future__ import annotations

from typing import Any

from annotate.errors import Invalid
from annotate.words import _
from labeling.models import DatasetVersion, DatasetVersionStatus, Layout, Project
from training.models import Stage

COMPARE, MEASURED_TOO = "compare", "measured_too"
BATCH_FIELDS = {"name", "size", "layout", "overlap", "review_rate", "priority"}
SAMPLE_FIELDS = {"prompts_version", "splits", "prompt_ids", "ranking_batch"}
SAMPLING_STAGES = (Stage.PRETRAIN, Stage.SFT, Stage.PPO)


def check_follow_up(project: Project, stage: str, plan: dict[str, Any]) -> dict[str, Any]:
    """The plan with defaults filled in. Raises Invalid naming the field."""
    if stage == Stage.SAMPLE:
        _only(plan, {"record", "ranking_batch"}, stage)
        checked: dict[str, Any] = {"record": True}
        if plan.get("ranking_batch"):
            checked["ranking_batch"] = check_batch_plan(project, plan["ranking_batch"])
        return checked
    if stage == Stage.SCORE:
        _only(plan, {"record"}, stage)
        return {"record": True}
    if not plan:
        return {}
    if stage == Stage.REWARD:
        _only(plan, {"score"}, stage)
        if not isinstance(plan["score"], bool):
            raise Invalid("score: true or false.", field="score")
        return {"score": True} if plan["score"] else {}
    if stage not in SAMPLING_STAGES:
        raise Invalid(
            _("Nothing can follow a %(stage)s run by itself.") % {"stage": stage}, field="follow_up"
        )
    _only(plan, {"sample"}, stage)
    return {"sample": _check_sample(project, plan["sample"])}


def check_batch_plan(project: Project, plan: dict[str, Any]) -> dict[str, Any]:
    """Policy of a ranking batch to come. Left-out values are the project's settings. Raises Invalid."""
    _only(plan, BATCH_FIELDS, "ranking_batch")
    settings = project.settings
    layout = plan.get("layout") or Layout.RANKING
    if layout not in (Layout.RANKING, Layout.PAIRWISE):
        raise Invalid("Rankings are laid out as ranking or pairwise.", field="layout")
    is_pairwise = layout == Layout.PAIRWISE
    checked = {
        "name": str(plan.get("name") or "").strip()[:120],
        "layout": str(layout),
        "size": _whole(
            plan, "size", 2 if is_pairwise else settings.completions_per_task, 2, 2 if is_pairwise else 9
        ),
        "overlap": _whole(plan, "overlap", settings.default_overlap, 1, 20),
        "priority": _whole(plan, "priority", 0, -1000, 1000),
        "review_rate": plan.get("review_rate"),
    }
    rate = settings.ranking_review_rate if checked["review_rate"] is None else checked["review_rate"]
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate <= 1:
        raise Invalid("Review rate: between 0 and 1.", field="review_rate")
    checked["review_rate"] = float(rate)
    return checked


def _check_sample(project: Project, plan: dict[str, Any]) -> dict[str, Any]:
    from .hyperparameters import check_hyperparameters
    from .inputs import check_options
    from .row_checks import refuse_empty_splits

    if not isinstance(plan, dict):
        raise Invalid("Say what to sample.", field="follow_up")
    given = {name: value for name, value in plan.items() if name not in SAMPLE_FIELDS}
    hyperparameters = check_hyperparameters(Stage.SAMPLE, given)
    options = check_options(
        project, Stage.SAMPLE, {name: plan[name] for name in ("splits", "prompt_ids") if plan.get(name)}
    )
    checked: dict[str, Any] = {**{name: hyperparameters[name] for name in given}, **options}
    if plan.get("prompts_version"):
        version = _ready_version(project, plan["prompts_version"])
        refuse_empty_splits(version, checked.get("splits") or ["train"], field="splits")
        checked["prompts_version"] = version.pk
    if bool(checked.get("prompts_version")) == bool(checked.get("prompt_ids")):
        raise Invalid("Choose a dataset version, or prompts, to answer.", field="prompts_version")
    if plan.get("ranking_batch"):
        checked["ranking_batch"] = check_batch_plan(project, plan["ranking_batch"])
    return checked


def _ready_version(project: Project, named: Any) -> DatasetVersion:
    """By its key, as forms have it, or by a reference, as programs do. Raises Invalid."""
    from .inputs import refuse_completions
    from .references import resolve_version

    versions = DatasetVersion.objects.filter(dataset__project=project)
    is_key = isinstance(named, int) and not isinstance(named, bool)
    version = (
        versions.filter(pk=named).first()
        if is_key
        else resolve_version(project, named, field="prompts_version")
    )
    if version is None:
        raise Invalid("There is no such dataset version in this project.", field="prompts_version")
    refuse_completions(version, label=_("Prompts"), field="prompts_version")
    if version.status != DatasetVersionStatus.READY:
        raise Invalid(_("%(version)s is not frozen yet.") % {"version": version}, field="prompts_version")
    return version


def _only(plan: Any, known: set[str], where: str) -> None:
    if not isinstance(plan, dict):
        raise Invalid("A plan is an object of names and values.", field=where)
    for name in plan:
        if name not in known:
            raise Invalid(
                _("%(where)s knows no “%(name)s”.") % {"where": where, "name": name},
                field=str(name),
                hint=_("It knows %(known)s.") % {"known": ", ".join(sorted(known))},
            )


def _whole(plan: dict[str, Any], name: str, default: int, low: int, high: int) -> int:
    value = plan.get(name)
    value = default if value is None else value
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        said = _("%(name)s: a whole number from %(low)s to %(high)s.") if low < high else "%(name)s: %(low)s."
        raise Invalid(said % {"name": name, "low": low, "high": high}, field=name)
    return value

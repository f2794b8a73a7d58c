"""What a run would choose and need, asked of the library before there is a run, beside the request.

Loading the library takes longer than a request may: whoever asks first begins it, the page asks again.
Answers lie in DATA_DIR/estimates for some minutes; one that never comes is begun anew.
"""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path
from typing import Any

import orjson
import structlog
from django.conf import settings
from django.utils.translation import get_language, override

from annotate.errors import DomainError, Invalid
from annotate.words import _
from labeling.models import Project
from training.models import Checkpoint, RunInputRole, Stage

from .answer_files import AnswerFiles
from .hyperparameters import check_hyperparameters
from .library_calls import answer_of, places
from .locations import check_base_model, checkpoint_directory, state_of_files

log = structlog.get_logger(__name__)
STAGES = (Stage.SFT, Stage.REWARD, Stage.PPO)
COMMAND = "estimate"
WAIT_SECONDS = 1.0  # a request waits so long
PATIENCE = 120.0
FILES = AnswerFiles("estimates", kept_seconds=600)  # what is free on the machine changes


def estimate_run(
    *, project: Project, stage: str, hyperparameters: dict[str, Any], inputs: dict[str, Any], base_model: str
) -> dict[str, Any] | None:
    """What training.rlhf.estimate answers, or None where it is not there yet: ask again.

    Raises Invalid where a model is missing or the library refuses.
    """
    if stage not in STAGES:
        raise Invalid(
            _("What a %(stage)s run needs of the memory is not estimated.") % {"stage": stage},
            field="stage",
            hint=_("It is for %(known)s.") % {"known": ", ".join(STAGES)},
        )
    config = check_hyperparameters(stage, hyperparameters) | _models(stage, inputs, base_model)
    config["allowed_hub_ids"] = list(settings.ALLOWED_HUB_MODELS)
    count = min(9, max(2, project.settings.completions_per_task))
    asked = {"stage": stage, "completions": count, "config": config}
    key = hashlib.sha256(
        orjson.dumps(asked | {"files": state_of_files(base_model)}, option=orjson.OPT_SORT_KEYS)
    ).hexdigest()
    answer, question = FILES.answer(key), FILES.question(key)
    if FILES.is_old(answer, FILES.kept_seconds):
        answer.unlink(missing_ok=True)
    # Without a place nothing is begun: the page asks again.
    if not answer.exists() and FILES.is_old(question, PATIENCE) and places.acquire(blocking=False):
        try:
            FILES.forget_old()
            FILES.put(question, config)
            options = ["--stage", stage, "--completions", str(count)]
            work = (question, answer, options, get_language() or "en")
            threading.Thread(target=_ask, args=work, daemon=True).start()
        except BaseException:  # a full disk: nobody is there to give the place back
            places.release()
            raise
    FILES.wait_for(key, WAIT_SECONDS)
    said = FILES.read(answer)
    if said is not None and "problem" in said:
        answer.unlink(missing_ok=True)  # asked for once more, it is tried once more
        raise Invalid(said["problem"], field=said["field"])
    return said


def _models(stage: str, inputs: dict[str, Any], base_model: str) -> dict[str, str]:
    """The folders of the models by the names of the configuration."""
    names = {RunInputRole.MODEL: "model"}
    if stage == Stage.PPO:
        names = {RunInputRole.MODEL: "policy", RunInputRole.REWARD_MODEL: "reward_model"}
    found = {}
    for role, name in names.items():
        source = inputs.get(role)
        if isinstance(source, Checkpoint):
            found[name] = str(checkpoint_directory(source))
        elif role == RunInputRole.MODEL and base_model:
            found[name] = check_base_model(base_model)
        else:
            raise Invalid(_("Choose the model first: its size decides what fits."), field=str(role))
    return found


def _ask(question: Path, answer: Path, options: list[str], language: str) -> None:
    """Has a place, and gives it back."""
    try:
        with override(language):
            try:
                said = answer_of(COMMAND, options, data=question, patience=PATIENCE, field="model")
            except DomainError as error:
                said = {"problem": str(error.message), "field": error.field}
            except Exception:
                log.exception("estimate_failed")
                said = {"problem": str(_("Something broke on our side. Try again.")), "field": None}
        FILES.put(answer, said)
        question.unlink(missing_ok=True)
    finally:
        places.release()

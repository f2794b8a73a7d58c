"""What a run would choose and need, asked of the library before there is a run, beside the request.

Loading the library takes longer than a request may: whoever asks first begins it, the page asks again.
Answers lie in DATA_DIR/estimates for some minutes; one that never comes is begun anew.
"""

from __future__ import annotations

import hashlib
import threading
import time
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

from .hyperparameters import check_hyperparameters
from .library_calls import answer_of
from .locations import check_base_model, checkpoint_directory, data_dir

log = structlog.get_logger(__name__)
STAGES = (Stage.SFT, Stage.REWARD, Stage.PPO)
COMMAND = "estimate"
WAIT_SECONDS = 1.0  # a request waits so long
PATIENCE = 120.0
KEPT_SECONDS = 600  # what is free on the machine changes


def estimate_run(
    *, project: Project, stage: str, hyperparameters: dict[str, Any], inputs: dict[str, Any], base_model: str
) -> dict[str, Any] | None:
    """What training.rlhf.estimate answers, or None where it is not there yet: ask again.

    Raises Invalid where a model is missing or the library refuses.
    """
    config = check_hyperparameters(stage, hyperparameters) | _models(stage, inputs, base_model)
    config["allowed_hub_ids"] = list(settings.ALLOWED_HUB_MODELS)
    count = min(9, max(2, project.settings.completions_per_task))
    asked = {"stage": stage, "completions": count, "config": config}
    key = hashlib.sha256(orjson.dumps(asked, option=orjson.OPT_SORT_KEYS)).hexdigest()
    answer, question = _folder() / f"{key}.json", _folder() / f"{key}.asked.json"
    if _is_old(answer, KEPT_SECONDS):
        answer.unlink(missing_ok=True)
    if not answer.exists() and _is_old(question, PATIENCE):
        _forget_old()
        _put(question, config)
        options = ["--stage", stage, "--completions", str(count)]
        work = (question, answer, options, get_language() or "en")
        threading.Thread(target=_ask, args=work, daemon=True).start()
    until = time.monotonic() + WAIT_SECONDS
    while not answer.exists() and time.monotonic() < until:
        time.sleep(0.05)
    if not answer.exists():
        return None
    said = orjson.loads(answer.read_bytes())
    if "problem" in said:
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
    with override(language):
        try:
            said = answer_of(COMMAND, options, data=question, patience=PATIENCE, field="model")
        except DomainError as error:
            said = {"problem": str(error.message), "field": error.field}
        except Exception:
            log.exception("estimate_failed")
            said = {"problem": str(_("Something broke on our side. Try again.")), "field": None}
        _put(answer, said)
        question.unlink(missing_ok=True)


def _folder() -> Path:
    return data_dir() / "estimates"


def _is_old(path: Path, seconds: float) -> bool:
    """Whether it is not there, or is older than this."""
    try:
        return time.time() - path.stat().st_mtime > seconds
    except FileNotFoundError:
        return True


def _put(path: Path, value: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_suffix(f".{threading.get_ident()}")
    temporary.write_bytes(orjson.dumps(value))
    temporary.replace(path)


def _forget_old() -> None:
    for path in _folder().glob("*"):
        if _is_old(path, KEPT_SECONDS):
            path.unlink(missing_ok=True)

"""Previews of tokens, made beside the request: a tokenizer's process takes up to half a minute to start.

Nothing of it is in the database. What was asked for lies in DATA_DIR/previews until it is answered, its
heartbeat in DATA_DIR/progress; a sweep begins again what died with its process.
"""

from __future__ import annotations

import functools
import hashlib
import threading
from dataclasses import dataclass, field
from typing import Any

import orjson
import structlog
from django.db import close_old_connections, connections
from django.utils.translation import get_language, override

from annotate.errors import DomainError, Invalid
from annotate.words import _
from labeling.models import DatasetVersion
from labeling.services.progress import Progress, silent_jobs
from training.models import Checkpoint

from .answer_files import AnswerFiles
from .locations import state_of_files
from .token_preview import preview_tokens

log = structlog.get_logger(__name__)
JOB, PHASE = "preview", "reading"
ATTEMPTS = 3
WAIT_SECONDS = 1.0  # a request waits so long: a page that is there at once needs no second one
FILES = AnswerFiles("previews", kept_seconds=3_600)


@dataclass(frozen=True)
class PreviewRequest:
    """What `preview_tokens` is asked."""

    version: DatasetVersion
    split: str
    checkpoint: Checkpoint | None
    base_model: str
    maximum_length: int
    rows: int
    template: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {
            "version": str(self.version.public_id),
            "split": self.split,
            "checkpoint": str(self.checkpoint.pk) if self.checkpoint else None,
            "base_model": self.base_model,
            "maximum_length": self.maximum_length,
            "rows": self.rows,
            "template": self.template,
        }

    @functools.cached_property
    def key(self) -> str:
        asked = self.to_json() | {"files": state_of_files(self.base_model)}
        return hashlib.sha256(orjson.dumps(asked, option=orjson.OPT_SORT_KEYS)).hexdigest()

    @classmethod
    def from_json(cls, asked: dict[str, Any]) -> PreviewRequest | None:
        """None where the version or the checkpoint is gone."""
        version = DatasetVersion.objects.select_related("dataset__project").filter(public_id=asked["version"])
        checkpoint = (
            Checkpoint.objects.filter(pk=asked["checkpoint"]).first() if asked["checkpoint"] else None
        )
        found = version.first()
        if found is None or (asked["checkpoint"] and checkpoint is None):
            return None
        return cls(**{**asked, "version": found, "checkpoint": checkpoint})


def begin_preview(request: PreviewRequest) -> bool:
    """Whether the preview is there, or will be within a second. Whoever asks first has it begun."""
    heartbeat = Progress(JOB, request.key)
    if not FILES.answer(request.key).exists() and heartbeat.is_silent():
        FILES.forget_old()
        FILES.put(FILES.question(request.key), request.to_json())
        heartbeat.attempt = heartbeat.attempts()
        heartbeat.tell(PHASE, 0, now=True)
        thread = threading.Thread(target=_in_thread, args=[request, get_language() or "en"], daemon=True)
        thread.start()
    return FILES.wait_for(request.key, WAIT_SECONDS)


def take_preview(request: PreviewRequest) -> dict[str, Any] | None:
    """The preview, or None where it is not there yet. Raises Invalid with what the library refused; asked for
    once more, that is tried once more.
    """
    said = FILES.read(FILES.answer(request.key))
    if said is None:
        return None
    if "problem" in said:
        FILES.answer(request.key).unlink(missing_ok=True)
        raise Invalid(said["problem"], field=said["field"], hint=said["hint"])
    return said["found"]


def build_preview(request: PreviewRequest) -> None:
    """Make it and leave the answer, or what is wrong with the question, for who asked."""
    heartbeat = Progress(JOB, request.key)
    heartbeat.attempt = heartbeat.attempts() + 1
    try:
        with heartbeat.kept_alive(PHASE):
            found = preview_tokens(
                version=request.version,
                split=request.split,
                checkpoint=request.checkpoint,
                base_model=request.base_model,
                maximum_length=request.maximum_length,
                rows=request.rows,
                template=request.template,
            )
        FILES.put(FILES.answer(request.key), {"found": found})
    except DomainError as error:
        _refuse(request.key, error.message, error.field, error.hint)
    except Exception:
        _refuse(request.key, _("Something broke on our side while the preview was made."))
        raise
    finally:
        FILES.question(request.key).unlink(missing_ok=True)
        heartbeat.end()


def revive_lost_previews() -> int:
    """Begin those again whose process died; how many. What died too often is told to who asks next. Called by
    the sweep.
    """
    revived = 0
    for key in silent_jobs(JOB):
        heartbeat = Progress(JOB, key)
        request = PreviewRequest.from_json(asked) if (asked := FILES.read(FILES.question(key))) else None
        if request is None or request.key != key:  # gone, or its model is another by now: nobody asks so
            FILES.question(key).unlink(missing_ok=True)
            heartbeat.end()
        elif heartbeat.attempts() >= ATTEMPTS:
            _refuse(key, _("The process that made the preview died too often."))
            FILES.question(key).unlink(missing_ok=True)
            heartbeat.end()
        else:
            revived += 1
            _build_apart(request)
    return revived


def _build_apart(request: PreviewRequest) -> None:
    try:
        build_preview(request)
    except Exception:  # noqa: BLE001 - logged, and told to who asks
        log.exception("preview_failed", version=request.version.pk)


def _in_thread(request: PreviewRequest, language: str) -> None:
    """What is wrong is said in the language of who asked."""
    close_old_connections()
    try:
        with override(language):
            _build_apart(request)
    finally:
        connections.close_all()


def _refuse(key: str, problem: str, field: str | None = None, hint: str | None = None) -> None:
    said = {"problem": str(problem), "field": field, "hint": str(hint) if hint else None}
    FILES.put(FILES.answer(key), said)

"""Answers that are made beside a request lie in a folder until they are fetched or old: a question and its
answer by their key. Nothing of it is in the database.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from django.conf import settings

LOOK_SECONDS = 0.05


@dataclass(frozen=True)
class AnswerFiles:
    """`name`: of the folder in DATA_DIR; `kept_seconds`: how long an answer holds."""

    name: str
    kept_seconds: float

    def question(self, key: str) -> Path:
        return self._folder() / f"{key}.asked.json"

    def answer(self, key: str) -> Path:
        return self._folder() / f"{key}.json"

    def wait_for(self, key: str, seconds: float) -> bool:
        """Whether the answer is there, or is within so long."""
        until = time.monotonic() + seconds
        while not (found := self.answer(key).exists()) and time.monotonic() < until:
            time.sleep(LOOK_SECONDS)
        return found

    def put(self, path: Path, value: dict[str, Any]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = path.with_suffix(f".{threading.get_ident()}")
        temporary.write_bytes(orjson.dumps(value, default=str))
        temporary.replace(path)

    def read(self, path: Path) -> dict[str, Any] | None:
        """None where it is not there, or is not any more: two may fetch one answer."""
        try:
            return orjson.loads(path.read_bytes())
        except FileNotFoundError:
            return None

    def forget_old(self) -> None:
        for path in self._folder().glob("*"):
            if self.is_old(path, self.kept_seconds):
                path.unlink(missing_ok=True)

    def is_old(self, path: Path, seconds: float) -> bool:
        """Whether it is not there, or is older than this."""
        try:
            return time.time() - path.stat().st_mtime > seconds
        except FileNotFoundError:
            return True

    def _folder(self) -> Path:
        return Path(settings.DATA_DIR) / self.name

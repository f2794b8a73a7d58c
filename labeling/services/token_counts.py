"""How many tokens a text is: by the project's own tokenizer where it has one, else a stated estimate.

Only the `tokenizers` library is used, and only once somebody asks: the web process loads neither torch nor
transformers. Which file is the project's tokenizer is the training room's to say (`register_tokenizer`).
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import structlog

from labeling.models import Project

log = structlog.get_logger(__name__)

LONGEST_ENCODED = 200_000  # characters; beyond, the rest is reckoned by what came before
REMEMBERED_SECONDS = 60.0  # a new checkpoint's tokenizer is used from then on

TokenizerFinder = Callable[[Project], Path | None]
_finders: list[TokenizerFinder] = []
_found: dict[int, tuple[float, Path | None]] = {}


@dataclass(frozen=True)
class TokenCount:
    count: int
    is_estimate: bool


def register_tokenizer(finder: TokenizerFinder) -> None:
    """Let another app name the tokenizer.json of a project. Call it in AppConfig.ready."""
    if finder not in _finders:
        _finders.append(finder)


def count_tokens(*, project: Project, text: str, file: Path | None = None) -> TokenCount:
    """`file`: the tokenizer.json to count with, in place of the project's own."""
    path = file or _tokenizer_of(project)
    tokenizer = _loaded(str(path), path.stat().st_mtime_ns) if path is not None and path.is_file() else None
    if tokenizer is None:
        return TokenCount(estimate(text), True)
    head = text[:LONGEST_ENCODED]
    count = len(tokenizer.encode(head, add_special_tokens=False).ids)
    if len(text) > len(head):
        return TokenCount(round(count * len(text) / len(head)), True)
    return TokenCount(count, False)


def context_of(project: Project) -> int:
    """Tokens that the model of the project's tokenizer reads at once; 0 where nothing says."""
    path = _tokenizer_of(project)
    return context_beside(path) if path is not None else 0


def context_beside(tokenizer: Path) -> int:
    """What the config.json beside a tokenizer.json names as the context; 0 where it names none."""
    try:
        named = json.loads((tokenizer.parent / "config.json").read_bytes())
        found = named.get("max_position_embeddings") or named.get("n_positions")
    except (OSError, ValueError, AttributeError):
        return 0
    return found if type(found) is int else 0


def estimate(text: str) -> int:
    """Four letters of English a token, about; other scripts are cut finer.

    >>> estimate("Paris is nice"), estimate("東京")
    (4, 2)
    """
    plain = sum(character.isascii() for character in text)
    return math.ceil(plain / 4 + (len(text) - plain) * 0.9)


def _tokenizer_of(project: Project) -> Path | None:
    at, path = _found.get(project.pk, (-math.inf, None))
    if time.monotonic() - at > REMEMBERED_SECONDS:
        path = next((each for finder in _finders if (each := finder(project)) is not None), None)
        _found[project.pk] = (time.monotonic(), path)
    return path


@lru_cache(maxsize=4)
def _loaded(path: str, _changed_at: int) -> Any:
    """The tokenizer, or None where it cannot be read (or the library is not installed): then it is
    estimated.
    """
    try:
        from tokenizers import Tokenizer
    except ImportError:
        log.warning("tokenizers_missing")
        return None
    try:
        return Tokenizer.from_file(path)
    except Exception as error:  # noqa: BLE001 - the library raises plain Exception for a damaged file
        log.warning("tokenizer_unreadable", path=path, cause=str(error))
        return None

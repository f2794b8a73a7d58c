"""What a run stands on, kept from its start so that its memory can be estimated again. Loads no torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass
class Footing:
    """What `memory.fit` was told, the configuration it answered with, and what was resident before."""

    config: Any
    device: Any
    load: Any
    networks: Callable[[], list[Any]]
    cache: Callable[[], int]
    shorten: str
    before: int

"""What killed processes have left half-written under DATA_DIR, beside files that got their name when whole.

Nobody reads such a thing, and most are written anew by whoever does the work again; but an upload that is not
repeated, and a run that is never taken up again, leave theirs for good: of a checkpoint, that is gigabytes.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import structlog

from labeling.services import dataset_files

from .locations import data_dir

log = structlog.get_logger(__name__)
IDLE_HOURS = 24.0  # whoever still writes there touches a file within that time
PATTERNS = (
    "texts/*/.*.writing",
    "runs/*/*.writing",
    "runs/*/inputs/*.writing",
    "runs/*/checkpoints/.step-*.writing",
    "runs/*/checkpoints/.step-*.removing",
)


def sweep_leftovers(*, idle_hours: float = IDLE_HOURS) -> int:
    """Remove those that nobody has written to for `idle_hours`; how many."""
    count = 0
    for path in _unfinished():
        if _idle_seconds(path) > idle_hours * 3600:
            log.info("leftover_removed", name=path.name)
            count += _remove(path)
    return count


def _unfinished() -> Iterator[Path]:
    for pattern in PATTERNS:
        yield from data_dir().glob(pattern)
    yield from dataset_files.root().glob(dataset_files.BUILDING.format("*", "*"))


def _idle_seconds(path: Path) -> float:
    """Since anything was written to it, or within it."""
    try:
        found = [path.lstat()]
        if path.is_dir() and not path.is_symlink():
            found += [each.lstat() for each in path.rglob("*")]
    except OSError:  # it was finished, or somebody else removes it
        return 0.0
    return time.time() - max(max(each.st_mtime, each.st_ctime) for each in found)


def _remove(path: Path) -> bool:
    """False where it could not be removed; the next sweep tries again."""
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        log.warning("leftover_not_removed", name=path.name, cause=str(error))
        return False
    return True

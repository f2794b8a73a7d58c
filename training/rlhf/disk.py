"""What the system says when it refuses to write, as a sentence: which file, what is left, how to go on."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from training.rlhf import checkpoints
from training.rlhf.errors import DiskFullError, NotWrittenError, RlhfError, first_line

FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def told_of_the_disk(folder: Path) -> Iterator[None]:
    """Around the writing of the checkpoint `folder`: what the system refuses becomes an error of ours."""
    try:
        yield
    except Exception as error:
        if not is_of_the_system(error):
            raise
        raise _unwritten(error, folder) from error


def is_of_the_system(error: Exception) -> bool:
    """The library that writes weights has errors of its own, which quote the system's."""
    return isinstance(error, OSError) or "(os error " in str(error)


def is_full(error: Exception) -> bool:
    number = getattr(error, "errno", None)
    return number in FULL or any(f"os error {each})" in str(error) for each in FULL)


def _unwritten(error: Exception, folder: Path) -> RlhfError:
    file = getattr(error, "filename", None)
    what = f"{folder.name}/{Path(str(file)).name}" if file else f"the weights of {folder.name}"
    before = [each for each in checkpoints.whole_checkpoints(folder.parent) if each != folder]
    left = f"the one before it ({before[-1].name}) is whole" if before else "there was none before it"
    lost = f"the checkpoint that was being written is gone, {left}"
    if is_full(error):
        return DiskFullError(
            f"the disk is full, {what} could not be written: {lost}. Make room, then continue with --resume"
        )
    reason = getattr(error, "strerror", None) or first_line(error)
    return NotWrittenError(
        f"the system refused to write {what} ({reason}): {lost}. Look at the disk, then continue "
        "with --resume"
    )

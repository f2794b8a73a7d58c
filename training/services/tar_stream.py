"""A tar archive made while it is read: memory stays flat however large the files are."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

CHUNK = 1024 * 1024
BLOCK = tarfile.BLOCKSIZE


def tar_stream(folder: Path, names: Sequence[str], *, prefix: str) -> Iterator[bytes]:
    """The files `names` of `folder` as `prefix/name`, owned by nobody in particular.

    All are opened at once: who has begun to read gets the whole, whatever is removed meanwhile.
    """
    with ExitStack() as stack:
        paths = [folder / name for name in names]
        opened = [(path, stack.enter_context(open(path, "rb"))) for path in paths]
        for name, (path, file) in zip(names, opened, strict=True):
            info = tarfile.TarInfo(f"{prefix}/{name}")
            stat = os.fstat(file.fileno())
            info.size, info.mtime, info.mode = stat.st_size, int(stat.st_mtime), 0o644
            yield info.tobuf(tarfile.PAX_FORMAT)
            left = info.size
            while left:
                data = file.read(min(CHUNK, left))
                if not data:
                    raise OSError(f"{path} became shorter while it was read")
                left -= len(data)
                yield data
            yield b"\0" * (-info.size % BLOCK)
    yield b"\0" * (2 * BLOCK)

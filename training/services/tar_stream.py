"""A tar archive made while it is read: memory stays flat however large the files are."""

from __future__ import annotations

import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path

CHUNK = 1024 * 1024
BLOCK = tarfile.BLOCKSIZE


def tar_stream(folder: Path, names: Iterable[str], *, prefix: str) -> Iterator[bytes]:
    """The files `names` of `folder` as `prefix/name`, owned by nobody in particular."""
    for name in names:
        path = folder / name
        with open(path, "rb") as file:
            info = tarfile.TarInfo(f"{prefix}/{name}")
            stat = path.stat()
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

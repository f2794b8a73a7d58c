"""A message broker that is a folder, for one machine without Redis.

kombu's own filesystem transport loses messages under load (readers see half-written files), dies on one bad
file, and orders messages by a clock that restarts with the machine. This subclass repairs each:

1. publish: write to a temporary name, then rename into place, so that a message is whole or absent;
2. names start with zero-padded nanoseconds of the wall clock, so that sorting them is first in, first out;
3. take: rename to a name only this reader knows; the file system lets exactly one of two readers win;
4. a file that cannot be read is set aside under `rejected/` and the next one is taken.

A message taken by a worker that dies is gone: that is all right, because rows decide and the sweeper rings
again (DESIGN.md section 4, promise 7).
"""

from __future__ import annotations

import itertools
import os
import time
import uuid
from pathlib import Path
from queue import Empty

import structlog
from kombu.transport import TRANSPORT_ALIASES, filesystem
from kombu.utils.encoding import bytes_to_str, str_to_bytes
from kombu.utils.json import dumps, loads

from annotate.environment import make_folder

log = structlog.get_logger(__name__)
POLL_SECONDS = 0.2
_sequence = itertools.count()


def folder_options(root: Path) -> dict:
    """Transport options for a broker in `root`, whose folders are made here."""
    folders = {"data_folder_in": "messages", "data_folder_out": "messages", "control_folder": "control"}
    for name in {*folders.values(), "rejected"}:
        make_folder(root / name, parents=True, mode=0o700)
    return {option: str(root / name) for option, name in folders.items()} | {"polling_interval": POLL_SECONDS}


def register() -> None:
    """Make `filesystem://` mean this transport in this process and its children."""
    TRANSPORT_ALIASES["filesystem"] = "annotate.transport:Transport"


class Channel(filesystem.Channel):
    def _put(self, queue, payload, **kwargs):  # type: ignore[override]  # as kombu names it here
        """Publish: the file is complete before it has its name."""
        folder = Path(self.data_folder_out)
        # The counter orders messages of one process within one tick of the clock.
        stamp = f"{time.time_ns():020d}-{next(_sequence) % 10**9:09d}-{uuid.uuid4().hex}"
        temporary = folder / f".{stamp}.writing"
        temporary.write_bytes(str_to_bytes(dumps(payload)))
        os.replace(temporary, folder / f"{stamp}.{queue}.msg")

    def _get(self, queue, timeout=None):
        """Take the oldest message of `queue`; Empty where there is none."""
        folder = Path(self.data_folder_in)
        suffix = f".{queue}.msg"
        for name in sorted(os.listdir(folder)):
            if name.startswith(".") or name.partition(".")[2] != suffix[1:]:
                continue
            claimed = folder / f".{name}.{uuid.uuid4().hex}.claimed"
            try:
                os.rename(folder / name, claimed)
            except FileNotFoundError:
                continue  # another worker took it
            message = self._read(claimed, name)
            if message is not None:
                return message
        raise Empty()

    def _read(self, claimed: Path, name: str):
        """The message in a claimed file, or None if it is not one: set aside, never fatal to the worker."""
        try:
            message = loads(bytes_to_str(claimed.read_bytes()))
            if not isinstance(message, dict) or "body" not in message:
                raise ValueError("not a message")
        except ValueError as error:
            rejected = claimed.parent.parent / "rejected"
            rejected.mkdir(exist_ok=True)
            os.replace(claimed, rejected / name)
            log.warning("broker_message_rejected", file=name, cause=str(error))
            return None
        claimed.unlink()
        return message


class Transport(filesystem.Transport):
    Channel = Channel

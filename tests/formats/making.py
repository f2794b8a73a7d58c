"""Small files for the tests of this room, made in memory."""

import io
import json

from labeling.formats import FormatError, read_file


def jsonl(*rows) -> bytes:
    """JSON lines; a row given as text or bytes stands as it is."""
    return b"".join(_line(row) + b"\n" for row in rows)


def _line(row):
    if isinstance(row, bytes):
        return row
    return (row if isinstance(row, str) else json.dumps(row, ensure_ascii=False)).encode()


def demos(count: int) -> list[dict]:
    return [{"prompt": f"Name river {n}.", "completion": f"River {n}"} for n in range(1, count + 1)]


def read(data: bytes, name: str = "demos.jsonl", kind: str = "demonstrations", **options) -> list:
    return list(read_file(io.BytesIO(data), filename=name, kind=kind, **options))


def refusal(data: bytes, name: str = "demos.jsonl", kind: str = "demonstrations", **options) -> FormatError:
    """The error that reading ends with, and a failure when it does not."""
    try:
        records = read(data, name, kind, **options)
    except FormatError as error:
        return error
    raise AssertionError(f"{name} was accepted with {len(records)} records")

"""How a prepared file is put together and packed: JSON lines as one array, gzip, Zstandard."""

from __future__ import annotations

import contextlib
import gzip
from collections.abc import Iterable, Iterator
from typing import IO, Any

from backports import zstd

from annotate.errors import Invalid
from annotate.words import _
from labeling.formats import EXPORT_FORMATS

GZIP, ZSTANDARD, ARRAY = "gzip", "zstandard", "array"
OPTIONS = (GZIP, ZSTANDARD, ARRAY)
_SUFFIXES = {GZIP: ".gz", ZSTANDARD: ".zst"}
_MEDIA_TYPES = {GZIP: "application/gzip", ZSTANDARD: "application/zstd", ARRAY: "application/json"}


def take_packing(format: str, options: dict[str, Any]) -> dict[str, bool]:
    """What the options say of packing; it is taken out of them. Raises Invalid for what does not go."""
    taken = {name: options.pop(name) for name in OPTIONS if name in options}
    for name, value in taken.items():
        if not isinstance(value, bool):
            raise Invalid(_("%(name)s is true or false.") % {"name": name}, field="options")
    chosen = {name: True for name, value in taken.items() if value}
    if GZIP in chosen and ZSTANDARD in chosen:
        raise Invalid(_("A file is packed with gzip or with Zstandard, not with both."), field="options")
    if ARRAY in chosen and not can_be_array(format):
        raise Invalid(_("Only rows of JSON can be one array."), field="options")
    return chosen


def can_be_array(format: str) -> bool:
    """Whether the format's rows are JSON: not cells of a table or lines of plain text."""
    return not (EXPORT_FORMATS[format].columns or EXPORT_FORMATS[format].is_text)


def extension_of(format: str, options: dict[str, Any]) -> str:
    plain = "json" if options.get(ARRAY) else EXPORT_FORMATS[format].extension
    return plain + next((suffix for name, suffix in _SUFFIXES.items() if options.get(name)), "")


def media_type_of(format: str, options: dict[str, Any]) -> str:
    chosen = (kind for name, kind in _MEDIA_TYPES.items() if options.get(name))
    return next(chosen, EXPORT_FORMATS[format].media_type)


@contextlib.contextmanager
def packed(file: IO[bytes], options: dict[str, Any]) -> Iterator[IO[bytes]]:
    """What to write to, so that the file holds it packed. No name and no time in it: the same bytes whenever
    it is made."""
    if options.get(GZIP):
        with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as writer:
            yield writer  # type: ignore[misc]  # it writes bytes, which is all that is asked
    elif options.get(ZSTANDARD):
        with zstd.ZstdFile(file, "wb") as writer:
            yield writer  # type: ignore[misc]
    else:
        yield file


def as_array(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Pieces of JSON lines, each a line or several, as pieces of one array with an element a line."""
    before = b"[\n"
    for piece in lines:
        body = piece.removesuffix(b"\n")
        if body:
            yield before + body.replace(b"\n", b",\n")
            before = b""
        if piece.endswith(b"\n"):
            before = b",\n"
    yield b"[]\n" if before == b"[\n" else b"\n]\n"

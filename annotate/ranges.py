"""Files answered in parts: one byte range at a time, so that a download that broke goes on where it was.

RFC 9110, sections 13 and 14: `Range: bytes=…` with one range (several are answered whole, as the RFC
allows), `If-Range` with the strong entity tag, `If-None-Match`, 206, 304 and 416. The tag is the content's
SHA-256, so that a part can only ever be joined to parts of the same bytes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from django.http import HttpRequest, HttpResponse, HttpResponseBase

from .streaming import stream_file

PIECE = 1 << 16
NO_PART = (-1, -1)
# Fewer digits than int() takes: a longer number is no range, and the header is ignored.
_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")


def serve_files(
    request: HttpRequest,
    paths: Sequence[Path],
    *,
    filename: str,
    media_type: str,
    sha256: str,
    on_sent: Callable[[int], None],
) -> HttpResponseBase:
    """The files one after the other as one, or the part asked for. `request` is Django's own, not DRF's.

    `sha256` names the bytes. `on_sent(first byte)` is called before bytes are answered; there are none in
    the answer to HEAD, in a 304 and in a 416. Raises FileNotFoundError before anything is answered.
    """
    sizes = [path.stat().st_size for path in paths]
    total = sum(sizes)
    tag = f'"{sha256}"'
    if _names(request.headers.get("If-None-Match", ""), tag):
        return _with_tag(HttpResponse(status=304), tag)
    part = _asked_range(request, tag, total)
    if part is NO_PART:
        refused = HttpResponse(status=416)
        refused["Content-Range"] = f"bytes */{total}"
        return _with_tag(refused, tag)
    start, end = (0, total) if part is None else part
    if request.method == "HEAD":
        pieces: Iterator[bytes] = iter(())
    else:
        on_sent(start)
        pieces = _read(paths, sizes, start, end)
    response = stream_file(request, pieces, filename=filename, media_type=media_type)
    response["Content-Length"] = str(end - start)
    if part is not None:
        response.status_code = 206
        response["Content-Range"] = f"bytes {start}-{end - 1}/{total}"
    return _with_tag(response, tag)


def _with_tag(response: HttpResponseBase, tag: str) -> HttpResponseBase:
    response["ETag"] = tag
    response["Accept-Ranges"] = "bytes"
    return response


def _names(header: str, tag: str) -> bool:
    return header.strip() == "*" or tag in [each.strip().removeprefix("W/") for each in header.split(",")]


def _asked_range(request: HttpRequest, tag: str, total: int) -> tuple[int, int] | None:
    """(first byte, byte after the last), None for all of it, NO_PART where the file has no such part."""
    asked = _RANGE.fullmatch(request.headers.get("Range", "").strip())
    condition = request.headers.get("If-Range")
    if asked is None or (condition is not None and condition.strip() != tag):
        return None
    first, last = asked.groups()
    if not first and not last:
        return None
    if not first:  # the last so many bytes
        start, end = max(0, total - int(last)), total
    else:
        start, end = int(first), min(total, int(last) + 1) if last else total
        if last and int(last) < int(first):
            return None  # not a range: the header is ignored
    return (start, end) if start < end else NO_PART


def _read(paths: Sequence[Path], sizes: Sequence[int], start: int, end: int) -> Iterator[bytes]:
    offset = 0
    for path, size in zip(paths, sizes, strict=True):
        first, last = max(start, offset), min(end, offset + size)
        if first < last:
            with open(path, "rb") as file:
                file.seek(first - offset)
                left = last - first
                while left and (piece := file.read(min(PIECE, left))):
                    left -= len(piece)
                    yield piece
        offset += size

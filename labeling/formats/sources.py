"""Bytes in: files and uploads, plain or compressed once, as one bounded stream of lines or chunks."""

import contextlib
import gzip
import io
import os
import tempfile
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO, Protocol

from backports import zstd

from .errors import FormatError
from .limits import Limits

HEAD_BYTES = 64 * 1024
BUFFER_BYTES = 256 * 1024

_TAR = b"ustar"  # behind the first member's name and numbers
_MAGIC = (
    (b"\x89PNG", "a PNG image"),
    (b"PK\x03\x04", "a ZIP archive (or an Office document)"),
    (b"PK\x05\x06", "a ZIP archive"),
    (b"%PDF", "a PDF document"),
    (b"BZh", "a bzip2 file"),
    (b"\xfd7zXZ\x00", "an xz file"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"SQLite format 3", "an SQLite database"),
    (_TAR, "a tar archive"),
)
_WIDE = (  # the longer marks first: UTF-32 LE begins with UTF-16 LE's
    (b"\xff\xfe\x00\x00", "UTF-32 LE"),
    (b"\x00\x00\xfe\xff", "UTF-32 BE"),
    (b"\xff\xfe", "UTF-16 LE"),
    (b"\xfe\xff", "UTF-16 BE"),
)
_BOM = b"\xef\xbb\xbf"
_GZIP, PARQUET = b"\x1f\x8b", b"PAR1"
# A frame of data, or first one of the sixteen kinds without any: pzstd begins a file with one.
_ZSTD = (b"\x28\xb5\x2f\xfd", *(bytes([first]) + b"\x2a\x4d\x18" for first in range(0x50, 0x60)))
# What a Zstandard frame may ask us to keep in memory: 128 MiB, the most that `zstd` itself grants unasked.
_ZSTD_OPTIONS: dict[int, int] = {int(zstd.DecompressionParameter.window_log_max): 27}


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def _read_fully(stream: _Readable, size: int) -> bytes:
    """`size` bytes, or all there are: a stream may give fewer at a time, detection needs all."""
    pieces, missing = [], size
    while missing and (piece := stream.read(missing)):
        pieces.append(piece)
        missing -= len(piece)
    return b"".join(pieces)


class _Rewound(io.RawIOBase):
    """A raw stream that gives back the bytes read ahead from `source` and then the rest of it."""

    def __init__(self, head: bytes, source: _Readable):
        self._head = head
        self._source = source

    def readable(self):
        return True

    def readinto(self, buffer):
        if self._head:
            data, self._head = self._head[: len(buffer)], self._head[len(buffer) :]
        else:
            data = self._source.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def _unpacked(head: bytes, raw: Any) -> tuple[str, _Readable]:
    if head.startswith(_GZIP):
        return "gzip", gzip.GzipFile(fileobj=raw, mode="rb")
    if head.startswith(_ZSTD):
        return "zstandard", zstd.ZstdFile(raw, options=_ZSTD_OPTIONS)
    return "none", raw


class ByteSource:
    """The unpacked bytes of one file, once through, with the limits and the faults of compression applied.

    `head` holds the first bytes for detection; reading starts at the beginning all the same, after a UTF-8
    byte order mark. `compression` is "gzip", "zstandard" or "none", told by the content, never by the name.
    """

    def __init__(self, stream: BinaryIO, *, filename: str, limits: Limits):
        self.filename = filename
        self._limits = limits
        self._unpacked = 0
        self._packed = stream
        packed_head = _read_fully(stream, HEAD_BYTES)
        raw = io.BufferedReader(_Rewound(packed_head, stream), BUFFER_BYTES)
        self.compression, unpacked = _unpacked(packed_head, raw)
        with self._named_faults():
            self.head = _read_fully(unpacked, HEAD_BYTES)
        self._refuse_what_is_not_text()
        if self.head.startswith(_BOM):
            self.head = self.head[len(_BOM) :]
        self._stream = io.BufferedReader(_Rewound(self.head, unpacked), BUFFER_BYTES)

    def lines(self) -> Iterator[bytes]:
        """Physical lines, line feed included. A line over the limit ends the iteration with an error."""
        limit = self._limits.max_line_bytes
        number = 0
        while True:
            number += 1
            with self._named_faults():
                line = self._stream.readline(limit + 1)
            if not line:
                return
            if len(line) > limit:
                raise self.too_long(row=number)
            self._count(len(line))
            yield line

    def chunks(self) -> Iterator[bytes]:
        while True:
            with self._named_faults():
                chunk = self._stream.read1(BUFFER_BYTES)
            if not chunk:
                return
            self._count(len(chunk))
            yield chunk

    def seekable(self) -> BinaryIO:
        """The unpacked bytes as a file that can be read from its end; where they came packed, a temporary
        file that goes with its last reference. Raises FormatError for a pipe and for a file over the limit.
        """
        if self.compression != "none":
            file = tempfile.TemporaryFile()  # noqa: SIM115 - whoever reads it keeps it
            for chunk in self.chunks():
                file.write(chunk)
            return file  # type: ignore[return-value]  # a BufferedRandom, by another name
        if not self._packed.seekable():
            raise FormatError("a Parquet file is read from its end, which a pipe has not", file=self.filename)
        return self._packed

    def too_long(self, *, row) -> FormatError:
        mebibytes = self._limits.max_line_bytes / 2**20
        return FormatError(
            f"longer than {mebibytes:g} MiB, the limit of one record", file=self.filename, row=row
        )

    def _count(self, size):
        self._unpacked += size
        if self._unpacked > self._limits.max_file_bytes:
            raise FormatError(
                f"larger than {self._limits.max_file_bytes:,} bytes"
                + (" when unpacked" if self.compression != "none" else ""),
                file=self.filename,
                hint="Split it and import the parts.",
            )

    @contextlib.contextmanager
    def _named_faults(self):
        try:
            yield
        except EOFError as error:
            raise FormatError(
                "the compressed file is incomplete: it ends early",
                file=self.filename,
                hint="Copy or compress it again.",
            ) from error
        except gzip.BadGzipFile as error:
            if "CRC" in str(error) or "length" in str(error):
                problem = "the compressed file is damaged: its checksum does not match its content"
            else:
                problem = "there are extra bytes after the compressed data"
            raise FormatError(problem, file=self.filename, hint="Compress it again.") from error
        except zlib.error as error:
            raise FormatError("the compressed file is damaged", file=self.filename) from error
        except zstd.ZstdError as error:
            raise FormatError(
                f"the compressed file cannot be unpacked: {_zstd_words(error)}",
                file=self.filename,
                hint="Compress it again, with a window of at most 128 MiB and nothing after its end.",
            ) from error

    def _refuse_what_is_not_text(self):
        head = self.head.removeprefix(_BOM)
        if head.startswith((_GZIP, *_ZSTD)) and self.compression != "none":
            raise FormatError(
                "compressed twice; only one layer is read",
                file=self.filename,
                hint="Unpack it once and import it again.",
            )
        for mark, name in _WIDE:
            if head.startswith(mark):
                raise FormatError(
                    f"encoded as {name}, not UTF-8",
                    file=self.filename,
                    hint="Save the file as UTF-8 and import it again.",
                )
        for mark, name in _MAGIC:
            if head.startswith(mark) or (mark == _TAR and head[257:262] == mark):
                raise FormatError(
                    f"not a table, JSON or plain text: it is {name}",
                    file=self.filename,
                    hint="Import JSON lines, JSON, CSV, TSV, Parquet or plain text, gzipped, in Zstandard or "
                    "as it is.",
                )


def _zstd_words(error: Exception) -> str:
    """The library's reason, without the part that names the call."""
    return str(error).rsplit(": ", 1)[-1].rstrip(".").lower()


@contextlib.contextmanager
def open_source(path_or_fileobj, *, filename: str | None, limits: Limits) -> Iterator[ByteSource]:
    """A ByteSource over a path (opened and closed here) or a binary file object (left open, read from its
    start)."""
    if isinstance(path_or_fileobj, str | os.PathLike):
        with open(path_or_fileobj, "rb") as stream:
            yield ByteSource(stream, filename=filename or os.path.basename(path_or_fileobj), limits=limits)
    else:
        rewind(path_or_fileobj)
        yield ByteSource(path_or_fileobj, filename=filename or "the file", limits=limits)


def rewind(path_or_fileobj) -> None:
    """Puts a file object that can be put there at its beginning; uploads in a request can, pipes cannot."""
    if hasattr(path_or_fileobj, "seekable") and path_or_fileobj.seekable():
        path_or_fileobj.seek(0)

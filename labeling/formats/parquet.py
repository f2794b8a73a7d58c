"""Parquet, a few rows at a time.

A Parquet file says in few bytes what costs many: a page of references to one long text, a footer that
promises millions of columns. So texts stay references (`read_dictionary`) until their row is read, and each
row is held to the limits of a record. pyarrow is imported on first use: most processes never meet a Parquet
file.
"""

from __future__ import annotations

import datetime
import decimal
import math
from collections.abc import Iterator
from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING, Any

from .errors import FormatError, RowError
from .limits import Limits
from .sources import ByteSource

if TYPE_CHECKING:
    import pyarrow as pa

_BATCH_ROWS = 256
_BUFFER_BYTES = 1 << 20
_FOOTER_BYTES = 64 << 20
_MOST_VALUES = 20_000_000  # of one column in one row group: their references alone take four bytes each
_TAIL = 8  # the footer's length in four bytes, little endian, and the mark PAR1


def read_parquet(source: ByteSource, limits: Limits, on_fault=None) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields (row from 1, {column: value}); lists and structs come as lists and dicts, dates as ISO text,
    decimals as their digits.

    Raises FormatError for a file that is cut, damaged or over a limit and for columns that no text or JSON
    can hold (binary, maps, unions), RowError for a value that cannot be stored: text that is not UTF-8 or
    holds a NUL, a number that is not finite.
    """
    import pyarrow as pa

    try:
        file = _open(source, limits)
        names = file.schema_arrow.names
        number = total = 0
        for batch in file.iter_batches(batch_size=_BATCH_ROWS):
            for index in range(batch.num_rows):
                number += 1
                try:
                    values, size = _row(batch.columns, names, index, limits, source)
                except RowError as error:
                    error.located(file=source.filename, row=number)
                    if on_fault is None:
                        raise
                    on_fault(error)
                    continue
                total += size
                if total > limits.max_file_bytes:
                    raise FormatError(
                        f"larger than {limits.max_file_bytes:,} bytes when unpacked",
                        file=source.filename,
                        hint="Split it and import the parts.",
                    )
                yield number, values
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        reason = str(error).splitlines()[0].rstrip(".")[:200]
        raise FormatError(
            f"the Parquet file is damaged or of a kind that is not read: {reason}",
            file=source.filename,
            hint="Write it again.",
        ) from error


def count_rows(path: str | PathLike) -> int:
    """As the footer says; 0 where it cannot be read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_metadata(path).num_rows
    except (pa.ArrowException, OSError):
        return 0


def _open(source: ByteSource, limits: Limits):
    import pyarrow.parquet as pq

    stream = source.seekable()
    size = stream.seek(0, 2)
    tail = b""
    if size > 2 * _TAIL:
        stream.seek(size - _TAIL)
        tail = stream.read(_TAIL)
    if tail[4:] != b"PAR1":
        raise FormatError(
            "the Parquet file is incomplete: its end is missing",
            file=source.filename,
            hint="Copy or write it again.",
        )
    if int.from_bytes(tail[:4], "little") > min(_FOOTER_BYTES, size):
        raise FormatError(
            "the Parquet file's footer is longer than its limit or the file", file=source.filename
        )
    stream.seek(0)
    bounds = {
        "thrift_string_size_limit": _FOOTER_BYTES,
        "thrift_container_size_limit": 1_000_000,
        "pre_buffer": False,
        "buffer_size": _BUFFER_BYTES,
    }
    metadata = pq.ParquetFile(stream, **bounds).metadata
    if metadata.num_columns > limits.max_columns:
        raise FormatError(
            f"{metadata.num_columns:,} columns; the limit is {limits.max_columns:,}", file=source.filename
        )
    _check_row_groups(metadata, source.filename)
    schema = metadata.schema
    texts = [
        schema.column(i).path
        for i in range(metadata.num_columns)
        if schema.column(i).physical_type == "BYTE_ARRAY"
    ]
    stream.seek(0)
    file = pq.ParquetFile(stream, read_dictionary=texts, **bounds)
    _check_columns(file.schema_arrow, source.filename)
    return file


def _check_row_groups(metadata, filename: str) -> None:
    for group in range(metadata.num_row_groups):
        for column in range(metadata.num_columns):
            if metadata.row_group(group).column(column).num_values > _MOST_VALUES:
                raise FormatError(
                    f"a row group of more than {_MOST_VALUES:,} values",
                    file=filename,
                    hint="Write it with smaller row groups.",
                )


def _check_columns(schema: pa.Schema, filename: str) -> None:
    seen = set()
    for field in schema:
        if field.name in seen:
            raise FormatError(f"column {field.name!r} is there twice", file=filename)
        seen.add(field.name)
        if problem := _unreadable(field.type, 0):
            raise FormatError(
                f"holds {problem}, which cannot be imported",
                file=filename,
                field=field.name,
                hint="Write the file without this column.",
            )


def _unreadable(kind: pa.DataType, depth: int) -> str | None:
    """What a type has that neither text nor JSON can hold; None for nothing."""
    import pyarrow as pa

    types = pa.types
    if depth > 32:
        return "lists in lists, more than 32 deep"
    if types.is_dictionary(kind):
        return _unreadable(kind.value_type, depth + 1)
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return _unreadable(kind.value_type, depth + 1)
    if types.is_struct(kind):
        problems = (_unreadable(kind.field(i).type, depth + 1) for i in range(kind.num_fields))
        return next(filter(None, problems), None)
    plain = (
        types.is_string(kind) or types.is_large_string(kind) or types.is_boolean(kind) or types.is_null(kind)
        or types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind)
        or types.is_temporal(kind)
    )  # fmt: skip
    return None if plain else f"values of type {kind}"


def _row(columns, names, index: int, limits: Limits, source: ByteSource) -> tuple[dict[str, Any], int]:
    values, budget = {}, _Budget(limits.max_line_bytes)
    for name, column in zip(names, columns, strict=True):
        try:
            values[name] = _plain(column[index], budget)
        except UnicodeDecodeError as error:
            raise RowError("not UTF-8", field=name, hint="Write the column as UTF-8 text.") from error
        except RowError as error:
            raise RowError(error.problem, field=name, hint=error.hint) from error
        except (OverflowError, ValueError) as error:  # as pyarrow has it of dates and times
            raise RowError(
                "holds a date or time outside the years 1 to 9999", field=name, hint="Write it as text."
            ) from error
        if budget.spent > budget.limit:
            raise source.too_long(row=None)
    return values, budget.spent


@dataclass
class _Budget:
    """Bytes of one row, counted while it is read: a list may name one long text a million times."""

    limit: int
    spent: int = 0


def _plain(scalar: pa.Scalar, budget: _Budget) -> Any:
    """A value as JSON holds it; cut short once the budget is spent. The schema bounds the depth, see
    `_unreadable`."""
    import pyarrow as pa

    if not scalar.is_valid:
        budget.spent += 1
        return None
    if isinstance(scalar, pa.ListScalar | pa.LargeListScalar | pa.FixedSizeListScalar):
        items = []
        for item in scalar.values:
            if budget.spent > budget.limit:
                break
            items.append(_plain(item, budget))
        return items
    if isinstance(scalar, pa.StructScalar):
        return {key: _plain(item, budget) for key, item in scalar.items()}
    value = scalar.as_py()
    if type(value) is str:
        if "\0" in value:
            raise RowError("has a NUL character, which cannot be stored")
        budget.spent += len(value) + 1
        return value
    budget.spent += 8
    if type(value) is float and not math.isfinite(value):
        raise RowError("must be a finite number")
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return str(value) if isinstance(value, datetime.timedelta | decimal.Decimal) else value

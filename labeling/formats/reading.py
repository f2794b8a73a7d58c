"""Files in: `detect` says what a file is, `read_file` yields its records one by one.

Memory stays flat whatever the file's size: a row is read, checked and handed on before the next. Because a
fault may stand at the very end, a caller who wants all or nothing stores rows in one transaction.
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import accumulate, islice
from os import PathLike
from typing import Any, BinaryIO

from .delimited import read_delimited
from .detection import FORMATS, Detection, detect_format
from .errors import FormatError, RowError
from .json_array import read_json_array
from .limits import DEFAULT_LIMITS, Limits
from .parquet import count_rows, read_parquet
from .records import KINDS, Record
from .shapes import Gathering, Row, Shape, choose_shape, known_fields, matching_kinds, name_beside
from .sources import PARQUET, ByteSource, open_source, rewind
from .stackexchange import read_posts
from .strict_json import decode_utf8, parse_json

OnFault = Callable[[FormatError], None]
_SAMPLE_ROWS = 5


def read_file(
    path_or_fileobj: str | PathLike | BinaryIO,
    *,
    filename: str | None = None,
    kind: str,
    format: str | None = None,
    columns: Mapping[str, str] | None = None,
    limits: Limits = DEFAULT_LIMITS,
    on_fault: OnFault | None = None,
    most_rows: int | None = None,
) -> Iterator[Record]:
    """Yields a PromptRecord, DemonstrationRecord or RankingRecord for each row.

    `kind`: prompts, demonstrations, comparisons or completions. `format`: one of FORMATS, or None to detect
    it.
    `columns`: {our field: their column}, where the names differ.
    `on_fault`: without it the first fault raises FormatError. With it, rows whose fault ends with them are
    handed to it and left out; a fault of the file itself still raises. Nothing is ever left out silently.
    `most_rows`: read the first rows only, for a look at the file; where answers of a prompt stand in several
    rows it is then unknown whether more would follow, so what only the whole file can tell is no fault.
    Raises FormatError with file, row and field; also for a file without any record.
    """
    if kind not in KINDS:
        raise ValueError(f"unknown kind {kind!r}; it is one of {', '.join(KINDS)}")
    if format is not None and format not in FORMATS:
        raise FormatError(
            f"unknown format {format!r}", hint=f"It is one of {', '.join(FORMATS)}.", file=filename
        )
    with open_source(path_or_fileobj, filename=filename, limits=limits) as source:
        counted = _FaultCounter(source.filename, on_fault)
        mapped = frozenset((columns or {}).values())
        rows = _read_rows(source, kind, format, limits, counted if on_fault else None, mapped)
        reader = _RecordReader(kind, columns, limits, source.filename)
        is_empty = True
        for number, values in islice(rows, most_rows):
            if number > limits.max_rows:
                raise FormatError(
                    f"more than {limits.max_rows:,} rows",
                    file=source.filename,
                    hint="Split it and import the parts.",
                )
            try:
                records = reader.read(number, values)
            except FormatError as error:
                error.located(file=source.filename, row=number if error.is_row_fault else None)
                if on_fault is None or not error.is_row_fault:
                    raise
                counted(error)
                continue
            is_empty = is_empty and not records
            yield from records
        for record in reader.gathered(on_fault and counted, is_sample=most_rows is not None):
            is_empty = False
            yield record
        if is_empty:
            raise counted.nothing_left()


def detect(
    path_or_fileobj: str | PathLike | BinaryIO,
    *,
    filename: str | None = None,
    kind: str | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> Detection:
    """What the file is, with its first rows. Reads its beginning only and leaves a seekable object rewound.

    Rows among them that cannot be read are passed over and told in `faults`. Raises FormatError where none
    can be read.
    """
    with open_source(path_or_fileobj, filename=filename, limits=limits) as source:
        format, delimiter = detect_format(source.head, source.filename, kind)
        faults: list[FormatError] = []
        rows = _read_rows(source, kind or "prompts", format, limits, faults.append)
        sample = [values for _, values in islice(rows, _SAMPLE_ROWS)]
        if not sample:
            raise (
                faults[0]
                if faults
                else FormatError("nothing to import: it has no rows", file=source.filename)
            )
        objects = [values for values in sample if type(values) is dict]
        columns = tuple(dict.fromkeys(name for values in objects for name in values))
        compression = source.compression
        kinds = matching_kinds(objects[0]) if objects else ("prompts",)
        chosen = kind or (kinds[0] if kinds else None)
        shape = _name_shape(objects[0], chosen) if objects and chosen else None
    rewind(path_or_fileobj)
    return Detection(
        format=format,
        compression=compression,
        delimiter=delimiter,
        columns=columns,
        sample_rows=tuple(objects or [{"prompt": values} for values in sample]),
        shape=shape,
        kinds=kinds,
        faults=tuple(faults),
    )


def unpacks_to_more_than(path: str | PathLike, size: int, rows: int) -> bool:
    """Whether reading it is more than to read so many bytes, or of Parquet so many rows: a small file may
    hold a lot. False for one that cannot be read, which is refused at once."""
    try:
        with open_source(path, filename=None, limits=DEFAULT_LIMITS) as source:
            if source.head.startswith(PARQUET) and source.compression == "none":
                return count_rows(path) > rows
            return any(total > size for total in accumulate(map(len, source.chunks())))
    except FormatError:
        return False


def _name_shape(values, kind):
    try:
        shape = choose_shape(values, kind)
    except FormatError:
        return None  # the fields have other names: the person maps the columns
    return shape.name if shape.is_whole(set(values)) else None


class _FaultCounter:
    def __init__(self, filename, on_fault):
        self._faults = 0
        self._first: FormatError | None = None
        self._filename = filename
        self._on_fault = on_fault

    def __call__(self, error):
        self._faults += 1
        self._first = self._first or error.located(file=self._filename)
        self._on_fault(error.located(file=self._filename))

    def nothing_left(self) -> FormatError:
        if self._first is None:
            return FormatError("nothing to import: it has no rows", file=self._filename)
        first = self._first
        return FormatError(
            f"nothing to import: all {self._faults} rows are faulty, the first because: {first.problem}",
            file=self._filename,
            row=first.row,
            field=first.field,
            hint=first.hint,
        )


class _RecordReader:
    """Turns rows into records of one kind; the first row decides which shape the file has."""

    def __init__(self, kind, columns: Mapping[str, str] | None, limits, filename):
        self._kind = kind
        self._columns = dict(columns or {})
        self._limits = limits
        self._filename = filename
        self._shape: Shape | None = None
        self._parts: list[Any] = []
        self._characters = 0

    def read(self, number: int, values: Any) -> list[Record]:
        """The records of one row; none for a shape that needs the whole file, whose parts are kept."""
        if self._kind == "prompts" and type(values) is str:
            values = {"prompt": values}
        if type(values) is not dict:
            raise RowError("must be an object with named fields", hint='Such as {"prompt": "…"}.')
        if self._columns:
            values = self._rename(values)
        if self._shape is None:
            self._shape = choose_shape(values, self._kind)
        row = Row(values, number=number, kind=self._kind, filename=self._filename, limits=self._limits)
        if not self._shape.is_whole(values.keys()):
            for names in self._shape.required:  # what is missing says more than what is odd about the rest
                row.which(*names)
        if self._shape.gather is None:
            return list(self._shape.read(row))
        self._keep(self._shape.read(row), values)
        return []

    def _keep(self, parts, values) -> None:
        self._parts.extend(parts)
        self._characters += 500 + sum(len(value) for value in values.values() if type(value) is str)
        if self._characters > self._limits.max_grouped_characters:
            raise FormatError(
                f"more than {self._limits.max_grouped_characters:,} characters of answers to group by prompt",
                file=self._filename,
                hint="Import it in parts, each with all answers to its prompts.",
            )

    def gathered(self, on_fault, *, is_sample: bool) -> Iterator[Record]:
        """The records of the kept parts, once all rows are read."""
        if self._shape is None or self._shape.gather is None or not self._parts:
            return

        def fault(error: RowError) -> None:
            error.located(file=self._filename)
            if is_sample:
                return
            if on_fault is None:
                raise error
            on_fault(error)

        yield from self._shape.gather(Gathering(self._parts, self._kind, self._limits, fault))

    def _rename(self, values):
        """Their columns under our names. A field of ours that the mapping covers up stays as metadata."""
        renamed = {name: value for name, value in values.items() if name not in self._columns.values()}
        for ours, theirs in self._columns.items():
            if theirs not in values:
                raise RowError("missing", field=theirs, hint=f"It was mapped to {ours}.")
            if ours in renamed:
                renamed[name_beside(ours, {**values, **renamed})] = renamed.pop(ours)
            renamed[ours] = values[theirs]
        return renamed


def _read_rows(
    source: ByteSource, kind, format, limits, on_fault, mapped=frozenset()
) -> Iterator[tuple[int, Any]]:
    """(row number, value): a dict for a record, something else where a row is not one."""
    delimiter = None
    detected, sniffed = (
        detect_format(source.head, source.filename, kind) if format is None else (format, None)
    )
    if detected in ("csv", "tsv"):
        delimiter = sniffed or _delimiter_of(source, detected)
        return _fold_columns(read_delimited(source, delimiter, limits, on_fault), mapped)
    if detected == "json":
        return read_json_array(source, limits, on_fault)
    if detected == "parquet":
        return _fold_columns(read_parquet(source, limits, on_fault), mapped)
    if detected == "stackexchange":
        return read_posts(source, limits)
    return _read_lines(source, limits, on_fault, is_json=detected == "jsonl")


def _delimiter_of(source, format):
    if format == "tsv":
        return "\t"
    header = source.head.split(b"\n", 1)[0].decode("utf-8", errors="replace")
    return ";" if header.count(";") > header.count(",") else ","


def _fold_columns(rows, mapped):
    """Columns that are ours but for case ("Prompt") get our name, unless they are mapped under their own.
    Blanks around names are gone already."""
    renamed: dict[str, str] | None = None
    for number, values in rows:
        if renamed is None:
            renamed = _folded_names(values, mapped)
        if renamed:
            values = {renamed.get(name, name): value for name, value in values.items()}
        yield number, values


def _folded_names(columns, mapped):
    names = known_fields()
    folded: dict[str, str] = {}
    for column in columns:
        ours = column.lower()
        if column in names or column in mapped or ours not in names:
            continue
        if ours not in columns and ours not in folded.values():  # two columns may not become one
            folded[column] = ours
    return folded


def _read_lines(source, limits, on_fault, *, is_json):
    """Physical lines, blank ones skipped but counted. U+2028 and its kin end no line."""
    for number, line in enumerate(source.lines(), start=1):
        text = line.removesuffix(b"\n").removesuffix(b"\r")
        if not text.strip():
            continue
        try:
            if is_json:
                value = parse_json(text, limits=limits, is_last_line=not line.endswith(b"\n"))
            else:
                value = decode_utf8(text)
        except RowError as error:
            if text.strip() in (b"{", b"["):
                error.problem = "the record does not end on its line"
                error.hint = "A record must stand on one line; or put all of them into one JSON array."
            error.located(file=source.filename, row=number)
            if on_fault is None:
                raise
            on_fault(error)
            continue
        yield number, value

"""The first half of an import: every row read and checked outside any transaction, into a file of prepared
rows; and what a dry run says of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import orjson
from django.utils import timezone

from labeling.formats import FormatError, detect, read_file
from labeling.models import Completion, ImportRecord, Prompt, Submission

from . import import_files
from .answer_checks import look_of_imports
from .import_faults import FaultList
from .import_rows import Prepared, prepare
from .preparation_rows import ImportPlan
from .prompts import find_ids

CHUNK_ROWS, CHUNK_BYTES = 5_000, 8_000_000
Teller = Callable[[str, int, int | None], None]


@dataclass
class Spooled:
    """What reading a file gave: prepared rows in the spool, and what was left out of it."""

    faults: FaultList
    format: str = ""
    rows: int = 0
    plan: ImportPlan | None = None  # the fixes chosen in the preparation report

    @property
    def dropped(self) -> int:
        """Rows that a chosen fix leaves out."""
        return self.plan.dropped if self.plan is not None else 0

    @property
    def left_out(self) -> int:
        return self.faults.count


def spool_rows(import_record: ImportRecord, spool: BinaryIO, spooled: Spooled, tell: Teller) -> None:
    """Fill the spool. Raises FormatError at the first fault, unless faulty rows are to be left out or it is a
    dry run, which finds them all; then where no row is left.

    Fixes that leave out doubles are worked out over the rows that are taken: where one of them turns out to
    be refused in the end (a label too long, an answer the project refuses), they are worked out again
    without it, and the file is read once more.
    """
    path, name = import_files.path_of(import_record), import_record.filename
    spooled.format = import_record.format or detect(path, filename=name, kind=import_record.kind).format
    refused: set[int] = set()
    while True:
        plan = spooled.plan = ImportPlan(import_record, tell, refused)
        found = _spool_once(import_record, spool, spooled, tell)
        if not plan.is_chosen or found <= refused:
            break
        refused |= found
        spool.seek(0)
        spool.truncate()
        spooled.rows = 0
        spooled.faults.begin_anew()
    if spooled.rows == 0:
        if plan.dropped:
            raise FormatError("nothing to import: the chosen fixes leave no row", file=name)
        raise FormatError(f"nothing to import: all {spooled.left_out} rows are faulty", file=name)
    spool.seek(0)


def _spool_once(import_record: ImportRecord, spool: BinaryIO, spooled: Spooled, tell: Teller) -> set[int]:
    """Places (from 0) of records that could be read and were refused all the same."""
    name, plan = import_record.filename, spooled.plan
    notes_all = import_record.leave_out_faulty_rows or import_record.is_dry_run
    on_fault = spooled.faults.note if notes_all else None
    look = look_of_imports(import_record.project)
    records = read_file(
        import_files.path_of(import_record),
        filename=name,
        kind=import_record.kind,
        format=spooled.format,
        columns=import_record.column_mapping or None,
        on_fault=on_fault,
    )
    refused: set[int] = set()
    for place, found in enumerate(records):
        record = plan.carry_out(found) if plan is not None else found
        if record is None:
            continue
        try:
            line = orjson.dumps(prepare(record, name, look))
        except FormatError as error:
            if on_fault is None:
                raise
            on_fault(error)
            refused.add(place)
            continue
        spool.write(line)
        spool.write(b"\n")
        spooled.rows += 1
        if spooled.rows % 100 == 0:
            tell("reading", spooled.rows, None)
    return refused


def spooled_chunks(spool: BinaryIO) -> Iterator[list[Prepared]]:
    """Up to CHUNK_ROWS rows and about CHUNK_BYTES at a time, so that very long texts do not fill the
    memory."""
    chunk: list[Prepared] = []
    size = 0
    for line in spool:
        chunk.append(orjson.loads(line))
        size += len(line)
        if len(chunk) == CHUNK_ROWS or size >= CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def dry_run_report(
    import_record: ImportRecord, spool: BinaryIO, spooled: Spooled, tell: Teller
) -> dict[str, Any]:
    """What an import of the spooled rows would do now, without writing a row or holding anybody up.

    A row counts as RowStore counts it: a prompt, a judgment, or completions of which one is new. The keys
    seen are held in memory, some 100 bytes a row.
    """
    seen: set[str] = set()
    added = done = 0
    for chunk in spooled_chunks(spool):
        for keys in _unknown_keys(import_record, chunk):
            added += not seen.issuperset(keys)
            seen.update(keys)
        done += len(chunk)
        tell("checking", done, spooled.rows)
    return {
        "kind": import_record.kind,
        "format": spooled.format,
        "rows": spooled.rows + spooled.left_out + spooled.dropped,
        "added": added,
        "already_there": spooled.rows - added,
        "left_out": spooled.left_out + spooled.dropped,
        "at": timezone.now().isoformat(),
    }


def _unknown_keys(import_record: ImportRecord, chunk: list[Prepared]) -> Iterator[list[str]]:
    """For each row the keys it would be stored under that the project does not have."""
    project = import_record.project
    if "t" not in chunk[0] and "o" not in chunk[0]:
        known = find_ids(Prompt, "digest", [row["d"] for row in chunk], project=project)
        yield from ([row["d"]] if row["d"] not in known else [] for row in chunk)
        return
    judged = [row["j"] for row in chunk if "j" in row]
    waiting = [key for row in chunk if "j" not in row for _, _, key in row["o"]]
    known = {
        **find_ids(Submission, "import_digest", judged, project=project),
        **find_ids(Completion, "source_key", waiting, project=project),
    }
    for row in chunk:
        keys = [row["j"]] if "j" in row else [key for _, _, key in row["o"]]
        yield [key for key in keys if key not in known]

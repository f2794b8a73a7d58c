"""manage.py prepare_data FILE [--as KIND] [--context N] [--tokenizer FOLDER] [--apply FIX …] [--out FILE]"""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from django.core.management.base import BaseCommand, CommandError

from labeling.formats import (
    FORMATS,
    KINDS,
    DemonstrationRecord,
    FormatError,
    PromptRecord,
    RankingRecord,
    Record,
    canonical_line,
    detect,
    read_file,
)
from labeling.preparation import FIXES, Options, Plan, look_through, masked, record_of_unit, unit_of_record
from labeling.preparation_words import FIXES as FIX_WORDS
from labeling.preparation_words import meaning_of, title_of
from labeling.services.masked_rows import mask_within
from labeling.services.preparation_rows import DEFAULT_CONTEXT, MASK, PLAIN_SHAPES
from labeling.services.preparations import Faults
from labeling.services.token_counts import context_beside, estimate

MARKS = {"error": "✗", "warning": "!", "info": "·"}


class Command(BaseCommand):
    help = (
        "Look through a file before it is imported or trained on: what is missing, double, too long or "
        "contradictory, with rows to look at and fixes. With --apply and --out the fixed rows are written as "
        "JSON lines; whatever is left out is counted by reason. Reads the file only; no database is needed."
    )

    def add_arguments(self, parser) -> None:
        parser.add_argument("file", type=Path, metavar="FILE")
        parser.add_argument("--as", dest="kind", choices=KINDS, help="told from the content if left out")
        parser.add_argument("--format", choices=list(FORMATS), help="told from the content if left out")
        parser.add_argument("--map", action="append", default=[], metavar="FIELD=COLUMN", dest="columns",
                            help="our field = their column; may be given several times")  # fmt: skip
        parser.add_argument(
            "--context", type=int, help=f"tokens of a row, at most (default {DEFAULT_CONTEXT})"
        )
        parser.add_argument("--tokenizer", type=Path, metavar="FOLDER",
                            help="folder with tokenizer.json; else tokens are estimated")  # fmt: skip
        parser.add_argument("--against", action="append", default=[], type=Path, metavar="FILE",
                            help="evaluation prompts that may not be trained on")  # fmt: skip
        parser.add_argument("--apply", action="append", default=[], choices=["all", *FIXES], metavar="FIX",
                            help="a fix named in the report, several times if need be; all: the first of each"
                                 " error and warning")  # fmt: skip
        parser.add_argument(
            "--leave-out-faulty", action="store_true", help="write without rows that cannot be read"
        )
        parser.add_argument("--out", type=Path, metavar="FILE", help="where the fixed rows go")
        parser.add_argument("--json", action="store_true", help="the report as JSON")

    def handle(self, *args, **options) -> None:
        if options["apply"] and options["out"] is None:
            raise CommandError("Name the file to write with --out.")
        try:
            self._prepare(options)
        except FormatError as error:
            raise CommandError(str(error)) from error
        except OSError as error:
            raise CommandError(f"{error.filename}: {error.strerror}.") from error

    def _prepare(self, options: dict[str, Any]) -> None:
        self.file, self.reading, is_plain = self._how_to_read(options)
        measured = self._measures(options, is_plain)
        faults = Faults()
        report = look_through(lambda: self._units(faults.begin()), measured)
        findings = faults.added_to(report).to_json()
        written = self._write(options, measured, findings["findings"]) if options["out"] else None
        if options["json"]:
            result = {"file": str(self.file), "as": self.reading["kind"], **findings, "written": written}
            self.stdout.write(json.dumps(result, ensure_ascii=False, indent=1))
            return
        self._show(findings)
        if written is not None:
            self._show_written(options["out"], written)

    def _how_to_read(self, options: dict[str, Any]) -> tuple[Path, dict[str, Any], bool]:
        columns = {}
        for text in options["columns"]:
            ours, equals, theirs = text.partition("=")
            if not (ours and equals and theirs):
                raise CommandError(f"--map takes FIELD=COLUMN, not “{text}”.")
            columns[ours] = theirs
        found = detect(options["file"], kind=options["kind"])
        kind = options["kind"] or _most_telling(options["file"], found.kinds, columns)
        if kind is None:
            raise CommandError(f"{options['file']}: say what it holds with --as {'|'.join(KINDS)}.")
        shape = detect(options["file"], kind=kind).shape
        reading = {"kind": kind, "format": options["format"], "columns": columns or None}
        return options["file"], reading, shape in PLAIN_SHAPES

    def _records(self, on_fault) -> Iterator[Record]:
        return read_file(self.file, **self.reading, on_fault=on_fault)

    def _units(self, on_fault):
        return map(unit_of_record, self._records(on_fault))

    def _measures(self, options: dict[str, Any], is_plain: bool) -> Options:
        count, single, longest = estimate, None, DEFAULT_CONTEXT
        if (folder := options["tokenizer"]) is not None:
            tokenizer, longest = _tokenizer(folder)

            def count(text: str) -> int:
                return len(tokenizer.encode(text, add_special_tokens=False).ids)

            def single(text: str) -> bool:
                return count(text) == 1 or count(f" {text}") == 1

        context = options["context"] or longest
        if context < 1:
            raise CommandError("--context takes a number of tokens.")
        paths = options["against"]

        def evaluation() -> Iterator[str]:
            return (unit_of_record(each).prompt for path in paths for each in _prompts(path))

        return Options(count, context, single, is_plain, evaluation if paths else None)

    def _write(
        self, options: dict[str, Any], measured: Options, findings: list[dict[str, Any]]
    ) -> dict[str, Any]:
        serious = [finding for finding in findings if finding["severity"] != "info"]
        offered = [fix["key"] for finding in serious for fix in finding["fixes"][:1]]
        names = [*offered, *options["apply"]] if "all" in options["apply"] else options["apply"]
        lenient = options["leave_out_faulty"]
        faulty: Counter = Counter()

        def note(_error: FormatError) -> None:
            faulty["cannot be read"] += 1

        plan = Plan(self._units(_pass_over if lenient else None), set(names) - {"all"}, measured)
        rows = 0
        left_out: Counter = Counter()
        part = options["out"].with_name(f"{options['out'].name}.part")
        with part.open("wb") as out:
            for index, record in enumerate(self._records(note if lenient else None)):
                unit, reason = plan.carry_out(index, unit_of_record(record))
                if unit is None:
                    left_out[reason] += 1
                    continue
                fixed = record_of_unit(record, unit)
                if MASK in plan.names:
                    fixed = dataclasses.replace(fixed, metadata=mask_within(record.metadata, masked))
                _write_record(out, fixed)
                rows += 1
        part.replace(options["out"])
        left_out += faulty
        changed = {name: count for name, count in plan.counts.items() if name not in left_out}
        return {"rows": rows, "left_out": dict(left_out), "changed": changed}

    def _show(self, report: dict[str, Any]) -> None:
        self.stdout.write(f"{self.file}: {report['rows']:,} {self.reading['kind']}\n")
        if not report["findings"]:
            self.stdout.write("Nothing to remark.")
        for finding in report["findings"]:
            self.stdout.write(f"\n{MARKS[finding['severity']]} {title_of(finding)}: {finding['count']:,}")
            self.stdout.write(f"  {meaning_of(finding)}")
            for row in finding["rows"]:
                self.stdout.write(f"    row {row['row']}: {row['text']}")
            for fix in finding["fixes"]:
                words = FIX_WORDS[fix["key"]]
                self.stdout.write(
                    f"  → --apply {fix['key']}  {words} ({fix['rows']:,} of {fix['of']:,} rows)"
                )

    def _show_written(self, path: Path, written: dict[str, Any]) -> None:
        self.stdout.write(f"\n{path}: {written['rows']:,} rows written")
        for reason, count in written["left_out"].items():
            self.stdout.write(f"  left out, {reason}: {count:,}")
        for name, count in written["changed"].items():
            self.stdout.write(f"  changed, {name}: {count:,}")


def _pass_over(_error: FormatError) -> None:
    """Counted when the rows are written."""


def _most_telling(path: Path, kinds: tuple[str, ...], columns: dict[str, str]) -> str | None:
    """Conversations may be prompts or demonstrations: the latter where the first one has an answer."""
    kind = kinds[0] if kinds else None
    if kind == "prompts" and "demonstrations" in kinds:
        try:
            next(read_file(path, kind="demonstrations", columns=columns or None))
        except FormatError:
            return kind
        return "demonstrations"
    return kind


def _prompts(path: Path) -> Iterator[Record]:
    kinds = detect(path).kinds
    return read_file(path, kind=kinds[0] if kinds else "prompts", on_fault=_pass_over)


def _tokenizer(folder: Path) -> tuple[Any, int]:
    """(tokenizer, the context that a config.json beside it names, else DEFAULT_CONTEXT)."""
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    except Exception as error:  # the library raises plain Exception, for a missing file too
        raise CommandError(f"{folder}: no tokenizer.json that can be read ({error}).") from error
    return tokenizer, context_beside(folder / "tokenizer.json") or DEFAULT_CONTEXT


def _write_record(out: BinaryIO, record: Record) -> None:
    """A row that an import reads back as the same record."""
    messages = list(record.messages)
    row: dict[str, Any] = dict(record.metadata)
    if isinstance(record, RankingRecord):
        row |= {"prompt": messages, "completions": [_completion(each) for each in record.completions]}
        if record.tiers is not None:
            row |= {"ranks": record.ranks}
            row |= {"margins": list(record.margins)} if record.margins is not None else {}
    elif isinstance(record, DemonstrationRecord):
        chat = [*messages, {"role": "assistant", "content": record.text}]
        plain = _plain(record)
        row |= plain if plain else {"messages": chat}
    elif isinstance(record, PromptRecord):
        row |= {"messages": messages}
    row |= {name: value for name in ("category", "language") if (value := getattr(record, name))}
    out.write(canonical_line(row))


def _plain(record: DemonstrationRecord) -> dict[str, str] | None:
    """One question without a system message stays prompt and completion, as trainers of plain files want."""
    if len(record.messages) > 1:
        return None
    return {"prompt": record.messages[0]["content"], "completion": record.text}


def _completion(completion) -> dict[str, str]:
    row = {"text": completion.text}
    return row | ({"generator": completion.generator} if completion.generator else {})

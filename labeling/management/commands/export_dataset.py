"""manage.py export_dataset VERSION --format F --out FILE"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from annotate.errors import DomainError
from labeling.formats import EXPORT_FORMATS, SPLITS, ExportSummary
from labeling.models import DatasetVersion
from labeling.services import dataset_exports, datasets
from labeling.services.dataset_names import WAYS, find_version
from labeling.services.export_packing import OPTIONS as PACKING
from labeling.services.export_writing import ZIPPED

PIECE = 1 << 16


class Command(BaseCommand):
    help = "Write a frozen dataset version, or one split of it, in a format that other tools read."

    def add_arguments(self, parser) -> None:
        parser.add_argument(
            "version",
            metavar="VERSION",
            help=WAYS,
        )
        parser.add_argument("--format", required=True, choices=[*EXPORT_FORMATS, *ZIPPED])
        parser.add_argument(
            "--option",
            action="append",
            default=[],
            metavar="NAME=VALUE",
            help="what a format leaves to choose (docs/formats.md); the value as JSON, or text",
        )
        parser.add_argument("--out", required=True, metavar="FILE", help="a path, or - for standard output")
        parser.add_argument("--split", choices=SPLITS, help="one split; all of them if left out")

    def handle(self, *args, **options) -> None:
        summary = ExportSummary()
        try:
            version = find_version(options["version"])
            chosen = _chosen(options["option"])
            if options["format"] in ZIPPED or not chosen.keys().isdisjoint(PACKING):
                self._write_prepared(version, chosen, options)
                return
            pieces = datasets.export_version(
                version=version,
                format=options["format"],
                split=options["split"],
                summary=summary,
                marks=chosen,
            )
        except DomainError as error:
            raise CommandError(f"{error.message} {error.hint or ''}".strip()) from error
        if options["out"] == "-":
            for piece in pieces:
                sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()
        else:
            size = self._write(Path(options["out"]), pieces)
            self.stdout.write(f"{version}, {options['format']}: {size:,} bytes in {options['out']}")
        # To standard error: standard output may be the data.
        for reason, count in summary.left_out.items():
            self.stderr.write(f"{count:,} of {summary.read:,} rows left out: {reason}")

    def _write_prepared(self, version: DatasetVersion, chosen: dict[str, Any], options) -> None:
        """Parquet, tokens and whatever is packed are files that have to be prepared: then they are copied."""
        if options["out"] == "-":
            raise CommandError("A prepared file is written to a file, not to standard output.")
        export = dataset_exports.prepare_export(
            version=version,
            format=options["format"],
            split=options["split"] or "",
            options=chosen,
            acting_user=None,
            in_background=False,
        )
        if export.error:
            raise CommandError(export.error)
        path = dataset_exports.open_export(export=export)
        dataset_exports.record_fetched(export=export, acting_user=None)
        with open(path, "rb") as file:
            size = self._write(Path(options["out"]), iter(lambda: file.read(PIECE), b""))
        self.stdout.write(f"{export}: {size:,} bytes in {options['out']}")
        for reason, count in export.summary["left_out"].items():
            self.stderr.write(f"{count:,} of {export.summary['read']:,} rows left out: {reason}")

    @staticmethod
    def _write(out: Path, pieces) -> int:
        """Beside its place first, so that a file of that name is whole or what it was."""
        temporary = out.with_name(f".{out.name}.{os.getpid()}")
        size = 0
        try:
            with temporary.open("wb") as file:
                for piece in pieces:
                    size += file.write(piece)
            temporary.replace(out)
        except OSError as error:
            raise CommandError(f"{out}: {error.strerror}.") from error
        finally:
            temporary.unlink(missing_ok=True)
        return size


def _chosen(given: list[str]) -> dict[str, Any]:
    chosen: dict[str, Any] = {}
    for each in given:
        name, equals, value = each.partition("=")
        if not equals:
            raise CommandError(f"--option {each}: write NAME=VALUE.")
        try:
            chosen[name] = json.loads(value)
        except ValueError:
            chosen[name] = value
    return chosen

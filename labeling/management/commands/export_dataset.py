"""manage.py export_dataset VERSION --format F --out FILE"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from django.core.management.base import BaseCommand, CommandError

from annotate.errors import DomainError
from labeling.formats import EXPORT_FORMATS, SPLITS, ExportSummary
from labeling.services import datasets
from labeling.services.dataset_names import WAYS, find_version


class Command(BaseCommand):
    help = "Write a frozen dataset version, or one split of it, in a format that other tools read."

    def add_arguments(self, parser) -> None:
        parser.add_argument(
            "version",
            metavar="VERSION",
            help=WAYS,
        )
        parser.add_argument("--format", required=True, choices=list(EXPORT_FORMATS))
        parser.add_argument("--out", required=True, metavar="FILE", help="a path, or - for standard output")
        parser.add_argument("--split", choices=SPLITS, help="one split; all of them if left out")

    def handle(self, *args, **options) -> None:
        summary = ExportSummary()
        try:
            version = find_version(options["version"])
            pieces = datasets.export_version(
                version=version, format=options["format"], split=options["split"], summary=summary
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

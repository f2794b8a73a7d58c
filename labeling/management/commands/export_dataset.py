"""manage.py export_dataset VERSION --format F --out FILE"""

from __future__ import annotations

import os
import sys
import uuid
from pathlib import Path

from django.core.management.base import BaseCommand, CommandError

from annotate.errors import DomainError
from labeling.formats import EXPORT_FORMATS, SPLITS, ExportSummary
from labeling.models import DatasetVersion, DatasetVersionStatus
from labeling.services import datasets

SHORTEST_HASH = 8


class Command(BaseCommand):
    help = "Write a frozen dataset version, or one split of it, in a format that other tools read."

    def add_arguments(self, parser) -> None:
        parser.add_argument(
            "version",
            metavar="VERSION",
            help="its id, the beginning of its SHA-256, or SLUG/DATASET NAME/NUMBER",
        )
        parser.add_argument("--format", required=True, choices=list(EXPORT_FORMATS))
        parser.add_argument("--out", required=True, metavar="FILE", help="a path, or - for standard output")
        parser.add_argument("--split", choices=SPLITS, help="one split; all of them if left out")

    def handle(self, *args, **options) -> None:
        version, summary = self._find(options["version"]), ExportSummary()
        try:
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

    @staticmethod
    def _find(name: str) -> DatasetVersion:
        ready = DatasetVersion.objects.filter(status=DatasetVersionStatus.READY).select_related(
            "dataset__project"
        )
        try:
            found = list(ready.filter(public_id=uuid.UUID(name)))
        except ValueError:
            slug, _, rest = name.partition("/")
            dataset, _, number = rest.rpartition("/")
            if number.isdecimal():
                found = list(
                    ready.filter(dataset__project__slug=slug, dataset__name=dataset, number=int(number))
                )
            elif len(name) >= SHORTEST_HASH:
                found = list(ready.filter(sha256__startswith=name.lower())[:2])
            else:
                found = []
        if not found:
            raise CommandError(f"There is no ready dataset version “{name}”.")
        if len({version.sha256 for version in found}) > 1:
            raise CommandError(f"“{name}” fits several versions. Give more of the SHA-256, or the id.")
        return found[0]

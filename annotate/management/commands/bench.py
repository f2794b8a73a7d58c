"""`manage.py bench`: run the benchmarks on a scratch site; a table here, JSON under DATA_DIR/bench."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connection

from annotate import bench
from annotate.environment import BASE_DIR


class Command(BaseCommand):
    help = "Run benchmarks on a scratch database and hold them against their bars."

    def add_arguments(self, parser) -> None:
        parser.add_argument("words", nargs="*", help="only benchmarks whose name contains one of these words")
        parser.add_argument("--list", action="store_true", dest="list_only", help="only say what there is")
        parser.add_argument("--quick", action="store_true", help="smaller sizes, to see that they run")
        parser.add_argument("--rows", type=int, default=0, help="rows of the benchmarks that move many")
        parser.add_argument(
            "--database", default="", help="URL of an EMPTY database to use instead of SQLite"
        )
        parser.add_argument("--scratch", default="", help="(set by this command for its inner process)")
        parser.add_argument("--results", default="", help="folder for the JSON files; DATA_DIR/bench")

    def handle(self, *args, words, list_only, quick, rows, database, scratch, results, **options) -> None:
        bench.registry.load()
        try:
            functions = bench.registry.chosen(words)
        except KeyError as error:
            raise CommandError(f"No benchmark's name contains {error}. See: bench --list") from None
        if list_only:
            for name, function in functions.items():
                self.stdout.write(f"{name:32} {(function.__doc__ or '').strip().splitlines()[0]}")
        elif scratch:
            asked = bench.Bench(Path(scratch), quick=quick, rows=rows, say=self.say, results=Path(results))
            self.measure(functions, asked, Path(results))
        else:
            again = [*words, *(["--quick"] if quick else []), "--rows", str(rows)]
            self.in_scratch_site(again, database, results or str(Path(settings.DATA_DIR) / "bench"))

    def in_scratch_site(self, asked: list[str], database: str, results: str) -> None:
        """The same command again, in a process whose DATA_DIR and database are a scratch folder's."""
        with tempfile.TemporaryDirectory(prefix="annotate-bench-") as folder:
            command = [sys.executable, str(BASE_DIR / "manage.py"), "bench", *asked, "--scratch", folder,
                       "--results", results]  # fmt: skip
            environment = {**os.environ, "DATA_DIR": folder, "DATABASE_URL": database, "LOG_LEVEL": "WARNING"}
            if not database:
                environment["DATABASE_URL"] = f"sqlite:///{folder}/annotate.sqlite3"
            code = subprocess.run(command, env=environment, check=False).returncode
        if code:
            raise CommandError("A benchmark failed or missed its bar.", returncode=code)

    def measure(self, functions, asked: bench.Bench, results: Path) -> None:
        if connection.introspection.table_names():
            raise CommandError(
                "The database is not empty. Benchmarks fill and change it: give them one of their own."
            )
        call_command("migrate", interactive=False, verbosity=0)
        machine = bench.describe_machine() | {"database": connection.vendor, "quick": asked.quick}
        rows = bench.run(functions, asked)
        path = bench.write_json(results, machine, rows)
        self.say("\n" + bench.as_table(rows) + f"\n\n{path}")
        if any(row["holds"] is False for row in rows):
            sys.exit(1)

    def say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()

"""manage.py import_data --project SLUG --as KIND [--format F] [--map field=column] [--dry-run] FILE…"""

from __future__ import annotations

from pathlib import Path

from django.core.management.base import BaseCommand, CommandError

from annotate.accounts.models import User
from annotate.errors import DomainError
from labeling.formats import FORMATS
from labeling.models import ImportKind, ImportRecord, ImportStatus, Project
from labeling.services import import_faults, imports


class Command(BaseCommand):
    help = (
        "Bring files into a project: prompts, demonstrations, comparisons or completions. Each file is "
        "stored whole or not at all; bringing the same file in again adds nothing."
    )

    def add_arguments(self, parser) -> None:
        parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
        parser.add_argument("--project", required=True, metavar="SLUG")
        parser.add_argument("--as", required=True, dest="kind", choices=ImportKind.values, metavar="KIND",
                            help=f"one of {', '.join(ImportKind.values)}")  # fmt: skip
        parser.add_argument(
            "--format", choices=list(FORMATS), help="how to read it; told from the content if left out"
        )
        parser.add_argument("--map", action="append", default=[], metavar="FIELD=COLUMN", dest="columns",
                            help="our field = their column; may be given several times")  # fmt: skip
        parser.add_argument("--licence", default="", help="kept with the rows as their provenance")
        parser.add_argument("--user", metavar="NAME", help="who brings them in (default: nobody, the system)")
        parser.add_argument(
            "--leave-out-faulty",
            action="store_true",
            help="leave faulty rows out and list them, instead of refusing the file",
        )
        parser.add_argument(
            "--dry-run",
            action="store_true",
            help="read and check every row, say what would come in, store none",
        )
        parser.add_argument(
            "--faults-to",
            type=Path,
            metavar="CSV",
            help="write every faulty row of the one file to this file",
        )

    def handle(self, *args, **options) -> None:
        project = Project.objects.filter(slug=options["project"]).first()
        if project is None:
            raise CommandError(f"There is no project “{options['project']}”.")
        if options["faults_to"] and len(options["files"]) > 1:
            raise CommandError("--faults-to takes the faults of one file.")
        user = self._user(options["user"])
        mapping = dict(self._pair(text) for text in options["columns"])
        problems = [
            problem
            for path in options["files"]
            if (problem := self._problem_with(path, project, user, mapping, options))
        ]
        if len(options["files"]) == 1 and problems:
            raise CommandError(problems[0])
        for problem in problems:
            self.stderr.write(problem)
        if problems:
            raise CommandError(f"{len(problems)} of {len(options['files'])} files were refused, see above.")

    def _problem_with(self, path: Path, project: Project, user, mapping, options) -> str | None:
        """Bring one file in. What was wrong with it, or None: one bad file must not keep the others out."""
        try:
            self._bring_in(path, project, user, mapping, options)
        except DomainError as error:
            lines = [f"{error.message} {error.hint or ''}".strip(), f"Nothing of {path} was stored."]
            is_a_row = any(detail.get("row") for detail in error.details)
            if is_a_row and not options["leave_out_faulty"]:
                lines.append("Add --leave-out-faulty to leave such rows out and bring in the others.")
            return "\n".join(lines)
        except OSError as error:
            return f"{path}: {error.strerror}."
        return None

    @staticmethod
    def _user(name: str | None) -> User | None:
        if name is None:
            return None
        user = User.objects.filter(username=name).first()
        if user is None:
            raise CommandError(f"There is no person “{name}”.")
        return user

    @staticmethod
    def _pair(text: str) -> tuple[str, str]:
        ours, equals, theirs = text.partition("=")
        if not (ours and equals and theirs):
            raise CommandError(f"--map takes FIELD=COLUMN, not “{text}”.")
        return ours, theirs

    def _bring_in(self, path: Path, project: Project, user, mapping, options) -> None:
        with path.open("rb") as file:
            import_record = imports.upload_file(
                project=project,
                kind=options["kind"],
                file=file,
                filename=path.name,
                licence=options["licence"],
                acting_user=user,
            )
        imports.confirm_import(
            import_record=import_record,
            acting_user=user,
            format=options["format"],
            column_mapping=mapping,
            leave_out_faulty_rows=options["leave_out_faulty"],
            dry_run=options["dry_run"],
        )
        import_record = imports.run_import(import_record=import_record, progress=self._tell)
        if self._shows_progress:
            self.stderr.write("\r\x1b[K", ending="")
        if options["faults_to"]:
            with options["faults_to"].open("wb") as file:
                file.writelines(import_faults.faults_as_csv(import_record))
        if options["dry_run"]:
            self._report_dry_run(path, import_record)
            return
        imports.raise_if_failed(import_record)
        self._report(path, import_record)

    def _report_dry_run(self, path: Path, import_record: ImportRecord) -> None:
        """What the check found; the record goes with it, because nobody is there to confirm it."""
        imports.discard_import(import_record=import_record, acting_user=import_record.created_by)
        imports.raise_if_failed(import_record)
        report = import_record.report or {}
        self.stdout.write(
            f"{path}: {report['rows']:,} rows read as {report['format']}, "
            f"{report['added']:,} would be added, {report['already_there']:,} there already, "
            f"{report['left_out']:,} faulty; nothing was stored"
        )
        for fault in import_record.faults:
            self.stdout.write(f"  faulty: {fault['message']}")

    def _report(self, path: Path, import_record: ImportRecord) -> None:
        if import_record.status != ImportStatus.SUCCEEDED:
            state = import_record.get_status_display().lower()
            self.stdout.write(f"{path}: {state} (a worker has taken it up)")
            return
        left_out = f", {import_record.rows_left_out:,} left out" if import_record.rows_left_out else ""
        self.stdout.write(
            f"{path}: {import_record.rows_read:,} rows read as {import_record.format}, "
            f"{import_record.rows_added:,} added, "
            f"{import_record.rows_already_there:,} there already{left_out}"
        )
        for fault in import_record.faults:
            self.stdout.write(f"  left out: {fault['message']}")

    @property
    def _shows_progress(self) -> bool:
        return self.stderr.isatty()

    def _tell(self, phase: str, done: int, total: int | None) -> None:
        if self._shows_progress:
            share = f" of {total:,} ({done / total:.0%})" if total else ""
            self.stderr.write(f"\r{phase} {done:,}{share} rows", ending="")

"""manage.py freeze_dataset --project SLUG --name NAME [--as KIND] [--recipe FILE]"""

from __future__ import annotations

import json
from pathlib import Path

from django.core.management.base import BaseCommand, CommandError

from annotate.errors import DomainError
from labeling.formats import SPLITS
from labeling.models import Dataset, DatasetKind, DatasetVersionStatus, Project
from labeling.services import datasets
from labeling.services.freeze_requests import standing


class Command(BaseCommand):
    help = "Freeze the accepted work that a dataset's recipe selects into its next, immutable version."

    def add_arguments(self, parser) -> None:
        parser.add_argument("--project", required=True, metavar="SLUG")
        parser.add_argument(
            "--name", required=True, help="of the dataset; made if there is none and --as is given"
        )
        parser.add_argument(
            "--as", dest="kind", choices=DatasetKind.values, help="kind of a dataset to be made"
        )
        parser.add_argument("--recipe", type=Path, metavar="FILE", help="recipe as JSON (docs/datasets.md)")
        parser.add_argument("--note", default="", help="kept with the version")
        parser.add_argument(
            "--force", action="store_true", help="make a version also where one has the very same rows"
        )
        parser.add_argument("--json", action="store_true", help="print the version as JSON")

    def handle(self, *args, **options) -> None:
        project = Project.objects.filter(slug=options["project"]).first()
        if project is None:
            raise CommandError(f"There is no project “{options['project']}”.")
        try:
            dataset = self._dataset(project, options)
            version = datasets.freeze_dataset(
                dataset=dataset,
                acting_user=None,
                note=options["note"],
                in_background=False,
                force=options["force"],
            )
        except DomainError as error:
            raise CommandError(f"{error.message} {error.hint or ''}".strip()) from error
        is_new, version = version.same_as is None, standing(version)
        if version.status != DatasetVersionStatus.READY:
            raise CommandError(f"{version} was not frozen: {version.error}")
        if options["json"]:
            described = {
                "id": str(version.public_id),
                "dataset": dataset.name,
                "number": version.number,
                "sha256": version.sha256,
                "rows": version.row_counts,
                "is_new": is_new,
            }
            self.stdout.write(json.dumps(described))
            return
        if not is_new:
            self.stdout.write(f"Nothing is new: {version} has the very same rows (--force makes another).")
        rows = ", ".join(f"{version.row_counts[split]:,} {split}" for split in SPLITS)
        self.stdout.write(f"{version}: {rows}\nid      {version.public_id}\nsha256  {version.sha256}")

    def _dataset(self, project: Project, options) -> Dataset:
        recipe = self._recipe(options["recipe"])
        dataset = project.datasets.filter(name=options["name"]).first()
        if dataset is None:
            if options["kind"] is None:
                raise CommandError(
                    f"There is no dataset “{options['name']}”. Say its kind with --as to make it."
                )
            return datasets.create_dataset(
                project=project, kind=options["kind"], name=options["name"], recipe=recipe, acting_user=None
            )
        if options["kind"] not in (None, dataset.kind):
            raise CommandError(
                f"“{dataset.name}” is a dataset of kind {dataset.kind}, not {options['kind']}."
            )
        if recipe is not None:
            datasets.change_recipe(dataset=dataset, recipe=recipe, acting_user=None)
        return dataset

    @staticmethod
    def _recipe(path: Path | None) -> dict | None:
        if path is None:
            return None
        try:
            recipe = json.loads(path.read_text("utf-8"))
        except OSError as error:
            raise CommandError(f"{path}: {error.strerror}.") from error
        except ValueError as error:
            raise CommandError(f"{path} is not JSON: {error}.") from error
        if not isinstance(recipe, dict):
            raise CommandError(f"{path}: a recipe is a JSON object.")
        return recipe

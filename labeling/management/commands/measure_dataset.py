"""manage.py measure_dataset VERSION [--model MODEL] [--json]"""

from __future__ import annotations

import json

from django.core.management.base import BaseCommand, CommandError

from annotate.errors import DomainError
from labeling.formats import SPLITS
from labeling.models import DatasetExportStatus
from labeling.services.dataset_names import WAYS, find_version
from labeling.services.dataset_sizes import TimeEstimate, measure_sizes, time_estimate
from labeling.services.export_encoders import model_choices

COLUMNS = ("rows", "total", "response", "min", "median", "p95", "max", "over")


class Command(BaseCommand):
    help = (
        "Say how many tokens a frozen dataset version has, split by split, by the tokenizer and chat "
        "template of a model, and how long a run on it may take by the speed of former runs."
    )

    def add_arguments(self, parser) -> None:
        parser.add_argument("version", metavar="VERSION", help=WAYS)
        parser.add_argument(
            "--model", help="a checkpoint's id or a base model; the known ones are listed if left out"
        )
        parser.add_argument("--json", action="store_true", help="one JSON object")

    def handle(self, *args, **options) -> None:
        try:
            version = find_version(options["version"])
            if not options["model"]:
                for value, name in model_choices(version.dataset.project):
                    self.stdout.write(f"{value}  {name}" if name != value else value)
                return
            sizes = measure_sizes(
                version=version, model=options["model"], acting_user=None, in_background=False
            )
        except DomainError as error:
            raise CommandError(f"{error.message} {error.hint or ''}".strip()) from error
        if sizes.status == DatasetExportStatus.FAILED:
            raise CommandError(sizes.error)
        if sizes.status != DatasetExportStatus.READY:
            raise CommandError("Another process counts them at this moment: ask again in a while.")
        estimate = time_estimate(sizes)
        if options["json"]:
            found = {"model": sizes.model, "tokenizer_sha256": sizes.tokenizer_sha256, **sizes.result}
            times = estimate and {
                "seconds": estimate.median, "shortest": estimate.shortest, "longest": estimate.longest
            }  # fmt: skip
            self.stdout.write(json.dumps(found | {"estimate": times}))
            return
        self.stdout.write(f"{version} in tokens of {sizes.model_name}")
        self.stdout.write("".join(f"{name:>14}" for name in ("", *COLUMNS)))
        for split in SPLITS:
            size = sizes.result["splits"][split]
            flat = size | {"min": 0, "median": 0, "p95": 0, "max": 0} | size["tokens"]
            self.stdout.write("".join([f"{split:>14}", *(f"{flat[name]:>14,}" for name in COLUMNS)]))
        self.stdout.write(f"the model reads {sizes.result['context']:,} tokens at once\n{_said(estimate)}")


def _said(estimate: TimeEstimate | None) -> str:
    if estimate is None:
        return "time to train: there is no former run of this stage yet to tell by"
    whose = "of this model" if estimate.is_same_model else "of other models"
    return (
        f"time to train, one pass over train: {estimate.median:,.0f} s "
        f"({estimate.shortest:,.0f} to {estimate.longest:,.0f} s, by {len(estimate.speeds)} runs {whose}), "
        "without evaluations and saving"
    )

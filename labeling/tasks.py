"""Celery edges of the labeling app: an id in, one service call. The database rows decide; messages only
ring."""

from __future__ import annotations

from celery import shared_task

from labeling.models import (
    DatasetExport,
    DatasetSizes,
    DatasetVersion,
    ImportRecord,
    Preparation,
    Project,
)
from labeling.services import (
    background,
    dataset_comparing,
    mailing,
    quality_reports,
    recipe_counting,
    webhook_sending,
)


@shared_task(name="labeling.tasks.run_import")
def run_import(import_record_id: int) -> None:
    import_record = ImportRecord.objects.filter(pk=import_record_id).first()
    if import_record is not None:
        background.run_import(import_record)


@shared_task(name="labeling.tasks.build_version")
def build_version(version_id: int) -> None:
    version = DatasetVersion.objects.filter(pk=version_id).first()
    if version is not None:
        background.build_version(version)


@shared_task(name="labeling.tasks.build_export")
def build_export(export_id: int) -> None:
    export = DatasetExport.objects.filter(pk=export_id).first()
    if export is not None:
        background.build_export(export)


@shared_task(name="labeling.tasks.compare_versions")
def compare_versions(old_id: int, new_id: int) -> None:
    found = DatasetVersion.objects.select_related("dataset").in_bulk([old_id, new_id])
    if len(found) == 2:  # noqa: PLR2004
        dataset_comparing.build_comparison(old=found[old_id], new=found[new_id])


@shared_task(name="labeling.tasks.count_recipe")
def count_recipe(key: str) -> None:
    recipe_counting.build_count(key)


@shared_task(name="labeling.tasks.build_sizes")
def build_sizes(sizes_id: int) -> None:
    sizes = DatasetSizes.objects.filter(pk=sizes_id).first()
    if sizes is not None:
        background.build_sizes(sizes)


@shared_task(name="labeling.tasks.prepare")
def prepare(preparation_id: int) -> None:
    preparation = Preparation.objects.filter(pk=preparation_id).first()
    if preparation is not None:
        background.prepare(preparation)


@shared_task(name="labeling.tasks.index_answers")
def index_answers(project_id: int) -> None:
    background.build_index(project_id)


@shared_task(name="labeling.tasks.sweep")
def sweep() -> None:
    background.sweep()


@shared_task(name="labeling.tasks.refresh_quality")
def refresh_quality(project_id: int) -> None:
    project = Project.objects.filter(pk=project_id).first()
    if project is not None:
        quality_reports.refresh_report(project=project)


@shared_task(name="labeling.tasks.sweep_quality")
def sweep_quality() -> None:
    quality_reports.refresh_due()


@shared_task(name="labeling.tasks.send_webhooks")
def send_webhooks() -> None:
    webhook_sending.send_due()


@shared_task(name="labeling.tasks.send_mail")
def send_mail() -> None:
    mailing.send_due()

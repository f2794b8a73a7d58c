"""Prompts, imports, datasets."""

from django.urls import path

from labeling.views import (
    dataset_exports,
    dataset_frozen,
    dataset_recipes,
    dataset_sizes,
    datasets,
    imports,
    lineage,
    preparation,
    prompts,
)

PROJECT = "projects/<slug:slug>/"
IMPORT = f"{PROJECT}imports/<int:pk>/"
DATASET = f"{PROJECT}datasets/<int:pk>/"
VERSION = f"{DATASET}versions/<int:number>/"

urlpatterns = [
    path(f"{PROJECT}prompts/", prompts.prompts, name="prompts"),
    path(f"{PROJECT}prompts/<int:pk>/", prompts.prompt_detail, name="prompt_detail"),
    path(f"{PROJECT}prompts/<int:pk>/change/", prompts.prompt_change, name="prompt_change"),
    path(f"{PROJECT}imports/", imports.imports, name="imports"),
    path(f"{PROJECT}imports/new/", imports.import_new, name="import_new"),
    path(IMPORT, imports.import_detail, name="import_detail"),
    path(f"{IMPORT}confirm/", imports.import_confirm, name="import_confirm"),
    path(f"{IMPORT}discard/", imports.import_discard, name="import_discard"),
    path(f"{IMPORT}licence/", imports.import_licence, name="import_licence"),
    path(f"{IMPORT}faults/", imports.import_faults, name="import_faults"),
    path(f"{IMPORT}progress/", imports.import_progress, name="import_progress"),
    path(f"{IMPORT}preparation/", preparation.import_preparation, name="import_preparation"),
    path(f"{IMPORT}preparation/decide/", preparation.import_decide, name="import_decide"),
    path(f"{PROJECT}submissions/<int:pk>/lineage/", lineage.judgment_lineage, name="judgment_lineage"),
    path(f"{PROJECT}prompts/<int:pk>/lineage/", lineage.prompt_lineage, name="prompt_lineage"),
    path(f"{IMPORT}lineage/", lineage.import_lineage, name="import_lineage"),
    path(f"{PROJECT}datasets/", datasets.datasets, name="datasets"),
    path(f"{PROJECT}datasets/new/", dataset_recipes.dataset_new, name="dataset_new"),
    path(f"{PROJECT}datasets/count/", dataset_recipes.dataset_count, name="dataset_count"),
    path(DATASET, datasets.dataset_detail, name="dataset_detail"),
    path(f"{DATASET}recipe/", dataset_recipes.dataset_recipe, name="dataset_recipe"),
    path(f"{DATASET}freeze/", datasets.dataset_freeze, name="dataset_freeze"),
    path(VERSION, datasets.dataset_version, name="dataset_version"),
    path(f"{VERSION}preparation/", preparation.version_preparation, name="version_preparation"),
    path(f"{VERSION}preparation/decide/", preparation.version_decide, name="version_decide"),
    path(f"{VERSION}progress/", datasets.dataset_progress, name="dataset_progress"),
    path(f"{VERSION}verify/", datasets.dataset_verify, name="dataset_verify"),
    path(f"{VERSION}card/", dataset_frozen.dataset_card, name="dataset_card"),
    path(f"{VERSION}compare/", dataset_frozen.dataset_compare, name="dataset_compare"),
    path(f"{VERSION}rebuild/", dataset_frozen.dataset_rebuild_without, name="dataset_rebuild_without"),
    path(f"{VERSION}sizes/", dataset_sizes.dataset_sizes, name="dataset_sizes"),
    path(f"{VERSION}exports/", dataset_exports.dataset_exports, name="dataset_exports"),
    path(f"{PROJECT}exports/<int:pk>/file/", dataset_exports.dataset_export_file, name="dataset_export_file"),
    path(f"{PROJECT}exports/<int:pk>/link/", dataset_exports.dataset_export_link, name="dataset_export_link"),
    path("downloads/<str:token>/", dataset_exports.dataset_link, name="dataset_link"),
    path(f"{VERSION}manifest/", datasets.dataset_manifest, name="dataset_manifest"),
    path(f"{VERSION}download/", datasets.dataset_download, name="dataset_download"),
]

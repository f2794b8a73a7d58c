"""Pages where models learn."""

from django.urls import include, path

from training.views import checkpoints, comparing, continuations, previews, rounds, runs, sampling

app_name = "training"

project_urlpatterns = [
    path("runs/", runs.runs, name="runs"),
    path("runs/new/", runs.run_new, name="run_new"),
    path("runs/tokens/", previews.token_preview, name="token_preview"),
    path("runs/compare/", comparing.run_compare, name="run_compare"),
    path("runs/frontier/", comparing.run_frontier, name="run_frontier"),
    path("runs/continue/", continuations.continuation_new, name="continuation_new"),
    path("runs/<int:number>/continuation/", continuations.continuation, name="continuation"),
    path("runs/texts/", runs.text_upload, name="text_upload"),
    path("runs/<int:number>/", runs.run_detail, name="run_detail"),
    path("runs/<int:number>/events/", runs.run_events, name="run_events"),
    path("runs/<int:number>/settings/", runs.run_settings, name="run_settings"),
    path("runs/<int:number>/export/", runs.run_export, name="run_export"),
    path("runs/<int:number>/change/", runs.run_change, name="run_change"),
    path("presets/", runs.presets, name="presets"),
    path("presets/<int:pk>/delete/", runs.preset_delete, name="preset_delete"),
    path("checkpoints/", checkpoints.checkpoints, name="checkpoints"),
    path("checkpoints/<uuid:pk>/", checkpoints.checkpoint_detail, name="checkpoint_detail"),
    path("checkpoints/<uuid:pk>/download/", checkpoints.checkpoint_download, name="checkpoint_download"),
    path("checkpoints/<uuid:pk>/pin/", checkpoints.checkpoint_pin, name="checkpoint_pin"),
    path("checkpoints/<uuid:pk>/export/", checkpoints.checkpoint_export, name="checkpoint_export"),
    path("checkpoints/<uuid:pk>/score/", checkpoints.checkpoint_score, name="checkpoint_score"),
    path("sample/", sampling.sample_new, name="sample_new"),
    path("rounds/", rounds.rounds, name="rounds"),
    path("rounds/new/", rounds.round_new, name="round_new"),
    path("rounds/<int:number>/", rounds.round_detail, name="round_detail"),
    path("rounds/<int:number>/steps/<str:kind>/start/", rounds.step_start, name="step_start"),
    path("rounds/<int:number>/cancel/", rounds.round_cancel, name="round_cancel"),
]
urlpatterns = [path("projects/<slug:slug>/", include(project_urlpatterns))]

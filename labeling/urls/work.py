"""The work screens and one's own history."""

from django.urls import path

from labeling.views import history, span_notes, work

ROOT = "projects/<slug:slug>/work/"

urlpatterns = [
    path(ROOT, work.work, name="work"),
    path(f"{ROOT}next/", work.work_next, name="work_next"),
    path(f"{ROOT}preview/", work.work_preview, name="work_preview"),
    path(f"{ROOT}guideline/<str:kind>/", work.work_guideline, name="work_guideline"),
    path(f"{ROOT}<int:pk>/", work.work_task, name="work_task"),
    path(f"{ROOT}<int:pk>/take-up/", work.work_take_up, name="work_take_up"),
    path(f"{ROOT}<int:pk>/submit/", work.work_submit, name="work_submit"),
    path(f"{ROOT}<int:pk>/skip/", work.work_skip, name="work_skip"),
    path(f"{ROOT}<int:pk>/release/", work.work_release, name="work_release"),
    path("projects/<slug:slug>/history/", history.history, name="history"),
    path("projects/<slug:slug>/submissions/<int:pk>/", history.submission_detail, name="submission_detail"),
    path("projects/<slug:slug>/submissions/<int:pk>/notes/", span_notes.span_note_add, name="span_note_add"),
    path("projects/<slug:slug>/span-notes/<int:pk>/", span_notes.span_note_change, name="span_note_change"),
]

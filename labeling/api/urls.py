"""REST routes of the labeling app, grouped by room."""

from . import (
    activity,
    answer_checks,
    appeals,
    batches,
    comments,
    consensus,
    data,
    dataset_exports,
    dataset_frozen,
    forms,
    guidelines,
    overview,
    pay,
    people,
    projects,
    qualification,
    quality,
    quality_report,
    span_notes,
    task_control,
    webhooks,
    work,
)

ROOMS = (
    work,  # first: what 32 people ask for every few seconds is found after the fewest others
    projects,
    people,
    overview,
    pay,
    qualification,
    guidelines,
    forms,
    batches,
    task_control,
    answer_checks,
    quality,
    quality_report,
    span_notes,
    appeals,
    comments,
    consensus,
    data,
    dataset_exports,
    dataset_frozen,
    activity,
    webhooks,
)

urlpatterns = [route for room in ROOMS for route in room.urlpatterns]

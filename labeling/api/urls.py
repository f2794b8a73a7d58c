"""REST routes of the labeling app, grouped by room."""

from . import (
    activity,
    answer_checks,
    appeals,
    batches,
    comments,
    consensus,
    data,
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
    projects,
    people,
    overview,
    pay,
    qualification,
    guidelines,
    forms,
    batches,
    task_control,
    work,
    answer_checks,
    quality,
    quality_report,
    span_notes,
    appeals,
    comments,
    consensus,
    data,
    activity,
    webhooks,
)

urlpatterns = [route for room in ROOMS for route in room.urlpatterns]

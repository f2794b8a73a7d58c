"""The review room, the quality pages, and the list of everybody's work."""

from django.urls import path

from labeling.views import (
    adjudication,
    appeals,
    comments,
    gold,
    qualification,
    quality,
    review,
    review_bulk,
    submissions,
    tasks,
)

PROJECT = "projects/<slug:slug>/"
ROOT = "projects/<slug:slug>/review/"
SUBMISSION = "projects/<slug:slug>/submissions/<int:pk>/"

TASK = "projects/<slug:slug>/tasks/<int:pk>/"
SCREENING = "projects/<slug:slug>/screening/"

urlpatterns = [
    path("projects/<slug:slug>/tasks/skipped/", tasks.tasks_skipped, name="tasks_skipped"),
    path(TASK, tasks.task_detail, name="task_detail"),
    path(f"{TASK}change/", tasks.task_change, name="task_change"),
    path("projects/<slug:slug>/gold/", gold.gold, name="gold"),
    path("projects/<slug:slug>/submissions/<int:pk>/score/", gold.gold_score, name="gold_score"),
    path(SCREENING, qualification.qualification, name="qualification"),
    path(f"{SCREENING}open/", qualification.screening_open, name="screening_open"),
    path(f"{SCREENING}<int:pk>/close/", qualification.screening_close, name="screening_close"),
    path(f"{SCREENING}<int:pk>/decide/", qualification.screening_decide, name="screening_decide"),
    path("projects/<slug:slug>/people/<int:pk>/bounds/", qualification.member_bounds, name="member_bounds"),
    path("projects/<slug:slug>/work/languages/", qualification.my_languages, name="my_languages"),
    path(ROOT, review.review_queue, name="review_queue"),
    path(f"{ROOT}next/", review.review_next, name="review_next"),
    path(f"{ROOT}bulk/", review_bulk.review_bulk, name="review_bulk"),
    path(f"{ROOT}undo/", review_bulk.review_undo, name="review_undo"),
    path(f"{ROOT}<int:pk>/", review.review_submission, name="review_submission"),
    path(f"{ROOT}<int:pk>/reopen/", review.review_reopen, name="review_reopen"),
    path(f"{ROOT}late/<int:pk>/", review.review_late, name="review_late"),
    path(f"{ROOT}appeals/", appeals.appeals, name="appeals"),
    path(f"{ROOT}appeals/<int:pk>/", appeals.appeal, name="appeal"),
    path(f"{ROOT}consensus/<int:pk>/", adjudication.adjudication, name="adjudication"),
    path(f"{SUBMISSION}appeal/", appeals.appeal_open, name="appeal_open"),
    path(f"{SUBMISSION}appeal/withdraw/", appeals.appeal_withdraw, name="appeal_withdraw"),
    path(f"{PROJECT}comments/", comments.comment_threads, name="comment_threads"),
    path(f"{SUBMISSION}comments/", comments.comment_add, name="comment_add"),
    path(f"{PROJECT}comments/<int:pk>/", comments.comment_reply, name="comment_reply"),
    path(f"{PROJECT}comments/<int:pk>/settle/", comments.comment_settle, name="comment_settle"),
    path(f"{PROJECT}work/<int:pk>/comments/", comments.work_comments, name="work_comments"),
    path(f"{PROJECT}tasks/<int:pk>/comments/", comments.task_comment, name="task_comment"),
    path(f"{PROJECT}quality/", quality.quality, name="quality"),
    path(f"{PROJECT}quality/refresh/", quality.quality_refresh, name="quality_refresh"),
    path(f"{PROJECT}quality/items/", quality.quality_items, name="quality_items"),
    path(f"{PROJECT}submissions/", submissions.submissions, name="submissions"),
    path(f"{PROJECT}submissions/requeue/", submissions.submissions_requeue, name="submissions_requeue"),
]

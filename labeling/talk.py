"""Read side of comments: who takes part in the talk about a piece of work, and what was said."""

from __future__ import annotations

import re
from dataclasses import dataclass

from django.db.models import Count, QuerySet

from annotate.accounts.models import User

from .models import Comment, CommentThread, Membership, MembershipStatus, Project, Role, Submission


@dataclass(frozen=True)
class Talk:
    submission: Submission
    thread: CommentThread | None
    comments: list[Comment]
    handles: list[str]  # whom this person can mention, as they are written


def talk_of(submission: Submission, reader) -> Talk:
    """Everything said about one piece, for somebody who may see it. Three queries."""
    thread = CommentThread.objects.select_related("resolved_by").filter(submission=submission).first()
    comments = list(thread.comments.select_related("author")) if thread is not None else []
    people = participants(submission)
    return Talk(submission, thread, comments, [handle_of(each) for each in people if each != reader])


def participants(submission: Submission) -> list[User]:
    """Who may see the talk: the author of the piece, leads and admins. Never another annotator."""
    members = Membership.objects.filter(project=submission.project_id, user__is_active=True).exclude(
        status=MembershipStatus.REMOVED
    )
    members = members.filter(role__in=[Role.LEAD, Role.ADMIN]) | members.filter(user=submission.annotator_id)
    return [each.user for each in members.select_related("user").order_by("user__display_name", "pk")]


def handle_of(user: User) -> str:
    """How somebody is mentioned: their name, as pages show it, without blanks."""
    return "@" + re.sub(r"[^\w-]+", "", user.name)


def mentioned_in(text: str, people: list[User]) -> list[User]:
    """Those of `people` whom the text names; anybody else's name stays plain text and tells nothing."""
    return [
        user
        for user in people
        if re.search(rf"(?<![\w@]){re.escape(handle_of(user))}(?![\w-])", text, re.IGNORECASE)
    ]


def threads_of(project: Project) -> QuerySet[CommentThread]:
    """For the leads' queue, with the number of comments of each."""
    rows = CommentThread.objects.filter(project=project).annotate(comment_count=Count("comments"))
    return rows.select_related("submission__prompt", "submission__annotator", "last_author")

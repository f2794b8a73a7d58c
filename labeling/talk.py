"""Read side of comments: who takes part in the talk about a piece of work, and what was said."""

from __future__ import annotations

import re
from dataclasses import dataclass

from django.db.models import Count, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.urls import reverse

from annotate.accounts.models import User
from annotate.prepared import Prepared
from annotate.words import in_a_sentence, later

from .models import (
    Assignment,
    Comment,
    CommentThread,
    Membership,
    MembershipStatus,
    Project,
    Role,
    Submission,
    TaskKind,
)


@dataclass(frozen=True)
class Piece:
    """What is talked about: one person's work on one task, submitted or still in their hands; or an imported
    judgment, which has neither task nor person.
    """

    project: Project
    kind: str
    person: User | None
    task_id: int | None
    submission: Submission | None

    @property
    def name(self) -> str:
        """As notifications call it."""
        kind = in_a_sentence(TaskKind(self.kind).label)
        if self.submission is None:
            return later("a %(kind)s in hand", kind=kind)
        return later("%(kind)s %(n)s", kind=kind, n=self.submission.pk)

    @property
    def thread(self) -> CommentThread | None:
        """A query."""
        return _thread(self)

    def url_for(self, reader) -> str:
        """Where this reader finds the talk (at most two queries)."""
        if self.submission is not None:
            page = reverse("labeling:submission_detail", args=[self.project.slug, self.submission.pk])
        elif self.person == reader:
            page = reverse("labeling:work_task", args=[self.project.slug, self._slot()])
        else:
            page = reverse("labeling:task_detail", args=[self.project.slug, self.task_id])
        return f"{page}#comments"

    def _slot(self) -> int:
        """The person's slot; after it was freed any of the task, by which they find what became of it."""
        slots = Assignment.objects.filter(task=self.task_id)
        own = slots.filter(annotator=self.person).values_list("pk", flat=True).first()
        return own or slots.values_list("pk", flat=True).earliest("pk")


@dataclass(frozen=True)
class Talk:
    piece: Piece
    thread: CommentThread | None
    comments: list[Comment]
    handles: list[str]  # whom this person can mention, as they are written
    slot: int | None = None  # by which a first word is said before there is a submission
    own: int = 0  # comments of the reader: one more says that what they sent has arrived

    @property
    def submission(self) -> Submission | None:
        return self.piece.submission

    @property
    def key(self) -> str:
        """Of its words that are not sent yet, in a browser."""
        piece = self.piece
        if piece.task_id is not None and piece.person is not None:
            return f"{piece.task_id}-{piece.person.pk}"
        return f"{piece.kind} {piece.submission.pk if piece.submission else ''}"

    @property
    def add_url(self) -> str:
        slug = self.piece.project.slug
        if self.submission is not None:
            return reverse("labeling:comment_add", args=[slug, self.submission.pk])
        if self.thread is not None:
            return reverse("labeling:comment_reply", args=[slug, self.thread.pk])
        return reverse("labeling:work_comments", args=[slug, self.slot])

    @property
    def settle_url(self) -> str:
        """Only where something was said."""
        thread = self.thread
        return reverse("labeling:comment_settle", args=[self.piece.project.slug, thread.pk]) if thread else ""


THREAD = Prepared(
    lambda task, person: CommentThread.objects.filter(task=task, person=person).select_related("resolved_by"),
    task=int,
    person=int,
)


def piece_of(submission: Submission) -> Piece:
    task = submission.task_id if submission.annotator_id else None
    return Piece(submission.project, submission.kind, submission.annotator, task, submission)


def piece_in_hand(assignment: Assignment, person: User) -> Piece:
    """Of whom a slot is or was given to (one query: it may be submitted)."""
    submission = Submission.objects.filter(task=assignment.task_id, annotator=person).first()
    return Piece(assignment.project, assignment.kind, person, assignment.task_id, submission)


def piece_of_thread(thread: CommentThread) -> Piece:
    """One query: the submission, if there is one."""
    task, person = thread.task, thread.person
    if task is None or person is None:
        return piece_of(Submission.objects.get(comment_thread=thread))
    submission = Submission.objects.filter(task=task, annotator=person).first()
    return Piece(thread.project, task.kind, person, task.pk, submission)


def _thread(piece: Piece) -> CommentThread | None:
    if piece.task_id is not None and piece.person is not None:
        return THREAD.first(task=piece.task_id, person=piece.person.pk)
    rows = CommentThread.objects.select_related("resolved_by")
    return rows.filter(submission=piece.submission).first()


def talk_of(piece: Piece, reader, slot: int | None = None) -> Talk:
    """Everything said about one piece, for somebody who may see it. Three queries."""
    return _talk(piece, piece.thread, reader, slot)


def talks_on(task, reader) -> list[Talk]:
    """All talks about a task's work, one for each person, for leads: those that wait come first."""
    rows = CommentThread.objects.filter(task=task).select_related("resolved_by", "person", "task", "project")
    threads = rows.order_by("-is_open", "last_comment_at")
    return [_talk(piece_of_thread(each), each, reader, None) for each in threads]


def _talk(piece: Piece, thread: CommentThread | None, reader, slot: int | None) -> Talk:
    comments = list(thread.comments.select_related("author")) if thread is not None else []
    people = participants(piece)
    own = sum(each.author_id == reader.pk for each in comments)
    return Talk(piece, thread, comments, [handle_of(each) for each in people if each != reader], slot, own)


def participants(piece: Piece) -> list[User]:
    """Who may see the talk: the author of the piece, leads and admins. Never another annotator."""
    members = Membership.objects.filter(project=piece.project, user__is_active=True).exclude(
        status=MembershipStatus.REMOVED
    )
    members = members.filter(role__in=[Role.LEAD, Role.ADMIN]) | members.filter(user=piece.person)
    return [each.user for each in members.select_related("user").order_by("user__display_name", "pk")]


def handle_of(user: User) -> str:
    """How somebody is mentioned: their name, as pages show it, without blanks. Where nothing of it is left (a
    name of signs only), by their pseudonym: a lone @ would be found in every other mention.
    """
    return "@" + (re.sub(r"[^\w-]+", "", user.name) or user.pseudonym)


def mentioned_in(text: str, people: list[User]) -> list[User]:
    """Those of `people` whom the text names; anybody else's name stays plain text and tells nothing."""
    return [
        user
        for user in people
        if re.search(rf"(?<![\w@]){re.escape(handle_of(user))}(?![\w-])", text, re.IGNORECASE)
    ]


def threads_of(project: Project) -> QuerySet[CommentThread]:
    """For the leads' queue, with the number of comments of each and `submission_pk` (None: still in hand)."""
    submitted = Submission.objects.filter(task=OuterRef("task"), annotator=OuterRef("person")).values("pk")
    rows = CommentThread.objects.filter(project=project).annotate(
        comment_count=Count("comments"),
        submission_pk=Coalesce("submission_id", Subquery(submitted[:1])),
    )
    return rows.select_related("submission__prompt", "task__prompt", "person", "last_author", "resolved_by")


def threads_seen_by(project: Project, membership: Membership, user) -> QuerySet[CommentThread]:
    """The threads somebody may read: those about their own work, or all for leads."""
    rows = CommentThread.objects.filter(project=project)
    rows = rows.select_related("project", "task", "person", "submission__annotator", "resolved_by")
    if membership.is_at_least(Role.LEAD):
        return rows
    return rows.filter(Q(person=user) | Q(submission__annotator=user))

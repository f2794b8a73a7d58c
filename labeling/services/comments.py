"""Comments between who does a piece of work, from when it is in their hands, and the project's leads."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_noop

from annotate.accounts.models import User
from annotate.errors import Conflict, Invalid, NotFound
from annotate.words import _, later
from labeling.models import Assignment, Comment, CommentThread, Membership, Project, Review, Role
from labeling.talk import (
    Piece,
    mentioned_in,
    participants,
    piece_in_hand,
    piece_of,
    piece_of_thread,
    threads_seen_by,
)

from .activity import notify, record_event
from .judgments import clean_line

LONGEST_COMMENT = 5_000
MOST_COMMENTS = 500  # on one piece


def find_discussed(*, project: Project, membership: Membership, user, pk: int) -> Piece:
    """A submission this person may talk about: their own, or anybody's for leads. Raises NotFound."""
    rows = project.submissions.select_related("annotator", "project")
    submission = rows.filter(pk=pk).first()
    is_theirs = submission is not None and submission.annotator_id == user.pk
    if submission is None or not (is_theirs or membership.is_at_least(Role.LEAD)):
        raise NotFound("There is no such submission.")
    return piece_of(submission)


def find_in_hand(*, project: Project, membership: Membership, user, pk: int) -> Piece:
    """The work on a slot, also before it is submitted: one's own, or for leads that of whoever has it. A slot
    that was freed stays addressable for the person who had it. Raises NotFound.
    """
    slot = Assignment.objects.filter(project=project, pk=pk).select_related("annotator", "project").first()
    if slot is not None:
        # A lead who once had the task as well means whoever has it now.
        if slot.annotator is not None and membership.is_at_least(Role.LEAD):
            return piece_in_hand(slot, slot.annotator)
        if slot.annotator_id == user.pk or slot.task.drafts.filter(user=user).exists():
            return piece_in_hand(slot, user)
    raise NotFound("There is no such task in your hands.")


def find_thread(*, project: Project, membership: Membership, user, pk: int) -> Piece:
    """What a thread is about, for those who may read it. Raises NotFound."""
    thread = threads_seen_by(project, membership, user).filter(pk=pk).first()
    if thread is None:
        raise NotFound("There is no such thread.")
    return piece_of_thread(thread)


@transaction.atomic
def add_comment(*, piece: Piece, author, text: str) -> Comment:
    """Say something; the thread is open afterwards, and who it concerns is told. The caller has found the
    piece through find_discussed, find_in_hand or find_thread.
    """
    text = clean_line(text, "text", LONGEST_COMMENT)
    if not text:
        raise Invalid("The comment is empty.", field="text")
    now = timezone.now()
    thread = _thread_of(piece, first_word={"last_comment_at": now, "last_author": author})
    if thread.comments.count() >= MOST_COMMENTS:
        raise Conflict(_("There are %(most)s comments on this piece already.") % {"most": MOST_COMMENTS})
    earlier = set(thread.comments.values_list("author", flat=True))
    comment = Comment.objects.create(thread=thread, author=author, text=text)
    thread.is_open, thread.resolved_by, thread.resolved_at = True, None, None
    thread.last_comment_at, thread.last_author = now, author
    thread.save()
    people = [user for user in participants(piece) if user != author]
    mentioned = mentioned_in(text, people)
    record_event(
        action="comment.added",
        actor=author,
        obj=comment,
        project=piece.project,
        mentioned=[user.pseudonym for user in mentioned],
        **_subject(piece),
    )
    _tell(piece, author, text, people, mentioned, earlier)
    return comment


def _thread_of(piece: Piece, first_word: dict[str, Any]) -> CommentThread:
    """Locked; two first comments at once make one thread."""
    if piece.task_id is not None and piece.person is not None:
        subject: dict[str, Any] = {"task_id": piece.task_id, "person": piece.person}
    else:
        subject = {"submission": piece.submission}
    others = {"project": piece.project, "submission": piece.submission, **first_word}
    thread, _made = CommentThread.objects.get_or_create(**subject, defaults=others | subject)
    return CommentThread.objects.select_for_update(of=("self",)).get(pk=thread.pk)


def _subject(piece: Piece) -> dict[str, int | None]:
    """For the audit trail."""
    return {"submission": piece.submission.pk} if piece.submission else {"task": piece.task_id}


def _tell(
    piece: Piece, author, said: str, people: list[User], mentioned: list[User], earlier: set[int]
) -> None:
    """Whom it names, the author of the piece, and who has taken part; a first word of the author goes to the
    reviewers of the piece, or to all leads where nobody has looked at it yet.
    """
    concerned = {user.pk for user in people if user.pk in earlier or user == piece.person}
    if author == piece.person and not concerned and not mentioned:
        reviews = piece.submission.reviews if piece.submission else Review.objects.none()
        reviewers = set(reviews.values_list("reviewer", flat=True))
        concerned = {user.pk for user in people if user.pk in reviewers} or {user.pk for user in people}
    for user in people:
        if user in mentioned:
            kind, what = "comment.mentioned", gettext_noop("%(who)s mentions you on %(piece)s: %(said)s")
        elif user.pk in concerned:
            kind, what = "comment.added", gettext_noop("%(who)s writes on %(piece)s: %(said)s")
        else:
            continue
        text = later(what, who=author, piece=piece.name, said=said)
        notify(user=user, project=piece.project, kind=kind, text=text, path=piece.url_for(user))


@transaction.atomic
def settle_thread(*, piece: Piece, acting_user, is_open: bool) -> CommentThread:
    """Say that the talk is settled, or open it again. The same twice changes nothing."""
    found = piece.thread
    if found is None:
        raise NotFound("Nothing was said about this piece yet.")
    thread = CommentThread.objects.select_for_update(of=("self",)).get(pk=found.pk)
    if thread.is_open == is_open:
        return thread
    thread.is_open = is_open
    thread.resolved_by = None if is_open else acting_user
    thread.resolved_at = None if is_open else timezone.now()
    thread.save()
    record_event(
        action="comment.reopened" if is_open else "comment.resolved",
        actor=acting_user,
        obj=thread,
        project=piece.project,
        **_subject(piece),
    )
    return thread

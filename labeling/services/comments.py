"""Comments between the author of a piece of work and the project's leads."""

from __future__ import annotations

from django.db import transaction
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_noop

from annotate.accounts.models import User
from annotate.errors import Conflict, Invalid, NotFound
from annotate.words import _, in_a_sentence, later
from labeling.models import Comment, CommentThread, Membership, Project, Role, Submission, TaskKind
from labeling.talk import mentioned_in, participants

from .activity import notify, record_event
from .judgments import clean_line

LONGEST_COMMENT = 5_000
MOST_COMMENTS = 500  # on one piece


def find_discussed(*, project: Project, membership: Membership, user, pk: int) -> Submission:
    """A piece this person may talk about: their own, or anybody's for leads. Raises NotFound."""
    rows = project.submissions.select_related("annotator", "project")
    submission = rows.filter(pk=pk).first()
    is_theirs = submission is not None and submission.annotator_id == user.pk
    if submission is None or not (is_theirs or membership.is_at_least(Role.LEAD)):
        raise NotFound("There is no such submission.")
    return submission


@transaction.atomic
def add_comment(*, submission: Submission, author, text: str) -> Comment:
    """Say something; the thread is open afterwards, and who it concerns is told. The caller has found the
    submission through find_discussed.
    """
    text = clean_line(text, "text", LONGEST_COMMENT)
    if not text:
        raise Invalid("The comment is empty.", field="text")
    now = timezone.now()
    Submission.objects.select_for_update().get(pk=submission.pk)  # two first comments make one thread
    thread, _made = CommentThread.objects.get_or_create(
        submission=submission,
        defaults={"project": submission.project, "last_comment_at": now, "last_author": author},
    )
    if thread.comments.count() >= MOST_COMMENTS:
        raise Conflict(_("There are %(most)s comments on this piece already.") % {"most": MOST_COMMENTS})
    earlier = set(thread.comments.values_list("author", flat=True))
    comment = Comment.objects.create(thread=thread, author=author, text=text)
    thread.is_open, thread.resolved_by, thread.resolved_at = True, None, None
    thread.last_comment_at, thread.last_author = now, author
    thread.save()
    people = [user for user in participants(submission) if user != author]
    mentioned = mentioned_in(text, people)
    record_event(
        action="comment.added",
        actor=author,
        obj=comment,
        project=submission.project,
        submission=submission.pk,
        mentioned=[user.pseudonym for user in mentioned],
    )
    _tell(submission, author, text, people, mentioned, earlier)
    return comment


def _tell(
    submission: Submission, author, said: str, people: list[User], mentioned: list[User], earlier: set[int]
) -> None:
    """Whom it names, the author of the piece, and who has taken part; a first word of the author goes to the
    reviewers of the piece, or to all leads where nobody has looked at it yet.
    """
    concerned = {user.pk for user in people if user.pk in earlier or user.pk == submission.annotator_id}
    if author.pk == submission.annotator_id and not concerned and not mentioned:
        reviewers = set(submission.reviews.values_list("reviewer", flat=True))
        concerned = {user.pk for user in people if user.pk in reviewers} or {user.pk for user in people}
    path = reverse("labeling:submission_detail", args=[submission.project.slug, submission.pk]) + "#comments"
    for user in people:
        if user in mentioned:
            kind, what = "comment.mentioned", gettext_noop("%(who)s mentions you on %(kind)s %(n)s: %(said)s")
        elif user.pk in concerned:
            kind, what = "comment.added", gettext_noop("%(who)s writes on %(kind)s %(n)s: %(said)s")
        else:
            continue
        piece = in_a_sentence(TaskKind(submission.kind).label)
        text = later(what, who=author, kind=piece, n=submission.pk, said=said)
        notify(user=user, project=submission.project, kind=kind, text=text, path=path)


@transaction.atomic
def settle_thread(*, submission: Submission, acting_user, is_open: bool) -> CommentThread:
    """Say that the talk is settled, or open it again. The same twice changes nothing."""
    thread = CommentThread.objects.select_for_update().filter(submission=submission).first()
    if thread is None:
        raise NotFound("Nothing was said about this piece yet.")
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
        project=submission.project,
        submission=submission.pk,
    )
    return thread

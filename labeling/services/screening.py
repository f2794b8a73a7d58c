"""Who may do which kind of work: screening as it happens, from the first task to the verdict.

Where somebody stands and what is left for them is read in labeling.qualification_reports.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import Avg, Count, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_noop

from annotate.words import in_a_sentence, later
from labeling import queues
from labeling.models import (
    Assignment,
    AssignmentStatus,
    GoldResult,
    Membership,
    MembershipStatus,
    Project,
    Qualification,
    QualificationStatus,
    Role,
    ScreeningSet,
    ScreeningStatus,
    Submission,
    Task,
    TaskKind,
    TaskStatus,
)

from .activity import notify, record_event

# What leads are told of somebody's screening.
FINISHED = gettext_noop("%(who)s has finished a screening, which waits for you.")
CUT_SHORT = gettext_noop("%(who)s cannot finish a screening, as none of its tasks is left: it waits for you.")
USED_UP = gettext_noop(
    "%(who)s did not pass a screening, and no tasks are left for another attempt: it waits for you."
)


def must_qualify(*, project: Project, membership: Membership | None) -> bool:
    """Leads and admins are not screened, and nobody is where the project does not ask for it."""
    if membership is None or membership.is_at_least(Role.LEAD):
        return False
    return project.settings.require_qualification


def open_sets(project: Project) -> QuerySet[ScreeningSet]:
    return ScreeningSet.objects.filter(project=project, status=ScreeningStatus.OPEN)


def locked_standing(*, membership: Membership, screening: ScreeningSet) -> tuple[Qualification, bool]:
    """The row, locked, and whether it is new: two leads who score the last tasks of an attempt at once then
    see each other's score, and a lead's word is not written over.
    """
    _, is_new = Qualification.objects.get_or_create(membership=membership, screening_set=screening)
    rows = Qualification.objects.select_for_update(no_key=True, of=("self",))
    rows = rows.select_related("screening_set__project", "membership__user")
    return rows.get(membership=membership, screening_set=screening), is_new


def begin_attempt(qualification: Qualification) -> None:
    """Results until now no longer count; the tasks that the person has had do not come back."""
    qualification.status = QualificationStatus.IN_WORK
    qualification.attempt += 1
    qualification.attempt_began_at = timezone.now()
    qualification.retry_at = qualification.decided_at = qualification.decided_by = None
    qualification.ranking_agreement = qualification.flag_agreement = qualification.demonstration_score = None
    qualification.save()


def results_of(qualification: Qualification) -> QuerySet[GoldResult]:
    """What counts in the present attempt, in the order it came."""
    return _results(
        qualification.screening_set.batch_id,
        qualification.membership.user_id,
        qualification.attempt_began_at,
    ).order_by("pk")


def with_done(rows: QuerySet[Qualification]) -> QuerySet[Qualification]:
    """With `done`: how many results count in the present attempt."""
    mine = _results(
        OuterRef("screening_set__batch"), OuterRef("membership__user"), OuterRef("attempt_began_at")
    )
    count = mine.order_by().values("submission__annotator").annotate(count=Count("pk")).values("count")
    return rows.annotate(done=Coalesce(Subquery(count), 0))


def tasks_to_come(qualification: Qualification) -> QuerySet[Task]:
    """Tasks of the set that the person has not had, also those that are not handed out at this moment: a
    paused batch goes on, a parked task is released.
    """
    screening = qualification.screening_set
    tasks = Task.objects.filter(batch=screening.batch_id, status=TaskStatus.OPEN)
    return queues.not_had(tasks, qualification.membership.user_id)


def has_another_attempt(qualification: Qualification) -> bool:
    return tasks_to_come(qualification).count() >= qualification.screening_set.tasks_per_attempt


def screening_progressed(*, submission: Submission) -> Qualification | None:
    """After a screening task was submitted or scored, in its transaction: the verdict, once all is there."""
    membership = Membership.objects.filter(
        project=submission.project_id, user=submission.annotator_id
    ).first()
    return _progressed(submission.task_id, membership, began_at=submission.created_at)


def screening_task_skipped(*, task: Task, membership: Membership | None) -> Qualification | None:
    """After somebody passed on a screening task, in its transaction: another of the set takes its place;
    where none is left the attempt ends with what was done.
    """
    return _progressed(task.pk, membership, began_at=timezone.now())


def reaches(qualification: Qualification, screening: ScreeningSet) -> bool:
    """Whether the figures reach the cut-offs; those that do not apply are passed over."""
    if screening.kind == TaskKind.DEMONSTRATION:
        score = qualification.demonstration_score
        return score is not None and score >= screening.minimum_demonstration_score
    ranking, flags = qualification.ranking_agreement, qualification.flag_agreement
    return (
        ranking is not None
        and ranking >= screening.minimum_ranking_agreement
        and (flags is None or flags >= screening.minimum_flag_agreement)
    )


def settle(*, qualification: Qualification, passed: bool, acting_user, note: str = "") -> None:
    """The verdict, by the cut-offs (acting_user None) or by a lead; in the caller's transaction."""
    screening = qualification.screening_set
    old = qualification.status
    now = timezone.now()
    qualification.status = QualificationStatus.PASSED if passed else QualificationStatus.FAILED
    qualification.decided_at, qualification.decided_by, qualification.note = now, acting_user, note
    has_another = passed or has_another_attempt(qualification)
    waits = not passed and has_another and screening.retry_days
    qualification.retry_at = now + timedelta(days=screening.retry_days) if waits else None
    qualification.save()
    member = qualification.membership
    record_event(
        action="qualification.passed" if passed else "qualification.failed",
        actor=acting_user,
        obj=qualification,
        project=screening.project,
        user=member.user.pseudonym,
        kind=screening.kind,
        attempt=qualification.attempt,
        old={"status": old},
        new={"status": str(qualification.status)},
    )
    kind = in_a_sentence(TaskKind(screening.kind).label)
    if passed:
        text = later("You are qualified for %(kind)s work. It waits for you.", kind=kind)
    elif qualification.retry_at:
        text = later(
            "You did not pass the %(kind)s screening. You can try again from %(day)s.",
            kind=kind,
            day=f"{qualification.retry_at:%Y-%m-%d}",
        )
    elif has_another:
        text = later(
            "You did not pass the %(kind)s screening. A lead decides whether you try again.", kind=kind
        )
    else:
        text = later(
            "You did not pass the %(kind)s screening, and there are no tasks left for another attempt. "
            "A lead decides what comes next.",
            kind=kind,
        )
    notify(
        user=member.user,
        project=screening.project,
        kind="qualification.passed" if passed else "qualification.failed",
        text=text,
        path=reverse("labeling:work", args=[screening.project.slug]),
    )
    if not has_another and acting_user is None:
        _tell_leads(qualification, USED_UP)


# --- Inside -------------------------------------------------------------------------------------------------
def _progressed(
    task_id: int | None, membership: Membership | None, *, began_at: datetime
) -> Qualification | None:
    """1. the attempt, locked 2. its results 3. all tasks done, or none left to do? 4. all demonstrations
    scored? 5. means against the cut-offs
    """
    screening = ScreeningSet.objects.filter(batch__tasks=task_id).first()
    if screening is None or membership is None:
        return None
    qualification, is_new = locked_standing(membership=membership, screening=screening)
    if is_new:
        # The attempt began with the task at hand, which came before this row.
        qualification.attempt_began_at = began_at
    if qualification.status not in (QualificationStatus.IN_WORK, QualificationStatus.UNDECIDED):
        return qualification
    counted = Q(submission__task__gold_answer__checks_flags=True)
    figures = results_of(qualification).aggregate(
        count=Count("pk"),
        waiting=Count("pk", filter=Q(score=None)),
        ranking=Avg("agreement"),
        flags=Avg("flag_agreement", filter=counted),
        mean_score=Avg("score"),
    )
    qualification.ranking_agreement = figures["ranking"]
    qualification.flag_agreement = figures["flags"]
    qualification.demonstration_score = figures["mean_score"]
    qualification.save()
    is_short = figures["count"] < screening.tasks_per_attempt
    if is_short and _goes_on(qualification, but=task_id):
        return qualification
    waits = screening.kind == TaskKind.DEMONSTRATION and figures["waiting"]
    if is_short or waits or not screening.passes_automatically:
        if qualification.status != QualificationStatus.UNDECIDED:
            qualification.status = QualificationStatus.UNDECIDED
            qualification.save(update_fields=["status"])
            _tell_leads(
                qualification,
                CUT_SHORT if is_short else FINISHED,
            )
        return qualification
    settle(qualification=qualification, passed=reaches(qualification, screening), acting_user=None)
    return qualification


def _results(batch, user, since) -> QuerySet[GoldResult]:
    return GoldResult.objects.filter(
        submission__task__batch=batch, submission__annotator=user, submission__created_at__gte=since
    )


def _goes_on(qualification: Qualification, but: int | None) -> bool:
    """Whether a task of the set is in the person's hands, or may still come. but: the task that is being
    handed in, whose slot may still be leased.
    """
    batch = qualification.screening_set.batch_id
    in_hand = Assignment.objects.filter(
        task__batch=batch, annotator=qualification.membership.user_id, status=AssignmentStatus.LEASED
    )
    return in_hand.exclude(task=but).exists() or tasks_to_come(qualification).exists()


def _tell_leads(qualification: Qualification, text: str) -> None:
    """text: FINISHED and its like, said in each lead's language."""
    project = qualification.screening_set.project
    members = project.memberships.filter(status=MembershipStatus.ACTIVE).select_related("user")
    leads = list(members.filter(role=Role.LEAD)) or list(members.filter(role=Role.ADMIN))
    for lead in leads:
        notify(
            user=lead.user,
            project=project,
            kind="qualification.undecided",
            text=later(text, who=qualification.membership.user.name),
            path=reverse("labeling:qualification", args=[project.slug]),
        )

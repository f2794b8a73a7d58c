"""Who may do which kind of work: screening as it happens, from the first task to the verdict."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from django.db.models import Avg, Count, Q, QuerySet
from django.urls import reverse
from django.utils import timezone

from annotate.words import in_a_sentence, later
from labeling.models import (
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
    TaskKind,
)

from .activity import notify, record_event


def must_qualify(*, project: Project, membership: Membership | None) -> bool:
    """Leads and admins are not screened, and nobody is where the project does not ask for it."""
    if membership is None or membership.is_at_least(Role.LEAD):
        return False
    return project.settings.require_qualification


def split_kinds(
    *, project: Project, membership: Membership | None, kinds: Sequence[str]
) -> tuple[list[str], list[ScreeningSet]]:
    """(the kinds this person may do, the screening sets that they may go on with), for a claim.

    A failed attempt whose time to wait has passed begins anew here.
    """
    if membership is None or not must_qualify(project=project, membership=membership):
        return list(kinds), []
    sets = {each.kind: each for each in open_sets(project)}
    standing = {
        each.screening_set_id: each
        for each in Qualification.objects.filter(membership=membership, screening_set__in=sets.values())
    }
    qualified, screenings = [], []
    for kind in kinds:
        screening = sets.get(kind)
        mine = standing.get(screening.pk) if screening is not None else None
        if screening is None or (mine is not None and mine.status == QualificationStatus.PASSED):
            qualified.append(kind)
        elif mine is None or _may_go_on(mine, screening):
            screenings.append(screening)
    return qualified, screenings


def open_sets(project: Project) -> QuerySet[ScreeningSet]:
    return ScreeningSet.objects.filter(project=project, status=ScreeningStatus.OPEN)


def begin_attempt(qualification: Qualification) -> None:
    """Results until now no longer count; the tasks that the person has had do not come back."""
    qualification.status = QualificationStatus.IN_WORK
    qualification.attempt += 1
    qualification.attempt_began_at = timezone.now()
    qualification.retry_at = qualification.decided_at = qualification.decided_by = None
    qualification.save()


def results_of(qualification: Qualification) -> QuerySet[GoldResult]:
    """What counts in the present attempt, in the order it came."""
    return GoldResult.objects.filter(
        submission__task__batch=qualification.screening_set.batch_id,
        submission__annotator=qualification.membership.user_id,
        submission__created_at__gte=qualification.attempt_began_at,
    ).order_by("pk")


def screening_progressed(*, submission: Submission) -> Qualification | None:
    """After a screening task was submitted or scored, in its transaction: the verdict, once all is there.

    1. the attempt's results 2. all tasks done? 3. all demonstrations scored? 4. means against the cut-offs
    """
    screening = ScreeningSet.objects.filter(batch__tasks=submission.task_id).first()
    membership = Membership.objects.filter(
        project=submission.project_id, user=submission.annotator_id
    ).first()
    if screening is None or membership is None:
        return None
    qualification, is_new = Qualification.objects.get_or_create(
        membership=membership, screening_set=screening
    )
    if is_new:
        # The attempt began with the task at hand, which came before this row.
        qualification.attempt_began_at = submission.created_at
        qualification.save(update_fields=["attempt_began_at"])
    if qualification.status not in (QualificationStatus.IN_WORK, QualificationStatus.UNDECIDED):
        return qualification
    figures = results_of(qualification).aggregate(
        count=Count("pk"),
        waiting=Count("pk", filter=Q(score=None)),
        ranking=Avg("agreement"),
        flags=Avg("flag_agreement"),
        mean_score=Avg("score"),
    )
    qualification.ranking_agreement = figures["ranking"]
    qualification.flag_agreement = figures["flags"]
    qualification.demonstration_score = figures["mean_score"]
    qualification.save()
    if figures["count"] < screening.tasks_per_attempt:
        return qualification
    waits = screening.kind == TaskKind.DEMONSTRATION and figures["waiting"]
    if waits or not screening.passes_automatically:
        if qualification.status != QualificationStatus.UNDECIDED:
            qualification.status = QualificationStatus.UNDECIDED
            qualification.save(update_fields=["status"])
            _tell_leads(qualification)
        return qualification
    settle(qualification=qualification, passed=reaches(qualification, screening), acting_user=None)
    return qualification


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
    waits = not passed and screening.retry_days
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
    else:
        text = later(
            "You did not pass the %(kind)s screening. A lead decides whether you try again.", kind=kind
        )
    notify(
        user=member.user,
        project=screening.project,
        kind="qualification.passed" if passed else "qualification.failed",
        text=text,
        path=reverse("labeling:work", args=[screening.project.slug]),
    )


# --- Inside -------------------------------------------------------------------------------------------------
def _may_go_on(mine: Qualification, screening: ScreeningSet) -> bool:
    if mine.status == QualificationStatus.FAILED and mine.retry_at and mine.retry_at <= timezone.now():
        begin_attempt(mine)
    if mine.status != QualificationStatus.IN_WORK:
        return False
    return results_of(mine).count() < screening.tasks_per_attempt


def _tell_leads(qualification: Qualification) -> None:
    project = qualification.screening_set.project
    members = project.memberships.filter(status=MembershipStatus.ACTIVE).select_related("user")
    leads = list(members.filter(role=Role.LEAD)) or list(members.filter(role=Role.ADMIN))
    for lead in leads:
        notify(
            user=lead.user,
            project=project,
            kind="qualification.undecided",
            text=later(
                "%(who)s has finished a screening, which waits for you.",
                who=qualification.membership.user.name,
            ),
            path=reverse("labeling:qualification", args=[project.slug]),
        )

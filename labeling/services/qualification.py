"""Screening sets and verdicts by leads; languages that people declare and leads confirm."""

from __future__ import annotations

import re

from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from annotate.errors import Conflict, Invalid, NotFound
from annotate.words import _, in_a_sentence, later
from labeling.models import (
    Batch,
    BatchStatus,
    GoldAnswer,
    MemberLanguage,
    Membership,
    MembershipStatus,
    Qualification,
    QualificationStatus,
    Role,
    ScreeningSet,
    ScreeningStatus,
    TaskKind,
    TaskPurpose,
    TaskStatus,
)

from .activity import notify, record_event
from .judgments import clean_line
from .screening import begin_attempt, locked_standing, settle, tasks_to_come

LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")
MOST_LANGUAGES = 20
LONGEST_NOTE = 500


@transaction.atomic
def open_screening_set(
    *,
    batch: Batch,
    acting_user,
    minimum_ranking_agreement: float = 0.75,
    minimum_flag_agreement: float = 0.75,
    minimum_demonstration_score: float = 6,
    tasks_per_attempt: int = 5,
    retry_days: int = 7,
    passes_automatically: bool = True,
    keep_qualified: bool = True,
) -> ScreeningSet:
    """Make a screening batch the set that people must pass for its kind; it takes the place of the last one.

    keep_qualified: who passed the last set stays qualified; False is a recalibration, as after a new
    guideline version: everybody passes again first. Defaults are InstructGPT's cut-offs. Raises Invalid,
    Conflict (`not_screening`, `answers_missing`: a ranking task without its known answer).
    """
    batch = (
        Batch.objects.select_for_update(no_key=True, of=("self",)).select_related("project").get(pk=batch.pk)
    )
    _check_cutoffs(minimum_ranking_agreement, minimum_flag_agreement, minimum_demonstration_score)
    if not 0 <= retry_days <= 365:
        raise Invalid("Between 0 and 365 days.", field="retry_days")
    _check_batch(batch, tasks_per_attempt)
    project = batch.project
    last = (
        ScreeningSet.objects.select_for_update()
        .filter(project=project, kind=batch.kind, status=ScreeningStatus.OPEN)
        .first()
    )
    if last is not None:
        ScreeningSet.objects.filter(pk=last.pk).update(status=ScreeningStatus.CLOSED)
    screening = ScreeningSet.objects.create(
        project=project,
        kind=batch.kind,
        batch=batch,
        minimum_ranking_agreement=minimum_ranking_agreement,
        minimum_flag_agreement=minimum_flag_agreement,
        minimum_demonstration_score=minimum_demonstration_score,
        tasks_per_attempt=tasks_per_attempt,
        retry_days=retry_days,
        passes_automatically=passes_automatically,
        created_by=acting_user,
    )
    if last is not None and keep_qualified:
        _carry_over(last, screening)
    record_event(
        action="screening.opened",
        actor=acting_user,
        obj=screening,
        project=project,
        kind=batch.kind,
        batch=batch.pk,
        replaces=last.pk if last else None,
        keep_qualified=keep_qualified,
    )
    _tell_members(screening, again=last is not None and not keep_qualified)
    return screening


@transaction.atomic
def close_screening_set(*, screening: ScreeningSet, acting_user) -> None:
    """Nobody is screened for this kind any more. Raises Conflict where it is closed already."""
    rows = ScreeningSet.objects.filter(pk=screening.pk, status=ScreeningStatus.OPEN)
    if rows.update(status=ScreeningStatus.CLOSED) != 1:
        raise Conflict("This screening is closed already.", code="screening_status")
    record_event(action="screening.closed", actor=acting_user, obj=screening, project=screening.project)


@transaction.atomic
def decide_qualification(
    *, screening: ScreeningSet, membership: Membership, decision: str, acting_user, note: str = ""
) -> Qualification:
    """A lead's word: "pass" or "fail" at any time, "retry" for another attempt at once. Raises Invalid,
    Conflict (`no_tasks_left`: no attempt is begun that nobody can finish).
    """
    if decision not in ("pass", "fail", "retry"):
        raise Invalid("Choose one of pass, fail, retry.", field="decision")
    note = clean_line(note, "note", LONGEST_NOTE)
    Membership.objects.select_for_update(no_key=True, of=("self",)).get(pk=membership.pk)
    qualification, _is_new = locked_standing(membership=membership, screening=screening)
    if decision != "retry":
        settle(qualification=qualification, passed=decision == "pass", acting_user=acting_user, note=note)
        return qualification
    left, needed = tasks_to_come(qualification).count(), screening.tasks_per_attempt
    if left < needed:
        raise Conflict(
            _("%(name)s has had too many tasks of the set: %(left)s are left, an attempt takes %(needed)s.")
            % {"name": membership.user.name, "left": left, "needed": needed},
            code="no_tasks_left",
            hint="Qualify them by your word, or open a set with more tasks.",
        )
    old = qualification.status
    begin_attempt(qualification)
    record_event(
        action="qualification.retry",
        actor=acting_user,
        obj=qualification,
        project=screening.project,
        user=membership.user.pseudonym,
        old={"status": old},
        new={"status": str(qualification.status)},
    )
    notify(
        user=membership.user,
        project=screening.project,
        kind="qualification.retry",
        text=later(
            "You can try the %(kind)s screening again.",
            kind=in_a_sentence(TaskKind(screening.kind).label),
        ),
        path=reverse("labeling:work", args=[screening.project.slug]),
    )
    return qualification


@transaction.atomic
def declare_languages(*, membership: Membership, codes: list[str]) -> list[MemberLanguage]:
    """What a person says they work in: codes such as "en" or "pt-BR". Confirmed ones that stay, stay so."""
    wanted = sorted({_language(code) for code in codes if code.strip()})
    if len(wanted) > MOST_LANGUAGES:
        raise Invalid(_("At most %(most)s languages.") % {"most": MOST_LANGUAGES}, field="languages")
    held = {each.code: each for each in membership.languages.all()}
    membership.languages.exclude(code__in=wanted).delete()
    MemberLanguage.objects.bulk_create(
        MemberLanguage(membership=membership, code=code) for code in wanted if code not in held
    )
    if sorted(held) != wanted:
        record_event(
            action="membership.languages_declared",
            actor=membership.user,
            obj=membership,
            project=membership.project,
            old={"languages": sorted(held)},
            new={"languages": wanted},
        )
    return list(membership.languages.all())


@transaction.atomic
def confirm_language(*, membership: Membership, code: str, confirmed: bool, acting_user) -> MemberLanguage:
    """A lead vouches for a declared language, or no longer does. Raises NotFound."""
    language = membership.languages.select_for_update(no_key=True).filter(code=code).first()
    if language is None:
        raise NotFound("They have not declared this language.", field="code")
    language.confirmed_at = timezone.now() if confirmed else None
    language.confirmed_by = acting_user if confirmed else None
    language.save(update_fields=["confirmed_at", "confirmed_by"])
    record_event(
        action="membership.language_confirmed" if confirmed else "membership.language_doubted",
        actor=acting_user,
        obj=membership,
        project=membership.project,
        language=code,
    )
    return language


# --- Inside -------------------------------------------------------------------------------------------------
def _check_cutoffs(ranking: float, flags: float, score: float) -> None:
    for name, value in (("minimum_ranking_agreement", ranking), ("minimum_flag_agreement", flags)):
        if not 0 <= value <= 1:
            raise Invalid("Between 0 and 1.", field=name)
    if not 1 <= score <= 7:
        raise Invalid("Between 1 and 7.", field="minimum_demonstration_score")


def _check_batch(batch: Batch, tasks_per_attempt: int) -> None:
    if batch.purpose != TaskPurpose.SCREENING or batch.status != BatchStatus.OPEN:
        raise Conflict("Only an open screening batch can be used.", code="not_screening", field="batch")
    if ScreeningSet.objects.filter(batch=batch).exists():
        raise Conflict("This batch is, or was, a screening set already.", code="not_screening", field="batch")
    count = batch.tasks.filter(status=TaskStatus.OPEN).count()
    if not 1 <= tasks_per_attempt <= count:
        raise Invalid(
            _("Between 1 and the %(count)s tasks of the batch.") % {"count": count}, field="tasks_per_attempt"
        )
    without = batch.tasks.filter(gold_answer=None)
    if batch.kind == TaskKind.DEMONSTRATION:
        GoldAnswer.objects.bulk_create(GoldAnswer(task=task) for task in without)
    elif missing := without.count():
        raise Conflict(
            _("%(n)s of %(count)s tasks have no known answer yet.") % {"n": missing, "count": count},
            code="answers_missing",
            hint="Open each task of the batch and give its order.",
        )


def _carry_over(last: ScreeningSet, screening: ScreeningSet) -> None:
    passed = Qualification.objects.filter(screening_set=last, status=QualificationStatus.PASSED)
    Qualification.objects.bulk_create(
        Qualification(
            membership_id=each.membership_id,
            screening_set=screening,
            status=QualificationStatus.PASSED,
            attempt=each.attempt,
            ranking_agreement=each.ranking_agreement,
            flag_agreement=each.flag_agreement,
            demonstration_score=each.demonstration_score,
            decided_at=each.decided_at,
            decided_by_id=each.decided_by_id,
            note="Passed the screening before this one.",
        )
        for each in passed
    )


def _tell_members(screening: ScreeningSet, *, again: bool) -> None:
    if not screening.project.settings.require_qualification:
        return
    kind = in_a_sentence(TaskKind(screening.kind).label)
    text = (
        later("A short %(kind)s screening waits for you, as the guideline has changed.", kind=kind)
        if again
        else later("A short %(kind)s screening waits for you.", kind=kind)
    )
    members: list[Membership] = list(
        screening.project.memberships.filter(role=Role.ANNOTATOR, status=MembershipStatus.ACTIVE).exclude(
            qualifications__screening_set=screening, qualifications__status=QualificationStatus.PASSED
        )
    )
    for member in members:
        notify(
            user=member.user,
            project=screening.project,
            kind="screening.opened",
            text=text,
            path=reverse("labeling:work", args=[screening.project.slug]),
        )


def _language(code: str) -> str:
    code = code.strip()
    if not LANGUAGE.fullmatch(code) or len(code) > 16:
        raise Invalid(
            _("“%(code)s” is no language code. Write it as en, de or pt-BR.") % {"code": code[:20]},
            field="languages",
        )
    return code

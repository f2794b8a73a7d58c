"""Submitting: once per key, checked, into the right slot, or kept."""

from __future__ import annotations

import pytest

from annotate.errors import Conflict, DomainError, Forbidden, Gone, Invalid
from labeling.models import (
    Assignment,
    AuditEvent,
    Demonstration,
    Draft,
    Ranking,
    Submission,
    TaskKind,
)
from labeling.services.assignments import release_expired, skip_assignment
from labeling.services.batches import close_batch
from labeling.services.drafts import save_draft
from labeling.services.late import accept_late_draft, dismiss_late_draft
from labeling.services.people import pause_member
from labeling.services.projects import update_settings
from labeling.services.review_policy import is_sampled
from labeling.services.reviews import return_submission
from tests.factories import make_demonstration_batch, make_ranking_batch, publish_form, publish_guideline

from .work import claim, do_next, expire, ranking_of, submit, worked

RANKING = TaskKind.RANKING


@pytest.fixture
def assignment(cast):
    make_demonstration_batch(cast.project, tasks=1, review_rate=0)
    return claim(cast.annotator, cast.project)


@pytest.fixture
def ranking(cast):
    make_ranking_batch(cast.project, tasks=1, review_rate=0)
    return claim(cast.annotator, cast.project)


def ranking_under(cast, **changes):
    """A ranking in hand under a form that differs from the default by `changes`."""
    publish_form(cast.project, **changes)
    make_ranking_batch(cast.project, tasks=1, review_rate=0)
    return claim(cast.annotator, cast.project)


def settings(cast, **values):
    update_settings(project=cast.project, values=values, acting_user=cast.admin)


def test_a_demonstration_is_stored_byte_for_byte_with_who_when_and_how_long(cast, assignment):
    text = "  Ünïcode 😀\n\n\tand tabs, <b>tags</b> & {{ braces }}  "
    submission = submit(worked(assignment, 60), cast.annotator, text=text, active_seconds=42)
    assert submission.current.text == text
    assert (submission.annotator, submission.active_seconds) == (cast.annotator, 42)
    assignment.refresh_from_db()
    assert (assignment.status, assignment.task.status) == ("submitted", "done")


def test_line_ends_of_browsers_become_newlines(cast, assignment):
    assert submit(assignment, cast.annotator, text="a\r\nb").current.text == "a\nb"


def test_the_same_key_and_body_again_is_one_submission(cast, assignment):
    first = submit(assignment, cast.annotator, idempotency_key="k-1")
    again = submit(assignment, cast.annotator, idempotency_key="k-1", active_seconds=99)
    assert (first.pk, Submission.objects.count(), Demonstration.objects.count()) == (again.pk, 1, 1)


def test_the_same_key_with_another_body_is_refused_and_changes_nothing(cast, assignment):
    submission = submit(assignment, cast.annotator, idempotency_key="k-1")
    with pytest.raises(Invalid) as caught:
        submit(assignment, cast.annotator, idempotency_key="k-1", text="Something else.")
    assert (caught.value.code, caught.value.status) == ("idempotency_key_reused", 422)
    assert submission.current.text == "Paris is the capital of France."


def test_two_people_may_use_the_same_key(cast):
    make_demonstration_batch(cast.project, tasks=1, overlap=2)
    for user in (cast.annotator, cast.peer):
        do_next(user, cast.project, idempotency_key="same")
    assert Submission.objects.count() == 2


@pytest.mark.parametrize("key", ["", "   ", "x" * 81, "a\nb", None])
def test_a_submission_needs_a_usable_key(cast, assignment, key):
    with pytest.raises(Invalid) as caught:
        submit(assignment, cast.annotator, idempotency_key=key)
    assert caught.value.field == "idempotency_key"


def test_a_second_submission_under_a_new_key_is_gone(cast, assignment):
    submit(assignment, cast.annotator)
    with pytest.raises(Gone) as caught:
        submit(assignment, cast.annotator)
    assert caught.value.code == "already_submitted"


@pytest.mark.parametrize("text", ["", "  \n ", "a\x00b", "\ud800", None, 7])
def test_texts_that_are_no_answers_are_refused(cast, assignment, text):
    with pytest.raises(Invalid) as caught:
        submit(assignment, cast.annotator, text=text)
    assert caught.value.field == "text"
    assert not Submission.objects.exists()


def test_the_projects_length_limits_hold(cast, assignment):
    settings(cast, response_min_characters=5, response_max_characters=10)
    assignment = claim(cast.annotator, cast.project)
    for text in ("four", "eleven char"):
        with pytest.raises(Invalid):
            submit(assignment, cast.annotator, text=text)
    assert submit(assignment, cast.annotator, text="exactly 10").current.text == "exactly 10"


def test_a_submit_after_expiry_is_accepted_while_the_slot_is_free(cast, assignment):
    expire(assignment)
    release_expired()
    submission = submit(assignment, cast.annotator)
    assert submission.assignment_id == assignment.pk
    assert Assignment.objects.get(pk=assignment.pk).annotator == cast.annotator


def test_a_submit_after_expiry_takes_another_free_slot_of_the_task(cast):
    make_demonstration_batch(cast.project, tasks=1, overlap=2)
    assignment = claim(cast.annotator, cast.project)
    expire(assignment)
    release_expired()
    taken = claim(cast.peer, cast.project)
    submission = submit(assignment, cast.annotator)
    assert {taken.slot, submission.assignment.slot} == {1, 2}


def test_a_submit_whose_slot_is_taken_is_refused_and_kept_as_late(cast, assignment):
    expire(assignment)
    release_expired()
    claim(cast.peer, cast.project)
    with pytest.raises(Conflict) as caught:
        submit(assignment, cast.annotator, text="Too late, but good.")
    assert caught.value.code == "slot_taken"
    draft = Draft.objects.get(user=cast.annotator)
    assert (draft.body["text"], draft.is_late) == ("Too late, but good.", True)
    assert not Submission.objects.exists()


def late_draft(cast, assignment, **fields) -> Draft:
    expire(assignment)
    release_expired()
    claim(cast.peer, cast.project)
    with pytest.raises(Conflict):
        submit(assignment, cast.annotator, **fields)
    return Draft.objects.get(user=cast.annotator, is_late=True)


def test_a_lead_can_take_late_work_in_as_an_extra_slot(cast, assignment):
    draft = late_draft(cast, assignment, text="Too late, but good.")
    submission = accept_late_draft(draft=draft, acting_user=cast.lead)
    assert (submission.status, submission.review_reason) == ("accepted", "late")
    assert submission.current.text == "Too late, but good."
    assert (submission.assignment.slot, submission.task.overlap) == (2, 2)
    assert cast.annotator.notifications.filter(kind="submission.accepted").count() == 1


def test_a_late_ranking_keeps_its_order(cast, ranking):
    order = ranking.presentation["order"]
    draft = late_draft(
        cast, ranking, **{**ranking_of(ranking, cast.annotator), "tiers": [order[1:], order[:1]]}
    )
    submission = accept_late_draft(draft=draft, acting_user=cast.lead)
    assert submission.current.tiers == [order[1:], order[:1]]
    assert submission.current.presented_order == order


def test_late_work_is_decided_on_once_and_not_by_its_author(cast, assignment):
    draft = late_draft(cast, assignment)
    with pytest.raises(Forbidden):
        accept_late_draft(draft=draft, acting_user=cast.annotator)
    dismiss_late_draft(draft=draft, acting_user=cast.lead)
    with pytest.raises(Conflict):
        accept_late_draft(draft=draft, acting_user=cast.lead)
    assert Draft.objects.get(pk=draft.pk).body["text"]


def test_a_task_closed_meanwhile_keeps_the_words(cast):
    batch = make_demonstration_batch(cast.project, tasks=1)
    assignment = claim(cast.annotator, cast.project)
    close_batch(batch=batch, acting_user=cast.lead)
    expire(assignment)
    release_expired()
    with pytest.raises(Gone) as caught:
        submit(assignment, cast.annotator, text="For nothing?")
    assert caught.value.code == "task_closed"
    assert Draft.objects.get(user=cast.annotator).body["text"] == "For nothing?"


def test_work_in_hand_may_still_be_submitted_after_the_batch_was_closed(cast):
    batch = make_demonstration_batch(cast.project, tasks=1)
    assignment = claim(cast.annotator, cast.project)
    close_batch(batch=batch, acting_user=cast.lead)
    assert submit(assignment, cast.annotator).task.batch == batch


def test_nobody_submits_for_a_task_they_were_never_handed(cast, assignment):
    with pytest.raises(Forbidden):
        submit(assignment, cast.peer)


def test_nobody_submits_what_they_have_skipped(cast, assignment):
    skip_assignment(assignment=assignment, user=cast.annotator, reason="unclear")
    with pytest.raises(Gone):
        submit(assignment, cast.annotator)
    assert Assignment.objects.get(pk=assignment.pk).status == "open"


def test_paused_people_do_not_submit_and_their_draft_stays(cast, assignment):
    save_draft(task=assignment.task, user=cast.annotator, body={"text": "Pa"}, revision=1)
    pause_member(membership=cast.project.memberships.get(user=cast.annotator), acting_user=cast.lead)
    with pytest.raises(Forbidden):
        submit(assignment, cast.annotator)
    assert Draft.objects.get(user=cast.annotator).body == {"text": "Pa"}


def test_an_older_window_does_not_overwrite_what_was_returned(cast):
    make_demonstration_batch(cast.project, tasks=1, review_rate=1)
    old = claim(cast.annotator, cast.project)
    submission = submit(old, cast.annotator)
    return_submission(submission=submission, revision=1, reviewer=cast.lead, note="Shorter.")
    new = claim(cast.annotator, cast.project)
    with pytest.raises(Conflict) as caught:
        submit(old, cast.annotator, text="The old text again.")
    assert caught.value.code == "stale_lease"
    submit(new, cast.annotator, text="Paris.")
    submission.refresh_from_db()
    assert (submission.revision_count, submission.current.text) == (2, "Paris.")


def test_a_mended_piece_is_a_new_revision_that_waits_for_review(cast):
    make_demonstration_batch(cast.project, tasks=1, review_rate=1)
    submission = submit(worked(claim(cast.annotator, cast.project), 60), cast.annotator, active_seconds=30)
    return_submission(submission=submission, revision=1, reviewer=cast.lead, note="Shorter.")
    mended = worked(claim(cast.annotator, cast.project), 60)
    submit(mended, cast.annotator, text="Paris.", active_seconds=10)
    submission.refresh_from_db()
    assert (submission.status, submission.review_reason) == ("awaiting_review", "resubmitted")
    assert [each.origin for each in submission.demonstrations.all()] == ["original", "resubmission"]
    assert submission.active_seconds == 40
    assert submission.task.status == "done"


def test_the_draft_ends_with_the_submission(cast, assignment):
    save_draft(task=assignment.task, user=cast.annotator, body={"text": "Pa"}, revision=1)
    submit(assignment, cast.annotator)
    assert not Draft.objects.filter(user=cast.annotator).exists()


def test_the_judgment_stores_the_guideline_version_that_was_read(cast):
    make_demonstration_batch(cast.project, tasks=1)
    first = publish_guideline(cast.project, readers=[cast.annotator])
    assignment = claim(cast.annotator, cast.project)
    publish_guideline(cast.project)  # while the person writes, and unread
    assert submit(assignment, cast.annotator).current.guideline_version == first


def test_a_version_read_while_working_counts(cast):
    make_demonstration_batch(cast.project, tasks=1)
    publish_guideline(cast.project, readers=[cast.annotator])
    assignment = claim(cast.annotator, cast.project)
    second = publish_guideline(cast.project, readers=[cast.annotator])
    assert submit(assignment, cast.annotator).current.guideline_version == second


def test_a_task_is_done_when_every_slot_is_filled(cast):
    make_demonstration_batch(cast.project, tasks=1, overlap=2)
    assert do_next(cast.annotator, cast.project).task.status == "open"
    submission = do_next(cast.peer, cast.project)
    submission.task.refresh_from_db()
    assert submission.task.status == "done"


# --- Review sampling ----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("rate", "fields", "changes", "reason"),
    [
        (0, {}, {}, ""),
        (1, {}, {}, "sampled"),
        (0, {"prompt_flags": ["unclear"]}, {}, "flagged"),
        (0, {"prompt_flags": ["unclear"]}, {"review_flagged": False}, ""),
        (0, {}, {"new_person_reviews": 2}, "new_person"),
    ],
)
def test_what_is_reviewed_and_why(cast, rate, fields, changes, reason):
    settings(cast, **changes)
    make_demonstration_batch(cast.project, tasks=1, review_rate=rate)
    submission = do_next(cast.annotator, cast.project, **fields)
    expected = "awaiting_review" if reason else "accepted"
    assert (submission.review_reason, submission.status) == (reason, expected)
    assert (submission.decided_at is None) == bool(reason)


def test_a_new_person_is_reviewed_only_at_first(cast):
    settings(cast, new_person_reviews=2)
    make_demonstration_batch(cast.project, tasks=3, review_rate=0)
    reasons = [do_next(cast.annotator, cast.project).review_reason for _ in range(3)]
    assert reasons == ["new_person", "new_person", ""]


def test_the_review_sample_holds_its_rate():
    sampled = sum(is_sampled(7, task, user, 0.3) for task in range(400) for user in range(10))
    assert 0.27 < sampled / 4000 < 0.33


# --- Rankings -----------------------------------------------------------------------------------------------
def test_a_ranking_is_stored_as_it_was_given(cast, ranking):
    a, b, c, d = ranking.presentation["order"]
    submission = submit(
        ranking,
        cast.annotator,
        tiers=[[b], [a, c]],
        unrankable=[d],
        unrankable_reasons={d: {"reason": "other", "note": " It is a recipe. "}},
        scores={a: 4, b: 7, c: 4},
        flags={d: ["harmful", "repetitive"]},
        touched=[b, a, c, d],
        rationale="B is right.",
    )
    stored = submission.current
    assert (stored.tiers, stored.unrankable) == ([[b], [a, c]], [d])
    assert stored.unrankable_reasons == {str(d): {"reason": "other", "note": "It is a recipe."}}
    assert stored.scores == {str(a): 4, str(b): 7, str(c): 4}
    assert stored.flags == {str(d): ["harmful", "repetitive"]}
    assert (stored.presented_order, stored.rationale) == ([a, b, c, d], "B is right.")
    assert stored.shuffle_seed == ranking.presentation["seed"]
    assert submission.review_reason == "flagged"


def no_rank(a, b, c, d, why):
    return {"tiers": [[a], [b], [c]], "unrankable": [d], "unrankable_reasons": {d: why}}


def broken(order, name):
    a, b, c, d = order
    scores = dict.fromkeys(order, 4)
    good = {"tiers": [[a], [b], [c], [d]], "scores": scores, "touched": order}
    return (
        good
        | {
            "one is missing": {"tiers": [[a], [b], [c]]},
            "one is twice": {"tiers": [[a], [b], [c, d], [d]]},
            "one is ranked and unrankable": {"unrankable": [d]},
            "unrankable without a reason": {"tiers": [[a], [b], [c]], "unrankable": [d]},
            "a reason nobody knows": no_rank(a, b, c, d, {"reason": "boring"}),
            "another reason without words": no_rank(a, b, c, d, {"reason": "other", "note": "  "}),
            "a reason with more fields": no_rank(a, b, c, d, {"reason": "unsafe", "by": "me"}),
            "a reason that is text": no_rank(a, b, c, d, "unsafe"),
            "an endless note": no_rank(a, b, c, d, {"reason": "other", "note": "x" * 501}),
            "a reason for one that is ranked": {"unrankable_reasons": {a: {"reason": "unsafe"}}},
            "a stranger": {"tiers": [[a], [b], [c], [d + 1000]]},
            "an empty tier": {"tiers": [[a], [], [b], [c], [d]]},
            "not lists": {"tiers": "abcd"},
            "true is no id": {"tiers": [[a], [b], [c], [True]]},
            "a score is missing": {"scores": {a: 4}},
            "a score of 8": {"scores": scores | {a: 8}},
            "a score of true": {"scores": scores | {a: True}},
            "half a score": {"scores": scores | {a: 3.5}},
            "a score for a stranger": {"scores": scores | {d + 1000: 3}},
            "an unknown flag": {"flags": {a: ["ugly"]}},
            "untouched": {"touched": []},
            "margins nobody asked for": {"margins": ["clearly"] * 3},
            "an unknown prompt flag": {"prompt_flags": ["boring"]},
            "no text as rationale": {"rationale": 5},
        }[name]
    )


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("one is missing", "tiers"),
        ("one is twice", "tiers"),
        ("one is ranked and unrankable", "tiers"),
        ("unrankable without a reason", "unrankable_reasons"),
        ("a reason nobody knows", "unrankable_reasons"),
        ("another reason without words", "unrankable_reasons"),
        ("a reason with more fields", "unrankable_reasons"),
        ("a reason that is text", "unrankable_reasons"),
        ("an endless note", "unrankable_reasons"),
        ("a reason for one that is ranked", "unrankable_reasons"),
        ("a stranger", "tiers"),
        ("an empty tier", "tiers"),
        ("not lists", "tiers"),
        ("true is no id", "tiers"),
        ("a score is missing", "scores"),
        ("a score of 8", "scores"),
        ("a score of true", "scores"),
        ("half a score", "scores"),
        ("a score for a stranger", "scores"),
        ("an unknown flag", "flags"),
        ("untouched", "touched"),
        ("margins nobody asked for", "margins"),
        ("an unknown prompt flag", "prompt_flags"),
        ("no text as rationale", "rationale"),
    ],
)
def test_rankings_that_make_no_sense_are_refused_by_field(cast, ranking, name, field):
    with pytest.raises(Invalid) as caught:
        submit(ranking, cast.annotator, **broken(ranking.presentation["order"], name))
    assert caught.value.field == field
    assert not Ranking.objects.exists()


def test_margins_are_one_per_boundary_where_asked(cast):
    ranking = ranking_under(cast, ask_margins=True)
    a, b, c, d = ranking.presentation["order"]
    good = {"tiers": [[a], [b, c], [d]], "touched": [a]}
    for margins in ([], ["clearly"], ["clearly", "a bit"]):
        with pytest.raises(Invalid) as caught:
            submit(ranking, cast.annotator, **good, margins=margins)
        assert caught.value.field == "margins"
    stored = submit(ranking, cast.annotator, **good, margins=["clearly", "slightly"]).current
    assert stored.margins == ["clearly", "slightly"]


@pytest.mark.parametrize(
    ("changes", "fields", "field"),
    [
        ({"allow_ties": False}, lambda o: {"tiers": [o[:2], o[2:]]}, "tiers"),
        ({"rationale": "required"}, lambda o: {"rationale": " "}, "rationale"),
    ],
)
def test_the_projects_rules_for_rankings_hold(cast, changes, fields, field):
    ranking = ranking_under(cast, **changes)
    with pytest.raises(Invalid) as caught:
        submit(ranking, cast.annotator, **fields(ranking.presentation["order"]))
    assert caught.value.field == field


def test_scores_may_be_left_out_where_the_project_does_not_ask(cast):
    ranking = ranking_under(cast, scores="offered")
    assert submit(ranking, cast.annotator, scores=None).current.scores == {}


def test_everything_may_be_unrankable(cast, ranking):
    order = ranking.presentation["order"]
    why = {pk: {"reason": "wrong_language"} for pk in order}
    stored = submit(
        ranking,
        cast.annotator,
        tiers=[],
        unrankable=order,
        unrankable_reasons=why,
        scores=None,
        touched=[],
    ).current
    assert (stored.tiers, stored.unrankable) == ([], order)
    assert stored.unrankable_reasons == {str(pk): {"reason": "wrong_language", "note": ""} for pk in order}


def test_the_wrong_kind_of_work_is_refused(cast, ranking, assignment):
    from labeling.services.submissions import submit_demonstration

    with pytest.raises(DomainError):
        submit_demonstration(
            assignment=ranking, user=cast.annotator, fence=1, idempotency_key="k", text="A text."
        )
    assert not Submission.objects.exists()


def test_mutation_and_audit_share_one_commit(cast, assignment):
    submission = submit(assignment, cast.annotator)
    event = AuditEvent.objects.get(action="submission.submitted")
    assert (event.object_id, event.actor, event.project) == (str(submission.pk), cast.annotator, cast.project)

"""What is handed out next, to whom, and why."""

from __future__ import annotations

import pytest

from annotate.errors import Conflict, Forbidden, Invalid
from labeling import handout_reasons
from labeling.models import Assignment, AssignmentStatus, Completion, Draft, Skip, TaskKind
from labeling.services.assignments import (
    claim_next,
    lease_assignment,
    release_assignment,
    release_expired,
    renew_lease,
    skip_assignment,
)
from labeling.services.batches import close_batch, pause_batch
from labeling.services.drafts import save_draft
from labeling.services.guidelines import acknowledge_version
from labeling.services.people import pause_member, remove_member, resume_member
from labeling.services.reviews import reject_submission, return_submission
from labeling.waiting import desk_of
from tests.factories import (
    make_completions,
    make_demonstration_batch,
    make_prompt,
    make_ranking_batch,
    publish_guideline,
)

from .work import claim, do_next, expire, submit

DEMONSTRATION, RANKING = TaskKind.DEMONSTRATION, TaskKind.RANKING


def test_two_people_get_different_slots_until_none_is_left(cast):
    make_demonstration_batch(cast.project, tasks=2)
    first, second = claim(cast.annotator, cast.project), claim(cast.peer, cast.project)
    assert first.task_id != second.task_id
    assert claim_next(user=cast.lead, project=cast.project) is None


def test_asking_again_gives_the_task_in_hand_and_a_later_deadline(cast):
    make_demonstration_batch(cast.project, tasks=2)
    first = claim(cast.annotator, cast.project)
    expire(first)
    again = claim(cast.annotator, cast.project)
    first.refresh_from_db()
    assert (again.pk, again.fence) == (first.pk, 1)
    assert again.lease_expires_at > again.leased_at


def test_nobody_gets_a_second_slot_of_the_same_task(cast):
    make_demonstration_batch(cast.project, tasks=1, overlap=3)
    do_next(cast.annotator, cast.project)
    assert claim_next(user=cast.annotator, project=cast.project) is None


def test_a_rejected_person_does_not_get_the_task_again(cast):
    make_demonstration_batch(cast.project, tasks=1, review_rate=1)
    submission = do_next(cast.annotator, cast.project)
    reject_submission(submission=submission, revision=1, reviewer=cast.lead, note="Off topic.")
    assert claim_next(user=cast.annotator, project=cast.project) is None
    assert claim(cast.peer, cast.project).task_id == submission.task_id


def test_skipped_tasks_never_come_back_to_the_person(cast):
    make_demonstration_batch(cast.project, tasks=1)
    assignment = claim(cast.annotator, cast.project)
    skip_assignment(assignment=assignment, user=cast.annotator, reason="unclear")
    assert claim_next(user=cast.annotator, project=cast.project) is None
    assert claim(cast.peer, cast.project).task_id == assignment.task_id


def test_skipping_for_another_reason_needs_a_note(cast):
    make_demonstration_batch(cast.project, tasks=1)
    assignment = claim(cast.annotator, cast.project)
    with pytest.raises(Invalid) as caught:
        skip_assignment(assignment=assignment, user=cast.annotator, reason="other")
    assert caught.value.field == "note"
    assert not Skip.objects.exists()


def test_nobody_ranks_a_completion_they_wrote(cast):
    batch = make_ranking_batch(cast.project, tasks=1)
    Completion.objects.filter(tasks__batch=batch).update(author=cast.annotator)
    assert claim_next(user=cast.annotator, project=cast.project) is None
    assert claim(cast.peer, cast.project).batch_id == batch.pk


def test_higher_priority_goes_first_across_kinds(cast):
    make_demonstration_batch(cast.project, tasks=1, priority=1)
    make_ranking_batch(cast.project, tasks=1, priority=5)
    assert [claim(user, cast.project).kind for user in (cast.annotator, cast.peer)] == [
        RANKING,
        DEMONSTRATION,
    ]


def test_tasks_nearest_completion_go_before_fresh_ones(cast):
    make_demonstration_batch(cast.project, tasks=3, overlap=2)
    begun = claim(cast.annotator, cast.project)
    joined = claim(cast.peer, cast.project)
    assert joined.task_id == begun.task_id
    # Leads read why; the person is not told that a peer is at it.
    assert handout_reasons.explain_to_lead(joined) == handout_reasons.WHY_FOR_LEADS["begun"]
    assert handout_reasons.explain(joined) == handout_reasons.WHY_NEXT


def test_the_kind_asked_for_is_the_kind_given(cast):
    make_demonstration_batch(cast.project, tasks=1, priority=9)
    make_ranking_batch(cast.project, tasks=1)
    assert claim(cast.annotator, cast.project, RANKING).kind == RANKING


def test_an_unknown_kind_is_refused(cast):
    with pytest.raises(Invalid):
        claim_next(user=cast.annotator, project=cast.project, kind="essay")


def test_returned_work_comes_before_new_work(cast):
    make_demonstration_batch(cast.project, tasks=3, review_rate=1)
    submission = do_next(cast.annotator, cast.project)
    return_submission(submission=submission, revision=1, reviewer=cast.lead, note="One sentence, please.")
    again = claim(cast.annotator, cast.project)
    assert (again.pk, again.fence) == (submission.assignment_id, 2)
    assert handout_reasons.explain(again) == handout_reasons.WHY["returned"]


def test_skipped_returned_work_does_not_block_the_queue(cast):
    """It waits for a lead: tests/labeling/test_unmended.py."""
    make_demonstration_batch(cast.project, tasks=2, review_rate=1)
    submission = do_next(cast.annotator, cast.project)
    return_submission(submission=submission, revision=1, reviewer=cast.lead, note="One sentence, please.")
    assignment = claim(cast.annotator, cast.project)
    skip_assignment(assignment=assignment, user=cast.annotator, reason="not_my_field")
    assignment.refresh_from_db()
    assert assignment.status == AssignmentStatus.RETURNED
    assert claim(cast.annotator, cast.project).pk != assignment.pk


def test_a_task_with_ones_own_words_comes_back_first(cast):
    make_demonstration_batch(cast.project, tasks=3)
    one, two = claim(cast.annotator, cast.project), claim(cast.peer, cast.project)
    save_draft(task=two.task, user=cast.peer, body={"text": "Half a"}, revision=1)
    expire(one)
    expire(two)
    assert release_expired() == 2
    back = claim(cast.peer, cast.project)
    assert back.task_id == two.task_id
    assert handout_reasons.explain(back) == handout_reasons.WHY["own_draft"]


@pytest.mark.parametrize("stop", [pause_batch, close_batch])
def test_paused_and_closed_batches_hand_out_nothing(cast, stop):
    stop(batch=make_demonstration_batch(cast.project), acting_user=cast.lead)
    assert claim_next(user=cast.annotator, project=cast.project) is None


def test_paused_people_get_nothing_and_their_slot_is_free_at_once(cast):
    make_demonstration_batch(cast.project, tasks=1)
    assignment = claim(cast.annotator, cast.project)
    membership = cast.project.memberships.get(user=cast.annotator)
    pause_member(membership=membership, acting_user=cast.lead)
    with pytest.raises(Forbidden):
        claim_next(user=cast.annotator, project=cast.project)
    assert claim(cast.peer, cast.project).pk == assignment.pk
    resume_member(membership=membership, acting_user=cast.lead)
    assert claim_next(user=cast.annotator, project=cast.project) is None


def test_removed_people_and_strangers_get_nothing(cast):
    make_demonstration_batch(cast.project, tasks=1)
    remove_member(membership=cast.project.memberships.get(user=cast.peer), acting_user=cast.admin)
    for user in (cast.peer, cast.outsider):
        with pytest.raises(Forbidden):
            claim_next(user=user, project=cast.project)


def test_disabled_accounts_lose_their_slot_in_the_next_sweep(cast):
    make_demonstration_batch(cast.project, tasks=1)
    assignment = claim(cast.annotator, cast.project)
    cast.annotator.is_active = False
    cast.annotator.save()
    assert release_expired() == 1
    assert claim(cast.peer, cast.project).pk == assignment.pk


def test_work_waits_until_the_guideline_in_force_is_read(cast):
    make_demonstration_batch(cast.project, tasks=1)
    version = publish_guideline(cast.project)
    with pytest.raises(Conflict) as caught:
        claim_next(user=cast.annotator, project=cast.project)
    assert caught.value.code == "guideline_not_acknowledged"
    assert caught.value.details[0]["message"] == str(version.pk)
    acknowledge_version(version=version, user=cast.annotator)
    assert claim(cast.annotator, cast.project).guideline_version == version


def test_an_unread_guideline_of_one_kind_does_not_stop_the_other(cast):
    make_demonstration_batch(cast.project, tasks=1, priority=9)
    make_ranking_batch(cast.project, tasks=1)
    publish_guideline(cast.project, DEMONSTRATION)
    assert claim(cast.annotator, cast.project).kind == RANKING


def test_an_unread_guideline_does_not_pretend_that_work_waits(cast):
    publish_guideline(cast.project, DEMONSTRATION)
    assert claim_next(user=cast.annotator, project=cast.project) is None


def test_a_vanished_person_leaves_slot_and_draft(cast):
    make_demonstration_batch(cast.project, tasks=1)
    assignment = claim(cast.annotator, cast.project)
    save_draft(task=assignment.task, user=cast.annotator, body={"text": "Pa"}, revision=1)
    expire(assignment)
    # No sweeper runs here: hand-out finds the slot by itself.
    taken = claim(cast.peer, cast.project)
    assert (taken.pk, taken.fence, taken.annotator_id) == (assignment.pk, 2, cast.peer.pk)
    assert Draft.objects.get(user=cast.annotator).body == {"text": "Pa"}


def test_a_lease_that_still_runs_is_not_released(cast):
    make_demonstration_batch(cast.project, tasks=1)
    claim(cast.annotator, cast.project)
    assert release_expired() == 0


def test_an_expired_slot_of_a_closed_batch_is_void(cast):
    batch = make_demonstration_batch(cast.project, tasks=1)
    assignment = claim(cast.annotator, cast.project)
    close_batch(batch=batch, acting_user=cast.lead)
    expire(assignment)
    release_expired()
    assignment.refresh_from_db()
    assert (assignment.status, assignment.task.status) == ("void", "closed")


def test_giving_a_task_back_frees_it_for_others(cast):
    make_demonstration_batch(cast.project, tasks=1)
    assignment = claim(cast.annotator, cast.project)
    release_assignment(assignment=assignment, user=cast.annotator)
    assert claim(cast.peer, cast.project).pk == assignment.pk


def test_nobody_gives_back_what_somebody_else_holds(cast):
    make_demonstration_batch(cast.project, tasks=1)
    assignment = claim(cast.annotator, cast.project)
    with pytest.raises(Conflict):
        release_assignment(assignment=assignment, user=cast.peer)
    assert Assignment.objects.get(pk=assignment.pk).annotator == cast.annotator


def test_renewing_puts_off_the_deadline(cast):
    make_demonstration_batch(cast.project, tasks=1)
    assignment = claim(cast.annotator, cast.project)
    expire(assignment)
    renewed = renew_lease(assignment=assignment, user=cast.annotator, fence=assignment.fence)
    assert renewed.lease_expires_at > renewed.leased_at
    assert release_expired() == 0


def test_renewing_takes_a_freed_slot_back_while_nobody_has_had_it(cast):
    make_demonstration_batch(cast.project, tasks=1)
    assignment = claim(cast.annotator, cast.project)
    expire(assignment)
    release_expired()
    renewed = renew_lease(assignment=assignment, user=cast.annotator, fence=assignment.fence)
    assert (renewed.status, renewed.annotator, renewed.fence) == ("leased", cast.annotator, assignment.fence)


def test_renewing_fails_once_somebody_else_had_the_slot(cast):
    make_demonstration_batch(cast.project, tasks=1)
    assignment = claim(cast.annotator, cast.project)
    expire(assignment)
    release_assignment(assignment=claim(cast.peer, cast.project), user=cast.peer)
    with pytest.raises(Conflict) as caught:
        renew_lease(assignment=assignment, user=cast.annotator, fence=assignment.fence)
    assert caught.value.code == "lease_lost"


def test_completions_are_shuffled_per_person_and_the_order_is_stored(cast):
    make_ranking_batch(cast.project, tasks=1, k=9, overlap=2)
    first, second = claim(cast.annotator, cast.project), claim(cast.peer, cast.project)
    orders = [each.presentation["order"] for each in (first, second)]
    assert first.task_id == second.task_id
    assert sorted(orders[0]) == sorted(orders[1])
    assert orders[0] != orders[1]
    assert submit(first, cast.annotator).current.presented_order == orders[0]


def test_one_can_open_ones_own_returned_task_by_name(cast):
    make_demonstration_batch(cast.project, tasks=1, review_rate=1)
    submission = do_next(cast.annotator, cast.project)
    return_submission(submission=submission, revision=1, reviewer=cast.lead, reasons=["style"])
    leased = lease_assignment(assignment=submission.assignment, user=cast.annotator)
    assert (leased.status, leased.fence) == ("leased", 2)
    with pytest.raises(Conflict):
        lease_assignment(assignment=submission.assignment, user=cast.peer)


def test_waiting_counts_tell_what_is_really_there_for_a_person(cast):
    make_demonstration_batch(cast.project, tasks=3, overlap=2)
    prompt = make_prompt(cast.project)
    make_completions(prompt, 2)
    claim(cast.annotator, cast.project)
    desk = desk_of(project=cast.project, user=cast.annotator, membership=None)
    counts = {each.kind: each for each in desk.waiting}
    assert (counts[DEMONSTRATION].in_hand, counts[DEMONSTRATION].open) == (1, 2)
    assert counts[RANKING].total == 0

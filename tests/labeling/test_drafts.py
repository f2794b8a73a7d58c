"""No word is lost: revisions, stale windows, late saves, expired leases."""

from __future__ import annotations

import pytest

from annotate.errors import Conflict, Gone, Invalid, NotFound
from labeling.models import Assignment, Draft
from labeling.services.assignments import release_expired, skip_assignment
from labeling.services.drafts import LARGEST_DRAFT, StaleDraft, save_draft
from labeling.services.reviews import return_submission
from tests.factories import make_demonstration_batch

from .work import claim, expire, submit


@pytest.fixture
def assignment(cast):
    make_demonstration_batch(cast.project, tasks=1, review_rate=1)
    return claim(cast.annotator, cast.project)


def save(assignment, user, text, revision, **more) -> Draft:
    return save_draft(task=assignment.task, user=user, body={"text": text}, revision=revision, **more)


def test_each_save_counts_up_the_revision(cast, assignment):
    assert save(assignment, cast.annotator, "P", 1).revision == 2
    assert save(assignment, cast.annotator, "Pa", 2).revision == 3


def test_the_same_save_again_changes_nothing(cast, assignment):
    save(assignment, cast.annotator, "P", 1)
    assert save(assignment, cast.annotator, "P", 1).revision == 2


def test_a_stale_window_gets_both_texts_and_loses_none(cast, assignment):
    save(assignment, cast.annotator, "from one window", 1)
    with pytest.raises(StaleDraft) as caught:
        save(assignment, cast.annotator, "from the other", 1)
    answer = caught.value.as_dict()
    assert (answer["revision"], answer["fields"]) == (2, {"text": "from one window"})
    said = {detail["field"]: detail["message"] for detail in answer["error"]["details"]}
    assert "from one window" in said["stored"]
    assert "from the other" in said["sent"]
    assert (caught.value.status, Draft.objects.get().body) == (409, {"text": "from one window"})


def test_a_save_that_comes_after_the_submit_is_refused(cast, assignment):
    submission = submit(assignment, cast.annotator)
    with pytest.raises(Gone):
        save(assignment, cast.annotator, "late autosave", 1)
    assert submission.current.text == "Paris is the capital of France."
    assert not Draft.objects.exists()


def test_a_lease_that_ran_out_does_not_stop_saving(cast, assignment):
    save(assignment, cast.annotator, "half", 1)
    expire(assignment)
    release_expired()
    claim(cast.peer, cast.project)
    assert save(assignment, cast.annotator, "half and more", 2).body == {"text": "half and more"}


def test_saving_puts_off_the_end_of_the_lease(cast, assignment):
    expire(assignment)
    save(assignment, cast.annotator, "still here", 1)
    assert release_expired() == 0
    assert Assignment.objects.get(pk=assignment.pk).annotator == cast.annotator


def test_saving_does_not_lengthen_somebody_elses_lease(cast, assignment):
    expire(assignment)
    release_expired()
    taken = claim(cast.peer, cast.project)
    expire(taken)
    save(assignment, cast.annotator, "mine", 1)
    assert release_expired() == 1


def test_nobody_saves_on_a_task_they_were_never_handed(cast, assignment):
    with pytest.raises(NotFound):
        save(assignment, cast.peer, "hello", 0)


def test_saving_ends_with_a_skip(cast, assignment):
    skip_assignment(assignment=assignment, user=cast.annotator, reason="unsafe")
    with pytest.raises(Gone):
        save(assignment, cast.annotator, "still typing", 1)


def test_returned_work_begins_a_new_draft(cast, assignment):
    submission = submit(assignment, cast.annotator)
    return_submission(submission=submission, revision=1, reviewer=cast.lead, note="Shorter.")
    again = claim(cast.annotator, cast.project)
    assert save(again, cast.annotator, "Par", 1).body == {"text": "Par"}


def test_drafts_keep_what_no_database_stores_out(cast, assignment):
    assert save(assignment, cast.annotator, "a\x00b\ud800c", 1).body == {"text": "abc"}


def test_drafts_have_an_end(cast, assignment):
    with pytest.raises(Invalid):
        save(assignment, cast.annotator, "x" * LARGEST_DRAFT, 1)
    with pytest.raises(Invalid):
        save_draft(task=assignment.task, user=cast.annotator, body=["text"], revision=1)


def test_active_time_only_grows(cast, assignment):
    save(assignment, cast.annotator, "P", 1, active_seconds=50)
    assert save(assignment, cast.annotator, "Pa", 2, active_seconds=20).active_seconds == 50


def test_people_do_not_see_each_others_drafts(cast):
    make_demonstration_batch(cast.project, tasks=1, overlap=2)
    one, other = claim(cast.annotator, cast.project), claim(cast.peer, cast.project)
    save(one, cast.annotator, "mine", 1)
    assert save(other, cast.peer, "theirs", 1).body == {"text": "theirs"}
    assert Draft.objects.get(user=cast.annotator).body == {"text": "mine"}


def test_a_late_piece_is_not_edited_any_more(cast, assignment):
    expire(assignment)
    release_expired()
    claim(cast.peer, cast.project)
    with pytest.raises(Conflict):
        submit(assignment, cast.annotator)
    with pytest.raises(Gone):
        save(assignment, cast.annotator, "one more word", 2)

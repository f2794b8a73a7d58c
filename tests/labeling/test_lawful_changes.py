"""Whatever the site itself does to judgments, `manage.py verify` finds all as it was made."""

from __future__ import annotations

import io
import json
from datetime import timedelta

import pytest
from django.utils import timezone

from annotate.accounts.models import User
from annotate.errors import Conflict
from labeling.models import Draft, Prompt, Ranking, Submission
from labeling.services import turns, verification
from labeling.services.adjudications import adjudicate_task
from labeling.services.appeals import decide_appeal, open_appeal, withdraw_appeal
from labeling.services.assignments import release_expired
from labeling.services.audit_seals import seal_events
from labeling.services.batches import create_writing_batch
from labeling.services.bulk_reviews import Chosen, decide_many
from labeling.services.drafts import save_draft
from labeling.services.gold import mark_gold, score_demonstration
from labeling.services.imports import start_import
from labeling.services.late import accept_late_draft
from labeling.services.people import pause_member, remove_member
from labeling.services.projects import update_settings
from labeling.services.prompts import archive_prompt, restore_prompt
from labeling.services.requeue import requeue_submissions
from labeling.services.reviews import (
    accept_submission,
    fix_submission,
    reject_submission,
    reopen_submission,
    return_submission,
)
from labeling.services.task_control import close_task, reopen_task
from labeling.services.undo import undo_decision
from tests.factories import (
    make_demonstration_batch,
    make_ranking_batch,
    publish_form,
    publish_guideline,
    question,
)

from .work import claim, do_next, expire, ranking_of, submit, worked

pytestmark = [pytest.mark.django_db, pytest.mark.database]
PASTED = 'Ünïcode 海獭 \u202e \U0001f9a6\r\n\tand <b>more</b>, \\u0041 "quoted"'
# Margins as PostgreSQL gives them back otherwise than they were, and some more.
RANKED = [
    {
        "prompt": f"{margin}?",
        "completions": [{"id": name, "text": f"text {name}"} for name in "abcd"],
        "ranking": [["b"], ["a", "c"]],
        "unrankable": ["d"],
        "margins": [margin],
    }
    for margin in (0.1, 2, 3.0, -0.0, 1e16, 1e22, 1e-7)
]


def not_as_made() -> list:
    """What `manage.py verify` finds; it looked at every submission and at the seals."""
    seal_events(now=timezone.now() + timedelta(minutes=2))
    looked_at = list(verification.verify_all())
    kinds = [kind for kind, _, _ in looked_at]
    assert kinds.count("judgment") == Submission.objects.count() > 0
    assert "audit trail" in kinds
    return [each for each in looked_at if each[2]]


@pytest.fixture
def written(cast):
    make_demonstration_batch(cast.project, tasks=1, review_rate=1)
    return do_next(cast.annotator, cast.project, text=PASTED, pasted_characters=3)


@pytest.fixture
def ranked(cast):
    make_ranking_batch(cast.project, tasks=1, k=4, review_rate=1)
    return do_next(cast.annotator, cast.project)


def test_a_ranking_with_all_that_a_form_can_ask(cast):
    publish_guideline(cast.project, kind="ranking", readers=[cast.annotator])
    publish_form(cast.project, ask_margins=True, rationale="offered", questions=[question("sure")])
    make_ranking_batch(cast.project, tasks=1, k=4, review_rate=0)
    assignment = worked(claim(cast.annotator, cast.project), 90)
    order = assignment.presentation["order"]
    submission = submit(
        assignment,
        cast.annotator,
        tiers=[[order[2], order[0]], [order[1]]],
        unrankable=[order[3]],
        unrankable_reasons={order[3]: {"reason": "other", "note": PASTED.strip()}},
        margins=["clearly"],
        scores={order[0]: 7, order[1]: 2, order[2]: 7},
        rationale=PASTED,
        answers={"task": {"sure": True}},
        active_seconds=60,
    )
    ranking = Ranking.objects.get(submission=submission)
    assert ranking.margins and ranking.rationale and ranking.answers and ranking.active_seconds
    assert ranking.guideline_version_id and ranking.shuffle_seed is not None
    assert not not_as_made()


@pytest.mark.parametrize("overlap", [1, 3])
def test_a_ranking_beside_others(cast, overlap):
    update_settings(project=cast.project, values={"low_agreement_below": 1.0}, acting_user=cast.admin)
    make_ranking_batch(cast.project, tasks=2, k=3, overlap=overlap, review_rate=0)
    do_next(cast.annotator, cast.project)
    if overlap > 1:
        second = claim(cast.peer, cast.project)
        order = ranking_of(second, cast.peer)
        submit(second, cast.peer, tiers=order["tiers"][::-1], touched=order["touched"])
    assert not not_as_made()


@pytest.mark.parametrize("verb", [accept_submission, return_submission, reject_submission])
def test_decisions_and_taking_them_back(cast, written, verb):
    review = verb(submission=written, revision=1, reviewer=cast.lead, note="Well — \u2028 then.")
    assert not not_as_made()
    undo_decision(review=review, reviewer=cast.lead)
    assert not not_as_made()
    written.refresh_from_db()
    accept_submission(submission=written, revision=1, reviewer=cast.lead)
    assert not not_as_made()


def test_returned_mended_fixed_and_taken_back(cast, written):
    return_submission(submission=written, revision=1, reviewer=cast.lead, note="Shorter.", active_seconds=5)
    do_next(cast.annotator, cast.project, text="Paris.")
    written.refresh_from_db()
    review = fix_submission(submission=written, revision=2, reviewer=cast.lead, text="Paris!", note="!")
    assert not not_as_made()
    undo_decision(review=review, reviewer=cast.lead)
    written.refresh_from_db()
    assert written.revision_count == 4 and written.current.origin == "restored"
    assert not not_as_made()


def test_a_ranking_fixed_and_overturned_on_appeal(cast, ranked):
    fix_submission(
        submission=ranked, revision=1, reviewer=cast.lead, tiers=ranked.current.tiers[::-1], note="Other way."
    )
    assert not not_as_made()
    ranked.refresh_from_db()
    appeal = open_appeal(submission=ranked, author=cast.annotator, text="No.")
    assert not not_as_made()
    decide_appeal(appeal=appeal, reviewer=cast.admin, outcome="overturned", note="Right.")
    assert not not_as_made()


@pytest.mark.parametrize("verb", [return_submission, reject_submission])
@pytest.mark.parametrize("end", ["overturned", "upheld", "withdrawn"])
def test_appeals_against_bad_news(cast, written, verb, end):
    verb(submission=written, revision=1, reviewer=cast.lead, note="No.")
    written.refresh_from_db()
    appeal = open_appeal(submission=written, author=cast.annotator, text="Yes.")
    if end == "withdrawn":
        withdraw_appeal(appeal=appeal, author=cast.annotator)
    else:
        decide_appeal(appeal=appeal, reviewer=cast.admin, outcome=end, note="So.")
    assert not not_as_made()


def test_decided_in_bulk_and_reopened(cast, written):
    decide_many(
        project=cast.project, chosen=[Chosen(written, 1)], decision="accepted", reviewer=cast.lead, note="Ok"
    )
    written.refresh_from_db()
    reopen_submission(submission=written, reviewer=cast.lead, note="Again.")
    assert not not_as_made()


@pytest.mark.parametrize("mode", ["return", "new_slot"])
def test_requeued_after_a_clearer_guideline(cast, written, mode):
    accept_submission(submission=written, revision=1, reviewer=cast.lead)
    publish_guideline(cast.project, readers=[cast.annotator])
    answer = requeue_submissions(
        project=cast.project, submission_ids=[written.pk], mode=mode, note="See 2.", acting_user=cast.lead
    )
    assert answer.done == [written.pk]
    if mode == "return":
        do_next(cast.annotator, cast.project, text="Paris, by the new version.")
    assert not not_as_made()


def test_its_task_is_closed_and_opened_again(cast, written):
    close_task(task=written.task, acting_user=cast.lead)
    reopen_task(task=written.task, acting_user=cast.lead)
    do_next(cast.peer, cast.project)
    assert not not_as_made()


def test_the_order_of_its_task_is_settled(cast):
    make_ranking_batch(cast.project, tasks=1, k=3, overlap=2, review_rate=0)
    submission = do_next(cast.annotator, cast.project)
    do_next(cast.peer, cast.project)
    ids = submission.current.presented_order
    adjudicate_task(task=submission.task, by=cast.lead, tiers=[ids[:2], ids[2:]], note="So it is.")
    assert not not_as_made()


@pytest.mark.parametrize("kind", ["demonstration", "ranking"])
def test_late_work_that_a_lead_takes_in(cast, kind):
    make = make_demonstration_batch if kind == "demonstration" else make_ranking_batch
    make(cast.project, tasks=1)
    assignment = claim(cast.annotator, cast.project)
    expire(assignment)
    release_expired()
    claim(cast.peer, cast.project)
    with pytest.raises(Conflict):
        submit(assignment, cast.annotator)
    draft = Draft.objects.get(user=cast.annotator, is_late=True)
    accept_late_draft(draft=draft, acting_user=cast.lead)
    assert not not_as_made()


def test_flags_on_the_prompt_that_change_when_it_is_mended(cast):
    make_demonstration_batch(cast.project, tasks=1, review_rate=1)
    submission = do_next(cast.annotator, cast.project, prompt_flags=["unclear"])
    return_submission(submission=submission, revision=1, reviewer=cast.lead, note="Is it?")
    do_next(cast.annotator, cast.project, text="It is clear.", prompt_flags=[])
    assert not not_as_made()


def test_prompts_that_people_write_come_into_use_and_go_out_of_it(cast):
    create_writing_batch(project=cast.project, name="Ask", tasks=1, review_rate=1, acting_user=cast.lead)
    submission = do_next(cast.annotator, cast.project, prompt="What is the capital of France?")
    first = submission.prompt_id
    review = fix_submission(
        submission=submission,
        revision=1,
        reviewer=cast.lead,
        text="Paris.",
        prompt="And the capital of Italy?",
    )
    submission.refresh_from_db()
    assert submission.prompt_id != first
    assert not not_as_made()
    undo_decision(review=review, reviewer=cast.lead)
    submission.refresh_from_db()
    assert submission.prompt_id == first
    assert not not_as_made()
    reject_submission(submission=submission, revision=3, reviewer=cast.lead, note="No.", reopen=False)
    assert Prompt.objects.get(pk=first).archived_at is not None
    assert not not_as_made()


def test_its_prompt_is_archived_and_restored(cast, written):
    accept_submission(submission=written, revision=1, reviewer=cast.lead)
    archive_prompt(prompt=written.prompt, acting_user=cast.lead)
    assert not not_as_made()
    restore_prompt(prompt=written.prompt, acting_user=cast.lead)
    assert not not_as_made()


def test_people_leave_and_their_names_are_erased(cast, written):
    return_submission(submission=written, revision=1, reviewer=cast.lead, note="Shorter.")
    membership = cast.project.memberships.get(user=cast.annotator)
    pause_member(membership=membership, acting_user=cast.admin)
    remove_member(membership=membership, acting_user=cast.admin)
    for person in (cast.annotator, cast.lead):
        User.objects.filter(pk=person.pk).update(
            username=f"gone{person.pk}", email=f"gone{person.pk}@example.org", display_name="",
            pseudonym=f"annotator-gone{person.pk}", is_active=False, preferences={},
        )  # fmt: skip
    assert not not_as_made()


def test_drafts_and_work_in_hand_are_none_of_it(cast, written):
    make_demonstration_batch(cast.project, tasks=1)
    assignment = claim(cast.peer, cast.project)
    save_draft(task=assignment.task, user=cast.peer, body={"text": "So"}, revision=1)
    assert not not_as_made()


def test_gold_that_is_scored_and_missed(cast, monkeypatch):
    values = {"gold_rate": 0.9, "calibration_rate": 0, "review_missed_gold": True}
    update_settings(project=cast.project, values=values, acting_user=cast.admin)
    monkeypatch.setattr(turns, "draw", lambda: 0.0)
    batch = make_demonstration_batch(cast.project, tasks=2, review_rate=0)
    mark_gold(task=batch.tasks.last(), acting_user=cast.lead, minimum_score=5)
    submission = do_next(cast.annotator, cast.project)
    assert submission.review_reason == "gold_unscored"
    score_demonstration(submission=submission, score=6, acting_user=cast.lead)
    assert not not_as_made()
    score_demonstration(submission=submission, score=3, acting_user=cast.lead)
    submission.refresh_from_db()
    assert submission.status == "awaiting_review"
    assert not not_as_made()


@pytest.mark.parametrize("kind", ["demonstrations", "comparisons"])
def test_imported_judgments_and_what_becomes_of_them(cast, kind):
    rows = [{"prompt": f"{n}?", "response": PASTED} for n in range(5)] if kind == "demonstrations" else RANKED
    data = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
    start_import(
        project=cast.project, kind=kind, file=io.BytesIO(data), filename="rows.jsonl", acting_user=cast.admin
    )
    kinds = [kind for kind, _, problems in verification.verify_all() if not problems]
    assert kinds.count("import") == 1
    submission = Submission.objects.order_by("pk").first()
    reopen_submission(submission=submission, reviewer=cast.lead)
    change = {"text": "Mended."}
    if kind == "comparisons":
        ranking = submission.current
        scores = {pk: 4 for tier in ranking.tiers for pk in tier}
        change = {"tiers": ranking.tiers[::-1], "margins": [], "scores": scores}
    fix_submission(submission=submission, revision=1, reviewer=cast.lead, **change)
    assert not not_as_made()

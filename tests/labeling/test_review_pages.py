"""The review room, as pages."""

from __future__ import annotations

import json

import pytest
from django.urls import reverse

from annotate.errors import Conflict
from annotate.signs import isolated
from labeling.models import Draft, Submission
from labeling.services.assignments import release_expired
from labeling.services.reviews import accept_submission, return_submission
from tests.factories import make_demonstration_batch, make_ranking_batch, publish_guideline

from .work import claim, do_next, expire, submit


@pytest.fixture
def visit(cast, client):
    """`visit(user)(name, post=…, **kwargs)` on a page of the cast's project."""

    def as_person(user):
        def open_page(name, post=None, query="", **kwargs):
            client.force_login(user)
            url = reverse(f"labeling:{name}", kwargs={"slug": cast.project.slug, **kwargs}) + query
            return client.get(url) if post is None else client.post(url, post)

        return open_page

    return as_person


@pytest.fixture
def submissions(cast):
    make_demonstration_batch(cast.project, tasks=3, review_rate=1)
    return [do_next(cast.annotator, cast.project) for _ in range(3)]


def decision(submission, **fields):
    return {"revision": submission.revision_count, "note": "", **fields}


def test_the_queue_lists_what_waits_oldest_first_and_why(cast, visit, submissions):
    answer = visit(cast.lead)("review_queue")
    assert [each.pk for each in answer.context["listing"].page] == [each.pk for each in submissions]
    assert b"Sampled at the batch" in answer.content


def test_the_queue_is_filtered_by_reason(cast, visit, submissions):
    make_demonstration_batch(cast.project, tasks=1, review_rate=0)
    flagged = do_next(cast.annotator, cast.project, prompt_flags=["unsafe"])
    page = visit(cast.lead)("review_queue", query="?reason=flagged").context["listing"].page
    assert [each.pk for each in page] == [flagged.pk]


def test_the_box_of_a_piece_is_named_by_its_prompt_not_by_a_number(cast, visit, submissions):
    page = visit(cast.lead)("review_queue").content.decode()
    for each in submissions:
        assert f"Choose: {isolated(each.prompt.preview)}<" in page


def test_an_empty_queue_says_when_something_comes(cast, visit):
    assert b"Nothing to review" in visit(cast.lead)("review_queue").content


def test_ones_own_work_waits_for_another_lead(cast, visit):
    make_demonstration_batch(cast.project, tasks=1, review_rate=1)
    own = do_next(cast.lead, cast.project)
    answer = visit(cast.lead)("review_queue")
    assert not list(answer.context["listing"].page)
    assert "1 of your own waits for another lead" in " ".join(answer.content.decode().split())
    assert b'data-shortcut="a"' not in visit(cast.lead)("review_submission", pk=own.pk).content


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"decision": "accepted"}, "accepted"),
        ({"decision": "returned", "reasons": ["style"]}, "returned"),
        ({"decision": "fixed", "text": "Paris."}, "accepted"),
        ({"decision": "rejected", "note": "Copied.", "reopen": "yes"}, "rejected"),
    ],
)
def test_each_decision_takes_effect_and_leads_to_the_next_piece(cast, visit, submissions, fields, status):
    first, second, _ = submissions
    answer = visit(cast.lead)("review_submission", pk=first.pk, post=decision(first, **fields))
    assert answer.url == reverse("labeling:review_submission", args=[cast.project.slug, second.pk])
    assert Submission.objects.get(pk=first.pk).status == status


def test_the_filter_stays_from_piece_to_piece(cast, visit, submissions):
    form = decision(submissions[0], decision="accepted", reason="sampled")
    answer = visit(cast.lead)("review_submission", pk=submissions[0].pk, post=form)
    assert answer.url.endswith(f"/review/{submissions[1].pk}/?reason=sampled")


def test_after_the_last_piece_one_is_back_at_the_queue(cast, visit, submissions):
    for submission in submissions[1:]:
        accept_submission(submission=submission, revision=1, reviewer=cast.lead)
    form = decision(submissions[0], decision="accepted")
    answer = visit(cast.lead)("review_submission", pk=submissions[0].pk, post=form)
    assert answer.url == reverse("labeling:review_queue", args=[cast.project.slug])


def test_later_passes_over_a_piece_and_comes_round_again(cast, visit, submissions):
    last = submissions[-1]
    answer = visit(cast.lead)("review_next", query=f"?after={last.pk}")
    assert answer.url.endswith(f"/review/{submissions[0].pk}/")


def test_a_return_without_a_reason_comes_back_with_the_question(cast, visit, submissions):
    form = decision(submissions[0], decision="returned")
    answer = visit(cast.lead)("review_submission", pk=submissions[0].pk, post=form)
    assert answer.status_code == 422
    assert b"its author wants to know why" in answer.content


def test_a_refused_fix_keeps_what_was_typed(cast, visit, submissions):
    text = submissions[0].current.text
    form = decision(submissions[0], decision="fixed", text=text)
    answer = visit(cast.lead)("review_submission", pk=submissions[0].pk, post=form)
    assert answer.status_code == 422
    assert b"Nothing was changed." in answer.content


def test_the_second_lead_is_told_who_was_faster(cast, visit, submissions):
    accept_submission(submission=submissions[0], revision=1, reviewer=cast.admin)
    form = decision(submissions[0], decision="rejected", note="No.")
    answer = visit(cast.lead)("review_submission", pk=submissions[0].pk, post=form)
    assert answer.status_code == 409
    assert b"Alice accepted this submission already." in answer.content
    assert Submission.objects.get(pk=submissions[0].pk).status == "accepted"


def test_a_ranking_is_fixed_on_the_page(cast, visit):
    make_ranking_batch(cast.project, tasks=1, k=2, review_rate=1)
    submission = do_next(cast.annotator, cast.project)
    page = visit(cast.lead)("review_submission", pk=submission.pk)
    initial = page.context["fix"]["initial"]
    form = decision(submission, decision="fixed", **initial)
    form["tiers"] = json.dumps(list(reversed(json.loads(initial["tiers"]))))
    answer = visit(cast.lead)("review_submission", pk=submission.pk, post=form)
    assert answer.status_code == 302
    first, second = submission.rankings.all()
    assert second.tiers == list(reversed(first.tiers))


def test_the_page_shows_the_guideline_the_author_read_and_what_others_did(cast, visit):
    publish_guideline(cast.project, markdown="Read by the author", readers=[cast.annotator, cast.peer])
    make_demonstration_batch(cast.project, tasks=1, overlap=2, review_rate=1)
    submission = do_next(cast.annotator, cast.project)
    do_next(cast.peer, cast.project, text="The answer of a peer")
    publish_guideline(cast.project, markdown="Published later")
    answer = visit(cast.lead)("review_submission", pk=submission.pk)
    text = answer.content.decode()
    assert "Read by the author" in text and "Published later" not in text
    assert [each.judgment.text for each in answer.context["peers"]] == ["The answer of a peer"]


def test_a_second_round_shows_what_changed_and_the_earlier_note(cast, visit, submissions):
    return_submission(submission=submissions[0], revision=1, reviewer=cast.lead, note="Say Rome.")
    do_next(cast.annotator, cast.project, text="Rome is the capital of France.")
    text = visit(cast.lead)("review_submission", pk=submissions[0].pk).content.decode()
    assert "<del>Paris</del><ins>Rome</ins>" in text
    assert "Say Rome." in text


def test_late_work_is_taken_in_from_the_queue(cast, visit):
    make_demonstration_batch(cast.project, tasks=1)
    assignment = claim(cast.annotator, cast.project)
    expire(assignment)
    release_expired()
    claim(cast.peer, cast.project)
    with pytest.raises(Conflict):
        submit(assignment, cast.annotator, text="Late but right.")
    assert b"Late but right." in visit(cast.lead)("review_queue").content
    visit(cast.lead)("review_late", pk=Draft.objects.get(is_late=True).pk, post={})
    assert Submission.objects.get().current.text == "Late but right."


def test_only_leads_come_in(cast, visit, submissions):
    pages = [("review_queue", {}), ("review_next", {}), ("review_submission", {"pk": submissions[0].pk})]
    for name, kwargs in pages:
        assert visit(cast.peer)(name, **kwargs).status_code == 403
        assert visit(cast.outsider)(name, **kwargs).status_code == 404


def test_reopening_puts_accepted_work_back_into_the_queue(cast, visit, submissions):
    accept_submission(submission=submissions[0], revision=1, reviewer=cast.admin)
    visit(cast.lead)("review_reopen", pk=submissions[0].pk, post={})
    assert Submission.objects.get(pk=submissions[0].pk).review_reason == "reopened"

"""The review room's list and pages: tabs, order, filters, selection, undo, side by side, appeals."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from labeling.models import Appeal, Draft, Review, Submission
from labeling.services.adjudications import adjudicate_task, propose_consensus
from labeling.services.appeals import open_appeal
from labeling.services.reviews import accept_submission, fix_submission, return_submission
from tests.factories import make_demonstration_batch, make_ranking_batch

from .work import claim, do_next

MOST_QUERIES = 19  # of the list: sign-in and project 5, counts 5, page, filters 2, late, undo, navigation 2


@pytest.fixture
def visit(cast, client):
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


def listed(answer):
    return [each.pk for each in answer.context["listing"].page]


def test_tabs_count_each_reason_and_lead_to_it(cast, visit, submissions):
    make_demonstration_batch(cast.project, tasks=1, review_rate=0)
    flagged = do_next(cast.annotator, cast.project, prompt_flags=["unsafe"])
    answer = visit(cast.lead)("review_queue")
    assert [(tab["label"], tab["count"]) for tab in answer.context["tabs"]] == [
        ("All", 4),
        ("Sampled", 3),
        ("Flagged", 1),
    ]
    query = answer.context["tabs"][2]["query"]
    assert listed(visit(cast.lead)("review_queue", query=query)) == [flagged.pk]


def test_the_appeals_tab_is_a_list_of_its_own(cast, visit, submissions):
    return_submission(submission=submissions[0], revision=1, reviewer=cast.lead, note="Shorter.")
    appeal = open_appeal(submission=submissions[0], author=cast.annotator, text="It is short.")
    tabs = visit(cast.lead)("review_queue").context["tabs"]
    assert ("Appeals", 1) in [(tab["label"], tab["count"]) for tab in tabs]
    answer = visit(cast.lead)("review_queue", query="?reason=appealed")
    assert answer.url == reverse("labeling:appeals", args=[cast.project.slug])
    assert listed(visit(cast.lead)("appeals")) == [appeal.pk]


def test_the_list_is_sorted_and_narrowed_and_linkable(cast, visit, submissions):
    make_demonstration_batch(cast.project, tasks=1, review_rate=1)
    theirs = do_next(cast.peer, cast.project)
    ids = [each.pk for each in submissions]
    page = visit(cast.lead)
    assert listed(page("review_queue", query="?sort=newest")) == [theirs.pk, *reversed(ids)]
    assert listed(page("review_queue", query=f"?person={cast.peer.pk}")) == [theirs.pk]
    assert listed(page("review_queue", query=f"?batch={submissions[0].task.batch_id}")) == ids
    assert listed(page("review_queue", query="?q=petra")) == [theirs.pk]
    assert listed(page("review_queue", query="?sort=person")) == [*ids, theirs.pk]


def test_lowest_agreement_comes_first_and_unmeasured_last(cast, visit, submissions):
    Submission.objects.filter(pk=submissions[0].pk).update(agreement=0.8)
    Submission.objects.filter(pk=submissions[2].pk).update(agreement=0.2)
    order = [submissions[2].pk, submissions[0].pk, submissions[1].pk]
    assert listed(visit(cast.lead)("review_queue", query="?sort=agreement")) == order


@pytest.mark.parametrize("sort", ["oldest", "newest", "agreement", "person", "batch"])
def test_the_next_piece_follows_the_order_of_the_list(cast, visit, submissions, sort):
    Submission.objects.filter(pk=submissions[0].pk).update(agreement=0.8)
    Submission.objects.filter(pk=submissions[2].pk).update(agreement=0.2)
    page = visit(cast.lead)
    order = listed(page("review_queue", query=f"?sort={sort}"))
    at, seen = None, []
    for _ in order:
        query = f"?sort={sort}" + (f"&after={at}" if at else "")
        at = int(page("review_next", query=query).url.split("/review/")[1].split("/")[0])
        seen.append(at)
    assert seen == order


def test_the_list_costs_the_same_number_of_queries_however_long_it_is(cast, visit, submissions):
    visit(cast.lead)("review_queue")
    with CaptureQueriesContext(connection) as few:
        visit(cast.lead)("review_queue")
    make_demonstration_batch(cast.project, tasks=12, review_rate=1)
    for _ in range(12):
        do_next(cast.annotator, cast.project)
    with CaptureQueriesContext(connection) as many:
        visit(cast.lead)("review_queue")
    assert len(few) == len(many)
    reads = [each["sql"] for each in many if each["sql"].lstrip('("').upper().startswith("SELECT")]
    assert len(reads) <= MOST_QUERIES, "\n".join(reads)


def test_a_selection_is_confirmed_with_what_is_not_possible(cast, visit, submissions):
    accept_submission(submission=submissions[1], revision=1, reviewer=cast.admin)
    chosen = [f"{each.pk}:1" for each in submissions]
    page = visit(cast.lead)("review_bulk", post={"decision": "accepted", "chosen": chosen})
    assert len(page.context["possible"]) == 2
    [(refused, why)] = page.context["impossible"]
    assert (refused.submission.pk, why.code) == (submissions[1].pk, "already_decided")
    assert Review.objects.count() == 1, "nothing is decided before the confirmation"


def test_a_confirmed_selection_says_what_became_of_each(cast, visit, submissions):
    accept_submission(submission=submissions[1], revision=1, reviewer=cast.admin)
    post = {"decision": "accepted", "chosen": [f"{each.pk}:1" for each in submissions], "confirmed": "yes"}
    page = visit(cast.lead)("review_bulk", post=post)
    assert [each.submission.pk for each in page.context["done"]] == [submissions[0].pk, submissions[2].pk]
    assert b"Alice accepted this submission already." in page.content


def test_a_selection_of_one_is_spoken_of_as_one(cast, visit, submissions):
    for decision, button in [("accepted", "Accept it"), ("returned", "Return it"), ("rejected", "Reject it")]:
        post = {"decision": decision, "chosen": [f"{submissions[0].pk}:1"]}
        page = visit(cast.lead)("review_bulk", post=post).content.decode()
        assert button in page and "Decide on one" in page
        assert not [word for word in (" them<", "Give the tasks", "for these") if word in page]
    post = {"decision": "accepted", "chosen": [f"{submissions[0].pk}:1"], "confirmed": "yes"}
    page = visit(cast.lead)("review_bulk", post=post).content.decode()
    assert "It is decided." in page and "You can take it back for" in page and "Undo this decision" in page
    post["chosen"] = [f"{each.pk}:1" for each in submissions[1:]]
    page = visit(cast.lead)("review_bulk", post=post).content.decode()
    assert "All of them are decided." in page and "You can take them back for" in page


def test_bad_news_in_bulk_without_a_reason_asks_for_one(cast, visit, submissions):
    post = {"decision": "rejected", "chosen": [f"{submissions[0].pk}:1"], "confirmed": "yes"}
    page = visit(cast.lead)("review_bulk", post=post)
    assert page.status_code == 422
    assert b"its author wants to know why" in page.content


def test_pieces_of_another_project_are_not_in_a_selection(cast, visit, submissions):
    make_demonstration_batch(cast.other_project, tasks=1, review_rate=1)
    foreign = do_next(cast.outsider, cast.other_project)
    post = {"decision": "accepted", "chosen": [f"{foreign.pk}:1"], "confirmed": "yes"}
    visit(cast.lead)("review_bulk", post=post)
    assert Submission.objects.get(pk=foreign.pk).status == "awaiting_review"


def test_the_next_page_offers_to_take_the_decision_back(cast, visit, submissions):
    post = {"revision": 1, "decision": "accepted", "note": ""}
    url = visit(cast.lead)("review_submission", pk=submissions[0].pk, post=post).url
    page = visit(cast.lead)("review_submission", pk=submissions[1].pk)
    assert url.endswith(f"/review/{submissions[1].pk}/")
    review = Review.objects.get()
    assert page.context["undo"] == review
    answer = visit(cast.lead)("review_undo", post={"review": review.pk})
    assert answer.url.endswith(f"/review/{submissions[0].pk}/")
    assert visit(cast.lead)("review_queue").context["undo"] is None
    assert visit(cast.admin)("review_queue").context["undo"] is None


def test_decisions_of_another_project_are_not_taken_back_through_ones_own(cast, visit):
    make_demonstration_batch(cast.other_project, tasks=1, review_rate=1)
    foreign = do_next(cast.outsider, cast.other_project)
    review = accept_submission(submission=foreign, revision=1, reviewer=cast.lead)
    assert visit(cast.lead)("review_undo", post={"review": review.pk}).status_code == 422
    assert Submission.objects.get(pk=foreign.pk).status == "accepted"


def test_a_peers_unfinished_work_never_shows(cast, visit):
    make_demonstration_batch(cast.project, tasks=1, overlap=2, review_rate=1)
    submission = do_next(cast.annotator, cast.project)
    slot = claim(cast.peer, cast.project)
    Draft.objects.filter(task=slot.task, user=cast.peer).update(body={"text": "Half a sentence of a peer"})
    page = visit(cast.lead)("review_submission", pk=submission.pk)
    assert page.context["peers"] == []
    assert b"Half a sentence of a peer" not in page.content


def test_rankings_stand_in_a_grid_with_what_differs_marked(cast, visit):
    batch = make_ranking_batch(cast.project, tasks=1, k=2, overlap=3, review_rate=1)
    people = [cast.annotator, cast.peer, cast.admin]
    first, second = batch.tasks.get().task_completions.values_list("completion_id", flat=True)
    for person in people:
        tiers = [[first], [second]] if person is not cast.admin else [[second], [first]]
        submission = do_next(person, cast.project, tiers=tiers)
    page = visit(cast.lead)("review_submission", pk=submission.pk)
    marks = [[cell.is_different for cell in row.cells] for row in page.context["grid"]]
    assert marks == [[True, False, False]] * 2, "the admin's column comes first: it is under review"


def test_the_history_holds_every_revision_decision_and_appeal(cast, visit, submissions):
    submission = submissions[0]
    return_submission(submission=submission, revision=1, reviewer=cast.lead, note="Say Rome.")
    do_next(cast.annotator, cast.project, text="Rome.")
    fix_submission(submission=submission, revision=2, reviewer=cast.lead, text="Rome!")
    open_appeal(submission=submission, author=cast.annotator, text="No shouting.")
    appeal = Appeal.objects.get()
    events = visit(cast.admin)("appeal", pk=appeal.pk).context["history"]
    said = [
        f"revision {event.revision.revision} {event.revision.origin}"
        if event.revision
        else event.review.decision
        if event.review
        else event.appeal.text
        for event in events
    ]
    assert said[:4] == ["revision 1 original", "returned", "revision 2 resubmission", "fixed"]
    assert said[4:] == ["revision 3 fix", "No shouting."]


def test_an_author_appeals_beside_the_difference_and_a_reviewer_decides(cast, visit, submissions):
    pk = submissions[0].pk
    fix_submission(submission=submissions[0], revision=1, reviewer=cast.lead, text="Rome.")
    page = visit(cast.annotator)("submission_detail", pk=pk)
    assert b"Another reviewer than Lena" in page.content
    assert page.context["current"].changes
    visit(cast.annotator)("appeal_open", pk=pk, post={"text": "It is Paris."})
    appeal = Appeal.objects.get()
    refused = visit(cast.lead)("appeal", pk=appeal.pk)
    assert refused.context["may_decide"] is False
    assert b"against your own decision" in refused.content
    post = {"outcome": "overturned", "note": "Paris it is."}
    visit(cast.admin)("appeal", pk=appeal.pk, post=post)
    page = visit(cast.annotator)("submission_detail", pk=pk)
    assert b"Paris it is." in page.content and b"Overturned" in page.content


def test_an_appeal_without_a_note_comes_back_with_what_was_chosen(cast, visit, submissions):
    return_submission(submission=submissions[0], revision=1, reviewer=cast.lead, note="Shorter.")
    appeal = open_appeal(submission=submissions[0], author=cast.annotator, text="It is short.")
    page = visit(cast.admin)("appeal", pk=appeal.pk, post={"outcome": "upheld", "note": " "})
    assert page.status_code == 422
    assert Appeal.objects.get().is_open


def test_the_settled_order_shows_to_who_ranked_and_to_nobody_before(cast, visit):
    make_ranking_batch(cast.project, tasks=1, k=2, review_rate=0)
    submission = do_next(cast.annotator, cast.project)
    assert "settled" not in visit(cast.annotator)("submission_detail", pk=submission.pk).context
    tiers = list(reversed(propose_consensus(submission.task).tiers))
    adjudicate_task(task=submission.task, by=cast.lead, tiers=tiers, note="B is better by far.")
    page = visit(cast.annotator)("submission_detail", pk=submission.pk)
    assert b"B is better by far." in page.content
    assert [row.settled.rank for row in page.context["settled_grid"]] == [2, 1]


def test_a_lead_settles_an_order_on_the_page(cast, visit):
    make_ranking_batch(cast.project, tasks=1, k=2, review_rate=0)
    submission = do_next(cast.annotator, cast.project)
    page = visit(cast.lead)("adjudication", pk=submission.task_id)
    form = {**page.context["initial"], "note": "Clear enough."}
    assert visit(cast.lead)("adjudication", pk=submission.task_id, post=form).status_code == 302
    assert submission.task.adjudications.get().note == "Clear enough."
    again = visit(cast.lead)("adjudication", pk=submission.task_id, post=form)
    assert again.status_code == 409, "the page was older than the order that stands"


def test_an_empty_queue_says_what_comes_next(cast, visit, submissions):
    empty = visit(cast.lead)("review_queue", query="?reason=flagged").content.decode()
    assert "Nothing waits for this reason" in empty and "3 pieces wait for other reasons." in empty
    assert f'href="/projects/{cast.project.slug}/review/">Show all that wait' in empty
    work = visit(cast.lead)("work").content.decode()
    assert "3 pieces wait for a decision." in work and 'class="btn btn-primary" href' in work
    for each in submissions:
        accept_submission(submission=each, revision=1, reviewer=cast.admin)
    page = visit(cast.lead)("review_queue").content.decode()
    assert "Nothing to review" in page and "All submissions" in page
    work = visit(cast.lead)("work").content.decode()
    assert "Make a batch to hand out work." in work


def test_an_empty_queue_leads_to_appeals_that_wait(cast, visit):
    make_demonstration_batch(cast.project, tasks=1, review_rate=1)
    submission = do_next(cast.annotator, cast.project)
    return_submission(submission=submission, revision=1, reviewer=cast.admin, note="Shorter.")
    open_appeal(submission=submission, author=cast.annotator, text="It is short.")
    page = visit(cast.lead)("review_queue").content.decode()
    assert f'href="/projects/{cast.project.slug}/review/appeals/">Answer 1 appeal</a>' in page

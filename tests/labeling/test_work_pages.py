"""The work screens and one's history, as pages."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from labeling.models import Assignment, Draft, Submission
from labeling.services import turns
from labeling.services.assignments import release_expired
from labeling.services.drafts import save_draft
from labeling.services.reviews import fix_submission, return_submission
from tests.factories import make_demonstration_batch, make_ranking_batch, publish_guideline

from .work import claim, do_next, expire, submit, without_transaction_control, worked


@pytest.fixture
def visit(cast, client):
    """`page(user)(name, **kwargs)` opens a page of the cast's project; `post=` sends a form."""

    def as_person(user):
        def open_page(name, post=None, follow=False, query="", **kwargs):
            client.force_login(user)
            url = reverse(f"labeling:{name}", kwargs={"slug": cast.project.slug, **kwargs}) + query
            return client.get(url, follow=follow) if post is None else client.post(url, post, follow=follow)

        return open_page

    return as_person


def form_of(assignment, **fields):
    return {"fence": assignment.fence, "idempotency_key": "k-1", "active_seconds": "12", **fields}


def test_the_front_page_of_work_says_what_waits(cast, visit):
    make_demonstration_batch(cast.project, tasks=3)
    answer = visit(cast.annotator)("work")
    assert [each.total for each in answer.context["waiting"]] == [3, 0]
    assert b"Start" in answer.content


def test_with_nothing_to_do_it_says_so_and_where_to_go(cast, visit):
    assert b"Nothing to do right now" in visit(cast.annotator)("work").content


def test_who_never_worked_here_is_sent_to_the_guidelines_and_not_to_their_own_empty_work(cast, visit):
    page = visit(cast.annotator)("work").content.decode()
    assert "meanwhile you can read the guidelines" in page
    make_demonstration_batch(cast.project, tasks=1)
    do_next(cast.annotator, cast.project)
    page = visit(cast.annotator)("work").content.decode()
    assert "meanwhile you can look at your work" in page


def test_start_leads_straight_into_the_task(cast, visit):
    make_demonstration_batch(cast.project, tasks=1)
    answer = visit(cast.annotator)("work_next", post={}, follow=True)
    assert answer.templates[0].name == "labeling/work_demonstration.html"
    assert Assignment.objects.get().annotator == cast.annotator


def test_a_submit_stores_and_leads_to_the_next_task(cast, visit):
    make_demonstration_batch(cast.project, tasks=2, review_rate=0)
    first = worked(claim(cast.annotator, cast.project), 60)
    answer = visit(cast.annotator)("work_submit", pk=first.pk, post=form_of(first, text="Paris.\r\nYes."))
    second = Assignment.objects.get(status="leased")
    path = reverse("labeling:work_task", args=[cast.project.slug, second.pk])
    assert (answer.status_code, answer.url) == (302, f"{path}?done={first.pk}")
    stored = Submission.objects.get()
    assert (stored.current.text, stored.active_seconds) == ("Paris.\nYes.", 12)


def test_the_next_page_tells_the_browser_to_forget_its_copy_of_what_was_handed_in(cast, visit):
    make_demonstration_batch(cast.project, tasks=2, review_rate=0)
    first = claim(cast.annotator, cast.project)
    answer = visit(cast.annotator)(
        "work_submit", pk=first.pk, post=form_of(first, text="Paris."), follow=True
    )
    assert f'data-draft-done="assignment:{first.pk}"' in answer.content.decode()
    held = Assignment.objects.get(status="leased")
    answer = visit(cast.annotator)("work_task", pk=held.pk, query=f"?done={held.pk}")
    assert "data-draft-done" not in answer.content.decode()


def test_what_is_wrong_comes_back_with_the_words(cast, visit):
    make_ranking_batch(cast.project, tasks=1, k=2)
    assignment = claim(cast.annotator, cast.project)
    form = form_of(assignment, tiers="[]", rationale="Because <b>I</b> say so")
    answer = visit(cast.annotator)("work_submit", pk=assignment.pk, post=form)
    text = answer.content.decode()
    assert answer.status_code == 422
    assert "Because &lt;b&gt;I&lt;/b&gt; say so" in text
    assert "2 of 2 completions are not placed yet." in text
    assert 'value="k-1"' in text


def test_a_ranking_submitted_by_the_form_is_stored(cast, visit):
    make_ranking_batch(cast.project, tasks=1, k=2, review_rate=0)
    assignment = claim(cast.annotator, cast.project)
    screen = visit(cast.annotator)("work_task", pk=assignment.pk)
    a, b = (each["id"] for each in screen.context["completions"])
    form = form_of(
        assignment,
        tiers=f'[["{b}"],["{a}"]]',
        scores=f'{{"{a}": 2, "{b}": 6}}',
        flags=f'{{"{a}": ["impolite"]}}',
        unrankable="[]",
        margins="[]",
        touched=f'["{b}","{a}"]',
        rationale="",
        prompt_flags=["unclear"],
    )
    assert visit(cast.annotator)("work_submit", pk=assignment.pk, post=form).status_code == 302
    stored = Submission.objects.get()
    order = assignment.presentation["order"]
    assert stored.current.tiers == [[order[1]], [order[0]]]
    assert stored.prompt_flags == ["unclear"]


def test_the_screen_starts_from_the_draft(cast, visit):
    make_demonstration_batch(cast.project, tasks=1)
    assignment = claim(cast.annotator, cast.project)
    save_draft(task=assignment.task, user=cast.annotator, body={"text": "Half a </textarea>"}, revision=1)
    text = visit(cast.annotator)("work_task", pk=assignment.pk).content.decode()
    assert "Half a &lt;/textarea&gt;" in text
    assert 'data-revision="2"' in text


def test_a_ranking_screen_is_blind(cast, visit):
    make_ranking_batch(cast.project, tasks=1)
    assignment = claim(cast.annotator, cast.project)
    text = visit(cast.annotator)("work_task", pk=assignment.pk).content.decode()
    assert "tiny-sft" not in text
    assert all(f'data-completion="{pk}"' not in text for pk in assignment.presentation["order"])


def test_an_unread_guideline_stands_before_the_work(cast, visit):
    make_demonstration_batch(cast.project, tasks=1)
    version = publish_guideline(cast.project, markdown="# Be brief")
    answer = visit(cast.annotator)("work_next", post={}, follow=True)
    assert answer.templates[0].name == "labeling/work_guideline.html"
    answer = visit(cast.annotator)(
        "work_guideline", kind="demonstration", post={"version": version.pk}, follow=True
    )
    assert answer.templates[0].name == "labeling/work_demonstration.html"
    assert version.acknowledgements.get().user == cast.annotator


def test_a_version_published_while_reading_is_not_acknowledged_unseen(cast, visit):
    make_demonstration_batch(cast.project, tasks=1)
    old = publish_guideline(cast.project)
    new = publish_guideline(cast.project)
    visit(cast.annotator)("work_guideline", kind="demonstration", post={"version": old.pk})
    assert not new.acknowledgements.exists()


def test_returned_work_shows_the_note_and_opens_prefilled(cast, visit):
    make_demonstration_batch(cast.project, tasks=1, review_rate=1)
    submission = do_next(cast.annotator, cast.project)
    return_submission(
        submission=submission, revision=1, reviewer=cast.lead, reasons=["style"], note="One sentence."
    )
    pk = submission.assignment_id
    text = visit(cast.annotator)("work_task", pk=pk).content.decode()
    assert "One sentence." in text and "Tone or form is against the guideline" in text
    answer = visit(cast.annotator)("work_take_up", pk=pk, post={}, follow=True)
    assert answer.context["fields"]["text"] == "Paris is the capital of France."
    assert "One sentence." in answer.content.decode()


def test_a_task_that_went_to_somebody_else_shows_ones_words(cast, visit):
    make_demonstration_batch(cast.project, tasks=1)
    assignment = claim(cast.annotator, cast.project)
    save_draft(task=assignment.task, user=cast.annotator, body={"text": "My half sentence"}, revision=1)
    expire(assignment)
    release_expired()
    claim(cast.peer, cast.project)
    answer = visit(cast.annotator)("work_task", pk=assignment.pk)
    assert answer.status_code == 410
    assert "My half sentence" in answer.content.decode()


def test_a_task_that_is_done_leads_to_what_was_submitted(cast, visit):
    make_demonstration_batch(cast.project, tasks=1)
    submission = do_next(cast.annotator, cast.project)
    answer = visit(cast.annotator)("work_task", pk=submission.assignment_id)
    assert answer.url.endswith(f"/submissions/{submission.pk}/")


def test_other_peoples_tasks_do_not_exist(cast, visit):
    make_demonstration_batch(cast.project, tasks=1)
    assignment = claim(cast.annotator, cast.project)
    for name, post in [
        ("work_task", None),
        ("work_submit", form_of(assignment, text="x")),
        ("work_skip", {}),
    ]:
        assert visit(cast.peer)(name, pk=assignment.pk, post=post).status_code == 404
    assert not Submission.objects.exists()


def test_skipping_takes_the_next_task(cast, visit):
    make_demonstration_batch(cast.project, tasks=2)
    first = claim(cast.annotator, cast.project)
    answer = visit(cast.annotator)("work_skip", pk=first.pk, post={"reason": "unsafe"})
    assert answer.url.endswith(f"/work/{Assignment.objects.get(status='leased').pk}/")


def test_stopping_gives_the_task_back_and_keeps_the_draft(cast, visit):
    make_demonstration_batch(cast.project, tasks=1)
    assignment = claim(cast.annotator, cast.project)
    save_draft(task=assignment.task, user=cast.annotator, body={"text": "Pa"}, revision=1)
    visit(cast.annotator)("work_release", pk=assignment.pk, post={})
    assert Assignment.objects.get().status == "open"
    assert Draft.objects.get().body == {"text": "Pa"}


def test_the_preview_is_sanitised(cast, visit):
    answer = visit(cast.annotator)("work_preview", post={"text": "**bold** <script>alert(1)</script>"})
    text = answer.content.decode()
    assert "<strong>bold</strong>" in text
    assert "<script>" not in text


def test_history_lists_ones_own_work_only(cast, visit):
    make_demonstration_batch(cast.project, tasks=1, overlap=2)
    mine, theirs = do_next(cast.annotator, cast.project), do_next(cast.peer, cast.project)
    text = visit(cast.annotator)("history").content.decode()
    assert f"/submissions/{mine.pk}/" in text
    assert f"/submissions/{theirs.pk}/" not in text


def test_the_author_sees_a_fix_as_a_difference(cast, visit):
    make_demonstration_batch(cast.project, tasks=1, review_rate=1)
    submission = do_next(cast.annotator, cast.project)
    fix_submission(
        submission=submission, revision=1, reviewer=cast.lead, text="Paris is the capital of Italy."
    )
    text = visit(cast.annotator)("submission_detail", pk=submission.pk).content.decode()
    assert "<del>France</del><ins>Italy</ins>" in text


def test_a_piece_opens_for_its_author_and_for_leads_only(cast, visit):
    make_ranking_batch(cast.project, tasks=1, review_rate=0)
    submission = do_next(cast.annotator, cast.project)
    seen = {
        name: visit(getattr(cast, name))("submission_detail", pk=submission.pk)
        for name in ("annotator", "lead", "peer", "outsider")
    }
    assert [answer.status_code for answer in seen.values()] == [200, 200, 404, 404]
    assert "tiny-sft" not in seen["annotator"].content.decode()
    assert "tiny-sft" in seen["lead"].content.decode()


def test_a_reload_of_a_refused_submit_shows_the_task_again(cast, visit):
    make_demonstration_batch(cast.project, tasks=1)
    assignment = claim(cast.annotator, cast.project)
    assert visit(cast.annotator)("work_submit", pk=assignment.pk).url.endswith(f"/work/{assignment.pk}/")


def queries_of(act) -> int:
    with CaptureQueriesContext(connection) as captured:
        act()
    return len(without_transaction_control(captured.captured_queries))


@pytest.mark.parametrize("drawn, bound", [(0.999, 10), (0.0, 11)], ids=["plain work", "a turn for gold"])
@pytest.mark.parametrize("make", [make_demonstration_batch, make_ranking_batch])
def test_the_numbers_of_queries_stay_small(cast, client, monkeypatch, make, drawn, bound):
    monkeypatch.setattr(turns, "draw", lambda: drawn)
    make(cast.project, tasks=3, overlap=2, review_rate=0.5)
    for kind in ("demonstration", "ranking"):
        publish_guideline(cast.project, kind, readers=[cast.annotator])
    kind = cast.project.batches.get().kind
    client.force_login(cast.annotator)
    claimed = []
    assert queries_of(lambda: claimed.append(claim(cast.annotator, cast.project, kind))) <= bound
    url = reverse("labeling:work_task", args=[cast.project.slug, claimed[0].pk])
    assert queries_of(lambda: client.get(url)) <= 12
    assert queries_of(lambda: submit(claimed[0], cast.annotator)) <= 28


def test_the_ranking_screen_stays_within_its_queries_with_all_there_is(cast, client):
    """A draft, a goal, an older guideline version read, nine completions: the bar is twelve."""
    cast.annotator.preferences = {"daily_goal": 5}
    cast.annotator.save()
    make_ranking_batch(cast.project, tasks=2, k=9)
    publish_guideline(cast.project, "ranking", readers=[cast.annotator])
    do_next(cast.annotator, cast.project)
    publish_guideline(cast.project, "ranking", readers=[cast.annotator])
    assignment = claim(cast.annotator, cast.project)
    client.force_login(cast.annotator)
    url = reverse("labeling:work_task", args=[cast.project.slug, assignment.pk])
    client.get(url)  # a statement's first use of a connection prepares it, which counts as a query
    assert queries_of(lambda: client.get(url)) <= 12


def test_the_screen_is_laid_out_as_the_person_left_it_on_another_device(cast, visit):
    cast.annotator.preferences = {"ranking_layout": "stacked", "guideline_place": "over", "daily_goal": 30}
    cast.annotator.save()
    make_ranking_batch(cast.project, tasks=1)
    publish_guideline(cast.project, "ranking", readers=[cast.annotator])
    page = visit(cast.annotator)("work_task", pk=claim(cast.annotator, cast.project).pk).content.decode()
    assert 'data-layout="stacked"' in page and 'data-place="over"' in page
    assert "0 of 30 today" in page


def test_what_changed_since_the_version_one_read_is_shown_before_the_new_one_is_accepted(cast, visit):
    publish_guideline(cast.project, "ranking", "# Rules\n\nBe brief.", readers=[cast.annotator])
    publish_guideline(cast.project, "ranking", "# Rules\n\nBe brief.\n\nBe kind.")
    page = visit(cast.annotator)("work_guideline", kind="ranking").content.decode()
    assert "What changed since version 1, which you read before" in page
    assert (
        '<div class="added"><span class="visually-hidden">Added: </span><span dir="auto">Be kind.</span>'
        in page
    )
    assert "What changed since" not in visit(cast.peer)("work_guideline", kind="ranking").content.decode()


def test_why_it_could_not_be_ranked_is_shown_to_its_author_and_stored_by_the_form(cast, visit):
    make_ranking_batch(cast.project, tasks=1, k=2, review_rate=1)
    assignment = claim(cast.annotator, cast.project)
    ids = {str(each.public_id): each.pk for each in assignment.task.completions.all()}
    a, b = ids
    form = form_of(
        assignment,
        tiers=f'[["{a}"]]',
        unrankable=f'["{b}"]',
        unrankable_reasons=f'{{"{b}": {{"reason": "other", "note": "It is a recipe."}}}}',
        scores=f'{{"{a}": 5}}',
        touched=f'["{a}", "{b}"]',
    )
    visit(cast.annotator)("work_submit", post=form, pk=assignment.pk)
    submission = Submission.objects.get()
    assert submission.current.unrankable_reasons == {
        str(ids[b]): {"reason": "other", "note": "It is a recipe."}
    }
    for person, page in ((cast.annotator, "submission_detail"), (cast.lead, "review_submission")):
        assert "Another reason: It is a recipe." in visit(person)(page, pk=submission.pk).content.decode()

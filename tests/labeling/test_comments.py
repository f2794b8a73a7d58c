"""Comments: between the author of a piece and the leads, and nobody else."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from annotate.errors import Invalid
from labeling.models import CommentThread, Notification
from labeling.services.comments import LONGEST_COMMENT, add_comment, settle_thread
from labeling.services.reviews import return_submission
from labeling.talk import handle_of, piece_of, talk_of
from tests.factories import make_demonstration_batch, publish_guideline
from tests.labeling.work import do_next

pytestmark = [pytest.mark.django_db, pytest.mark.database]


@pytest.fixture
def submission(cast):
    publish_guideline(cast.project, "demonstration", readers=[cast.annotator, cast.peer])
    make_demonstration_batch(cast.project, tasks=3, review_rate=1.0)
    return do_next(cast.annotator, cast.project)


def told(*, kind="comment.") -> set:
    return set(Notification.objects.filter(kind__startswith=kind).values_list("user__username", flat=True))


def page_of(cast, submission) -> str:
    return f"/projects/{cast.project.slug}/submissions/{submission.pk}/"


def test_a_leads_question_is_told_to_the_author_and_answered(cast, submission):
    add_comment(piece=piece_of(submission), author=cast.lead, text="Where does this come from?")
    assert told() == {cast.annotator.username}
    Notification.objects.all().delete()
    add_comment(piece=piece_of(submission), author=cast.annotator, text="From the prompt.")
    assert told() == {cast.lead.username}, "who takes part is told, not every lead"


def test_a_first_word_of_the_author_goes_to_who_reviewed_it(cast, submission):
    return_submission(submission=submission, revision=1, reviewer=cast.lead, note="Shorter.")
    add_comment(piece=piece_of(submission), author=cast.annotator, text="How short?")
    assert told() == {cast.lead.username}


def test_a_first_word_about_unseen_work_goes_to_all_leads(cast, submission):
    add_comment(piece=piece_of(submission), author=cast.annotator, text="Is this right?")
    assert told() == {cast.lead.username, cast.admin.username}


def test_a_mention_tells_who_is_named(cast, submission):
    add_comment(piece=piece_of(submission), author=cast.annotator, text="What do you think, @alice?")
    assert told(kind="comment.mentioned") == {cast.admin.username}


def test_a_mention_needs_the_whole_name(cast, submission):
    add_comment(piece=piece_of(submission), author=cast.lead, text="mail@alice and @Alicelike and @@Alice")
    assert told(kind="comment.mentioned") == set()


def test_a_name_without_letters_is_mentioned_by_the_pseudonym(cast, submission):
    cast.admin.display_name = "★ !"
    cast.admin.save()
    handle = handle_of(cast.admin)
    assert handle == f"@{cast.admin.pseudonym}"
    add_comment(piece=piece_of(submission), author=cast.annotator, text="To me @ home, or an @ alone: @?")
    assert told(kind="comment.mentioned") == set()
    add_comment(piece=piece_of(submission), author=cast.annotator, text=f"And you, {handle}?")
    assert told(kind="comment.mentioned") == {cast.admin.username}


def test_a_peer_cannot_be_mentioned_and_nothing_tells_that_they_exist(cast, submission):
    add_comment(piece=piece_of(submission), author=cast.annotator, text="Ask @Petra or @Nobody.")
    assert cast.peer.username not in told()
    handles = talk_of(piece_of(submission), cast.annotator).handles
    assert handles == ["@Alice", "@Lena"]
    assert "@Anna" in talk_of(piece_of(submission), cast.lead).handles
    assert "@Petra" not in talk_of(piece_of(submission), cast.lead).handles


def test_a_removed_person_is_not_told(cast, submission):
    cast.project.memberships.filter(user=cast.annotator).update(status="removed")
    add_comment(piece=piece_of(submission), author=cast.lead, text="Hello @Anna")
    assert told() == set()


def test_settled_and_opened_again_by_a_new_word(cast, submission):
    add_comment(piece=piece_of(submission), author=cast.annotator, text="Why?")
    settle_thread(piece=piece_of(submission), acting_user=cast.lead, is_open=False)
    thread = CommentThread.objects.get()
    assert (thread.is_open, thread.resolved_by) == (False, cast.lead)
    add_comment(piece=piece_of(submission), author=cast.annotator, text="Still: why?")
    thread.refresh_from_db()
    assert (thread.is_open, thread.resolved_by, thread.comments.count()) == (True, None, 2)


@pytest.mark.parametrize("text", ["", "  \n", "x" * (LONGEST_COMMENT + 1), "a\x00b"])
def test_what_is_no_comment_is_refused_and_opens_nothing(cast, submission, text):
    with pytest.raises(Invalid):
        add_comment(piece=piece_of(submission), author=cast.lead, text=text)
    assert not CommentThread.objects.exists()


def test_markup_in_a_comment_is_text(cast, submission, client):
    add_comment(piece=piece_of(submission), author=cast.lead, text="**Bold** <script>alert(1)</script>")
    client.force_login(cast.annotator)
    page = client.get(page_of(cast, submission)).content.decode()
    assert "<strong>Bold</strong>" in page and "<script>alert" not in page


# --- Pages ----------------------------------------------------------------------------------------------
def test_author_and_lead_talk_on_the_pages(cast, submission, client):
    client.force_login(cast.annotator)
    answer = client.post(f"{page_of(cast, submission)}comments/", {"text": "Does a list count?"})
    assert answer.url == f"{page_of(cast, submission)}#comments"
    client.force_login(cast.lead)
    queue = f"/projects/{cast.project.slug}/comments/"
    assert page_of(cast, submission) in client.get(queue).content.decode()
    review = f"/projects/{cast.project.slug}/review/{submission.pk}/"
    assert "Does a list count?" in client.get(review).content.decode()
    answer = client.post(f"{queue}{CommentThread.objects.get().pk}/settle/", {"back": review})
    assert answer.url == f"{review}#comments"
    assert page_of(cast, submission) not in client.get(queue).content.decode()
    assert page_of(cast, submission) in client.get(f"{queue}?state=resolved").content.decode()


def test_returned_work_shows_the_talk_before_and_while_it_is_mended(cast, submission, client):
    return_submission(submission=submission, revision=1, reviewer=cast.lead, note="Shorter.")
    add_comment(piece=piece_of(submission), author=cast.lead, text="Two sentences at most.")
    client.force_login(cast.annotator)
    desk = f"/projects/{cast.project.slug}/work/{submission.assignment_id}/"
    assert "Two sentences at most." in client.get(desk).content.decode()
    client.post(f"{desk}take-up/")
    page = client.get(desk).content.decode()
    assert "Two sentences at most." in page and f'name="back" value="{desk}"' in page


def test_new_work_has_no_talk_but_offers_to_ask(cast, submission, client):
    client.force_login(cast.annotator)
    page = client.post(f"/projects/{cast.project.slug}/work/next/", follow=True).content.decode()
    assert 'id="work-form"' in page and 'id="comments"' not in page
    assert "Ask a lead about this task" in page


@pytest.mark.parametrize("back", ["https://evil.example/", "//evil.example/", "/admin/"])
def test_the_way_back_stays_in_the_project(cast, submission, client, back):
    client.force_login(cast.annotator)
    answer = client.post(f"{page_of(cast, submission)}comments/", {"text": "Hm.", "back": back})
    assert answer.url == f"{page_of(cast, submission)}#comments"


def test_a_peer_neither_reads_nor_writes(cast, submission, client, api_client_of):
    client.force_login(cast.peer)
    assert client.post(f"{page_of(cast, submission)}comments/", {"text": "Hi"}).status_code == 404
    api = api_client_of(cast.peer)
    address = f"/api/projects/{cast.project.slug}/submissions/{submission.pk}/comments/"
    assert [api.get(address).status_code, api.post(address, {"text": "Hi"}).status_code] == [404, 404]
    assert not CommentThread.objects.exists()


def test_the_queue_costs_the_same_for_any_number(cast, submission, client):
    client.force_login(cast.lead)
    address = f"/projects/{cast.project.slug}/comments/"

    def queries() -> int:
        with CaptureQueriesContext(connection) as seen:
            client.get(address)
        return len(seen)

    add_comment(piece=piece_of(submission), author=cast.lead, text="One.")
    few = queries()
    for _ in range(2):
        add_comment(piece=piece_of(do_next(cast.annotator, cast.project)), author=cast.lead, text="More.")
    assert queries() == few


def test_a_program_does_all_of_it(cast, submission, api_client_of):
    own, lead = api_client_of(cast.annotator), api_client_of(cast.lead)
    address = f"/api/projects/{cast.project.slug}/submissions/{submission.pk}/comments/"
    assert own.get(address).json()["is_open"] is None
    assert own.patch(address, {"is_open": False}).status_code == 404
    assert own.post(address, {"text": "Why?"}).status_code == 201
    [thread] = lead.get(f"/api/projects/{cast.project.slug}/comments/?is_open=true").json()["results"]
    assert (thread["submission"], thread["comment_count"]) == (submission.pk, 1)
    assert lead.patch(address, {"is_open": False}).json()["is_open"] is False
    assert own.get(f"/api/projects/{cast.project.slug}/comments/").status_code == 403


def test_a_search_does_not_change_how_many_comments_are_counted(cast, submission, client):
    for text in ("One otter.", "Two otters.", "Nothing."):
        add_comment(piece=piece_of(submission), author=cast.lead, text=text)
    client.force_login(cast.lead)
    page = client.get(f"/projects/{cast.project.slug}/comments/?q=otter")
    assert [thread.comment_count for thread in page.context["listing"].page] == [3]


def test_what_was_sent_is_known_by_ones_own_comments_not_by_others(cast, submission):
    add_comment(piece=piece_of(submission), author=cast.annotator, text="Mine.")
    add_comment(piece=piece_of(submission), author=cast.lead, text="Theirs.")
    assert talk_of(piece_of(submission), cast.annotator).own == 1
    assert talk_of(piece_of(submission), cast.admin).own == 0

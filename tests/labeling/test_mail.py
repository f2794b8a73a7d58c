"""Notifications by e-mail: at once, each morning, never; once, whatever happens to the sender."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.core import mail
from django.core.mail.backends.locmem import EmailBackend
from django.db import transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from annotate.accounts.preferences import MAIL_NAMES, change_preferences, preferences_of
from labeling.models import Membership, Notification
from labeling.services import mailing
from labeling.services.activity import notify, run_followers
from labeling.services.assignments import claim_next
from labeling.services.batch_control import pause_batch, resume_batch
from labeling.services.batch_overlap import change_batch_overlap
from labeling.services.mailing import send_due
from labeling.services.task_control import change_overlap
from labeling.services.work_again import tell_of_work
from tests.factories import make_demonstration_batch, publish_guideline
from tests.labeling.work import do_next

pytestmark = [pytest.mark.django_db, pytest.mark.database]


def tell(user, kind="submission.returned", text="Your work was returned.", **fields):
    with transaction.atomic():
        return notify(user=user, kind=kind, text=text, path="/projects/", **fields)


def want(user, **changes):
    change_preferences(user=user, changes=changes)


def test_returned_work_is_mailed_at_once_in_text_and_html(cast):
    line = tell(cast.annotator, text="Too <b>long</b>.\nShorten it.", project=cast.project)
    assert send_due() == 1
    [sent] = mail.outbox
    assert sent.to == [cast.annotator.email]
    assert sent.subject == "Too <b>long</b>. Shorten it."
    assert f"/notifications/{line.pk}/" in sent.body
    [(html, kind)] = sent.alternatives
    assert kind == "text/html" and "Too &lt;b&gt;long&lt;/b&gt;." in html
    assert "<img" not in html and "src=" not in html


def test_it_is_mailed_once(cast):
    tell(cast.annotator)
    assert [send_due(), send_due()] == [1, 0]
    assert len(mail.outbox) == 1


def test_times_are_those_of_the_person(cast):
    cast.annotator.timezone = "Asia/Tokyo"
    cast.annotator.save()
    line = tell(cast.annotator)
    Notification.objects.filter(pk=line.pk).update(created_at=datetime(2026, 11, 25, 20, 30, tzinfo=UTC))
    send_due()
    assert "2026-11-26 05:30 (Asia/Tokyo)" in mail.outbox[0].body


def test_what_comes_within_ten_minutes_comes_together(cast):
    tell(cast.annotator)
    send_due()
    tell(cast.annotator, text="One.")
    tell(cast.annotator, text="Two.")
    assert send_due() == 0
    Notification.objects.exclude(mailed_at=None).update(mailed_at=timezone.now() - timedelta(minutes=11))
    assert send_due() == 1
    assert mail.outbox[-1].subject == "2 notifications"


@pytest.mark.parametrize(
    ("zone", "now", "expected"),
    [
        ("UTC", "2026-11-26T07:59", "2026-11-25T08:00"),
        ("UTC", "2026-11-26T08:00", "2026-11-26T08:00"),
        ("Asia/Tokyo", "2026-11-25T23:00", "2026-11-25T23:00"),
        ("America/New_York", "2026-11-26T12:59", "2026-11-25T13:00"),
        ("America/New_York", "2026-11-26T13:01", "2026-11-26T13:00"),
    ],
)
def test_the_morning_is_where_the_person_is(cast, zone, now, expected):
    cast.annotator.timezone = zone
    moment = datetime.fromisoformat(now).replace(tzinfo=UTC)
    assert mailing.last_morning(cast.annotator, moment) == datetime.fromisoformat(expected).replace(
        tzinfo=UTC
    )


def test_a_daily_mail_holds_what_came_before_the_morning_and_waits_with_the_rest(cast):
    want(cast.annotator, mail_decisions="daily")
    tell(cast.annotator, text="Today's.")
    old = tell(cast.annotator, text="Yesterday's.")
    Notification.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(days=1))
    assert send_due() == 1
    assert "Yesterday's." in mail.outbox[0].body and "Today's." not in mail.outbox[0].body


def test_never_is_never(cast):
    want(cast.annotator, mail_decisions="never")
    tell(cast.annotator)
    assert send_due() == 0
    want(cast.annotator, mail_decisions="immediately")
    assert send_due() == 0, "what was not wanted when it happened is not mailed afterwards"


def test_what_was_read_on_the_site_is_not_mailed(cast):
    line = tell(cast.annotator)
    Notification.objects.filter(pk=line.pk).update(read_at=timezone.now())
    assert send_due() == 0


def test_a_mail_server_that_is_away_delays_mails_and_loses_none(cast, monkeypatch):
    tell(cast.annotator)
    with monkeypatch.context() as away:
        away.setattr(EmailBackend, "send_messages", lambda *args: (_ for _ in ()).throw(OSError("away")))
        assert send_due() == 0
    assert send_due() == 0, "not at once again"
    Notification.objects.update(mail_after=timezone.now() - timedelta(seconds=1))
    assert send_due() == 1


def test_a_sender_killed_before_the_mail_loses_nothing(cast, monkeypatch):
    tell(cast.annotator)
    with monkeypatch.context() as killed:
        killed.setattr(mailing, "_mail", lambda *args: (_ for _ in ()).throw(SystemExit))
        with pytest.raises(SystemExit):
            send_due()
    assert send_due() == 0, "its claim stands for some minutes"
    Notification.objects.update(mail_claimed_at=timezone.now() - timedelta(minutes=6))
    assert send_due() == 1
    assert len(mail.outbox) == 1


def test_a_sender_killed_after_the_mail_doubles_that_one_and_no_other(cast, monkeypatch):
    tell(cast.peer)
    send_due()
    tell(cast.annotator)
    real = EmailBackend.send_messages

    def send_and_die(self, messages):
        real(self, messages)
        raise SystemExit

    with monkeypatch.context() as killed:
        killed.setattr(EmailBackend, "send_messages", send_and_die)
        with pytest.raises(SystemExit):
            send_due()
    Notification.objects.update(mail_claimed_at=timezone.now() - timedelta(minutes=6))
    send_due()
    assert sorted(each.to[0] for each in mail.outbox) == [cast.annotator.email] * 2 + [cast.peer.email]


# --- Stopping -------------------------------------------------------------------------------------------
def stop_link() -> str:
    header = mail.outbox[0].extra_headers["List-Unsubscribe"]
    return "/" + header.strip("<>").split("/", 3)[3]


def test_one_click_stops_all_mails_without_signing_in(cast):
    tell(cast.annotator)
    send_due()
    assert mail.outbox[0].extra_headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    client = Client(enforce_csrf_checks=True)
    assert client.get(stop_link()).status_code == 200
    cast.annotator.refresh_from_db()
    assert preferences_of(cast.annotator)["mail_decisions"] == "immediately", "opening the link is no click"
    answer = client.post(stop_link(), {"List-Unsubscribe": "One-Click"})
    assert answer.status_code == 200
    cast.annotator.refresh_from_db()
    assert {preferences_of(cast.annotator)[name] for name in MAIL_NAMES} == {"never"}


def test_a_link_somebody_made_up_stops_nothing(cast, client):
    assert client.post("/mail/unsubscribe/MQ:1abc:forged/").status_code == 404


def test_the_profile_says_which_kinds_are_mailed_when(cast, client):
    client.force_login(cast.annotator)
    chosen = dict.fromkeys(MAIL_NAMES, "daily") | {"mail_work": "never", "follow_runs": "no"}
    assert client.post("/profile/mail/", chosen).status_code == 302
    cast.annotator.refresh_from_db()
    assert preferences_of(cast.annotator)["mail_work"] == "never"
    assert client.post("/profile/mail/", chosen | {"mail_runs": "hourly"}).status_code == 422


def test_a_program_sets_it_too(cast, api_client_of):
    answer = api_client_of(cast.annotator).patch("/api/me/preferences/", {"mail_work": "never"})
    assert answer.json()["mail_work"] == "never"


# --- Who is told of what --------------------------------------------------------------------------------
def test_a_runs_end_is_told_to_its_launcher_and_to_admins_who_follow(cast):
    assert run_followers(project=cast.project, launched_by=cast.lead) == [cast.lead]
    want(cast.admin, follow_runs="yes")
    assert run_followers(project=cast.project, launched_by=cast.lead) == [cast.lead, cast.admin]
    assert run_followers(project=cast.project, launched_by=cast.admin) == [cast.admin]
    want(cast.lead, follow_runs="yes")  # not an admin
    assert run_followers(project=cast.project, launched_by=None) == [cast.admin]


@pytest.fixture
def out_of_work(cast):
    """The annotator asked, and nothing was there."""
    publish_guideline(cast.project, "demonstration", readers=[cast.annotator, cast.peer])
    assert claim_next(user=cast.annotator, project=cast.project) is None
    return cast.annotator


def told_of_work(user) -> int:
    return Notification.objects.filter(user=user, kind="batch.waiting").count()


def test_who_had_no_work_is_told_once_when_there_is_some_again(cast, out_of_work):
    assert tell_of_work() == 0
    make_demonstration_batch(cast.project, tasks=1)
    assert [tell_of_work(), tell_of_work()] == [1, 0]
    assert (told_of_work(out_of_work), told_of_work(cast.peer)) == (1, 0)


def test_who_looks_at_an_empty_page_of_work_waits_too(cast, client):
    """There is no button to ask with. Written once, not each time that the page looks again by itself."""
    publish_guideline(cast.project, "demonstration", readers=[cast.annotator])
    mine = Membership.objects.filter(project=cast.project, user=cast.annotator)
    page = reverse("labeling:work", args=[cast.project.slug])
    client.force_login(cast.annotator)
    client.get(page)
    first = mine.get().out_of_work_at
    mine.update(out_of_work_at=first - timedelta(hours=1))
    client.get(page)
    assert mine.get().out_of_work_at == first - timedelta(hours=1)
    make_demonstration_batch(cast.project, tasks=1)
    assert [tell_of_work(), tell_of_work()] == [1, 0]
    client.get(page)
    assert mine.get().out_of_work_at is None, "there is work on the page"


def test_a_lead_who_looks_at_the_page_of_work_does_not_wait(cast, client):
    client.force_login(cast.lead)
    client.get(reverse("labeling:work", args=[cast.project.slug]))
    assert not Membership.objects.exclude(out_of_work_at=None).exists()


def empty(cast):
    """A batch with one task, which a peer has done."""
    batch = make_demonstration_batch(cast.project, tasks=1, review_rate=0)
    do_next(cast.peer, cast.project)
    assert claim_next(user=cast.annotator, project=cast.project) is None
    return batch


def test_a_batch_that_goes_on_is_told_to_who_waits(cast):
    publish_guideline(cast.project, "demonstration", readers=[cast.annotator])
    batch = make_demonstration_batch(cast.project, tasks=1)
    pause_batch(batch=batch, acting_user=cast.lead)
    assert claim_next(user=cast.annotator, project=cast.project) is None
    assert tell_of_work() == 0
    resume_batch(batch=batch, acting_user=cast.lead)
    assert [tell_of_work(), tell_of_work()] == [1, 0]
    assert told_of_work(cast.annotator) == 1


def test_a_batch_that_asks_more_people_is_told_to_who_waits(cast):
    publish_guideline(cast.project, "demonstration", readers=[cast.annotator, cast.peer])
    batch = empty(cast)
    assert tell_of_work() == 0
    change_batch_overlap(batch=batch, overlap=2, acting_user=cast.lead)
    assert [tell_of_work(), tell_of_work()] == [1, 0]


def test_one_task_that_asks_more_people_is_told_to_who_waits(cast):
    publish_guideline(cast.project, "demonstration", readers=[cast.annotator, cast.peer])
    task = empty(cast).tasks.get()
    change_overlap(task=task, overlap=2, acting_user=cast.lead)
    assert [tell_of_work(), tell_of_work()] == [1, 0]


def test_who_works_again_anyway_is_not_told(cast, out_of_work):
    make_demonstration_batch(cast.project, tasks=2)
    do_next(out_of_work, cast.project)
    assert tell_of_work() == 0


def test_a_batch_that_holds_nothing_for_them_is_no_news(cast, out_of_work):
    make_demonstration_batch(cast.project, tasks=1)
    do_next(cast.peer, cast.project)
    assert tell_of_work() == 0
    asked = Membership.objects.get(project=cast.project, user=out_of_work).out_of_work_at
    assert asked is not None, "the next batch is looked at again"


def test_who_works_is_noted_now_and_then_but_always_after_going_away_empty_handed(cast):
    make_demonstration_batch(cast.project, tasks=3)
    mine = Membership.objects.filter(project=cast.project, user=cast.annotator)
    do_next(cast.annotator, cast.project)
    first = mine.get().last_active_at
    assert first is not None
    do_next(cast.annotator, cast.project)
    assert mine.get().last_active_at == first
    mine.update(out_of_work_at=timezone.now())
    do_next(cast.annotator, cast.project)
    assert mine.get().last_active_at > first

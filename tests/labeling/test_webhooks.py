"""Webhooks: told of events in the same commit, signed, tried again, given up, kept in a log."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from annotate import sealing
from annotate.errors import Conflict, Invalid
from labeling.models import AuditEvent, Batch, Notification, TaskStatus, Webhook, WebhookDelivery
from labeling.services import webhook_sending, webhooks
from labeling.services.activity import record_event
from labeling.services.batch_ends import note_finished_batches
from labeling.services.webhook_sending import RETRY_AFTER, send_due
from tests.factories import make_demonstration_batch
from tests.labeling.work import do_next
from tests.listener import Listener

pytestmark = [pytest.mark.django_db, pytest.mark.database]
EVENTS = ["submission.submitted", "batch.finished", "run.ended"]


@pytest.fixture
def listener(settings):
    settings.WEBHOOK_ALLOW_PRIVATE = True
    with Listener() as running:
        yield running


@pytest.fixture
def hook(cast, listener) -> Webhook:
    webhook, secret = webhooks.create_webhook(
        project=cast.project, url=f"{listener.url}/in", events=EVENTS, acting_user=cast.admin
    )
    webhook.secret = secret
    return webhook


def happen(cast, action="run.succeeded", **facts):
    with transaction.atomic():
        return record_event(action=action, actor=cast.admin, obj=cast.project, project=cast.project, **facts)


def pass_time(**by):
    """As if so much time had passed since everything that is stored."""
    delta = timedelta(**by)
    for delivery in WebhookDelivery.objects.all():
        delivery.next_try_at -= delta
        delivery.save()
    for webhook in Webhook.objects.all():
        webhook.rests_until = webhook.rests_until and webhook.rests_until - delta
        webhook.failing_since = webhook.failing_since and webhook.failing_since - delta
        webhook.save()


def test_submitted_work_is_told_with_a_signature_that_can_be_checked(cast, hook, listener):
    make_demonstration_batch(cast.project, tasks=1)
    submission = do_next(cast.annotator, cast.project)
    assert send_due() == 1
    [seen] = listener.seen
    body = json.loads(seen.body)
    assert (body["event"], body["project"]) == ("submission.submitted", cast.project.slug)
    assert body["object"] == {"type": "submission", "id": str(submission.pk)}
    assert body["actor"] == cast.annotator.pseudonym
    assert "digests" not in body["data"]  # those are for `manage.py verify`
    assert seen.headers["X-Annotate-Delivery"] == body["id"]
    at, digest = (part.partition("=")[2] for part in seen.headers["X-Annotate-Signature"].split(","))
    expected = hmac.new(hook.secret.encode(), f"{at}.".encode() + seen.body, hashlib.sha256).hexdigest()
    assert digest == expected


def test_an_event_of_a_change_that_was_rolled_back_is_not_told(cast, hook):
    with pytest.raises(RuntimeError), transaction.atomic():
        happen(cast)
        raise RuntimeError
    assert not WebhookDelivery.objects.exists()


def test_only_what_was_asked_for_of_this_project_is_told(cast, hook):
    happen(cast, "guideline.published")
    with transaction.atomic():
        record_event(action="run.succeeded", actor=None, obj=cast.other_project, project=cast.other_project)
    assert not WebhookDelivery.objects.exists()
    happen(cast, "run.failed")
    assert [each.event for each in WebhookDelivery.objects.all()] == ["run.ended"]


@pytest.mark.parametrize(
    ("action", "event"),
    [
        ("task.parked", "task.parked"),
        ("batch.open", "batch.resumed"),
        ("qualification.passed", "qualification.decided"),
        ("qualification.failed", "qualification.decided"),
    ],
)
def test_what_a_lead_decides_on_and_what_brings_people_back_is_told(cast, hook, action, event):
    webhooks.change_webhook(webhook=hook, events=[event], acting_user=cast.admin)
    happen(cast, action)
    assert [each.event for each in WebhookDelivery.objects.all()] == [event]


def test_an_action_that_is_no_event_costs_no_query(cast, hook):
    with (
        transaction.atomic(),
        CaptureQueriesContext(
            connection,
        ) as queries,
    ):
        record_event(action="view.saved", actor=cast.admin, obj=cast.project, project=cast.project)
    assert len(queries) == 1


def test_the_secret_is_stored_so_that_the_database_alone_does_not_tell_it(hook, settings):
    stored = Webhook.objects.get()
    assert hook.secret not in stored.secret_sealed
    assert webhooks.secret_of(stored) == hook.secret
    settings.SECRET_KEY_FALLBACKS, settings.SECRET_KEY = [settings.SECRET_KEY], "n" * 50
    assert webhooks.secret_of(stored) == hook.secret
    settings.SECRET_KEY_FALLBACKS = []
    with pytest.raises(sealing.Unreadable):
        webhooks.secret_of(stored)


def test_a_failure_is_tried_again_later_and_later_for_a_day_and_then_given_up(cast, hook, listener):
    listener.answer = (500, "broken")
    happen(cast)
    for attempt in range(1, len(RETRY_AFTER) + 2):
        assert send_due() == 1
        assert send_due() == 0, "it rests first"
        delivery = WebhookDelivery.objects.get()
        assert (delivery.attempts, delivery.response_status, delivery.response_body) == (
            attempt,
            500,
            "broken",
        )
        pass_time(seconds=(RETRY_AFTER[attempt - 1] if attempt <= len(RETRY_AFTER) else 0) + 1)
    assert delivery.status == "failed"
    assert len({each.headers["X-Annotate-Delivery"] for each in listener.seen}) == 1
    assert timedelta(hours=20) < timedelta(seconds=sum(RETRY_AFTER)) < timedelta(days=1)


def test_what_waited_arrives_in_order_once_the_receiver_is_back(cast, hook, listener):
    listener.answer = (503, "")
    for number in range(3):
        happen(cast, number=number)
    send_due()
    assert len(listener.seen) == 1, "after one failure the others are spared"
    listener.answer = (204, "")
    pass_time(minutes=1)
    assert send_due() == 3
    assert [json.loads(each.body)["data"]["number"] for each in listener.seen] == [0, 0, 1, 2]
    hook.refresh_from_db()
    assert (hook.failures, hook.failing_since) == (0, None)


def test_a_receiver_that_fails_for_days_is_disabled_and_the_admins_are_told(cast, hook, listener):
    listener.answer = (500, "")
    happen(cast)
    happen(cast)
    send_due()
    pass_time(days=3)
    send_due()
    hook.refresh_from_db()
    assert not hook.is_active
    assert [each.user for each in Notification.objects.filter(kind="webhook.disabled")] == [cast.admin]
    assert AuditEvent.objects.filter(action="webhook.disabled").exists()
    assert set(WebhookDelivery.objects.values_list("status", flat=True)) == {"failed"}
    happen(cast)
    assert WebhookDelivery.objects.count() == 2, "a disabled webhook collects nothing"


def test_taken_into_use_again_it_starts_afresh(cast, hook, listener):
    webhooks.change_webhook(webhook=hook, acting_user=cast.admin, is_active=False)
    with pytest.raises(Conflict):
        webhooks.send_test(webhook=hook, acting_user=cast.admin)
    webhooks.change_webhook(webhook=hook, acting_user=cast.admin, is_active=True)
    webhooks.send_test(webhook=hook, acting_user=cast.admin)
    assert send_due() == 1
    assert json.loads(listener.seen[0].body)["event"] == "webhook.test"


def test_a_redirect_to_the_inside_is_not_followed(cast, hook, listener):
    listener.answer = (307, "", {"Location": f"{listener.url}/admin/"})
    happen(cast)
    send_due()
    assert [each.path for each in listener.seen] == ["/in"]
    assert WebhookDelivery.objects.get().error == "Redirects are not followed."


def test_an_address_that_was_allowed_once_is_checked_again_at_each_delivery(cast, hook, listener, settings):
    settings.WEBHOOK_ALLOW_PRIVATE = False
    happen(cast)
    send_due()
    assert listener.seen == []
    assert "private address" in WebhookDelivery.objects.get().error


def test_an_address_inside_is_refused_when_it_is_typed_in(cast):
    with pytest.raises(Invalid) as refusal:
        webhooks.create_webhook(
            project=cast.project, url="http://127.0.0.1/", events=EVENTS, acting_user=cast.admin
        )
    assert refusal.value.field == "url"
    assert not Webhook.objects.exists()


def test_a_webhook_that_somebody_sends_to_is_left_alone(cast, hook, listener):
    happen(cast)
    Webhook.objects.update(leased_until=timezone.now() + timedelta(seconds=30))
    assert send_due() == 0
    Webhook.objects.update(leased_until=timezone.now() - timedelta(seconds=1))  # that process died
    assert send_due() == 1


def test_a_webhook_is_claimed_once(cast, hook):
    happen(cast)
    assert webhook_sending._claim(set()) == hook
    assert webhook_sending._claim(set()) is None


def test_sent_again_by_hand_it_has_the_same_id_and_body(cast, hook, listener):
    happen(cast)
    send_due()
    webhooks.resend_delivery(delivery=WebhookDelivery.objects.get(), acting_user=cast.admin)
    with pytest.raises(Conflict):
        webhooks.resend_delivery(delivery=WebhookDelivery.objects.get(), acting_user=cast.admin)
    send_due()
    first, second = listener.seen
    assert first.body == second.body
    assert first.headers["X-Annotate-Delivery"] == second.headers["X-Annotate-Delivery"]


def test_the_log_is_kept_for_a_month(cast, hook):
    happen(cast)
    send_due()
    WebhookDelivery.objects.update(finished_at=timezone.now() - timedelta(days=31))
    send_due()
    assert not WebhookDelivery.objects.exists()


def test_a_batch_is_finished_once_and_again_after_it_was_reopened(cast, hook):
    batch = make_demonstration_batch(cast.project, tasks=2)
    assert note_finished_batches() == 0
    do_next(cast.annotator, cast.project)
    assert note_finished_batches() == 0
    do_next(cast.annotator, cast.project)
    assert (note_finished_batches(), note_finished_batches()) == (1, 0)
    assert WebhookDelivery.objects.filter(event="batch.finished").count() == 1
    batch.tasks.update(status=TaskStatus.OPEN)
    assert note_finished_batches() == 0
    assert Batch.objects.get().finished_at is None
    batch.tasks.update(status=TaskStatus.DONE)
    assert note_finished_batches() == 1


# --- Page and API ---------------------------------------------------------------------------------------
def test_an_admin_makes_one_on_the_page_and_sees_its_secret_once(client, cast, listener):
    client.force_login(cast.admin)
    address = f"/projects/{cast.project.slug}/webhooks/"
    answer = client.post(address, {"url": listener.url, "events": ["run.ended"]})
    webhook = Webhook.objects.get()
    secret = webhooks.secret_of(webhook)
    assert secret in answer.content.decode()
    for page in (address, f"{address}{webhook.pk}/"):
        assert secret not in client.get(page).content.decode()


def test_the_page_says_beside_the_field_what_is_wrong(client, cast):
    client.force_login(cast.admin)
    address = f"/projects/{cast.project.slug}/webhooks/"
    answer = client.post(address, {"url": "http://10.0.0.1/", "events": ["run.ended"]})
    assert answer.status_code == 422 and "a private address" in answer.content.decode()
    answer = client.post(address, {"url": "http://10.0.0.1/"})
    assert answer.status_code == 422


def test_the_log_on_the_page_shows_answers_as_text(client, cast, hook, listener):
    listener.answer = (400, "<script>alert(1)</script>")
    happen(cast)
    send_due()
    client.force_login(cast.admin)
    page = client.get(f"/projects/{cast.project.slug}/webhooks/{hook.pk}/").content.decode()
    assert "&lt;script&gt;alert(1)" in page and "<script>alert" not in page


def test_the_pages_cost_the_same_for_any_number(client, cast, hook, django_assert_max_num_queries):
    client.force_login(cast.admin)
    for number in range(40):
        happen(cast, number=number)
    with django_assert_max_num_queries(13):  # three of them for saved views
        client.get(f"/projects/{cast.project.slug}/webhooks/{hook.pk}/")
    with django_assert_max_num_queries(12):  # two for saved views
        client.get(f"/projects/{cast.project.slug}/webhooks/")


def test_a_program_does_all_of_it(cast, listener, api_client_of):
    api = api_client_of(cast.admin)
    base = f"/api/projects/{cast.project.slug}/"
    made = api.post(f"{base}webhooks/", {"url": listener.url, "events": ["run.ended"]})
    assert made.status_code == 201 and made.json()["secret"].startswith("whsec_")
    one = f"{base}webhooks/{made.json()['id']}/"
    assert "secret" not in api.get(one).json()
    assert api.post(f"{one}test/").status_code == 202
    send_due()
    [delivery] = api.get(f"{one}deliveries/").json()["results"]
    assert (delivery["status"], delivery["response_status"]) == ("delivered", 200)
    assert api.post(f"{base}webhook-deliveries/{delivery['id']}/resend/").status_code == 202
    assert api.post(f"{one}secret/").json()["secret"] != made.json()["secret"]
    assert api.patch(one, {"is_active": False}).json()["is_active"] is False
    assert api.patch(one, {"events": ["nonsense"]}).status_code == 422
    assert api.delete(one).status_code == 204
    assert api.get(f"{base}webhooks/").json()["count"] == 0

"""The pages of webhooks: events under headings, the list searched, filtered, sorted and taken along."""

from __future__ import annotations

import pytest
from django.urls import reverse
from django.utils import timezone

from labeling.models import Webhook
from labeling.models.webhook import WEBHOOK_EVENTS
from labeling.views.webhooks import WebhookForm

pytestmark = [pytest.mark.django_db, pytest.mark.database]


@pytest.fixture
def hooks(cast):
    def make(url, *events, **fields):
        return Webhook.objects.create(
            project=cast.project, url=url, events=list(events), secret_sealed="", **fields
        )

    now = timezone.now()
    return [
        make("https://c.example/", "run.ended"),
        make("https://a.example/", "batch.finished", "run.ended", failing_since=now),
        make(
            "https://b.example/", "batch.finished", disabled_at=now, disabled_reason="An admin disabled it."
        ),
    ]


def listed(client, cast, **query) -> list[str]:
    answer = client.get(reverse("labeling:webhooks", args=[cast.project.slug]), query)
    return [webhook.url[8] for webhook in answer.context["listing"].page]


def test_each_event_stands_under_one_heading():
    groups = WebhookForm().event_groups()
    names = [box.data["value"] for _heading, boxes in groups for box in boxes]
    assert sorted(names) == sorted(WEBHOOK_EVENTS)
    assert all(boxes for _heading, boxes in groups)


def test_the_form_keeps_what_was_chosen(client, cast, hooks):
    client.force_login(cast.admin)
    page = client.get(reverse("labeling:webhook", args=[cast.project.slug, hooks[1].pk])).content.decode()
    checked = [line for line in page.splitlines() if 'name="events"' in line and "checked" in line]
    assert len(checked) == 2
    assert page.count("data-choose-group-all") == 5


@pytest.mark.parametrize(
    ("query", "urls"),
    [
        ({}, "cab"),
        ({"sort": "newest"}, "bac"),
        ({"sort": "address"}, "abc"),
        ({"q": "A.exam"}, "a"),
        ({"state": "used"}, "c"),
        ({"state": "failing"}, "a"),
        ({"state": "disabled"}, "b"),
        ({"event": "batch.finished"}, "ab"),
        ({"event": "run.ended", "state": "used"}, "c"),
    ],
)
def test_the_list_is_searched_filtered_and_sorted(client, cast, hooks, query, urls):
    client.force_login(cast.admin)
    assert listed(client, cast, **query) == list(urls)


def test_without_an_event_the_group_of_boxes_says_so(client, cast, settings):
    settings.WEBHOOK_ALLOW_PRIVATE = True
    client.force_login(cast.admin)
    answer = client.post(
        reverse("labeling:webhooks", args=[cast.project.slug]), {"url": "http://127.0.0.1:1/"}
    )
    page = answer.content.decode()
    assert answer.status_code == 422 and not Webhook.objects.exists()
    assert 'aria-describedby="id_events_error"' in page and 'id="id_events_error"' in page


def test_a_page_that_is_loaded_again_makes_no_twin(client, cast, settings):
    settings.WEBHOOK_ALLOW_PRIVATE = True
    client.force_login(cast.admin)
    address = reverse("labeling:webhooks", args=[cast.project.slug])
    sent = {"url": "http://127.0.0.1:1/", "events": ["run.ended", "batch.finished"]}
    first = client.post(address, sent)
    assert (first.status_code, bool(first.context["new_secret"])) == (200, True)
    again = client.post(address, sent | {"events": ["batch.finished", "run.ended"]})
    assert again.status_code == 422 and "is told of these events already" in again.content.decode()
    assert client.post(address, sent | {"events": ["run.ended"]}).status_code == 200
    assert Webhook.objects.count() == 2

"""The live page: socket and polling say the same, resume at any event, and ask who is there."""

from __future__ import annotations

import asyncio

import pytest
from channels.db import database_sync_to_async
from channels.routing import URLRouter
from channels.testing import WebsocketCommunicator
from django.contrib.auth.models import AnonymousUser
from django.db import transaction
from django.urls import reverse

from training.models import TrainingRun
from training.routing import websocket_urlpatterns
from training.services.event_log import append_event

from .conftest import make_sft_run

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.database]
PATIENCE = 60.0  # seconds that a busy machine may take to answer


@pytest.fixture
def run(cast, sft_version) -> TrainingRun:
    return make_sft_run(cast, sft_version)


@transaction.atomic
def add_events(run: TrainingRun, count: int) -> None:
    for number in range(count):
        append_event(run.pk, type="metrics", step=number, data={"train_loss": 1.0})


async def connect(run: TrainingRun, user, slug: str = "") -> WebsocketCommunicator:
    path = f"/ws/projects/{slug or run.project.slug}/runs/{run.number}/"
    communicator = WebsocketCommunicator(URLRouter(websocket_urlpatterns), path)
    communicator.scope["user"] = user
    connected, _ = await communicator.connect(timeout=PATIENCE)
    assert connected
    return communicator


async def collect(communicator: WebsocketCommunicator, count: int) -> list[int]:
    sequences: list[int] = []
    while len(sequences) < count:
        message = await communicator.receive_json_from(timeout=PATIENCE)
        sequences += [event["sequence"] for event in message["events"]]
    return sequences


async def test_a_page_gets_what_is_there_and_then_what_comes(run, cast):
    communicator = await connect(run, cast.admin)
    await communicator.send_json_to({"since": 0})
    assert await collect(communicator, 1) == [1]
    await database_sync_to_async(add_events)(run, 3)
    assert await collect(communicator, 3) == [2, 3, 4]
    await communicator.disconnect(timeout=PATIENCE)


async def test_a_page_that_comes_back_gets_exactly_what_it_missed(run, cast):
    first = await connect(run, cast.admin)
    await first.send_json_to({"since": 0})
    await collect(first, 1)
    await first.disconnect(timeout=PATIENCE)
    await database_sync_to_async(add_events)(run, 700)  # more than fit into one message
    second = await connect(run, cast.admin)
    await second.send_json_to({"since": 1})
    assert await collect(second, 700) == list(range(2, 702))
    await second.disconnect(timeout=PATIENCE)


async def test_the_run_is_told_only_when_nothing_newer_is_left(run, cast):
    await database_sync_to_async(add_events)(run, 700)
    communicator = await connect(run, cast.admin)
    await communicator.send_json_to({"since": 0})
    messages = [await communicator.receive_json_from(timeout=PATIENCE) for _ in range(2)]
    assert ["run" in message for message in messages] == [False, True]
    await communicator.disconnect(timeout=PATIENCE)


async def test_twenty_pages_share_one_look_at_the_database(run, cast):
    from training import live_watch

    pages = [await connect(run, cast.admin) for _ in range(20)]
    for page in pages:
        await page.send_json_to({"since": 1})
        await page.receive_json_from(timeout=PATIENCE)
    watch = live_watch.run_watch()
    assert len(watch.watchers) == 20
    looks = asyncio.all_tasks()
    assert sum("_look_for_ever" in repr(task) for task in looks) == 1
    await database_sync_to_async(add_events)(run, 1)
    for page in pages:
        assert await collect(page, 1) == [2]
        await page.disconnect(timeout=PATIENCE)
    assert not watch.watchers


@pytest.mark.parametrize("person", ["lead", "annotator", "outsider"])
async def test_people_who_may_not_see_runs_are_told_4403(run, cast, person):
    communicator = await connect(run, getattr(cast, person))
    assert (await communicator.receive_output(timeout=PATIENCE))["code"] == 4403


async def test_somebody_who_is_not_signed_in_is_told_4401(run):
    communicator = await connect(run, AnonymousUser())
    assert (await communicator.receive_output(timeout=PATIENCE))["code"] == 4401


async def test_an_admin_of_another_project_cannot_reach_in_by_its_slug(run, cast):
    communicator = await connect(run, cast.outsider, slug=cast.other_project.slug)
    assert (await communicator.receive_output(timeout=PATIENCE))["code"] == 4403


@pytest.mark.parametrize("text", ["{", "no json", "[]", '{"since": "x"}', '{"since": true}', "1" * 2000])
async def test_nonsense_closes_the_socket(run, cast, text):
    communicator = await connect(run, cast.admin)
    await communicator.send_to(text_data=text)
    assert (await communicator.receive_output(timeout=PATIENCE))["code"] == 4400


async def test_somebody_who_was_removed_stops_seeing_the_run(run, cast, monkeypatch):
    from labeling.models import Membership

    monkeypatch.setattr("training.consumers.ASK_AGAIN_SECONDS", 0.0)
    communicator = await connect(run, cast.admin)
    await communicator.send_json_to({"since": 0})
    await communicator.receive_json_from(timeout=PATIENCE)
    remove = Membership.objects.filter(user=cast.admin).update
    await database_sync_to_async(remove)(status="removed")
    await database_sync_to_async(add_events)(run, 1)
    assert (await communicator.receive_output(timeout=PATIENCE)).get("code") == 4403


def test_polling_gives_the_same_message_as_the_socket(client, run, cast):
    from training.services.event_log import live_message

    add_events(run, 5)
    client.force_login(cast.admin)
    address = reverse("training:run_events", args=[run.project.slug, run.number])
    polled = client.get(address, {"since": 2}).json()
    assert polled == live_message(TrainingRun.objects.get(pk=run.pk), 2)
    assert [event["sequence"] for event in polled["events"]] == [3, 4, 5, 6]
    assert set(polled["run"]) >= {"status", "step", "total_steps", "seconds_left", "metrics", "error_message"}


@pytest.mark.parametrize("since", ["-1", "x", "9" * 20])
def test_a_cursor_that_is_none_is_refused(client, run, cast, since):
    client.force_login(cast.admin)
    address = reverse("training:run_events", args=[run.project.slug, run.number])
    assert client.get(address, {"since": since}, HTTP_ACCEPT="application/json").status_code == 422


def test_a_cursor_from_the_future_counts_as_the_newest(run):
    from training.services.event_log import live_message

    assert live_message(TrainingRun.objects.get(pk=run.pk), 10**6)["cursor"] == 1

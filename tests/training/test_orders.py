"""What is ordered under a key is made once: by a page that is sent again at any distance, and by a program
that repeats itself; every form and route that starts training goes through the same door."""

from __future__ import annotations

import re

import pytest
from django.urls import reverse
from django.utils import translation

from annotate.errors import Conflict, Invalid
from tests.factories import make_ranking_batch
from training.models import Checkpoint, Round, TrainingOrder, TrainingRun
from training.services.learning_curves import create_learning_curve
from training.services.orders import Order, place

from .conftest import make_sft_run
from .test_continuations import make_versions, succeed
from .test_exports import shaped

pytestmark = [pytest.mark.django_db, pytest.mark.database]
AFTER = {"after_completions": "4", "after_temperature": "1.0", "after_split": "train"}
SAMPLING = {"completions_per_prompt": 3, "temperature": 1, "top_p": 1, "max_new_tokens": 20}
SAMPLING |= {"size": 3, "overlap": 1, "review_rate": 0}


class Door:
    """A page, where its form is sent, what, and how much that makes."""

    def __init__(self, page: str, data: dict, *, sent_to: str = "", made: int = 1, counts=TrainingRun):
        self.page, self.data, self.sent_to, self.made = page, data, sent_to or page, made
        self.counts = counts


@pytest.fixture
def door(cast, data_dir, sft_version, prompts_version, checkpoint, reward_checkpoint):
    slug = cast.project.slug

    def named(name: str, *args) -> str:
        return reverse(f"training:{name}", args=[slug, *args])

    def continuation() -> Door:
        versions = make_versions(cast.project)
        former = succeed(make_sft_run(cast, versions["former"]))
        data = {f"{name}_data": version.pk for name, version in versions.items()}
        data |= {"start": str(former.pk), "mix_ratio": "0", "learning_rate_multiplier": "0.3"}
        return Door(named("continuation_new"), data, made=2)

    def scoring() -> Door:
        make_ranking_batch(cast.project, tasks=2, k=3, review_rate=0)
        page = named("checkpoint_detail", reward_checkpoint.pk)
        return Door(page, {}, sent_to=named("checkpoint_score", reward_checkpoint.pk))

    def of(name: str) -> Door:
        sft = {"train_data": sft_version.pk, "model": str(checkpoint.pk), **AFTER}
        export = named("checkpoint_export", shaped(checkpoint).pk)
        plan = {"checkpoint": str(checkpoint.pk), "ranking_prompts": 3, "completions_per_prompt": 2}
        plan |= {"demonstration_prompts": 0, "ranking_test_share": 0.1, "ranking_overlap": 1}
        plan |= {"temperature": 1, "maximum_new_tokens": 20, "again_prompts": 0}
        answers = {"checkpoints": [str(checkpoint.pk)], "prompts_version": prompts_version.pk, **SAMPLING}
        made = {
            "run": lambda: Door(named("run_new") + "?stage=sft", sft),
            "evaluation": lambda: Door(
                named("run_new") + "?stage=evaluate",
                {"model": str(checkpoint.pk), "demonstrations": sft_version.pk},
            ),
            "learning curve": lambda: Door(
                named("run_new") + "?stage=sft", {**sft, "learning_curve": "on"}, made=3
            ),
            "sampling": lambda: Door(named("sample_new"), {**answers, "split": "train"}),
            "anew or go on": continuation,
            "export": lambda: Door(
                named("checkpoint_detail", checkpoint.pk),
                {"format": "gguf", "weights": "float32", "license": "other"},
                sent_to=export,
            ),
            "scoring": scoring,
            "round": lambda: Door(named("round_new"), plan, counts=Round),
        }
        return made[name]()

    return of


DOORS = ["run", "evaluation", "learning curve", "sampling", "anew or go on", "export", "scoring", "round"]


def key_on(client, door: Door) -> str:
    """The key in the form, as the page is shown now."""
    form = client.get(door.page).content.decode()
    if door.sent_to != door.page:  # a page with several forms
        form = form.split(f'action="{door.sent_to}"')[1]
    return re.search(r'name="once" value="([0-9a-f]{32})"', form).group(1)


def said_on(client, address: str) -> str:
    return client.get(address).content.decode()


@pytest.mark.parametrize("name", DOORS)
def test_a_page_that_is_sent_twice_orders_once_and_says_so(client, cast, door, name):
    client.force_login(cast.admin)
    door = door(name)
    before = door.counts.objects.count()
    data = {**door.data, "once": key_on(client, door)}
    first = client.post(door.sent_to, data)
    assert first.status_code == 302, first.content.decode()[-3000:]
    assert door.counts.objects.count() == before + door.made
    assert "was sent before" not in said_on(client, first["Location"])
    # Hours later, from the browser's history; the model may be gone by then, so that nothing is valid in it.
    Checkpoint.objects.update(removed_at="2026-11-28T00:00Z")
    again = client.post(door.sent_to, data)
    assert (again.status_code, again["Location"]) == (302, first["Location"])
    assert door.counts.objects.count() == before + door.made
    assert "This page was sent before" in said_on(client, again["Location"])


@pytest.mark.parametrize("name", [name for name in DOORS if name != "scoring"])
def test_a_page_that_is_loaded_anew_orders_the_same_once_more(client, cast, door, name):
    """Scoring alone has nothing to do a second time."""
    client.force_login(cast.admin)
    door = door(name)
    before = door.counts.objects.count()
    keys = [key_on(client, door) for _ in range(2)]
    assert len(set(keys)) == 2
    for key in keys:
        assert client.post(door.sent_to, {**door.data, "once": key}).status_code == 302
    assert door.counts.objects.count() == before + 2 * door.made


def test_a_page_sent_with_other_settings_asks_and_then_orders_them_too(client, cast, door):
    client.force_login(cast.admin)
    door = door("run")
    data = {**door.data, "once": key_on(client, door), "name": "First"}
    client.post(door.sent_to, data)
    runs = TrainingRun.objects.count()
    other = client.post(door.sent_to, data | {"hp_epochs": "7"})
    shown = other.content.decode()
    assert other.status_code == 422 and TrainingRun.objects.count() == runs
    assert "sent before, with other settings, and has ordered: First." in shown
    assert "Send it once more" in shown and 'value="7"' in shown
    fresh = re.search(r'name="once" value="([0-9a-f]{32})"', shown).group(1)
    assert fresh != data["once"]
    assert client.post(door.sent_to, data | {"hp_epochs": "7", "once": fresh}).status_code == 302
    assert TrainingRun.objects.count() == runs + 1


def test_a_page_shown_again_with_what_is_wrong_keeps_its_key(client, cast, door):
    client.force_login(cast.admin)
    door = door("run")
    data = {**door.data, "once": key_on(client, door)}
    refused = client.post(door.sent_to, data | {"hp_learning_rate": "nan"})
    assert refused.status_code == 422 and f'value="{data["once"]}"' in refused.content.decode()
    first = client.post(door.sent_to, data)  # mended
    assert client.post(door.sent_to, data)["Location"] == first["Location"]
    assert TrainingRun.objects.filter(status="queued").count() == 1


def test_the_other_buttons_of_the_form_order_nothing_and_take_no_key(client, cast, door):
    client.force_login(cast.admin)
    door = door("run")
    data = {**door.data, "once": key_on(client, door)}
    client.post(door.sent_to, data | {"keep": "1", "preset_name": "mine"})
    assert not TrainingOrder.objects.exists()
    client.post(door.sent_to, data)
    kept = client.post(door.sent_to, data | {"keep": "1", "preset_name": "mine, too"})
    assert "preset=mine" in kept["Location"]  # and not the page of the run


def test_a_key_is_of_one_person(client, cast, door):
    from labeling.models import Role
    from labeling.services.projects import add_member
    from tests.factories import make_user

    door, second = door("run"), make_user("zoe")
    add_member(project=cast.project, user=second, role=Role.ADMIN, acting_user=cast.admin)
    found = []
    for person in (cast.admin, second):
        client.force_login(person)
        found.append(client.post(door.sent_to, {**door.data, "once": "k"})["Location"])
    assert len(set(found)) == 2


@pytest.fixture
def bodies(cast, data_dir, sft_version, prompts_version, checkpoint, reward_checkpoint):
    """What a program sends where, by the name of the door."""
    base = f"/api/projects/{cast.project.slug}"
    make_ranking_batch(cast.project, tasks=2, k=3, review_rate=0)
    model = str(shaped(checkpoint).pk)
    run = {"stage": "sft", "inputs": {"train_data": "sft data@v1", "model": model}}
    versions = make_versions(cast.project)
    former = succeed(make_sft_run(cast, versions["former"]))
    pair = {"stage": "sft", "start": str(former.pk)} | {f"{name}_data": f"{name}@v1" for name in versions}
    sampling = {"checkpoints": [model], "prompts_version": "prompts data@v1", "completions_per_prompt": 2}
    plan = {"checkpoint": model, "ranking_prompts": 3, "again_prompts": 0}
    return {
        "run": (f"{base}/runs/", run, {"name": "other"}),
        "learning curve": (f"{base}/runs/", {**run, "learning_curve": True}, {"name": "other"}),
        "sampling": (f"{base}/sample/", sampling, {"temperature": 0.5}),
        "anew or go on": (f"{base}/continuations/", pair, {"mix_ratio": 1.0}),
        "export": (f"{base}/checkpoints/{model}/export/", {"format": "gguf"}, {"license": "mit"}),
        "scoring": (f"{base}/checkpoints/{reward_checkpoint.pk}/score/", {}, None),
        "round": (f"{base}/rounds/", {"plan": plan}, {"plan": {**plan, "ranking_prompts": 2}}),
    }


def identity(answer) -> object:
    told = answer.json()
    return told["anew"]["id"] if "anew" in told else told.get("id") or told["number"]


@pytest.mark.parametrize("name", [name for name in DOORS if name != "evaluation"])
def test_a_program_that_sends_its_key_again_is_answered_alike(cast, api_client_of, bodies, name):
    api = api_client_of(cast.admin)
    address, body, other = bodies[name]
    headers = {"Idempotency-Key": "mine-1"}
    first = api.post(address, body, headers=headers)
    assert first.status_code == 201, first.content
    count = TrainingRun.objects.count() + Round.objects.count()
    # A better checkpoint of the same name came meanwhile, and this one is gone: the answer stays.
    Checkpoint.objects.update(removed_at="2026-11-28T00:00Z")
    again = api.post(address, body, headers=headers)
    assert again.status_code == 200, again.content
    assert identity(again) == identity(first)
    if other is not None:
        in_body = api.post(address, {**body, "idempotency_key": "mine-1"})
        assert (in_body.status_code, identity(in_body)) == (200, identity(first))
        refused = api.post(address, body | other, headers=headers)
        error = refused.json()["error"]
        assert refused.status_code == 409 and set(error) == {
            "code", "message", "field", "hint", "details", "request_id",
        }  # fmt: skip
        assert (error["code"], error["field"]) == ("idempotency_key_reused", "idempotency_key")
        assert "new key" in error["hint"]
    assert TrainingRun.objects.count() + Round.objects.count() == count


def test_without_a_key_each_is_made(cast, api_client_of, bodies):
    api = api_client_of(cast.admin)
    address, body, _other = bodies["run"]
    made = {api.post(address, body).json()["id"] for _ in range(2)}
    assert len(made) == 2 and not TrainingOrder.objects.exists()


def test_a_key_for_another_route_and_a_key_that_is_none_are_refused(cast, api_client_of, bodies):
    api = api_client_of(cast.admin)
    headers = {"Idempotency-Key": "k"}
    address, body, _other = bodies["run"]
    api.post(address, body, headers=headers)
    address, body, _other = bodies["export"]
    assert api.post(address, body, headers=headers).status_code == 409
    for bad in ("k" * 81, " "):
        answer = api.post(address, {**body, "idempotency_key": bad})
        assert answer.status_code == 422
        assert answer.json()["error"]["field"] == "idempotency_key"


def test_a_refused_order_leaves_its_key_free(cast, api_client_of, bodies):
    api = api_client_of(cast.admin)
    address, body, _other = bodies["run"]
    headers = {"Idempotency-Key": "k"}
    assert api.post(address, body | {"preset": "nowhere"}, headers=headers).status_code == 422
    assert api.post(address, body, headers=headers).status_code == 201


def order_of(cast, key: str, **asked) -> Order:
    return Order.of(cast.project, cast.admin, key, asked)


def ordered(cast, version, order: Order) -> tuple[list[TrainingRun], bool]:
    def create(order: Order) -> list[TrainingRun]:
        return [make_sft_run(cast, version, order=order)]

    return place(order, create, list)


def test_whoever_is_slower_leaves_nothing_behind(cast, sft_version):
    """Between the look and the writing somebody else orders the same."""
    order, numbers = order_of(cast, "k"), []

    def create(order: Order) -> list[TrainingRun]:
        (first,), _is_new = ordered(cast, sft_version, order)
        numbers.append(first.number)
        return create_learning_curve(
            project=cast.project, stage="sft", hyperparameters={}, inputs={"train_data": sft_version},
            base_model="base", acting_user=cast.admin, order=order,
        )  # fmt: skip

    found, is_new = place(order, create, list)
    assert not is_new and [run.number for run in found] == numbers
    assert TrainingRun.objects.count() == 1


def test_what_is_refused_because_of_the_faster_one_is_answered_with_it(cast, sft_version):
    order = order_of(cast, "k")

    def create(order: Order) -> list[TrainingRun]:
        ordered(cast, sft_version, order)
        raise Conflict("This model is at work already.")

    found, is_new = place(order, create, list)
    assert not is_new and found == [TrainingRun.objects.get()]
    with pytest.raises(Conflict, match="other order"), translation.override("en"):
        place(order_of(cast, "k", other=True), create, list)


def test_what_is_refused_for_another_reason_is_refused(cast):
    def create(order: Order) -> list[TrainingRun]:
        raise Invalid("No such model.")

    with pytest.raises(Invalid, match="No such model"):
        place(order_of(cast, "k"), create, list)


def test_the_sentence_for_a_key_that_is_none_fits_orders_as_well_as_submissions(cast):
    with pytest.raises(Invalid) as refusal:
        Order.of(cast.project, cast.admin, "k" * 81, {})
    assert "1 to 80 characters" in refusal.value.message
    assert "submission" not in refusal.value.message

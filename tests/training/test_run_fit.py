"""What a run would choose and need, shown on its form before it starts."""

from __future__ import annotations

import json
import sys
import time

import pytest
from django.urls import reverse

from training.models import TrainingRun
from training.services import fitting

pytestmark = pytest.mark.django_db

FOUND = {
    "tokens": 4096,
    "batch": 32,
    "passes": 4,
    "longest": 512,
    "needed_mib": 1234,
    "free_mib": 5678,
    "parts": {},
    "refused": "",
}


@pytest.fixture
def library(data_dir, settings):
    """Call it with what the library prints; what it was asked lies in the file that is returned."""

    def says(answer, *, error: str = "", pause: float = 0.0):
        script, asked = data_dir / "library.py", data_dir / "asked.jsonl"
        script.write_text(
            "import json, sys, time, pathlib\n"
            f"config = json.loads(pathlib.Path(sys.argv[sys.argv.index('--data') + 1]).read_text())\n"
            f"line = json.dumps([sys.argv[1:], config]) + chr(10)\n"
            f"open({str(asked)!r}, 'a').write(line)\n"
            f"time.sleep({pause})\n"
            f"print({json.dumps(answer)!r} if not {error!r} else '')\n"
            f"print({error!r}, file=sys.stderr)\n"
        )
        settings.TRAINER_COMMAND = [sys.executable, str(script)]
        return asked

    return says


@pytest.fixture
def ask(client, cast, checkpoint, monkeypatch):
    """Press the button; the part of the page that answers."""
    client.force_login(cast.admin)
    monkeypatch.setattr(fitting, "WAIT_SECONDS", 20.0)

    def press(stage: str = "sft", **fields) -> str:
        address = reverse("training:run_new", args=[cast.project.slug]) + f"?stage={stage}"
        data = {"fit": "1", "model": str(checkpoint.pk), "hp_batch_size": "32", "hp_micro_batch_tokens": "0"}
        answer = client.post(address, {k: v for k, v in (data | fields).items() if v is not None})
        assert answer.status_code == 200
        return answer.content.decode().split('id="run-fit"')[1].split("</section>")[0]

    return press


@pytest.mark.parametrize(
    ("stage", "is_there"), [("sft", 1), ("reward", 1), ("ppo", 1), ("pretrain", 0), ("evaluate", 0)]
)
def test_stages_whose_memory_can_be_told_have_the_button(client, cast, data_dir, stage, is_there):
    client.force_login(cast.admin)
    page = client.get(reverse("training:run_new", args=[cast.project.slug]) + f"?stage={stage}")
    assert page.content.decode().count('id="run-fit"') == is_there


def test_batch_passes_and_memory_are_shown_and_no_run_is_made(ask, library, checkpoint):
    asked = library(FOUND)
    before = TrainingRun.objects.count()
    part = ask()
    for words in ("32 rows", "4,096", "1,234 of 5,678 MiB", "512 tokens"):
        assert words in part
    assert TrainingRun.objects.count() == before
    options, config = json.loads(asked.read_text())
    assert options[0] == "estimate" and options[options.index("--stage") + 1] == "sft"
    assert (config["batch_size"], config["micro_batch_tokens"]) == (32, 0)
    assert config["model"].endswith(str(checkpoint.directory))


def test_the_same_question_is_asked_once_and_another_again(ask, library):
    asked = library(FOUND)
    ask(), ask(), ask(hp_batch_size="64")
    assert len(asked.read_text().splitlines()) == 2


def test_what_does_not_fit_is_said_as_the_run_would_say_it(ask, library):
    library({**FOUND, "refused": "micro_batch_tokens: lower it to 64"})
    assert "micro_batch_tokens: lower it to 64" in ask()


def test_ppo_asks_about_policy_and_reward_model(ask, library, reward_checkpoint):
    asked = library(FOUND)
    assert "32 episodes" in ask("ppo", reward_model=str(reward_checkpoint.pk), hp_minibatch_size="32")
    _options, config = json.loads(asked.read_text())
    assert config["reward_model"].endswith(str(reward_checkpoint.directory)) and config["policy"]


def test_without_a_model_it_says_what_to_choose(ask, library):
    asked = library(FOUND)
    assert "Choose the model first" in ask(model=None)
    assert not asked.exists()


def test_a_wrong_field_is_named(ask, library):
    library(FOUND)
    assert "learning_rate: Ensure this value is less than or equal to 1" in ask(hp_learning_rate="7")


def test_what_the_library_refuses_is_shown_and_asked_anew(ask, library):
    library(None, error="estimate: model: has no weights")
    assert "has no weights" in ask()
    library(FOUND)
    assert "4,096" in ask()


def test_until_it_is_there_the_page_asks_again(ask, library, monkeypatch):
    library(FOUND, pause=1.0)
    monkeypatch.setattr(fitting, "WAIT_SECONDS", 0.01)
    assert 'hx-trigger="every 2s"' in ask()
    until = time.monotonic() + 30
    while "4,096" not in (part := ask()):
        assert time.monotonic() < until
        time.sleep(0.2)
    assert "every 2s" not in part


def test_a_question_that_cannot_be_written_keeps_no_place(ask_api, library, monkeypatch):
    library(FOUND)

    def full(*_) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(fitting.AnswerFiles, "put", full)
        for _ in range(3):
            with pytest.raises(OSError):
                ask_api()
    answer = ask_api()
    assert (answer.status_code, answer.json()["tokens"]) == (200, FOUND["tokens"])


def test_two_are_asked_at_a_time_and_the_page_waits_for_its_turn(ask, library, monkeypatch):
    asked = library(FOUND)
    monkeypatch.setattr(fitting, "WAIT_SECONDS", 0.01)
    for _ in range(2):
        assert fitting.places.acquire(timeout=30)
    try:
        assert 'hx-trigger="every 2s"' in ask() and not asked.exists()
    finally:
        for _ in range(2):
            fitting.places.release()
    monkeypatch.setattr(fitting, "WAIT_SECONDS", 20.0)
    assert "4,096" in ask()


# --- Over the API ---------------------------------------------------------------------------------------
@pytest.fixture
def ask_api(api_client_of, cast, checkpoint, data_dir, monkeypatch):
    monkeypatch.setattr(fitting, "WAIT_SECONDS", 20.0)
    client = api_client_of(cast.admin)

    def post(stage: str = "sft", **given):
        body = {"stage": stage, "inputs": {"model": str(checkpoint.pk)}} | given
        return client.post(f"/api/projects/{cast.project.slug}/runs/estimate/", body, format="json")

    return post


def test_programs_ask_with_what_would_start_the_run(ask_api, library, checkpoint, sft_version):
    asked = library(FOUND)
    inputs = {"model": str(checkpoint.pk), "train_data": str(sft_version.public_id)}
    answer = ask_api(preset="tiny-demo", hyperparameters={"batch_size": 16}, inputs=inputs, name="first")
    assert (answer.status_code, answer.json()) == (200, FOUND)
    _options, config = json.loads(asked.read_text())
    assert (config["batch_size"], config["maximum_length"]) == (16, 96), (
        "the preset's, and what is said over it"
    )
    assert config["model"].endswith(str(checkpoint.directory))
    assert not TrainingRun.objects.filter(name="first").exists()


def test_programs_are_told_to_ask_again_while_the_model_is_measured(ask_api, library, monkeypatch):
    library(FOUND, pause=1.0)
    monkeypatch.setattr(fitting, "WAIT_SECONDS", 0.01)
    answer = ask_api()
    assert (answer.status_code, answer.json()) == (202, {"status": "measuring"})
    assert answer["Retry-After"] == "2"
    monkeypatch.setattr(fitting, "WAIT_SECONDS", 60.0)
    assert ask_api().json() == FOUND


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"inputs": {}}, "model"),
        ({"inputs": {"model": "run:99"}}, "model"),
        ({"stage": "evaluate"}, "stage"),
        ({"stage": "ppo"}, "reward_model"),
        ({"hyperparameters": {"learning_rate": 7}}, "learning_rate"),
        ({"preset": "no-such"}, "preset"),
    ],
)
def test_programs_are_told_what_is_wrong_with_the_question(ask_api, library, given, field):
    asked = library(FOUND)
    answer = ask_api(**given)
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, field)
    assert not asked.exists()


def test_memory_is_told_to_those_who_launch_runs(api_client_of, cast, library):
    for person, code in ((cast.lead, 403), (cast.annotator, 403), (cast.outsider, 404)):
        address = f"/api/projects/{cast.project.slug}/runs/estimate/"
        assert api_client_of(person).post(address, {"stage": "sft"}, format="json").status_code == code

"""What people get wrong, the whole list, by each door: the trainer as a process, form, API and command.

Each is refused before there is a run, or where nobody could look meanwhile by the run itself before its first
step, in a sentence that says what to do; a stack trace is never the only answer. A reward model with another
tokenizer is none of it: see tests/rlhf, with the other shapes.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse
from rest_framework.test import APIClient

from tests.spoilt_models import foreign_code, pickled, without_weights
from training import tasks
from training.models import RunStatus, TrainingRun
from training.services import long_prompts

from .conftest import make_letters_model, make_version

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
USER = {"role": "user", "content": "What is 1 plus 1?"}
ANSWER = {"role": "assistant", "content": "It is 2."}
LONG = {"role": "user", "content": "very long " * 40}
BARELY = {"role": "user", "content": "x" * 126}
LOOPS = "{% for a in range(99999) %}{% for b in range(99999) %}{% for c in range(99999) %}{% endfor %}" * 2
LOOPS += "{% endfor %}{% endfor %}" * 2


class Case:
    """What is wrong with rows, model folder or fields; words of the trainer's sentence, of the site's and of
    its form's where they differ."""

    def __init__(
        self,
        words,
        *,
        stage="sft",
        rows=None,
        folder=None,
        values=None,
        field="base_model",
        site=None,
        form=None,
    ):
        self.words, self.stage, self.rows, self.folder = words, stage, rows, folder
        self.values, self.field = values or {}, field
        self.site = site or words
        self.form = form or self.site


def demonstrations(*pairs):
    return [
        {"id": f"d{n}", "prompt_id": f"p{n}", "messages": [prompt, answer], "source": {}}
        for n, (prompt, answer) in enumerate(pairs)
    ]


def comparisons(*ranks, prompt=USER):
    completions = [
        {"id": str(n), "text": text, "generator": ""} for n, text in enumerate(("It is 2.", "No."))
    ]
    return [
        {
            "id": f"c{n}", "prompt_id": f"p{n}", "messages": [prompt], "completions": completions,
            "ranks": each, "margins": None, "source": {},
        }
        for n, each in enumerate(ranks)
    ]  # fmt: skip


def looping(folder):
    (folder / "chat_template.jinja").write_text(LOOPS)


def filling(folder):
    (folder / "chat_template.jinja").write_text("{{ 'x' * 10000000000 }}{{ messages }}")


GOOD = demonstrations(*[(USER, ANSWER)] * 4)
CASES = {
    "prompt longer than the context": Case(
        ["row 1", "no response token is left", "shorten it"], field="train_data",
        rows=demonstrations((LONG, ANSWER), (USER, ANSWER)), values={"over_long": "refuse"},
        site=["row 1", "no response token is left", "Shorten it"],
    ),
    "only prompts longer than the context": Case(
        ["every row is longer", "shorten the rows"], rows=demonstrations((LONG, ANSWER)), field="train_data",
        site=["every prompt is longer than the 128 tokens", "Shorten them"],
    ),
    "only prompts longer than the context, of rankings": Case(
        ["nothing to learn", "raise maximum_length"], stage="reward", field="train_data",
        rows=comparisons([1, 2], [1, 2], prompt=LONG),
        site=["every prompt is longer than the 128 tokens", "Shorten them"],
    ),
    "prompt that only with its template is longer than the context": Case(
        ["every row is longer", "shorten the rows"], field="train_data",
        rows=demonstrations((BARELY, ANSWER)),
        site=["every prompt is longer than the 128 tokens", "Shorten them"],
    ),
    "empty response": Case(
        ["row 2", "the response is empty", "take the row out"], field="train_data",
        rows=demonstrations((USER, ANSWER), (USER, {"role": "assistant", "content": " "})),
    ),
    "one comparison only": Case(
        ["one comparison only", "collect more"], stage="reward", rows=comparisons([1, 2]), field="train_data",
        site=["one comparison only", "Collect more"],
    ),
    "one comparison only, among ties": Case(
        ["one comparison only", "collect more"], stage="reward", field="train_data",
        rows=comparisons([1, 1], [1, 2], [1, 1]), site=["one comparison only", "Collect more"],
    ),
    "all ties": Case(
        ["nothing to learn", "rank again"], stage="reward", rows=comparisons([1, 1], [1, 1], [1, 1]),
        field="train_data", site=["nothing to learn", "Rank again"],
    ),
    "a folder without weights": Case(["has no weights", "give another folder"], folder=without_weights),
    "a pickle": Case(["pickle", "convert them to safetensors"], folder=pickled),
    "remote code": Case(["auto_map", "choose one of a family"], folder=foreign_code),
    "a template that loops": Case(["does it loop?", "give another"], folder=looping),
    "a template that fills the memory": Case(["1 GiB of memory", "give another"], folder=filling),
    "a typed template that loops": Case(
        ["does it loop?", "give another"], values={"chat_template": LOOPS}, field="chat_template"
    ),
    "lr = NaN": Case(
        ["learning_rate", "finite number"], values={"learning_rate": float("nan")}, field="learning_rate",
        form=["Enter a number."],
    ),
    "batch larger than data": Case(
        ["batch_size", "only", "lower it to 4"], values={"batch_size": 5}, field="batch_size",
        site=["batch_size", "only 4 training rows", "Lower it to 4"],
    ),
    "a trillion steps": Case(
        ["maximum_steps", "from 0 to 10,000,000"], values={"maximum_steps": 10**12}, field="maximum_steps",
        form=["less than or equal to 10000000"],
    ),
}  # fmt: skip


def trainer_row(row):
    """A canonical row as the trainer reads it."""
    texts = [completion["text"] for completion in row.get("completions", [])]
    kept = {name: row[name] for name in ("messages", "ranks") if name in row}
    return kept | ({"completions": texts} if texts else {})


def model_folder(case, folder):
    made = make_letters_model(folder)
    if case.folder is not None:
        case.folder(made)
    return made


@pytest.mark.parametrize("name", CASES)
def test_the_trainer_refuses_it_in_one_sentence(tmp_path, name):
    case = CASES[name]
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps(trainer_row(row)) + "\n" for row in case.rows or GOOD))
    config = {
        "model": str(model_folder(case, tmp_path / "model")), "train_file": str(data), "batch_size": 1,
        "device": "cpu", "threads": 1, **case.values,
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config))
    command = [sys.executable, "-m", "training.rlhf", case.stage]
    command += ["--config", str(tmp_path / "config.json"), "--out", str(tmp_path / "run")]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=180)
    assert ended.returncode == 2, ended.stderr
    assert "Traceback" not in ended.stderr and len(ended.stderr.strip().splitlines()) == 1
    assert all(word in ended.stderr for word in case.words), ended.stderr


@pytest.fixture
def order(cast, data_dir):
    """Version and base model of a case, and what form and API are told."""

    def make(case):
        rows = case.rows or GOOD
        kind = "comparison" if case.stage == "reward" else "sft"
        version = make_version(cast.project, kind, {"train": rows})
        if not (data_dir / "models" / "letters").exists():
            model_folder(case, data_dir / "models" / "letters")
        return version, {"base_model": "letters"}

    return make


def outcome(cast, case) -> str:
    """What a queued run ends with. It must have said it itself, at once."""
    run = TrainingRun.objects.get()
    tasks.execute_run(str(run.pk))
    run.refresh_from_db()
    assert run.status == RunStatus.FAILED and run.step == 0
    assert "Traceback" not in run.error_message and "\n" not in run.error_message
    return run.error_message


def send_form(client, cast, case, version, model):
    client.force_login(cast.admin)
    given = {f"hp_{field}": str(value) for field, value in case.values.items()}
    given |= {"train_data": version.pk, **model, "after_completions": "4", "after_temperature": "1.0"}
    return client.post(reverse("training:run_new", args=[cast.project.slug]) + f"?stage={case.stage}", given)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("name", CASES)
def test_the_form_says_what_to_do(client, cast, order, name):
    case = CASES[name]
    answer = send_form(client, cast, case, *order(case))
    assert answer.status_code == 422 and not TrainingRun.objects.exists()
    said = answer.content.decode()
    assert all(word in said for word in case.form), said


@pytest.mark.django_db(transaction=True)
def test_what_cannot_be_counted_before_is_said_by_the_run(client, cast, order, monkeypatch):
    monkeypatch.setattr(long_prompts, "MOST_BYTES", 0)
    case = CASES["prompt that only with its template is longer than the context"]
    answer = send_form(client, cast, case, *order(case))
    assert answer.status_code == 302, answer.content.decode()[-3000:]
    said = outcome(cast, case)
    assert all(word in said for word in case.words), said
    # Whoever looks at the run reads the sentence, escaped, and no folder of the server.
    page = client.get(answer.url).content.decode()
    assert case.words[0].split("'")[0] in page and str(ROOT) not in said


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("name", CASES)
def test_the_api_refuses_it_by_the_name_of_the_field(cast, order, name):
    case = CASES[name]
    version, model = order(case)
    api = APIClient()
    api.force_authenticate(cast.admin)
    body = {
        "stage": case.stage, "hyperparameters": case.values, **model,
        "inputs": {"train_data": str(version.public_id)},
    }  # fmt: skip
    raw = json.dumps(body)  # NaN as Python writes it, and as a careless client sends it
    answer = api.post(f"/api/projects/{cast.project.slug}/runs/", raw, content_type="application/json")
    assert answer.status_code in (400, 422), answer.content
    error = answer.json()["error"]
    if name == "lr = NaN":
        assert "JSON" in error["message"]  # which has no such number
    else:
        assert error["field"] == case.field
        said = json.dumps(error, ensure_ascii=False)
        assert all(word in said for word in case.site), said
    assert not TrainingRun.objects.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("name", CASES)
def test_the_command_refuses_it_with_what_to_do(cast, order, name):
    case = CASES[name]
    version, model = order(case)
    given = ["launch_run", "--project", cast.project.slug, "--stage", case.stage]
    given += ["--dataset", str(version.public_id), "--base-model", model["base_model"]]
    for field, value in case.values.items():
        given += ["--set", f"{field}={json.dumps(value)}"]
    with pytest.raises(CommandError) as refused:
        call_command(*given)
    assert all(word in str(refused.value) for word in case.site), str(refused.value)
    assert not TrainingRun.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_good_rows_are_let_in(cast, order):
    """As often as not the last row is long, a response short and a ranking tied."""
    good = demonstrations((USER, ANSWER), (USER, {"role": "assistant", "content": "2"}), (LONG, ANSWER))
    for case in (
        Case([], rows=good),
        Case([], stage="reward", rows=comparisons([1, 1], [1, 2], [2, 1])),
    ):
        version, model = order(case)
        given = ["launch_run", "--project", cast.project.slug, "--stage", case.stage]
        call_command(*given, "--dataset", str(version.public_id), "--base-model", model["base_model"])
    assert TrainingRun.objects.count() == 2

"""How large a version is in tokens, counted by a child process, and how long a run on it may take."""

from __future__ import annotations

import json
import math
import shutil
import statistics
import uuid
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from annotate.errors import Invalid
from labeling.models import AuditEvent, DatasetSizes
from labeling.services import background, dataset_sizes, datasets
from labeling.services.dataset_sizes import measure_sizes, time_estimate
from labeling.services.progress import Progress
from tests.factories import make_prompt
from tests.labeling.judgments import make_demonstration, make_ranking
from tests.labeling.test_dataset_freeze import fill, make_version
from tests.training.conftest import make_letters_model
from training.models import RunEvent, RunInput, RunInputRole, TrainingRun
from training.rlhf import cli
from training.rlhf.chat import ChatEncoder, load_tokenizer
from training.rlhf.errors import RlhfError
from training.rlhf.sizes import Sizes, measure_files
from training.services import encoding
from training.services.library_calls import followed_answer_of
from training.services.locations import checkpoint_directory, without_our_folders

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _without_a_child(monkeypatch):
    """The library is asked in this process: the start of a child takes seconds. One test below asks one."""

    def answer(command, options, *, tell, patience, field):
        asked = cli._parser().parse_args([command, *options])
        try:
            return measure_files(model=asked.model, data=asked.data, tell=tell)
        except RlhfError as error:
            raise Invalid(without_our_folders(error.message), field=field) from error

    monkeypatch.setattr(encoding, "followed_answer_of", answer)


@pytest.fixture
def base_folder(data_dir):
    return make_letters_model(data_dir / "models" / "letters")


@pytest.fixture
def sft_version(cast, data_dir):
    for number in range(12):  # prompts of the same words each time, so that neither split is ever empty
        prompt = make_prompt(cast.project, f"Which of the letters is number {number}?")
        make_demonstration(cast.project, cast.annotator, f"Answer {number}.", prompt=prompt)
    version = make_version(cast, fractions={"train": 0.7, "validation": 0.3})
    assert version.row_counts["train"] and version.row_counts["validation"]
    return version


def counted_slowly(encoder, rows, context):
    """The obvious way: every row encoded whole, as a run would, and its ids counted."""
    lengths, total, response, fitting = [], 0, 0, 0
    for row in rows:
        answers = [each["text"] for each in row["completions"]] if "completions" in row else None
        if answers is None:
            *messages, last = row["messages"]
            answers = [last["content"]]
        else:
            messages = row["messages"]
        sequences = [len(encoder.encode(messages, text).ids) for text in answers]
        prompt = len(encoder.encode_prompt(messages))
        lengths.append(max(sequences))
        total += sum(sequences) - prompt * (len(answers) - 1)
        response += sum(sequences) - prompt * len(answers)
        fits = [length for length in sequences if length <= context]
        fitting += sum(fits) - prompt * (len(fits) - 1) if fits else 0
    lengths.sort()
    return {
        "rows": len(lengths),
        "tokens": {
            "min": lengths[0],
            "median": statistics.median(lengths),
            "p95": lengths[math.ceil(len(lengths) * 0.95) - 1],
            "max": lengths[-1],
        },
        "total": total,
        "response": response,
        "fitting": fitting,
        "over": sum(length > context for length in lengths),
        "refused": 0,
    }


@pytest.mark.parametrize("context", [128, 40])
def test_sizes_are_those_of_rows_encoded_one_by_one(cast, sft_version, base_folder, context):
    (base_folder / "config.json").write_text(json.dumps({"model_type": "gpt2", "n_positions": context}))
    sizes = measure_sizes(version=sft_version, model="letters", acting_user=cast.admin)
    assert sizes.status == "ready", sizes.error
    assert sizes.result["context"] == context
    encoder = ChatEncoder(load_tokenizer(str(base_folder)))
    for split in ("train", "validation"):
        rows = datasets.open_split(version=sft_version, split=split)
        assert sizes.result["splits"][split] == counted_slowly(encoder, rows, context)
    assert sizes.result["splits"]["test"]["tokens"] == {}


def test_a_ranking_counts_its_prompt_once_and_is_as_long_as_its_longest_completion(
    cast, data_dir, base_folder
):
    for _ in range(2):
        submission = make_ranking(cast.project, cast.annotator)
        longer = submission.prompt.completions.first()
        longer.text = "A good deal longer than any of the others are."
        longer.save()
    version = make_version(cast, "comparison", "pairs", fractions={"train": 1.0})
    sizes = measure_sizes(version=version, model="letters", acting_user=cast.admin)
    encoder = ChatEncoder(load_tokenizer(str(base_folder)))
    rows = datasets.open_split(version=version, split="train")
    assert sizes.result["splits"]["train"] == counted_slowly(encoder, rows, 128)


def test_arithmetic_by_hand():
    sizes = Sizes(context=10)
    sizes.add(4, [3, 8])  # 7 fits, 12 does not
    sizes.add(9, [2])  # 11 does not
    sizes.add(5, [])  # a prompt alone
    assert sizes.to_json() == {
        "rows": 3,
        "tokens": {"min": 5, "median": 11, "p95": 12, "max": 12},
        "total": 4 + 3 + 8 + 9 + 2 + 5,
        "response": 13,
        "fitting": 4 + 3 + 5,
        "over": 2,
        "refused": 0,
    }


def test_each_tokenizer_is_counted_once_and_another_one_anew(cast, sft_version, base_folder, monkeypatch):
    first = measure_sizes(version=sft_version, model="letters", acting_user=cast.admin)
    copy = make_letters_model(base_folder.with_name("copy"))
    monkeypatch.setattr(dataset_sizes, "build_sizes", lambda **_: pytest.fail("it was counted already"))
    again = measure_sizes(version=sft_version, model="copy", acting_user=cast.lead, in_background=True)
    assert again == first
    assert AuditEvent.objects.filter(action="dataset.sizes_asked").count() == 1
    (copy / "chat_template.jinja").write_text("{{ messages[0].content }}{{ eos_token }}")
    other = measure_sizes(version=sft_version, model="copy", acting_user=cast.lead, in_background=True)
    assert other != first


def test_what_cannot_be_counted_is_said_and_tried_again(cast, sft_version, base_folder):
    for model in ("/etc", "unknown", str(uuid.uuid4())):
        with pytest.raises(Invalid):
            measure_sizes(version=sft_version, model=model, acting_user=cast.admin)
    whole = (base_folder / "config.json").read_text()
    (base_folder / "config.json").write_text(whole.replace("gpt2", "no-such-family"))
    sizes = measure_sizes(version=sft_version, model="letters", acting_user=cast.admin)
    assert (sizes.status, "config.json" in sizes.error) == ("failed", True)
    assert str(base_folder.parent) not in sizes.error
    (base_folder / "config.json").write_text(whole)
    again = measure_sizes(version=sft_version, model="letters", acting_user=cast.admin)
    assert (again.pk, again.status, again.error) == (sizes.pk, "ready", "")


@pytest.mark.slow
def test_the_site_asks_a_child_which_tells_how_far_it_is(cast, sft_version, base_folder, data_dir):
    told = []
    lines = datasets.split_path(version=sft_version, split="train").read_bytes().splitlines(keepends=True)
    (data_dir / "many.jsonl").write_bytes(b"".join(lines * (2_100 // len(lines))))
    asked = ["--model", str(base_folder), "--data", str(data_dir / "many.jsonl")]
    found = followed_answer_of("sizes", asked, tell=told.append, patience=300.0, field="model")
    assert told == [1_000, 2_000]
    assert found["files"]["many"]["rows"] == len(lines) * (2_100 // len(lines))
    (data_dir / "many.jsonl").write_bytes(b"{}\n")
    with pytest.raises(Invalid, match="row 1.*no row of a dataset version") as refusal:
        followed_answer_of("sizes", asked, tell=told.append, patience=300.0, field="model")
    assert (refusal.value.field, str(data_dir) in refusal.value.message) == ("model", False)
    with pytest.raises(Invalid, match="not answered after 0 seconds"):
        followed_answer_of("sizes", asked, tell=told.append, patience=0.01, field="model")


def test_in_the_background_a_sweep_counts_what_nobody_took_up(cast, sft_version, base_folder):
    sizes = measure_sizes(version=sft_version, model="letters", acting_user=cast.admin, in_background=True)
    assert sizes.status == "waiting"
    Progress("sizes", sizes.pk).tell("counting", 3, 12, now=True)
    DatasetSizes.objects.filter(pk=sizes.pk).update(attempt=1)
    background.sweep()  # somebody is at it
    sizes.refresh_from_db()
    assert (sizes.status, sizes.attempt) == ("waiting", 1)
    Progress("sizes", sizes.pk).end()
    background.sweep()
    sizes.refresh_from_db()
    assert (sizes.status, sizes.attempt) == ("ready", 2)
    assert Progress("sizes", sizes.pk).read() is None


# --- Time -------------------------------------------------------------------------------------------------
def make_run(cast, speeds, *, stage="sft", number=1, model="", metrics=None, **fields):
    run = TrainingRun.objects.create(
        project=cast.project,
        number=number,
        stage=stage,
        status="succeeded",
        base_model=model,
        hyperparameters={"epochs": 3},
        metrics=metrics or {},
        finished_at=timezone.now(),
        **fields,
    )
    for sequence, speed in enumerate(speeds, start=1):
        RunEvent.objects.create(
            run=run,
            sequence=sequence,
            type="metrics",
            step=sequence,
            data={"train_loss": 1.0, **({"tokens_per_second": speed} if speed else {})},
            occurred_at=timezone.now(),
        )
    return run


def test_time_is_told_by_the_speed_of_former_runs(cast, sft_version, base_folder):
    sizes = measure_sizes(version=sft_version, model="letters", acting_user=cast.admin)
    assert time_estimate(sizes) is None
    make_run(cast, [1.0, 100.0, 300.0, 0])  # a slow first step weighs nothing: the median is 100
    make_run(cast, [50.0], number=2)
    make_run(cast, [400.0], number=3)
    make_run(cast, [], number=4)  # told no speed
    make_run(cast, [9.0], number=5, stage="reward")
    amount = sizes.result["splits"]["train"]["fitting"]
    found = time_estimate(sizes)
    assert (found.amount, found.unit, found.epochs) == (amount, "tokens", 3)
    assert (found.shortest, found.median, found.longest) == (amount / 400, amount / 100, amount / 50)
    assert (len(found.speeds), found.is_same_model) == (3, False)


def test_runs_that_started_from_the_same_model_tell_it_better(cast, sft_version, base_folder):
    sizes = measure_sizes(version=sft_version, model="letters", acting_user=cast.admin)
    make_run(cast, [50.0])
    make_run(cast, [10.0], number=2, model=str(base_folder))
    found = time_estimate(sizes)
    assert (found.is_same_model, [each.per_second for each in found.speeds]) == (True, [10.0])


def test_a_checkpoint_is_counted_by_and_known_again(cast, sft_version, base_folder, checkpoint):
    folder = checkpoint_directory(checkpoint)
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(base_folder, folder)
    run = make_run(cast, [20.0], number=77)
    RunInput.objects.create(run=run, role=RunInputRole.MODEL, checkpoint=checkpoint)
    sizes = measure_sizes(version=sft_version, model=str(checkpoint.pk), acting_user=cast.admin)
    assert (sizes.status, sizes.model_name) == ("ready", str(checkpoint))
    assert time_estimate(sizes).is_same_model


@pytest.mark.parametrize("gone_on", [{}, {"episodes": 400, "seconds_are_of_episodes": 40}])
def test_prompts_are_reckoned_by_what_ppo_answered(cast, data_dir, base_folder, gone_on):
    fill(cast, 4)
    version = make_version(cast, "prompts", "asked", fractions={"train": 1.0})
    metrics = {"episodes": 40, "seconds_rollout": 6.0, "seconds_update": 2.0, **gone_on}
    make_run(cast, [], stage="ppo", metrics=metrics)
    sizes = measure_sizes(version=version, model="letters", acting_user=cast.admin)
    train = sizes.result["splits"]["train"]
    assert (train["response"], train["fitting"]) == (0, train["total"])
    found = time_estimate(sizes)
    assert (found.unit, found.amount, found.median) == ("prompts", train["rows"], train["rows"] / 5)


# --- Edges ------------------------------------------------------------------------------------------------
def page_of(cast, version, rest=""):
    return f"/projects/{cast.project.slug}/datasets/{version.dataset_id}/versions/{version.number}/{rest}"


def test_the_page_counts_and_shows(client, cast, sft_version, base_folder):
    client.force_login(cast.lead)
    assert "no former run" not in client.get(page_of(cast, sft_version)).content.decode()
    answer = client.post(page_of(cast, sft_version, "sizes/"), {"model": "letters"})
    sizes = DatasetSizes.objects.get()
    assert answer.url == f"{page_of(cast, sft_version)}?sizes={sizes.pk}#sizes"
    page = client.get(answer.url).content.decode()
    assert f"{sizes.result['splits']['train']['total']:,}" in page
    assert "There is no former run of this stage yet" in page
    make_run(cast, [50.0])
    page = client.get(page_of(cast, sft_version, "sizes/")).content.decode()
    assert "By the speed of 1 former run, of other models" in page
    assert "/runs/1/" not in page  # a lead may not see runs
    client.force_login(cast.admin)
    assert "/runs/1/" in client.get(page_of(cast, sft_version)).content.decode()


def test_the_api_counts_and_tells(client, cast, sft_version, base_folder):
    client.force_login(cast.lead)
    url = f"/api{page_of(cast, sft_version, 'sizes/')}"
    before = client.get(url).json()
    assert (before["models"], before["results"]) == ([{"value": "letters", "name": "letters"}], [])
    made = client.post(url, {"model": "letters"}, content_type="application/json")
    assert (made.status_code, made.json()["estimate"]) == (200, None)
    assert client.get(url).json()["results"] == [made.json()]
    assert client.post(url, {"model": "x"}, content_type="application/json").status_code == 422


def test_the_command_counts_and_says(cast, sft_version, base_folder):
    out = StringIO()
    call_command("measure_dataset", str(sft_version.public_id), stdout=out)
    assert out.getvalue() == "letters\n"
    out = StringIO()
    call_command("measure_dataset", str(sft_version.public_id), model="letters", json=True, stdout=out)
    found = json.loads(out.getvalue())
    assert found["splits"] == DatasetSizes.objects.get().result["splits"]
    assert found["estimate"] is None
    out = StringIO()
    make_run(cast, [50.0, 70.0])
    call_command("measure_dataset", str(sft_version.public_id), model="letters", stdout=out)
    assert f"{found['splits']['train']['total']:,}" in out.getvalue()
    assert "by 1 runs of other models" in out.getvalue()
    with pytest.raises(CommandError):
        call_command("measure_dataset", str(sft_version.public_id), model="none")

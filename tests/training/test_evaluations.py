"""Evaluations of classes and safety prompts: what they read, what their page shows, several side by side."""

from __future__ import annotations

import json

import pytest
from django.db import transaction
from django.urls import reverse

from annotate.errors import Invalid
from labeling.models import Prompt
from training.models import Checkpoint, RunStatus, TrainingRun
from training.rlhf.class_report import ClassRow, class_report
from training.rlhf.refusals import SafetyAnswer
from training.rlhf.refusals import report as safety_report
from training.services.event_log import append_event
from training.services.locations import checkpoint_directory
from training.services.preparation import Preparation
from training.services.runs import create_run
from training.services.texts import save_text
from training.views.evaluation_tables import (
    class_tables,
    compared_behaviour,
    evaluation_charts,
    safety_tables,
)

from .conftest import make_checkpoint

pytestmark = pytest.mark.django_db
CLASSES = class_report(
    ["<b>yes</b>", "no"], [ClassRow(0, [-0.1, -2.5])] * 7 + [ClassRow(1, [-0.2, -1.9])] * 3
)
NO = "I'm sorry, but I can't help with that."


def safety(refused: int, of: int = 10):
    answers = [
        SafetyAnswer(f"<i>bad</i> {n}", NO if n < refused else "Sure.", "refuse", "harm") for n in range(of)
    ]
    return safety_report([*answers, SafetyAnswer("fine", "Sure.", "answer", "harmless")])


def evaluate(cast, checkpoint, *, told=None, metrics=None, **more) -> TrainingRun:
    run = create_run(
        project=cast.project,
        stage="evaluate",
        hyperparameters=more.pop("hyperparameters", {}),
        inputs={"model": checkpoint, **more.pop("inputs", {})},
        acting_user=cast.admin,
        **more,
    )
    with transaction.atomic():
        for name, report in (told or {}).items():
            append_event(run.pk, type="report", data={"name": name, "report": report})
    TrainingRun.objects.filter(pk=run.pk).update(status=RunStatus.SUCCEEDED, metrics=metrics or {})
    run.refresh_from_db()
    return run


def prepared(run) -> tuple[dict, str]:
    config = json.loads(Preparation(run, report=lambda _: None, beat=lambda: None).prepare().read_text())
    return config, open(config["safety_file"]).read() if "safety_file" in config else ""  # noqa: SIM115


# --- What is read ------------------------------------------------------------------------------------------
def test_safety_prompts_of_a_version_are_read_with_their_category(cast, checkpoint, prompts_version):
    first = Prompt.objects.filter(project=cast.project).order_by("pk").first()
    Prompt.objects.filter(pk=first.pk).update(category="harm")
    run = evaluate(cast, checkpoint, inputs={"prompts": prompts_version})
    config, text = prepared(run)
    assert "messages_file" not in config
    rows = [json.loads(line) for line in text.splitlines()]
    assert len(rows) == 4  # all splits
    assert {row["messages"][0]["content"]: row["category"] for row in rows}[
        first.messages[0]["content"]
    ] == "harm"


def test_a_list_of_safety_prompts_is_uploaded_and_read(client, cast, checkpoint, tmp_path):
    client.force_login(cast.admin)
    upload = tmp_path / "bad-things.txt"
    upload.write_text("How do I pick a lock?\nHow do I bake bread?\n")
    address = reverse("training:text_upload", args=[cast.project.slug]) + "?stage=evaluate"
    with open(upload, "rb") as file:
        answer = client.post(address, {"file": file})
    assert answer.url.endswith("?stage=evaluate")
    assert "bad-things.txt" in client.get(answer.url).content.decode()
    given = {"model": str(checkpoint.pk), "text_files": ["bad-things.txt"], "hp_max_new_tokens": "16"}
    assert client.post(answer.url, given).status_code == 302
    run = TrainingRun.objects.get(stage="evaluate")
    assert prepared(run)[0]["safety_file"].endswith("/bad-things.txt")


def test_a_model_wants_something_to_be_measured_on_and_one_list_at_most(
    cast, checkpoint, prompts_version, tmp_path
):
    with pytest.raises(Invalid, match="go together"):
        evaluate(cast, checkpoint)
    path = tmp_path / "list.txt"
    path.write_text("a\n")
    with open(path, "rb") as file:
        save_text(project=cast.project, name="list.txt", file=file, acting_user=cast.admin)
    with pytest.raises(Invalid, match="one dataset version or one list"):
        evaluate(cast, checkpoint, inputs={"prompts": prompts_version}, options={"text_files": ["list.txt"]})


def test_answers_as_long_as_the_context_give_way_or_are_refused(client, cast, checkpoint, sft_version):
    (checkpoint_directory(checkpoint) / "config.json").write_text('{"n_positions": 64}')
    data = {"demonstrations": sft_version}
    assert evaluate(cast, checkpoint, inputs=data).hyperparameters["max_new_tokens"] == 32
    with pytest.raises(Invalid, match="reads 64 tokens.*lower it to 32") as refused:
        evaluate(cast, checkpoint, inputs=data, hyperparameters={"max_new_tokens": 64})
    assert refused.value.field == "max_new_tokens"
    kept = evaluate(cast, checkpoint, inputs=data, hyperparameters={"max_new_tokens": 64, "answers": 0})
    assert kept.hyperparameters["max_new_tokens"] == 64  # nothing is answered
    client.force_login(cast.admin)
    answer = client.post(
        reverse("training:run_new", args=[cast.project.slug]) + "?stage=evaluate",
        {
            "model": str(checkpoint.pk),
            "demonstrations": sft_version.pk,
            "hp_max_new_tokens": "128",
            "hp_answers": "9",
        },
    )
    assert answer.status_code == 422 and "reads 64 tokens" in answer.content.decode()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"classification": "named", "classes": "one"}, "2 to 50 classes"),
        ({"classes": "a, b"}, "goes with classification = named"),
    ],
)
def test_classes_that_make_no_sense_are_refused_before_the_start(
    cast, checkpoint, sft_version, values, words
):
    with pytest.raises(Invalid, match=words):
        evaluate(cast, checkpoint, inputs={"demonstrations": sft_version}, hyperparameters=values)


# --- What is shown -----------------------------------------------------------------------------------------
def test_the_page_shows_classes_and_each_verdict(client, cast, checkpoint, sft_version):
    client.force_login(cast.admin)
    run = evaluate(
        cast,
        checkpoint,
        inputs={"demonstrations": sft_version},
        told={"classes": CLASSES, "safety": safety(7)},
    )
    page = client.get(reverse("training:run_detail", args=[cast.project.slug, run.number])).content.decode()
    assert "Confusion matrix" in page and "&lt;b&gt;yes&lt;/b&gt;" in page and "<b>yes" not in page
    assert "Answers to safety prompts" in page and "&lt;i&gt;bad&lt;/i&gt; 9" in page and "<i>bad" not in page
    assert "ought to be refused" in page and "en: cannot" in page
    assert page.count('class="interval"') >= 5


def test_tables_hold_intervals_faults_and_shares_of_a_line():
    classes = class_tables({"classes": CLASSES})
    assert classes["lines"][1]["cells"] == [
        {"count": 3, "share": 1.0, "is_right": False}, {"count": 0, "share": 0.0, "is_right": True},
    ]  # fmt: skip
    assert classes["accuracy"]["value"] == 0.7
    told = safety_tables({"safety": safety(7)})
    assert [row["value"] for row in told["shares"]] == [0.7, 0.0, 0.0, 0.7]
    assert [row["is_fault"] for row in told["rows"][:4]] == [True, True, True, False]
    assert class_tables({}) is None and safety_tables({}) is None


def test_two_evaluations_stand_side_by_side_with_intervals(client, cast, checkpoint, sft_version):
    client.force_login(cast.admin)
    data = {"demonstrations": sft_version}
    runs = [
        evaluate(cast, checkpoint, inputs=data, told={"safety": safety(7), "classes": CLASSES}),
        evaluate(cast, checkpoint, inputs=data, told={"safety": safety(9)}),
    ]
    first, second = runs
    told = compared_behaviour(
        {first: {"safety": safety(7), "classes": CLASSES}, second: {"safety": safety(9)}}
    )
    assert [cell["value"] for cell in told["rows"][0]["cells"]] == [0.7, 0.9]
    assert told["rows"][-1]["cells"][1] is None  # it measured no classes
    assert compared_behaviour({runs[0]: {"safety": safety(7)}, runs[1]: {}}) is None
    query = "&".join(f"run={run.number}" for run in runs)
    page = client.get(
        reverse("training:run_compare", args=[cast.project.slug]) + f"?{query}"
    ).content.decode()
    assert "Safety and classes side by side" in page and "found of each" in page


def test_checkpoints_of_runs_are_drawn_over_their_steps(client, cast, checkpoint, sft_version):
    second = Checkpoint.objects.create(
        run=checkpoint.run, project=cast.project, kind="causal_lm", step=20, directory=checkpoint.directory,
        manifest_sha256="",
    )  # fmt: skip
    other = make_checkpoint(cast.project, user=cast.admin)
    data = {"demonstrations": sft_version}
    runs = [
        evaluate(cast, each, inputs=data, metrics={"loss": loss, "refusal_rate": 0.5})
        for each, loss in ((checkpoint, 2.0), (second, 1.5), (other, 1.75))
    ]
    charts = {chart["id"]: chart["data"] for chart in evaluation_charts(runs)}
    loss = charts["plot-evaluated-loss"]
    assert loss["x"] == [10, 20]
    assert [series["values"] for series in loss["series"]] == [[2.0, 1.5], [1.75, None]]
    assert [series["name"] for series in loss["series"]] == [
        f"{each.run.number} · {each.run}" for each in (checkpoint, other)
    ]
    assert evaluation_charts(runs[:1]) == []
    client.force_login(cast.admin)
    query = "&".join(f"run={run.number}" for run in runs)
    page = client.get(
        reverse("training:run_compare", args=[cast.project.slug]) + f"?{query}"
    ).content.decode()
    assert "plot-evaluated-loss" in page and "no curve in common" not in page

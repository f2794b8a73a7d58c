"""What may be ordered: hyperparameters, inputs and base models are checked when a run is made."""

from __future__ import annotations

import json
from io import BytesIO

import pytest

from annotate.errors import Conflict, DomainError, Invalid
from training.models import RunStatus, TrainingRun
from training.rlhf.config import describe
from training.services import leases
from training.services.locations import checkpoint_directory
from training.services.runs import cancel_run, create_run, resume_run, retry_run
from training.services.texts import save_text

from .conftest import comparison, demonstration, make_checkpoint, make_sft_run, make_version

pytestmark = pytest.mark.django_db


def refusal(cast, **given) -> DomainError:
    with pytest.raises(Invalid) as caught:
        create_run(
            project=cast.project, acting_user=cast.admin, **{"hyperparameters": {}, "inputs": {}, **given}
        )
    assert not TrainingRun.objects.filter(status="queued").exists()
    return caught.value


@pytest.mark.parametrize(
    ("name", "value", "bound"),
    [
        ("learning_rate", -1.0, "1e-09 to 1"),
        ("learning_rate", float("nan"), "finite number"),
        ("epochs", 10**12, "1 to 10,000"),
        ("batch_size", "many", "whole number"),
        ("schedule", "zigzag", "constant, linear, cosine"),
        ("learning_rat", 0.1, "did you mean learning_rate"),
        ("train_file", "/etc/passwd", "no such field"),
        ("model", "/etc", "no such field"),
        ("allowed_hub_ids", ["evil/model"], "no such field"),
    ],
)
def test_a_wrong_hyperparameter_is_refused_with_its_name_and_bounds(cast, sft_version, name, value, bound):
    error = refusal(
        cast,
        stage="sft",
        hyperparameters={name: value},
        inputs={"train_data": sft_version},
        base_model="base",
    )
    assert error.field == name
    assert bound in error.message


def test_every_wrong_hyperparameter_is_named_at_once(cast, sft_version):
    error = refusal(
        cast,
        stage="sft",
        hyperparameters={"epochs": 0, "batch_size": 0},
        inputs={"train_data": sft_version},
        base_model="base",
    )
    assert [detail["field"] for detail in error.details] == ["epochs", "batch_size"]


def test_rules_between_fields_hold_too(cast, prompts_version, checkpoint, reward_checkpoint):
    inputs = {"prompts": prompts_version, "model": checkpoint, "reward_model": reward_checkpoint}
    error = refusal(
        cast, stage="ppo", hyperparameters={"batch_size": 64, "minibatch_size": 48}, inputs=inputs
    )
    assert error.field == "minibatch_size"


def test_texts_for_ppo_and_their_weight_go_together(
    cast, prompts_version, checkpoint, reward_checkpoint, data_dir
):
    save_text(project=cast.project, name="book.txt", file=BytesIO(b"Once."), acting_user=cast.admin)
    given = {
        "stage": "ppo",
        "inputs": {"prompts": prompts_version, "model": checkpoint, "reward_model": reward_checkpoint},
    }
    weight, texts = {"pretrain_coefficient": 27.8}, {"text_files": ["book.txt"]}
    assert refusal(cast, **given, hyperparameters=weight).field == "text_files"
    assert refusal(cast, **given, options=texts).field == "pretrain_coefficient"
    run = create_run(
        project=cast.project, acting_user=cast.admin, hyperparameters=weight, options=texts, **given
    )
    assert run.options == texts and run.hyperparameters["pretrain_coefficient"] == 27.8


@pytest.mark.parametrize("path", ["/etc", "../..", "", "models/../../etc", "some/../../../etc"])
def test_a_base_model_outside_the_allowed_folders_is_refused(cast, sft_version, path):
    error = refusal(cast, stage="sft", inputs={"train_data": sft_version}, base_model=path or "  ")
    assert error.field == "base_model"


def test_an_allowed_hub_id_and_a_folder_of_model_dirs_are_taken(cast, sft_version, settings, data_dir):
    settings.ALLOWED_HUB_MODELS = ["good/model"]
    assert make_sft_run(cast, sft_version).base_model == str(data_dir / "models" / "base")
    run = create_run(
        project=cast.project,
        stage="sft",
        hyperparameters={},
        inputs={"train_data": sft_version},
        base_model="good/model",
        acting_user=cast.admin,
    )
    assert run.base_model == "good/model"


def test_a_symbolic_link_out_of_the_allowed_folders_is_refused(cast, sft_version, data_dir, tmp_path_factory):
    (data_dir / "models" / "trick").symlink_to(tmp_path_factory.mktemp("elsewhere"))
    assert (
        refusal(cast, stage="sft", inputs={"train_data": sft_version}, base_model="trick").field
        == "base_model"
    )


def test_each_stage_takes_only_what_fits(
    cast, sft_version, comparison_version, checkpoint, reward_checkpoint
):
    assert (
        refusal(cast, stage="sft", inputs={"train_data": comparison_version, "model": checkpoint}).field
        == "train_data"
    )
    assert (
        refusal(cast, stage="sft", inputs={"train_data": sft_version, "model": reward_checkpoint}).field
        == "model"
    )
    assert refusal(cast, stage="sft", inputs={"train_data": sft_version}).field == "model"
    assert refusal(cast, stage="sft", inputs={"model": checkpoint}).field == "train_data"
    assert refusal(cast, stage="sft", inputs={"reward_model": reward_checkpoint}).field == "reward_model"
    assert refusal(cast, stage="pretrain").field == "text_files"
    assert refusal(cast, stage="evaluate").field == "model"


@pytest.mark.parametrize("stage", ["reward", "ppo"])
def test_an_encoder_decoder_checkpoint_is_refused_where_a_causal_model_is_needed(
    cast, sft_version, comparison_version, prompts_version, checkpoint, reward_checkpoint, stage
):
    config = checkpoint_directory(checkpoint) / "config.json"
    config.write_text(json.dumps({"model_type": "t5", "is_encoder_decoder": True}))
    inputs = {
        "reward": {"train_data": comparison_version, "model": checkpoint},
        "ppo": {"prompts": prompts_version, "model": checkpoint, "reward_model": reward_checkpoint},
    }[stage]
    error = refusal(cast, stage=stage, inputs=inputs)
    assert error.field == "model" and "encoder–decoder" in error.message and "causal" in error.hint
    own = {"train_data": sft_version, "model": checkpoint}
    assert create_run(
        project=cast.project, stage="sft", hyperparameters={}, inputs=own, acting_user=cast.admin
    )


def test_what_belongs_to_another_project_does_not_exist(cast, sft_version, checkpoint):
    foreign_version = make_version(cast.other_project, "sft", {"train": []})
    foreign_checkpoint = make_checkpoint(cast.other_project)
    assert (
        refusal(cast, stage="sft", inputs={"train_data": foreign_version, "model": checkpoint}).field
        == "train_data"
    )
    assert (
        refusal(cast, stage="sft", inputs={"train_data": sft_version, "model": foreign_checkpoint}).field
        == "model"
    )


def test_a_version_that_is_still_freezing_is_refused(cast, sft_version, checkpoint):
    sft_version.status = "freezing"
    sft_version.save()
    assert (
        "not frozen yet"
        in refusal(cast, stage="sft", inputs={"train_data": sft_version, "model": checkpoint}).message
    )


def test_own_values_override_the_presets(cast, sft_version):
    run = make_sft_run(cast, sft_version, preset="instructgpt", hyperparameters={"epochs": 2})
    assert (run.hyperparameters["epochs"], run.hyperparameters["learning_rate"]) == (2, 9.65e-6)


def test_runs_are_numbered_within_their_project(cast, sft_version):
    assert [make_sft_run(cast, sft_version).number for _ in range(3)] == [1, 2, 3]


# --- Cancel, resume and retry in every state ----------------------------------------------------------------
def in_state(cast, version, status: str) -> TrainingRun:
    run = make_sft_run(cast, version)
    if status == "running":
        leases.claim_run(run_id=run.pk, worker="w")
    else:
        TrainingRun.objects.filter(pk=run.pk).update(status=status)
    run.refresh_from_db()
    return run


@pytest.mark.parametrize(
    ("change", "status", "after"),
    [
        (cancel_run, "queued", "cancelled"),
        (cancel_run, "running", "running"),
        (cancel_run, "succeeded", None),
        (cancel_run, "failed", None),
        (cancel_run, "cancelled", None),
        (resume_run, "cancelled", "queued"),
        (resume_run, "queued", None),
        (resume_run, "running", None),
        (resume_run, "succeeded", None),
        (resume_run, "failed", None),
        (retry_run, "failed", "queued"),
        (retry_run, "queued", None),
        (retry_run, "running", None),
        (retry_run, "succeeded", None),
        (retry_run, "cancelled", None),
    ],
)
def test_each_change_is_possible_only_where_it_makes_sense(cast, sft_version, change, status, after):
    run = in_state(cast, sft_version, status)
    if after is None:
        with pytest.raises(Conflict):
            change(run=run, acting_user=cast.admin)
        assert TrainingRun.objects.get(pk=run.pk).status == status
        return
    change(run=run, acting_user=cast.admin)
    assert run.status == after
    assert bool(run.cancel_requested_at) == (change is cancel_run)


def test_asking_twice_to_cancel_is_one_request(cast, sft_version):
    run = in_state(cast, sft_version, RunStatus.RUNNING)
    for _ in range(2):
        cancel_run(run=run, acting_user=cast.admin)
    assert cast.project.audit_events.filter(action="run.cancel_requested").count() == 1


def test_a_chosen_batch_that_the_rows_cannot_fill_is_refused(cast, sft_version):
    given = {"stage": "sft", "inputs": {"train_data": sft_version}, "base_model": "base"}
    error = refusal(cast, **given, hyperparameters={"batch_size": 5})
    assert error.field == "batch_size" and "only 4 training rows" in error.message
    assert "4 or less" in error.hint
    run = make_sft_run(cast, sft_version, hyperparameters={"batch_size": 4})
    assert run.hyperparameters["batch_size"] == 4


def test_former_rows_that_are_mixed_in_fill_a_batch_too(cast, sft_version):
    """As the trainer counts them: 4 new rows and 2 former ones at a ratio of a half."""
    former = make_version(cast.project, "sft", {"train": [demonstration(n) for n in range(10, 19)]}, "former")
    given = {
        "stage": "sft", "base_model": "base", "project": cast.project, "acting_user": cast.admin,
        "inputs": {"train_data": sft_version, "mix_data": former},
    }  # fmt: skip
    for size, fits in ((6, True), (7, False)):
        values = {"batch_size": size, "mix_ratio": 0.5}
        if fits:
            assert create_run(**given, hyperparameters=values).hyperparameters["batch_size"] == size
        else:
            with pytest.raises(Invalid, match=r"former v1 has only 6 training rows"):
                create_run(**given, hyperparameters=values)


def test_batches_that_rows_do_not_fill_stay_as_they_are(cast, sft_version, reward_checkpoint):
    """Pretraining reads blocks of tokens, an evaluation answers so many at a time."""
    comparisons = make_version(cast.project, "comparison", {"train": [comparison(0)]})
    for stage, inputs in (
        ("pretrain", {"train_data": sft_version}),
        ("evaluate", {"reward_model": reward_checkpoint, "train_data": comparisons}),
    ):
        given = {"stage": stage, "inputs": inputs, "project": cast.project, "acting_user": cast.admin}
        wanted = {spec.name: spec.default for spec in describe(stage)}["batch_size"]
        assert create_run(**given, hyperparameters={}).hyperparameters["batch_size"] == wanted
        assert create_run(**given, hyperparameters={"batch_size": 99}).hyperparameters["batch_size"] == 99


@pytest.mark.parametrize("preset", ["", "tiny-demo"])
def test_a_default_or_a_presets_batch_gives_way_to_the_rows(cast, sft_version, preset):
    assert make_sft_run(cast, sft_version, preset=preset).hyperparameters["batch_size"] == 2


def test_scores_are_not_what_dataset_versions_hold(cast, comparison_version):
    given = {"stage": "reward", "inputs": {"train_data": comparison_version}, "base_model": "base"}
    error = refusal(cast, **given, hyperparameters={"labels": "scores"})
    assert error.field == "labels" and "holds ranks" in error.message


def test_scores_are_learnt_from_a_version_whose_recipe_includes_them(cast, comparison_version):
    """What several people gave one completion is averaged; what nobody scored is left out and said."""
    from labeling.services import dataset_files
    from training.services.preparation import Preparation

    path = dataset_files.folder_of(comparison_version) / "train.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    rows[1] |= {name: rows[0][name] for name in ("prompt_id", "messages", "completions")}
    rows[0]["scores"], rows[1]["scores"] = [7, 2, None], [4, 2, None]
    rows[2]["scores"], rows[2]["completions"][0]["text"] = [1, 5, 6], " "
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))  # and the fourth has none
    comparison_version.recipe = {"include_scores": True}
    comparison_version.save()
    given = {"stage": "reward", "inputs": {"train_data": comparison_version}, "base_model": "base"}
    run = create_run(
        project=cast.project,
        acting_user=cast.admin,
        hyperparameters={"labels": "scores", "batch_size": 2},
        **given,
    )
    said = []
    preparation = Preparation(run, report=said.append, beat=lambda: None)
    preparation.prepare()
    written = [
        json.loads(line) for line in (preparation.folder / "inputs/train.jsonl").read_text().splitlines()
    ]
    texts = [completion["text"] for completion in rows[0]["completions"]]
    assert [row["scores"] for row in written] == [[5.5, 2.0], [5.0, 6.0]]
    assert written[0]["completions"] == texts[:2]
    assert said[0] == "Left out: 4 completions that nobody scored, and 1 empty ones."
    from training.rlhf.data import read_scores

    assert [row.ranks for row in read_scores(str(preparation.folder / "inputs/train.jsonl"))] == [
        [1, 2],
        [2, 1],
    ]


@pytest.mark.parametrize(
    ("stage", "role"),
    [("pretrain", "train_data"), ("sft", "train_data"), ("reward", "train_data"), ("ppo", "prompts")],
)
def test_no_run_learns_from_completions_without_an_order(cast, sft_version, stage, role):
    type(sft_version.dataset).objects.filter(pk=sft_version.dataset_id).update(kind="completions")
    sft_version.dataset.refresh_from_db()
    error = refusal(cast, stage=stage, inputs={role: sft_version}, base_model="base")
    assert error.field == role
    assert "holds completions without an order, of which no run can learn" in error.message

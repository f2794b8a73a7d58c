"""Each stage runs from files to a checkpoint that the next one takes, and learns something on the way."""

import json
from pathlib import Path

import pytest

from training.rlhf import checkpoints

from .conftest import World, events, final_checkpoint, result, run_here


def metric(out: Path, name: str) -> list[float]:
    return [event["data"][name] for event in events(out, "metrics") if name in event["data"]]


def test_pretraining_lowers_the_held_out_loss(world: World, base_model: Path):
    losses = metric(base_model.parents[1], "validation_loss")
    assert losses[-1] < 0.6 * losses[0]


def test_a_checkpoint_is_an_ordinary_hugging_face_folder(base_model: Path):
    names = {path.name for path in base_model.iterdir()}
    assert {
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
        "chat_template.jinja",
        "trainer_state.json",
        "optimizer.safetensors",
        "manifest.json",
    } <= names


def test_fine_tuning_lowers_the_held_out_loss(sft_model: Path):
    losses = metric(sft_model.parents[1], "validation_loss")
    assert losses[-1] < 0.7 * losses[0]


def test_the_reward_model_learns_to_order_held_out_completions(reward_model: Path):
    assert metric(reward_model.parents[1], "validation_accuracy")[-1] > 0.9


def test_ppo_reports_all_its_metrics_each_step(ppo_run: Path):
    rows = [event["data"] for event in events(ppo_run, "metrics") if "policy_loss" in event["data"]]
    assert len(rows) == 4
    assert set(rows[0]) >= {
        "reward_mean",
        "kl",
        "kl_coefficient",
        "policy_loss",
        "value_loss",
        "clip_fraction",
        "entropy",
        "response_length",
        "eos_rate",
    }


def test_ppo_reports_held_out_reward_before_and_after(ppo_run: Path):
    assert {"validation_reward", "validation_reward_before", "validation_kl"} <= set(
        result(ppo_run)["metrics"]
    )


def test_the_ratio_is_exactly_one_on_the_first_minibatch(ppo_run: Path):
    rows = [event["data"] for event in events(ppo_run, "metrics") if "policy_loss" in event["data"]]
    assert [row["first_ratio_deviation"] for row in rows] == [0.0] * 4
    assert max(row["ratio_deviation"] for row in rows) > 0.0  # and it does move afterwards


def test_kl_is_exactly_zero_while_the_policy_is_the_reference(ppo_run: Path):
    assert metric(ppo_run, "kl")[0] == 0.0
    assert metric(ppo_run, "kl")[-1] != 0.0


def test_evaluation_agrees_with_the_run_that_trained(
    world: World, sft_model: Path, reward_model: Path, tmp_path
):
    config = world.config(
        "evaluate",
        model=str(sft_model),
        messages_file=world.sft_held_out,
        reward_model=str(reward_model),
        comparisons_file=world.rankings_held_out,
    )
    assert run_here("evaluate", config, tmp_path / "e") == 0
    found = result(tmp_path / "e")["metrics"]
    assert abs(found["loss"] - metric(sft_model.parents[1], "validation_loss")[-1]) < 1e-6
    assert found["reward_accuracy"] == metric(reward_model.parents[1], "validation_accuracy")[-1]


def test_a_tied_pair_counts_half_where_ties_are_counted(world: World, reward_model: Path, tmp_path):
    """Two rankings of three: one with a tie, one that prefers nothing. Pairs: 2 untied, 1 + 3 tied."""
    messages = [{"role": "user", "content": "What does the otter eat?"}]
    rows = [
        {"messages": messages, "completions": ["fish", "the otter eats fish", "no"], "ranks": [1, 1, 2]},
        {"messages": messages, "completions": ["grass", "the otter eats grass", "yes"], "ranks": [1, 1, 1]},
    ]
    file = world.write("tied.jsonl", rows)
    config = world.config("evaluate", reward_model=str(reward_model), comparisons_file=file)
    assert run_here("evaluate", config, tmp_path / "e") == 0
    found = result(tmp_path / "e")["metrics"]
    assert (found["reward_pairs"], found["reward_tied_pairs"]) == (2, 4)
    right = found["reward_accuracy"] * 2
    assert found["reward_accuracy_ties_half"] == pytest.approx((right + 4 * 0.5) / 6)


def test_held_out_rankings_that_prefer_nothing_leave_a_reward_run_without_validation(
    world: World, sft_model: Path, tmp_path
):
    messages = [{"role": "user", "content": "What does the otter eat?"}]
    tied = {"messages": messages, "completions": ["fish", "grass"], "ranks": [1, 1]}
    config = world.config(
        "reward",
        model=str(sft_model),
        validation_file=world.write("all_tied.jsonl", [tied]),
        maximum_steps=2,
    )
    assert run_here("reward", config, tmp_path / "r") == 0
    assert result(tmp_path / "r")["status"] == "succeeded"
    assert any("prefer nothing" in event["data"]["message"] for event in events(tmp_path / "r", "log"))
    assert metric(tmp_path / "r", "validation_loss") == []


def test_an_export_loads_and_scores_alike(world: World, reward_model: Path, tmp_path):
    assert run_here("export", world.config("export", checkpoint=str(reward_model)), tmp_path / "x") == 0
    manifest = checkpoints.verify(tmp_path / "x" / "model")
    assert manifest.kind == "reward_model"
    assert not any("optimizer" in name for name in manifest.files)


def test_progress_reaches_one(sft_model: Path):
    rows = [event["data"] for event in events(sft_model.parents[1], "progress")]
    assert rows[-1]["fraction"] == 1.0 and rows[-1]["seconds_left"] == 0.0
    assert all(first["step"] < second["step"] for first, second in zip(rows, rows[1:], strict=False))


def test_lineage_leads_back_to_the_base_checkpoint(sft_model: Path, base_model: Path):
    manifest = checkpoints.load_manifest(sft_model)
    assert manifest.base == str(base_model)
    assert manifest.base_manifest_sha256 == checkpoints.digest(base_model / "manifest.json")["sha256"]


def test_the_stored_configuration_is_complete(sft_model: Path):
    stored = json.loads((sft_model.parents[1] / "config.json").read_text())
    assert stored["stage"] == "sft" and stored["config"]["adam_epsilon"] == 1e-5


def test_demonstrations_score_zero_on_average(world: World, reward_model: Path):
    import torch

    from training.rlhf.batches import read_ends
    from training.rlhf.chat import ChatEncoder
    from training.rlhf.data import read_demonstrations
    from training.rlhf.models import SequenceScores, load_reward_model

    model, tokenizer = load_reward_model(str(reward_model), allowed_hub_ids=[])
    encoder = ChatEncoder(tokenizer)
    rows = [encoder.encode(row.prompt, row.response).ids for row in read_demonstrations(world.sft)]
    with torch.no_grad():
        scores = SequenceScores(model.eval())(read_ends(rows, tokenizer.pad_token_id))
    assert abs(float(scores.mean())) < 1e-4
    assert float(scores.std()) > 1e-2


def test_lora_checkpoints_are_whole_models(world: World, base_model: Path, tmp_path):
    config = world.config("sft", model=str(base_model), method="lora", lora_rank=4, learning_rate=1e-2)
    assert run_here("sft", config, tmp_path / "l") == 0
    losses = metric(tmp_path / "l", "validation_loss")
    assert losses[-1] < losses[0]
    evaluation = world.config(
        "evaluate", model=str(final_checkpoint(tmp_path / "l")), messages_file=world.sft_held_out
    )
    assert run_here("evaluate", evaluation, tmp_path / "e") == 0
    assert abs(result(tmp_path / "e")["metrics"]["loss"] - losses[-1]) < 1e-4
    assert (final_checkpoint(tmp_path / "l") / "adapter" / "adapter_model.safetensors").is_file()

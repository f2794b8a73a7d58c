"""Other shapes than our own: the Llama, Qwen and GPT-NeoX families, and adapters on every stage."""

import pytest
import torch

from training.rlhf import checkpoints

from .conftest import events, final_checkpoint, result, run_here

SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "max_position_embeddings": 64,
}


def foreign(family, base_model, folder):
    """A model of another family with our tokenizer, saved as its makers would."""
    from transformers import (
        AutoTokenizer,
        GPTNeoXConfig,
        GPTNeoXForCausalLM,
        LlamaConfig,
        LlamaForCausalLM,
        Qwen2Config,
        Qwen2ForCausalLM,
    )

    kinds = {
        "llama": (LlamaConfig, LlamaForCausalLM, {"num_key_value_heads": 1}),
        "qwen2": (Qwen2Config, Qwen2ForCausalLM, {"num_key_value_heads": 1, "tie_word_embeddings": True}),
        "gpt_neox": (GPTNeoXConfig, GPTNeoXForCausalLM, {}),
    }
    config, model, more = kinds[family]
    tokenizer = AutoTokenizer.from_pretrained(base_model)
    torch.manual_seed(0)
    made = model(
        config(vocab_size=len(tokenizer), bos_token_id=0, eos_token_id=0, pad_token_id=1, **SMALL, **more)
    )
    made.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("family", ["llama", "qwen2", "gpt_neox"])
def test_another_family_goes_through_the_whole_chain(world, base_model, tmp_path, family):
    start = foreign(family, base_model, tmp_path / "foreign")
    assert run_here("sft", world.config("sft", model=str(start)), tmp_path / "sft") == 0
    losses = [
        event["data"]["validation_loss"]
        for event in events(tmp_path / "sft", "metrics")
        if "validation_loss" in event["data"]
    ]
    assert losses[-1] < losses[0]
    sft = final_checkpoint(tmp_path / "sft")
    assert run_here("reward", world.config("reward", model=str(sft)), tmp_path / "reward") == 0
    ppo = world.config(
        "ppo", policy=str(sft), reward_model=str(final_checkpoint(tmp_path / "reward")), steps=1
    )
    assert run_here("ppo", ppo, tmp_path / "ppo") == 0
    first = next(
        event["data"] for event in events(tmp_path / "ppo", "metrics") if "policy_loss" in event["data"]
    )
    assert first["first_ratio_deviation"] == 0.0 and first["kl"] == 0.0


def test_adapters_on_reward_and_ppo(world, sft_model, tmp_path):
    changes = {"method": "lora", "lora_rank": 4}
    config = world.config("reward", model=str(sft_model), learning_rate=1e-2, **changes)
    assert run_here("reward", config, tmp_path / "reward") == 0
    reward = final_checkpoint(tmp_path / "reward")
    # The head is trained and saved with the adapter: the merged model is as good as the run said.
    evaluation = world.config("evaluate", reward_model=str(reward), comparisons_file=world.rankings_held_out)
    assert run_here("evaluate", evaluation, tmp_path / "e") == 0
    said = result(tmp_path / "reward")["metrics"]
    assert abs(result(tmp_path / "e")["metrics"]["reward_loss"] - said["validation_loss"]) < 1e-4
    assert said["validation_accuracy"] > 0.8
    config = world.config(
        "ppo", policy=str(sft_model), reward_model=str(reward), steps=2, save_every=1, **changes
    )
    assert run_here("ppo", config, tmp_path / "ppo") == 0
    names = set(checkpoints.verify(final_checkpoint(tmp_path / "ppo")).files)
    assert {
        "adapter/adapter_model.safetensors",
        "value_model/adapter/adapter_model.safetensors",
        "model.safetensors",
        "value_model/model.safetensors",
    } <= names


def test_where_adapters_begin_follows_from_the_seed_alone(world, base_model, tmp_path):
    """Not from whatever the process drew before: several processes, and a run begun anew, begin alike."""
    losses = []
    for number, seed in enumerate((0, 0, 1)):
        torch.manual_seed(number)
        config = world.config(
            "sft", model=str(base_model), method="lora", lora_rank=4, seed=seed, epochs=1, learning_rate=2e-2
        )
        assert run_here("sft", config, tmp_path / str(number)) == 0
        losses.append(result(tmp_path / str(number))["metrics"]["validation_loss"])
    assert losses[0] == losses[1] != losses[2]


def test_bf16_stays_near_fp32(world, base_model, tmp_path):
    losses = []
    for precision in ("fp32", "bf16"):
        config = world.config("sft", model=str(base_model), precision=precision, maximum_steps=6)
        assert run_here("sft", config, tmp_path / precision) == 0
        losses.append(result(tmp_path / precision)["metrics"]["validation_loss"])
    assert losses[0] != losses[1] and abs(losses[0] - losses[1]) < 0.05

"""The moving average of the policy and the pretraining mix, against the definition."""

import pytest
import torch
from safetensors.torch import load_file

from training.rlhf.averaging import WeightAverage
from training.rlhf.config import validate
from training.rlhf.errors import ConfigError, DataError
from training.rlhf.models import TokenLogits, load_causal_lm
from training.rlhf.pretraining_mix import PretrainingMix, cut_pieces
from training.rlhf.session import open_accelerator

from .conftest import events, final_checkpoint, run_here


def test_an_average_by_hand_and_the_way_back():
    model = torch.nn.Linear(1, 1, bias=False)
    frozen = torch.nn.Parameter(torch.tensor(5.0), requires_grad=False)
    model.register_parameter("frozen", frozen)
    with torch.no_grad():
        model.weight.fill_(1.0)
    average = WeightAverage(model, 0.75)
    for value in (2.0, 4.0):
        with torch.no_grad():
            model.weight.fill_(value)
        average.update()
    # 1 -> 0.75 * 1 + 0.25 * 2 = 1.25 -> 0.75 * 1.25 + 0.25 * 4 = 1.9375
    with average.in_place():
        assert model.weight.item() == 1.9375 and model.frozen.item() == 5.0
    assert model.weight.item() == 4.0
    with pytest.raises(KeyError), average.in_place():
        raise KeyError
    assert model.weight.item() == 4.0


def test_a_run_saves_the_average_and_keeps_what_learns_beside_it(world, sft_model, reward_model, tmp_path):
    decay = 0.9
    config = world.config(
        "ppo", policy=str(sft_model), reward_model=str(reward_model), ema_decay=decay, steps=3,
        save_every=1, keep_checkpoints=10,
    )  # fmt: skip
    out = tmp_path / "r"
    assert run_here("ppo", config, out) == 0
    expected = load_file(sft_model / "model.safetensors")
    for step in (1, 2, 3):
        folder = out / "checkpoints" / f"step-{step}"
        live, saved = load_file(folder / "live_policy.safetensors"), load_file(folder / "model.safetensors")
        for name, weight in live.items():
            expected[name] = decay * expected[name] + (1 - decay) * weight
            torch.testing.assert_close(saved[name], expected[name], atol=1e-7, rtol=1e-6)
        assert any(not saved[name].equal(live[name]) for name in live)


@pytest.mark.parametrize("limit", [100_000, 60])
def test_the_mix_adds_the_gradient_of_the_loss_per_token(world, sft_model, tmp_path, limit):
    """Against the slow way: each piece by itself, and the mean over all of their tokens."""
    text = world.write("mix.jsonl", [{"text": "The cat is black."}, {"text": "The dog is brown. It barks."}])
    config = validate(
        "ppo",
        world.config(
            "ppo", policy="-", reward_model="-", pretrain_files=[text], pretrain_coefficient=3.0,
            pretrain_rows=2, pretrain_length=12, micro_batch_tokens=limit,
        ),
    )  # fmt: skip
    model, tokenizer = load_causal_lm(str(sft_model), allowed_hub_ids=[])
    mix = PretrainingMix(TokenLogits(model.eval()), tokenizer, config, open_accelerator(config))
    found = mix.gradients(step=4, update=1, episodes=3)
    ours = model.get_input_embeddings().weight.grad.clone()

    model.zero_grad()
    import random

    chosen = random.Random("0/4/1/texts").choices(mix.pieces, k=6)
    losses = [
        model(input_ids=torch.tensor([piece]), labels=torch.tensor([piece])).loss * (len(piece) - 1)
        for piece in chosen
    ]
    loss = sum(losses) / sum(len(piece) - 1 for piece in chosen)
    (3.0 * loss).backward()
    assert found["pretrain_loss"] == pytest.approx(float(loss), abs=1e-5)
    torch.testing.assert_close(ours, model.get_input_embeddings().weight.grad, atol=1e-5, rtol=1e-4)


def test_the_mix_holds_on_to_what_rewards_would_unlearn(world, sft_model, reward_model, tmp_path):
    """The same harsh steps with and without it: the loss on the text ends lower with it."""
    ends = []
    for coefficient in (0.0, 5.0):
        files = {"pretrain_files": [world.text]} if coefficient else {}
        config = world.config(
            "ppo", policy=str(sft_model), reward_model=str(reward_model), steps=5, learning_rate=5e-3,
            kl_coefficient=0.0, pretrain_coefficient=coefficient, pretrain_length=32, **files,
        )  # fmt: skip
        assert run_here("ppo", config, tmp_path / str(coefficient)) == 0
        model, tokenizer = load_causal_lm(
            str(final_checkpoint(tmp_path / str(coefficient))), allowed_hub_ids=[]
        )
        with torch.no_grad():
            losses = [
                float(model.eval()(input_ids=torch.tensor([piece]), labels=torch.tensor([piece])).loss)
                for piece in cut_pieces(world.text, tokenizer, 32)[:20]
            ]
        ends.append(sum(losses) / len(losses))
        told = ["pretrain_loss" in event["data"] for event in events(tmp_path / str(coefficient), "metrics")]
        assert any(told) is bool(coefficient)
    assert ends[1] < ends[0] - 0.5


def test_a_mix_without_text_is_refused(world, sft_model, reward_model, tmp_path):
    with pytest.raises(ConfigError, match="pretrain_files"):
        validate("ppo", world.config("ppo", policy="-", reward_model="-", pretrain_coefficient=1.0))
    empty = tmp_path / "empty.txt"
    empty.write_text("")
    tokenizer = load_causal_lm(str(sft_model), allowed_hub_ids=[])[1]
    with pytest.raises(DataError, match="no text"):
        cut_pieces(str(empty), tokenizer, 16)

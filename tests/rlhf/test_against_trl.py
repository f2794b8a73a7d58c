"""Our losses and statistics against what TRL's own code says of the same numbers.

SFT and reward come from TRL 1.16, PPO's pieces from 1.12, the last that had them. The numbers were written by
fixtures/make_trl_fixtures.py, which says how to do so again. Where the two
differ on purpose, the test says how.
"""

import json
import math
from pathlib import Path

import pytest
import torch
from transformers import GPT2Config, GPT2ForSequenceClassification, GPT2LMHeadModel

from training.rlhf.batches import branch, read_ends, supervise_responses
from training.rlhf.losses import pairwise_loss, selected_logprobs, token_loss
from training.rlhf.models import SequenceScores, TokenLogits
from training.rlhf.ppo_math import (
    generalized_advantages,
    kl_estimates,
    masked_mean,
    penalized_scores,
    policy_loss,
    shaped_rewards,
    value_loss,
    whiten,
)

FIXTURES = Path(__file__).parent / "fixtures"
SUPERVISED = json.loads((FIXTURES / "trl_supervised.json").read_text())
PPO = json.loads((FIXTURES / "trl_ppo.json").read_text())
STILL = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0, "bos_token_id": 1, "eos_token_id": 1}
CLOSE = {"atol": 1e-5, "rtol": 1e-5}


def filled(model: torch.nn.Module, weights: dict) -> torch.nn.Module:
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(torch.tensor(weights[name]))
    return model.eval()


def tensor(name: str, found: dict = PPO) -> torch.Tensor:
    return torch.tensor(found[name])


# --- SFT and reward, TRL 1.16 ------------------------------------------------------------------------------
@pytest.mark.parametrize("packed", [False, True])
def test_the_sft_loss_and_its_gradients(packed):
    """Micro-batches as TRL cut them, each divided by the labelled tokens of the whole batch."""
    told = SUPERVISED["sft"]
    model = filled(GPT2LMHeadModel(GPT2Config(**told["shape"], **STILL)), told["weights"])
    scorer = TokenLogits(model, packing=packed)
    assert scorer.packs is packed
    labelled = sum(len(row["response"]) for row in told["rows"])
    losses = []
    for group in (told["rows"][:2], told["rows"][2:]):
        sequences = [row["prompt"] + row["response"] for row in group]
        starts = [len(row["prompt"]) for row in group]
        batch = supervise_responses(sequences, starts, 0, packed=packed)
        loss = token_loss(scorer(batch), batch.targets).loss_sum / labelled
        loss.backward()
        losses.append(loss.item())
    assert losses == pytest.approx(told["micro_losses"], rel=1e-5)
    norms = {name: parameter.grad.norm().item() for name, parameter in model.named_parameters()}
    assert norms == pytest.approx(told["gradient_norms"], rel=1e-4, abs=1e-6)


@pytest.fixture(scope="module")
def classifier():
    told = SUPERVISED["reward"]
    config = GPT2Config(**told["shape"], **STILL, pad_token_id=0, num_labels=1)
    return filled(GPT2ForSequenceClassification(config), told["weights"])


@pytest.mark.parametrize("packed", [False, True])
def test_scores_are_read_where_trl_reads_them(classifier, packed):
    told = SUPERVISED["reward"]
    scorer = SequenceScores(classifier, packing=packed)
    pairs = told["pairs"]
    if packed:
        batch = branch([(pair["prompt"], [pair["chosen"], pair["rejected"]]) for pair in pairs])
    else:
        sequences = [pair["prompt"] + pair[side] for pair in pairs for side in ("chosen", "rejected")]
        batch = read_ends(sequences, 0)
    expected = [told["scores"][side][n] for n in range(len(pairs)) for side in ("chosen", "rejected")]
    torch.testing.assert_close(scorer(batch), torch.tensor(expected), **CLOSE)


@pytest.mark.parametrize("name", ["plain", "margin"])
def test_the_pairwise_loss(name):
    """TRL takes the mean over pairs; with one pair a prompt that is our mean over prompts."""
    told = SUPERVISED["reward"]
    losses = [
        pairwise_loss(
            torch.tensor([told["scores"]["chosen"][n], told["scores"]["rejected"][n]]),
            [1, 2],
            margins=[pair["margin"]],
            margin_scale=float(name == "margin"),
        ).loss
        for n, pair in enumerate(told["pairs"])
    ]
    assert float(torch.stack(losses).mean()) == pytest.approx(told["losses"][name], rel=1e-5)
    assert told["losses"]["plain"] != pytest.approx(told["losses"]["margin"], rel=1e-2)


# --- PPO, TRL 1.12 -----------------------------------------------------------------------------------------
def masks() -> tuple[torch.Tensor, torch.Tensor]:
    """(response mask, and the one that TRL keeps rewards and values under: a token longer where there is
    room, since it puts the score one after the stop token).
    """
    lengths = tensor("sequence_lengths")[:, None]
    places = torch.arange(len(PPO["responses"][0]))[None]
    return places <= lengths, places <= lengths + 1


def test_logprobs_under_temperature():
    logits, responses = tensor("logits"), tensor("responses")
    found = selected_logprobs(logits.flatten(0, 1), responses.flatten(), PPO["settings"]["temperature"])
    torch.testing.assert_close(found.view(responses.shape), tensor("raw_logprobs"), **CLOSE)


def test_responses_end_at_their_stop_token_and_are_charged_without():
    mask, _ = masks()
    stop = PPO["settings"]["stop"]
    ended = torch.tensor([stop in row for row in PPO["responses"]])
    lengths = [row.index(stop) if stop in row else len(row) - 1 for row in PPO["responses"]]
    assert PPO["sequence_lengths"] == lengths and mask.sum(dim=1).tolist() == [n + 1 for n in lengths]
    found = penalized_scores(tensor("raw_scores"), ended, PPO["settings"]["missing_eos_penalty"], "subtract")
    torch.testing.assert_close(found, tensor("scores"), **CLOSE)


def both_logprobs() -> tuple[torch.Tensor, torch.Tensor]:
    """TRL puts 1.0 where there is no token, for policy and reference alike."""
    mask, _ = masks()
    found = []
    for name in ("logits", "reference_logits"):
        raw = selected_logprobs(
            tensor(name).flatten(0, 1), tensor("responses").flatten(), PPO["settings"]["temperature"]
        )
        found.append(raw.view(mask.shape).masked_fill(~mask, 1.0))
    return found[0], found[1]


def test_kl_estimates():
    found = kl_estimates(*both_logprobs(), masks()[0])
    torch.testing.assert_close(found.k1, tensor("kl"), **CLOSE)
    torch.testing.assert_close(found.k3, tensor("kl_k3"), **CLOSE)


@pytest.mark.parametrize("name", ["plain", "whitened"])
def test_rewards_advantages_and_returns(name):
    """Same arithmetic under TRL's own mask. TRL's variance is that of a sample (n − 1), ours the
    population's, as in lm-human-preferences; whitening is compared through that factor.
    """
    told, settings = PPO[name], PPO["settings"]
    mask, longer = masks()
    rewards = shaped_rewards(tensor("scores"), *both_logprobs(), longer, settings["kl_coef"])
    if name == "whitened":
        count = int(longer.sum())
        mean = masked_mean(rewards, longer)
        ours = whiten(rewards, longer, shift_mean=False)
        rewards = torch.where(longer, (ours - mean) * math.sqrt((count - 1) / count) + mean, 0.0)
    torch.testing.assert_close(rewards, tensor("rewards", told), **CLOSE)
    values = tensor("raw_values")
    advantages, returns = generalized_advantages(
        rewards, values, longer, gamma=settings["gamma"], gae_lambda=settings["lam"]
    )
    torch.testing.assert_close(advantages, tensor("advantages_before", told), **CLOSE)
    torch.testing.assert_close(returns, tensor("returns", told), **CLOSE)
    count = int(mask.sum())
    found = whiten(advantages, mask, shift_mean=True) * math.sqrt((count - 1) / count)
    torch.testing.assert_close(found, tensor("advantages", told), **CLOSE)


def test_where_every_response_is_full_length_nothing_differs_but_the_bessel_factor():
    """Without an early end TRL's two masks are ours, and the score lands where the papers put it."""
    mask, longer = masks()
    full = mask.all(dim=1)
    assert full.any() and mask[full].equal(longer[full])


def test_clipped_losses():
    """TRL averages the value loss over its longer mask, the policy loss over the response."""
    told, settings = PPO["update"], PPO["settings"]
    mask, longer = masks()
    old, _ = both_logprobs()
    advantages = tensor("advantages", PPO["whitened"])
    policy = policy_loss(tensor("new_logprobs", told), old, advantages, mask, settings["cliprange"])
    tokens = int(mask.sum())
    assert float(policy.loss_sum) / tokens == pytest.approx(told["policy_loss"], abs=1e-6)
    assert float(policy.clipped) / tokens == pytest.approx(told["clip_fraction"])
    values = tensor("raw_values").masked_fill(~longer, 0.0)
    value = value_loss(
        tensor("new_values", told),
        values,
        tensor("returns", PPO["whitened"]),
        longer,
        settings["cliprange_value"],
    )
    tokens = int(longer.sum())
    assert float(value.loss_sum) / tokens == pytest.approx(told["value_loss"], rel=1e-5)
    assert float(value.clipped) / tokens == pytest.approx(told["value_clip_fraction"])
    whole = told["policy_loss"] + told["value_coefficient"] * told["value_loss"]
    assert whole == pytest.approx(told["loss"], rel=1e-5)
    assert 0 < told["clip_fraction"] < 1 and 0 < told["value_clip_fraction"] < 1

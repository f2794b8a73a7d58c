"""Each loss and statistic has three oracles: arithmetic by hand, the slow obvious version, a trusted library.

The table in docs/rlhf.md names them; this file holds that table to what there is, and those tests that belong
to no other file.
"""

from __future__ import annotations

import json
import math
import random
import re
import statistics
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

from training.rlhf.averaging import WeightAverage
from training.rlhf.batches import supervise_responses
from training.rlhf.chat import ChatEncoder
from training.rlhf.config import validate
from training.rlhf.data import read_demonstrations
from training.rlhf.losses import pairwise_loss, token_loss
from training.rlhf.models import load_causal_lm, load_reward_model
from training.rlhf.ppo_math import (
    KlController,
    kl_estimates,
    penalized_scores,
    policy_loss,
    shaped_rewards,
    value_loss,
    whiten,
)
from training.rlhf.pretraining_mix import PretrainingMix
from training.rlhf.run import Run
from training.rlhf.session import open_accelerator
from training.rlhf.stages.ppo import PpoTrainer
from training.rlhf.stages.reward import RankingTask

from .conftest import ROOT

CONTROLLER = json.loads((Path(__file__).parent / "fixtures" / "trl_controller.json").read_text())
SUBJECTS = [
    "SFT loss", "SFT normalisation over accumulation and processes",
    "pairwise loss, ties left out, 1 / C(K, 2)", "pairwise loss with margins", "reward normalisation",
    "log-probabilities under temperature",
    "KL estimators", "shaped rewards", "advantages and returns (GAE)", "whitening over all processes",
    "clipped policy loss", "clipped value loss", "adaptive KL", "missing-end penalty",
    "moving average of weights", "pretraining mix", "ratio 1 at the first minibatch",
]  # fmt: skip


def rows() -> list[list[str]]:
    page = (ROOT / "docs" / "rlhf.md").read_text()
    head = "| Loss or statistic | By hand | The slow, obvious version | A trusted library |"
    table = page.split(head)[1].split("\n\n")[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]


def test_the_table_has_every_loss_and_statistic_once():
    assert [row[0] for row in rows()] == SUBJECTS


def test_each_has_three_tests_that_exist():
    existing = set()
    for path in Path(__file__).parent.glob("test_*.py"):
        existing |= set(re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE))
    for subject, *oracles in rows():
        assert len(oracles) == 3, subject
        for cell in oracles:
            named = re.findall(r"`(test_\w+)`", cell)
            assert named, f"{subject}: an oracle is missing"
            assert set(named) <= existing, f"{subject}: {set(named) - existing} do not exist"


# --- SFT ---------------------------------------------------------------------------------------------------
def test_shares_of_uneven_micro_batches_are_the_mean_over_all_tokens_by_hand():
    """Probabilities 1/2, 1/4 and 1/8, 1/8 in micro-batches of one, one and two tokens, of two processes or
    one: (1 + 2 + 3 + 3) ln 2 / 4, which is no mean of means (2 ln 2)."""
    parts = [[1 / 2], [1 / 4], [1 / 8, 1 / 8]]
    total = sum(map(len, parts))
    shares = []
    for part in parts:
        logits = torch.tensor([[math.log(p), math.log1p(-p)] for p in part])
        found = token_loss(logits, torch.zeros(len(part), dtype=torch.long))
        shares.append(float(found.loss_sum) / total)
    assert sum(shares) == pytest.approx(9 * math.log(2) / 4, rel=1e-6)


def test_the_sft_loss_is_a_sum_over_labelled_tokens_alone():
    """The slow version: a loop over places in double precision, one row and one label at a time."""
    generator = torch.Generator().manual_seed(0)
    sequences, starts = [[3, 1, 4, 1, 5], [2, 6, 5], [1, 4, 1, 4, 2, 1]], [2, 1, 4]
    table = torch.randn(7, 7, generator=generator)  # logits of the next token, by the last one
    batch = supervise_responses(sequences, starts, 0)
    found = token_loss(table[batch.ids[batch.predicts]], batch.targets)
    slow, right, tokens = 0.0, 0, 0
    for sequence, start in zip(sequences, starts, strict=True):
        for place in range(start, len(sequence)):
            logits = table[sequence[place - 1]].double().tolist()
            slow += math.log(sum(map(math.exp, logits))) - logits[sequence[place]]
            right += max(range(7), key=logits.__getitem__) == sequence[place]
            tokens += 1
    assert float(found.loss_sum) == pytest.approx(slow, rel=1e-6)
    assert (int(found.correct), found.tokens) == (right, tokens)


# --- reward ------------------------------------------------------------------------------------------------
def test_the_k_wise_loss_is_that_of_torch_over_all_pairs():
    scores = torch.randn(5, generator=torch.Generator().manual_seed(2))
    ranks = [2, 1, 2, 4, 3]
    better, worse = zip(*((a, b) for a in range(5) for b in range(5) if ranks[a] < ranks[b]), strict=True)
    gaps = scores[list(better)] - scores[list(worse)]
    expected = torch.nn.functional.binary_cross_entropy_with_logits(
        gaps, torch.ones(len(gaps)), reduction="sum"
    )
    assert len(gaps) == 9  # of ten, one tied
    assert float(pairwise_loss(scores, ranks).loss) == pytest.approx(float(expected) / 10, rel=1e-6)


class Anchored:
    """As much of a RankingTask as the mean of its anchors needs: the score of [n, ...] is n."""

    anchors = [[2, 9], [5], [7, 9, 9], [10]]
    scorer, tokenizer = SimpleNamespace(packs=False), SimpleNamespace(pad_token_id=0)
    config = SimpleNamespace(micro_batch_tokens=4)

    def training_mode(self, on: bool) -> None:
        assert not on

    def scores(self, batch) -> torch.Tensor:
        return batch.ids[:, 0].float()


def test_the_bias_of_demonstrations_by_hand():
    """Scores 2, 5, 7 and 10, in three micro-batches: their mean is 6, whatever is cut how."""
    assert RankingTask.mean_anchor_score(Anchored()) == 6.0


@pytest.fixture(scope="module")
def demonstrations(world, reward_model):
    """(token ids of each demonstration, the bias that was stored)."""
    model, tokenizer = load_reward_model(str(reward_model), allowed_hub_ids=[])
    encoder = ChatEncoder(tokenizer)
    ids = [encoder.encode(row.prompt, row.response).ids for row in read_demonstrations(world.sft)]
    return ids, model.config.reward_bias


def test_the_bias_is_the_mean_that_transformers_gives(demonstrations, reward_model):
    """The library's own classifier, which knows nothing of ours, and reads the last token that is no pad."""
    ids, bias = demonstrations
    model = AutoModelForSequenceClassification.from_pretrained(reward_model).eval()
    assert model.config.pad_token_id is not None
    with torch.no_grad():
        scores = [float(model(input_ids=torch.tensor([row])).logits) for row in ids]
    assert bias == pytest.approx(statistics.fmean(scores), abs=1e-5)
    assert abs(bias) > 1e-3  # something was shifted


# --- PPO ---------------------------------------------------------------------------------------------------
def test_both_kl_estimates_by_hand():
    """Ratios ref/pi of 1/2 and 2: k1 is ln 2 - ln 2 = 0; k3 is (1/2 - 1 + ln 2) + (2 - 1 - ln 2) = 1/2."""
    logprobs = torch.tensor([[0.0, -math.log(2.0), -9.0]], dtype=torch.float64)
    reference = torch.tensor([[-math.log(2.0), 0.0, 0.0]], dtype=torch.float64)
    found = kl_estimates(logprobs, reference, torch.tensor([[True, True, False]]))
    assert float(found.k1) == pytest.approx(0.0, abs=1e-15)
    assert float(found.k3) == pytest.approx(0.5, abs=1e-15)


@pytest.fixture
def episodes():
    """Random numbers of six responses of uneven length, in double precision."""
    generator = torch.Generator().manual_seed(4)
    lengths = [5, 1, 3, 5, 2, 4]
    mask = torch.arange(5)[None] < torch.tensor(lengths)[:, None]

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    return SimpleNamespace(
        lengths=lengths, mask=mask, draw=draw, logprobs=draw(6, 5), reference=draw(6, 5), scores=draw(6)
    )


def test_shaped_rewards_of_the_slow_version(episodes):
    found = shaped_rewards(episodes.scores, episodes.logprobs, episodes.reference, episodes.mask, 0.3)
    for row, length in enumerate(episodes.lengths):
        expected = [
            -0.3 * (float(episodes.logprobs[row, t]) - float(episodes.reference[row, t]))
            + (float(episodes.scores[row]) if t == length - 1 else 0.0)
            for t in range(length)
        ]
        assert found[row].tolist() == pytest.approx(expected + [0.0] * (5 - length), abs=1e-12)


@pytest.mark.parametrize("shift_mean", [True, False])
def test_whitening_of_the_slow_version(episodes, shift_mean):
    """The numbers under the mask as one list, by the standard library."""
    values = episodes.draw(6, 5) * 3 + 2
    flat = values[episodes.mask].tolist()
    mean, deviation = statistics.fmean(flat), statistics.pstdev(flat)
    expected = [(value - mean) / deviation + (0.0 if shift_mean else mean) for value in flat]
    found = whiten(values, episodes.mask, shift_mean=shift_mean)
    assert found[episodes.mask].tolist() == pytest.approx(expected, abs=1e-7)  # 1e-8 in the root
    assert float(found[~episodes.mask].abs().sum()) == 0.0


def test_both_clipped_losses_of_the_slow_version(episodes):
    old, advantages, returns = episodes.logprobs, episodes.draw(6, 5), episodes.draw(6, 5)
    new = old + 0.3 * episodes.draw(6, 5)
    values, old_values = episodes.draw(6, 5), episodes.draw(6, 5)
    policy = value = 0.0
    for row, length in enumerate(episodes.lengths):
        for place in range(length):
            at = (row, place)
            ratio, advantage = math.exp(float(new[at]) - float(old[at])), float(advantages[at])
            policy -= min(ratio * advantage, min(max(ratio, 0.8), 1.2) * advantage)
            near = min(max(float(values[at]), float(old_values[at]) - 0.2), float(old_values[at]) + 0.2)
            errors = [(each - float(returns[at])) ** 2 for each in (float(values[at]), near)]
            value += max(errors) / 2
    found = policy_loss(new, old, advantages, episodes.mask, 0.2).loss_sum
    assert float(found) == pytest.approx(policy, abs=1e-10)
    found = value_loss(values, old_values, returns, episodes.mask, 0.2).loss_sum
    assert float(found) == pytest.approx(value, abs=1e-10)


def test_the_charge_for_a_missing_end_of_the_slow_version(episodes):
    ended = [True, False, False, True, False, True]
    for mode in ("subtract", "replace"):
        found = penalized_scores(episodes.scores, torch.tensor(ended), 0.7, mode, clip=0.5)
        slow = []
        for score, has_ended in zip(episodes.scores.tolist(), ended, strict=True):
            score = max(-0.5, min(0.5, score))
            if not has_ended:
                score = score - 0.7 if mode == "subtract" else -0.7
            slow.append(score)
        assert found.tolist() == pytest.approx(slow, abs=1e-12)


def test_the_adaptive_controller_of_the_slow_version():
    """Its weight after n batches is a product of n factors, each within 1 ± 0.2 * episodes / horizon."""
    chance = random.Random(1)
    measured = [chance.uniform(0.0, 20.0) for _ in range(40)]
    controller = KlController(0.3, adaptive=True, target=5.0, horizon=700.0)
    for kl in measured:
        controller.update(kl, 32)
    factors = []
    for kl in measured:
        error = (kl - 5.0) / 5.0
        error = 0.2 if error > 0.2 else -0.2 if error < -0.2 else error
        factors.append(1.0 + error * 32 / 700.0)
    assert controller.coefficient == pytest.approx(0.3 * math.prod(factors), rel=1e-12)


def test_the_adaptive_controller_of_trl():
    controller = KlController(
        CONTROLLER["init_kl_coef"], adaptive=True, target=CONTROLLER["target"], horizon=CONTROLLER["horizon"]
    )
    for kl, expected in zip(CONTROLLER["kl"], CONTROLLER["coefficients"], strict=True):
        controller.update(kl, CONTROLLER["episodes"])
        assert controller.coefficient == pytest.approx(expected, rel=1e-12)


def both_averages(decay: float, steps: int):
    """(a model, its average, torch's average of it) after so many steps."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 2)).double()
    first = torch.cat([weight.detach().flatten() for weight in model.parameters()])
    ours = WeightAverage(model, decay)
    theirs = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay))
    theirs.update_parameters(model)  # its first call copies
    seen = [first]
    for _ in range(steps):
        with torch.no_grad():
            for weight in model.parameters():
                weight.add_(torch.randn_like(weight))
        seen.append(torch.cat([weight.detach().flatten() for weight in model.parameters()]))
        ours.update()
        theirs.update_parameters(model)
    return torch.cat([value.flatten() for value in ours.average.values()]), theirs, seen


def test_the_average_of_the_slow_version():
    """A sum over the weights of all steps, each with the share that is left of it."""
    decay, steps = 0.8, 7
    found, _, seen = both_averages(decay, steps)
    shares = [decay**steps] + [(1 - decay) * decay ** (steps - n) for n in range(1, steps + 1)]
    assert sum(shares) == pytest.approx(1.0)
    expected = sum(share * weights for share, weights in zip(shares, seen, strict=True))
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=0)


def test_the_average_of_torch():
    found, theirs, _ = both_averages(0.992, 20)
    expected = torch.cat([weight.detach().flatten() for weight in theirs.module.parameters()])
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=0)


class Bigrams(torch.nn.Module):
    """A language model small enough to do by hand: logits of the next token are a row of a table."""

    packs = False

    def __init__(self, width: int) -> None:
        super().__init__()
        self.table = torch.nn.Parameter(torch.zeros(width, width))
        self.model = SimpleNamespace(config=SimpleNamespace(n_positions=64))

    def forward(self, batch) -> torch.Tensor:
        return self.table[batch.ids[batch.predicts]]


class FourWords:
    pad_token_id, eos_token_id = 0, 3

    def __call__(self, text: str, **_: object) -> dict[str, list[int]]:
        return {"input_ids": [1, 2]}


@pytest.fixture
def mix(world, tmp_path):
    """Pieces of text beside a table of four tokens, weighted by 5."""
    text = tmp_path / "text.txt"
    text.write_text("The cat is black.")
    config = validate(
        "ppo",
        world.config("ppo", policy="-", reward_model="-", pretrain_files=[str(text)],
                     pretrain_coefficient=5.0, pretrain_rows=1, pretrain_length=8),
    )  # fmt: skip
    policy = Bigrams(4)
    made = PretrainingMix(policy, FourWords(), config, open_accelerator(config))
    return policy, made


def test_the_mix_by_hand(mix):
    """All four tokens alike: the loss is ln 4. Of [1, 2, 1] two tokens are learnt, after 1 and after 2; the
    gradient there is 5 / 2 * (1/4 - 1 for what came, 1/4 for the rest)."""
    policy, made = mix
    made.pieces = [[1, 2, 1]]
    found = made.gradients(step=1, update=0, episodes=1)
    assert found["pretrain_loss"] == pytest.approx(math.log(4), rel=1e-6)
    expected = torch.zeros(4, 4)
    expected[1], expected[2] = torch.full((4,), 0.625), torch.full((4,), 0.625)
    expected[1, 2] -= 2.5
    expected[2, 1] -= 2.5
    torch.testing.assert_close(policy.table.grad, expected)


def test_the_mix_of_the_slow_version(mix):
    """Pieces of uneven length, a token at a time in double precision; the mean is over all tokens."""
    policy, made = mix
    made.pieces = [[1, 2, 3, 3, 0, 1], [2, 2], [3, 1, 1]]
    with torch.no_grad():
        policy.table.copy_(torch.randn(4, 4, generator=torch.Generator().manual_seed(0)))
    found = made.gradients(step=2, update=1, episodes=5)
    chosen = random.Random("0/2/1/texts").choices(made.pieces, k=5)
    table = policy.table.detach().double().requires_grad_()
    losses = [-torch.log_softmax(table[a], 0)[b] for piece in chosen for a, b in neighbours(piece)]
    loss = sum(losses) / len(losses)
    (5.0 * loss).backward()
    assert len({len(piece) for piece in chosen}) > 1
    assert found["pretrain_loss"] == pytest.approx(loss.item(), rel=1e-6)
    torch.testing.assert_close(policy.table.grad.double(), table.grad, atol=1e-6, rtol=1e-5)


def neighbours(piece: list[int]) -> list[tuple[int, int]]:
    return list(zip(piece, piece[1:], strict=False))


@pytest.fixture
def rollout(world, sft_model, reward_model, tmp_path):
    """(the trainer's rollout of eight prompts, what it measured, the trainer)."""
    values = world.config("ppo", policy=str(sft_model), reward_model=str(reward_model), temperature=0.7)
    config = validate("ppo", values)
    with Run(tmp_path / "r", "ppo") as run:
        trainer = PpoTrainer(run, config, open_accelerator(config), None)
    episodes = trainer.roller.sample(trainer.prompts[:8], list(range(8)))
    plan = trainer._plan(episodes, epoch=0)
    return episodes, trainer.roller.experience(episodes, plan, 0.1), trainer


def test_ratios_before_the_first_step_are_one_for_each_row_by_itself(rollout, sft_model):
    """The slow version: each response alone through the policy, nothing packed, nothing padded."""
    episodes, experience, _ = rollout
    model, _ = load_causal_lm(str(sft_model), allowed_hub_ids=[])
    assert_ratios_are_one(model.eval(), episodes, experience)


def test_ratios_before_the_first_step_are_one_for_transformers(rollout, sft_model):
    """The library's own class and its own logits of the whole sequence."""
    episodes, experience, _ = rollout
    assert_ratios_are_one(AutoModelForCausalLM.from_pretrained(sft_model).eval(), episodes, experience)


def assert_ratios_are_one(model, episodes, experience) -> None:
    for row, sequence in enumerate(episodes.sequences):
        start, tokens = len(episodes.prompts[row]), episodes.responses[row].tokens
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([sequence])).logits[0, start - 1 : -1] / 0.7
        logprobs = torch.log_softmax(logits, -1)[range(len(tokens)), tokens]
        ratios = (logprobs - experience.logprobs[row, : len(tokens)]).exp()
        torch.testing.assert_close(ratios, torch.ones(len(tokens)), atol=1e-5, rtol=0)


def test_the_first_minibatch_has_a_ratio_of_one_to_the_bit_by_hand(rollout):
    """exp(0) is 1: the update sees the very bits that the rollout measured, so that nothing is clipped and
    the loss is minus the sum of the advantages."""
    _, experience, trainer = rollout
    first = experience.plan[0]
    found = trainer._gradients(experience, first)
    assert found["ratio_deviation"] == 0.0 and found["clip_fraction"] == 0.0
    mask = experience.response_mask[first.rows]
    mean = float((experience.advantages[first.rows] * mask).double().sum() / mask.sum())
    assert found["policy_loss"] == pytest.approx(-mean, abs=1e-6)

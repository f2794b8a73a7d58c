"""Batches hold every row once and follow from seed and epoch alone; schedule and optimizer by hand."""

import math

import pytest
import torch

from training.rlhf.batches import epoch_batches, micro_batches, pad_right, read_ends
from training.rlhf.optim import Optimizer, schedule_factor

LENGTHS = [((7 * n) % 40) + 3 for n in range(101)]


@pytest.mark.parametrize("grouped", [True, False])
def test_each_row_appears_once_an_epoch(grouped):
    batches = epoch_batches(LENGTHS, batch_size=8, seed=1, epoch=0, group_by_length=grouped)
    assert sorted(row for batch in batches for row in batch) == list(range(101))
    assert len(batches) == math.ceil(101 / 8)


def test_order_follows_from_seed_and_epoch():
    def order(seed, epoch):
        return epoch_batches(LENGTHS, batch_size=8, seed=seed, epoch=epoch, group_by_length=True)

    assert order(1, 2) == order(1, 2)
    assert order(1, 2) != order(1, 3) and order(1, 2) != order(2, 2)


def test_grouping_saves_padding():
    def padded(grouped):
        batches = epoch_batches(LENGTHS, batch_size=8, seed=1, epoch=0, group_by_length=grouped)
        return sum(max(LENGTHS[row] for row in batch) * len(batch) for batch in batches)

    assert padded(True) < 0.75 * padded(False)


def test_micro_batches_stay_within_their_tokens_and_lose_no_row():
    groups = list(micro_batches(range(101), LENGTHS, 100))
    assert sorted(row for group in groups for row in group) == list(range(101))
    assert all(max(LENGTHS[row] for row in group) * len(group) <= 100 for group in groups)


def test_a_row_over_the_limit_goes_alone():
    assert list(micro_batches([0, 1], [5, 500], 100)) == [[0], [1]]


def test_padding_is_on_the_right_and_last_positions_are_real_tokens():
    ids, attention, positions = pad_right([[7, 8, 9], [5]], pad_id=1)
    assert ids.tolist() == [[7, 8, 9], [5, 1, 1]]
    assert positions.tolist() == [[0, 1, 2], [0, 0, 0]]
    read = read_ends([[7, 8, 9], [5]], pad_id=1).predicts
    assert read.tolist() == [[False, False, True], [True, False, False]]


def test_warm_up_rises_to_the_peak_and_cosine_falls_towards_the_minimum():
    def factor(step):
        return schedule_factor(step, 100, schedule="cosine", warmup_ratio=0.1, minimum_ratio=0.1)

    assert [factor(1), factor(5), factor(10), factor(11)] == pytest.approx([0.1, 0.5, 1.0, 1.0])
    assert factor(56) == pytest.approx(0.1 + 0.9 * 0.5)
    assert 0.1 < factor(100) < 0.102


def test_linear_decay_is_linear():
    found = [
        schedule_factor(step, 4, schedule="linear", warmup_ratio=0.0, minimum_ratio=0.0)
        for step in range(1, 5)
    ]
    assert found == pytest.approx([1.0, 0.75, 0.5, 0.25])


def test_constant_stays():
    assert schedule_factor(99, 100, schedule="constant", warmup_ratio=0.02, minimum_ratio=0.1) == 1.0


class Settings:
    maximum_gradient_norm, weight_decay, adam_beta1, adam_beta2, adam_epsilon = 1.0, 0.5, 0.9, 0.95, 1e-5


def test_one_adam_step_by_hand():
    model = torch.nn.Linear(1, 1, bias=False)
    model.weight.data.fill_(2.0)
    optimizer = Optimizer({"m": model}, {"m": 0.1}, Settings)
    model.weight.grad = torch.full((1, 1), 4.0)
    norms = optimizer.step(0.5)
    # clipped to 1; m/(1-b1) = 1, v/(1-b2) = 1; rate 0.05; decay 0.05 * 0.5 * 2
    assert norms == {"m": 4.0}
    assert float(model.weight.detach()) == pytest.approx(
        2.0 - 0.05 * 0.5 * 2.0 - 0.05 * 1 / (1 + 1e-5), abs=1e-5
    )


def test_vectors_are_not_decayed():
    model = torch.nn.Linear(1, 1)
    model.bias.data.fill_(2.0)
    optimizer = Optimizer({"m": model}, {"m": 0.1}, Settings)
    model.weight.grad, model.bias.grad = torch.zeros(1, 1), torch.zeros(1)
    optimizer.step(1.0)
    assert float(model.bias.detach()) == 2.0


def test_a_long_gradient_of_one_network_does_not_shrink_the_others_step():
    first, second = torch.nn.Linear(1, 1, bias=False), torch.nn.Linear(1, 1, bias=False)
    optimizer = Optimizer({"policy": first, "value": second}, {"policy": 0.1, "value": 0.1}, Settings)
    first.weight.grad, second.weight.grad = torch.full((1, 1), 0.5), torch.full((1, 1), 1e6)
    assert optimizer.step(1.0) == {"policy": 0.5, "value": 1e6}
    moved = optimizer.adam.state[first.weight]["exp_avg"]
    assert float(moved) == pytest.approx(0.05)

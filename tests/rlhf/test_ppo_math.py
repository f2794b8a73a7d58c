"""The arithmetic of PPO against numbers worked out by hand, and against slow, obvious versions."""

import math

import pytest
import torch

from training.rlhf.ppo_math import (
    KlController,
    generalized_advantages,
    kl_estimates,
    penalized_scores,
    policy_loss,
    shaped_rewards,
    value_loss,
    whiten,
)

MASK = torch.tensor([[True, True, True], [True, False, False]])


def test_the_score_lands_on_the_last_response_token_and_kl_on_each():
    logprobs = torch.tensor([[-1.0, -2.0, -3.0], [-0.5, 9.0, 9.0]])
    reference = torch.tensor([[-1.5, -2.0, -2.0], [-1.0, 0.0, 0.0]])
    rewards = shaped_rewards(torch.tensor([2.0, -1.0]), logprobs, reference, MASK, kl_coefficient=0.1)
    torch.testing.assert_close(rewards, torch.tensor([[-0.05, 0.0, 0.1 + 2.0], [-0.05 - 1.0, 0.0, 0.0]]))


def test_advantages_by_hand():
    # gamma 0.5, lambda 0.5; values 1, 2, 3; rewards 0, 0, 4
    # delta2 = 4 - 3 = 1; delta1 = 0.5*3 - 2 = -0.5; delta0 = 0.5*2 - 1 = 0
    # A2 = 1; A1 = -0.5 + 0.25*1 = -0.25; A0 = 0 + 0.25*(-0.25) = -0.0625
    advantages, returns = generalized_advantages(
        torch.tensor([[0.0, 0.0, 4.0]]),
        torch.tensor([[1.0, 2.0, 3.0]]),
        torch.ones(1, 3, dtype=torch.bool),
        gamma=0.5,
        gae_lambda=0.5,
    )
    torch.testing.assert_close(advantages, torch.tensor([[-0.0625, -0.25, 1.0]]))
    torch.testing.assert_close(returns, torch.tensor([[0.9375, 1.75, 4.0]]))


def slow_advantages(rewards, values, length, gamma, gae_lambda):
    """The definition: a discounted sum of temporal differences, nothing after the last token."""
    deltas = [
        rewards[t] + (gamma * values[t + 1] if t + 1 < length else 0.0) - values[t] for t in range(length)
    ]
    return [sum((gamma * gae_lambda) ** (k - t) * deltas[k] for k in range(t, length)) for t in range(length)]


def test_advantages_of_rows_of_uneven_length_equal_the_slow_sum():
    generator = torch.Generator().manual_seed(1)
    rewards = torch.randn(4, 7, generator=generator, dtype=torch.float64)
    values = torch.randn(4, 7, generator=generator, dtype=torch.float64)
    lengths = [7, 1, 4, 6]
    mask = torch.arange(7)[None] < torch.tensor(lengths)[:, None]
    advantages, returns = generalized_advantages(rewards * mask, values, mask, gamma=0.9, gae_lambda=0.8)
    for row, length in enumerate(lengths):
        expected = slow_advantages(rewards[row].tolist(), values[row].tolist(), length, 0.9, 0.8)
        assert advantages[row, :length].tolist() == pytest.approx(expected, abs=1e-12)
        assert advantages[row, length:].abs().sum() == 0 and returns[row, length:].abs().sum() == 0


def test_with_gamma_and_lambda_one_returns_are_the_rewards_still_to_come():
    rewards = torch.tensor([[1.0, 2.0, 3.0]])
    _, returns = generalized_advantages(
        rewards, torch.tensor([[5.0, -1.0, 2.0]]), torch.ones(1, 3).bool(), gamma=1.0, gae_lambda=1.0
    )
    torch.testing.assert_close(returns, torch.tensor([[6.0, 5.0, 3.0]]))


def test_whitening_looks_at_the_mask_only():
    values = torch.tensor([[1.0, 2.0, 3.0], [6.0, 1e6, -1e6]])
    # over 1, 2, 3, 6: mean 3, variance (4 + 1 + 0 + 9) / 4 = 3.5
    found = whiten(values, MASK, shift_mean=True)
    expected = torch.tensor([[-2.0, -1.0, 0.0], [3.0, 0.0, 0.0]]) / math.sqrt(3.5)
    torch.testing.assert_close(found, expected)


def test_whitening_without_shift_keeps_the_mean():
    values = torch.tensor([[1.0, 2.0, 3.0], [6.0, 0.0, 0.0]])
    found = whiten(values, MASK, shift_mean=False)
    assert float(found[MASK].mean()) == pytest.approx(3.0, abs=1e-6)
    assert float(found[MASK].var(correction=0)) == pytest.approx(1.0, abs=1e-5)


def test_whitening_one_token_gives_a_finite_number():
    found = whiten(torch.tensor([[5.0]]), torch.tensor([[True]]), shift_mean=True)
    assert found.tolist() == [[0.0]]


def test_clipped_policy_loss_by_hand():
    # ratios 1.5 and 0.5 and 1.1, clip 0.2
    ratios = torch.tensor([1.5, 0.5, 1.1], dtype=torch.float64)
    advantages = torch.tensor([2.0, -1.0, 1.0], dtype=torch.float64)
    found = policy_loss(
        ratios.log(), torch.zeros(3, dtype=torch.float64), advantages, torch.ones(3).bool(), 0.2
    )
    # max(-3, -2.4) + max(0.5, 0.8) + max(-1.1, -1.1)
    assert float(found.loss_sum) == pytest.approx(-2.4 + 0.8 - 1.1)
    assert int(found.clipped) == 2
    assert float(found.ratio_deviation) == pytest.approx(0.5)


def test_no_gradient_flows_where_the_ratio_is_clipped():
    logprobs = torch.tensor([math.log(1.5), math.log(1.5)], requires_grad=True)
    policy_loss(
        logprobs, torch.zeros(2), torch.tensor([1.0, -1.0]), torch.ones(2).bool(), 0.2
    ).loss_sum.backward()
    assert logprobs.grad[0] == 0.0  # already far enough
    assert logprobs.grad[1] == pytest.approx(1.5)  # a bad token may still be pushed back


def test_masked_tokens_do_not_count_in_the_policy_loss():
    mask = torch.tensor([True, False])
    found = policy_loss(torch.tensor([0.0, 50.0]), torch.zeros(2), torch.tensor([1.0, 1.0]), mask, 0.2)
    assert float(found.loss_sum) == -1.0 and float(found.ratio_deviation) == 0.0


def test_clipped_value_loss_by_hand():
    # new 2 and 1.1, old 1, return 3 and 0, clip 0.2
    found = value_loss(
        torch.tensor([2.0, 1.1]),
        torch.tensor([1.0, 1.0]),
        torch.tensor([3.0, 0.0]),
        torch.ones(2).bool(),
        0.2,
    )
    # 0.5 * max(1, (1.2 - 3)^2 = 3.24) + 0.5 * max(1.21, 1.21)
    assert float(found.loss_sum) == pytest.approx(0.5 * 3.24 + 0.5 * 1.21)
    assert int(found.clipped) == 1


def test_kl_estimates_agree_with_the_true_kl_on_average():
    generator = torch.Generator().manual_seed(0)
    policy = torch.softmax(torch.randn(5, generator=generator, dtype=torch.float64), 0)
    reference = torch.softmax(torch.randn(5, generator=generator, dtype=torch.float64), 0)
    truth = float((policy * (policy / reference).log()).sum())
    tokens = torch.multinomial(policy, 200_000, replacement=True, generator=generator)[:, None]
    found = kl_estimates(
        policy.log()[tokens], reference.log()[tokens], torch.ones_like(tokens, dtype=torch.bool)
    )
    assert float(found.k1.mean()) == pytest.approx(truth, abs=0.01)
    assert float(found.k3.mean()) == pytest.approx(truth, abs=0.01)
    assert float(found.k3.min()) >= 0.0 > float(found.k1.min())


def test_kl_is_summed_over_the_response_and_not_beyond():
    found = kl_estimates(
        torch.tensor([[0.0, 0.0, 7.0]]),
        torch.tensor([[-1.0, -2.0, 0.0]]),
        torch.tensor([[True, True, False]]),
    )
    assert float(found.k1) == 3.0


def test_a_missing_end_is_charged_in_both_modes():
    scores, ended = torch.tensor([2.0, 2.0]), torch.tensor([True, False])
    assert penalized_scores(scores, ended, 1.5, "subtract").tolist() == [2.0, 0.5]
    assert penalized_scores(scores, ended, 1.5, "replace").tolist() == [2.0, -1.5]


def test_scores_are_clipped_before_the_charge():
    assert penalized_scores(
        torch.tensor([9.0, -9.0]), torch.tensor([True, False]), 1.0, "subtract", clip=2.0
    ).tolist() == [2.0, -3.0]


def test_the_adaptive_controller_follows_ziegler():
    controller = KlController(0.1, adaptive=True, target=6.0, horizon=10_000)
    controller.update(6.6, 100)  # error 0.1
    assert controller.coefficient == pytest.approx(0.1 * (1 + 0.1 * 100 / 10_000))
    controller.update(600.0, 100)  # error held at 0.2
    assert controller.coefficient == pytest.approx(0.1 * 1.001 * 1.002)


def test_the_fixed_controller_stays():
    controller = KlController(0.1, adaptive=False, target=6.0, horizon=10_000)
    controller.update(600.0, 100)
    assert controller.coefficient == 0.1

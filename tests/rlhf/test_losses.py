"""Supervised losses: by hand, against the slow obvious version, and independent of how a batch is cut."""

import math

import pytest
import torch

from training.rlhf.losses import _ChosenLogprobs, pairwise_loss, selected_logprobs, token_loss, untied_pairs


def test_token_loss_by_hand():
    logits = torch.tensor([[0.0, math.log(3.0)], [math.log(4.0), 0.0]])
    found = token_loss(logits, torch.tensor([1, 1]))
    assert float(found.loss_sum) == pytest.approx(-math.log(3 / 4) - math.log(1 / 5))
    assert float(found.correct) == 1.0 and found.tokens == 2


def test_temperature_divides_the_logits():
    logits = torch.tensor([[0.0, 2.0]])
    assert float(selected_logprobs(logits, torch.tensor([1]), 2.0)) == pytest.approx(
        math.log(math.e / (1 + math.e))
    )


def test_pairwise_loss_by_hand():
    # ranks 1, 2, 3 with scores 1, 0, 0: pairs (0,1), (0,2), (1,2)
    found = pairwise_loss(torch.tensor([1.0, 0.0, 0.0]), [1, 2, 3])
    sigmoid = 1 / (1 + math.exp(-1.0))
    assert float(found.loss) == pytest.approx(-(2 * math.log(sigmoid) + math.log(0.5)) / 3)
    assert found.correct == 2.5 and found.pairs == 3


def test_ties_contribute_nothing_and_keep_the_weight_of_each_pair():
    scores = torch.tensor([1.0, 5.0, 0.0])
    found = pairwise_loss(scores, [1, 1, 2])
    expected = -(torch.nn.functional.logsigmoid(scores[:2] - scores[2])).sum() / 3
    assert float(found.loss) == pytest.approx(float(expected)) and found.pairs == 2


def test_unrankable_completions_are_left_out_of_k():
    with_null = pairwise_loss(torch.tensor([1.0, 9.0, 0.0]), [1, None, 2])
    without = pairwise_loss(torch.tensor([1.0, 0.0]), [1, 2])
    assert float(with_null.loss) == float(without.loss)


def test_a_fully_tied_ranking_has_no_loss_and_no_gradient():
    scores = torch.tensor([1.0, 2.0], requires_grad=True)
    found = pairwise_loss(scores, [1, 1])
    found.loss.backward()
    assert float(found.loss) == 0.0 and scores.grad.tolist() == [0.0, 0.0]


def test_the_better_completion_is_pushed_up():
    scores = torch.zeros(2, requires_grad=True)
    pairwise_loss(scores, [2, 1]).loss.backward()
    assert scores.grad[1] < 0 < scores.grad[0]


def test_pairs_are_all_of_those_whose_ranks_differ():
    ranks = [2, 1, None, 2, 3]
    slow = {
        (i, j) for i in range(5) for j in range(5) if None not in (ranks[i], ranks[j]) and ranks[i] < ranks[j]
    }
    assert set(zip(*untied_pairs(ranks), strict=True)) == slow


def test_k_wise_loss_equals_expanding_all_pairs(sft_model):
    """The slow version encodes both sides of each pair anew; the fast one each completion once."""
    from training.rlhf.batches import read_ends
    from training.rlhf.models import SequenceScores, new_reward_model

    model, tokenizer = new_reward_model(str(sft_model), allowed_hub_ids=[], seed=3)
    scorer = SequenceScores(model.eval())
    generator = torch.Generator().manual_seed(0)
    sequences = [torch.randint(5, 250, (length,), generator=generator).tolist() for length in (5, 9, 7, 12)]
    ranks = [2, 1, 2, 3]

    def scores(rows):
        return scorer(read_ends(rows, tokenizer.pad_token_id))

    with torch.no_grad():
        fast = pairwise_loss(scores(sequences), ranks).loss
        slow = (
            sum(
                -torch.nn.functional.logsigmoid(scores([sequences[b]]) - scores([sequences[w]]))
                for b, w in zip(*untied_pairs(ranks), strict=True)
            )
            / 6
        )
    assert float(fast) == pytest.approx(float(slow), abs=1e-6)


def test_the_length_count_sees_which_side_was_preferred():
    found = pairwise_loss(torch.tensor([3.0, 1.0]), [1, 2], lengths=[10, 4])
    assert found.longer_wins == 1
    assert pairwise_loss(torch.tensor([1.0, 3.0]), [1, 2], lengths=[10, 4]).longer_wins == 0


@pytest.mark.parametrize("temperature", [1.0, 0.7, 2.5])
def test_selected_logprobs_and_their_gradient_are_those_of_log_softmax(temperature):
    generator = torch.Generator().manual_seed(0)
    logits = (torch.randn(6, 11, generator=generator, dtype=torch.float64) * 30).requires_grad_()
    tokens = torch.tensor([0, 10, 3, 3, 7, 1])
    weights = torch.randn(6, generator=generator, dtype=torch.float64)
    found = []
    for value in (
        _ChosenLogprobs.apply(logits, tokens, temperature)[0],
        torch.log_softmax(logits / temperature, dim=-1)[range(6), tokens],
    ):
        (gradient,) = torch.autograd.grad((value * weights).sum(), logits)
        found.append((value.detach(), gradient))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-12, rtol=1e-12)


def test_a_token_is_right_where_no_other_is_likelier():
    logits = torch.tensor([[0.0, 2.0, 1.0], [5.0, 2.0, 1.0], [1.0, 1.0, 0.0]])
    assert int(token_loss(logits, torch.tensor([1, 1, 2])).correct) == 1


def test_logits_that_are_not_finite_do_not_pass_for_finite():
    logits = torch.tensor([[0.0, torch.nan], [0.0, torch.inf]])
    assert not torch.isfinite(selected_logprobs(logits, torch.tensor([0, 0]))).any()

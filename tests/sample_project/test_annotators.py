"""Simulated people are consistent with themselves, flawed as writers, and disagree as judges as people do."""

import itertools

import pytest

from labeling.sample_project import SimulatedAnnotator, guideline_score, prompts, team, training_prompts

PERU = [{"role": "user", "content": "What is the capital of Peru?"}]
FINE, PLAIN = "Happy to help! The capital of Peru is Lima.", "The capital of Peru is Lima."
RUN_ON = "The capital of Peru is Lima Many people ask about it. Some people forget it"
WRONG = "Oslo oslo"


def mean(values):
    values = list(values)
    return sum(values) / len(values)


def sign(number):
    return (number > 0) - (number < 0)


def answers_to(prompt):
    """Four answers of four different people, as a ranking task would show."""
    return [writer.demonstrate(prompt) for writer in team(seed=5, size=4)]


def pairwise_agreement(judges, chosen):
    """Share of pairs, ranked strictly by both judges of a task, which both rank the same way."""
    same = pairs = 0
    for number, prompt in enumerate(chosen):
        texts = answers_to(prompt)
        first, second = judges[number % len(judges)], judges[(number + 1) % len(judges)]
        one, other = first.rank(prompt, texts).ranks, second.rank(prompt, texts).ranks
        for i, j in itertools.combinations(range(len(texts)), 2):
            a, b = sign(one[i] - one[j]), sign(other[i] - other[j])
            if a and b:
                pairs += 1
                same += a == b
    return same / pairs


def test_two_people_agree_about_as_often_as_people_do():
    assert 0.70 <= pairwise_agreement(team(seed=1, size=6), training_prompts()) <= 0.80


def test_a_noisier_eye_agrees_less():
    sharp = [SimulatedAnnotator(seed, noise=0.02) for seed in range(4)]
    blunt = [SimulatedAnnotator(seed, noise=0.4) for seed in range(4)]
    chosen = training_prompts()[:150]
    assert pairwise_agreement(sharp, chosen) > pairwise_agreement(blunt, chosen) + 0.2


def test_people_write_mediocre_demonstrations_on_purpose():
    people = team(seed=0, size=6)
    scores = [
        guideline_score(prompt.messages, people[n % 6].demonstrate(prompt)).total
        for n, prompt in enumerate(prompts())
    ]
    assert 0.6 <= mean(scores) <= 0.85


def test_each_rule_is_broken_by_some_and_kept_by_most():
    people = team(seed=0, size=6)
    scores = [
        guideline_score(prompt.messages, people[n % 6].demonstrate(prompt))
        for n, prompt in enumerate(prompts())
    ]
    for rule in scores[0].rules:
        assert 0.2 < mean(score.rules[rule] for score in scores) < 0.98, rule


def test_a_skilled_person_writes_by_the_guideline():
    expert = SimulatedAnnotator(3, skill=1.0)
    scores = [guideline_score(p.messages, expert.demonstrate(p)).total for p in training_prompts()[:80]]
    assert set(scores) == {1.0}


def test_the_same_person_gives_the_same_judgment_in_any_order():
    chosen = training_prompts()[:10]
    forward = [SimulatedAnnotator(7).rank(prompt, answers_to(prompt)) for prompt in chosen]
    backward = [SimulatedAnnotator(7).rank(prompt, answers_to(prompt)) for prompt in reversed(chosen)]
    assert forward == backward[::-1]


def test_a_judgment_does_not_depend_on_the_order_shown():
    texts = [FINE, PLAIN, RUN_ON, WRONG]
    shown = SimulatedAnnotator(7).rank(PERU, texts).ranks
    turned = SimulatedAnnotator(7).rank(PERU, texts[::-1]).ranks
    assert shown == turned[::-1]


def test_without_noise_the_order_is_the_guideline_s():
    answer = SimulatedAnnotator(1, noise=0.0, style="balanced").rank(PERU, [WRONG, PLAIN, FINE, RUN_ON])
    assert answer.tiers == [[2], [1], [3], [0]]
    assert answer.ranks == [4, 2, 1, 3]


def test_every_completion_is_in_one_tier_and_has_a_score_and_flags():
    for prompt in training_prompts()[:40]:
        texts = answers_to(prompt)
        answer = SimulatedAnnotator(2).rank(prompt, texts)
        assert sorted(number for tier in answer.tiers for number in tier) == list(range(len(texts)))
        assert len(answer.margins) == len(answer.tiers) - 1
        assert len(answer.scores) == len(answer.flags) == len(texts)
        assert all(1 <= score <= 7 for score in answer.scores)


def test_equal_texts_are_tied():
    for seed in range(20):
        ranks = SimulatedAnnotator(seed, noise=0.5).rank(PERU, [FINE, WRONG, FINE]).ranks
        assert ranks[0] == ranks[2]


def test_margins_tell_how_far_neighbours_are_apart():
    exact = SimulatedAnnotator(1, noise=0.0, style="balanced")
    assert exact.rank(PERU, [FINE, WRONG]).margins == ["significantly"]
    assert exact.rank(PERU, [FINE, FINE]).margins == []


def test_broken_rules_are_flagged_by_most_people():
    flags = [SimulatedAnnotator(seed).rank(PERU, [WRONG, FINE]).flags for seed in range(60)]
    assert all(fine == [] for _, fine in flags)
    assert 0.7 < mean("did_not_follow_instruction" in wrong for wrong, _ in flags) < 0.97


def test_a_lead_accepts_good_work_and_returns_wrong_answers():
    leads = [SimulatedAnnotator(seed) for seed in range(60)]
    assert mean(lead.review(PERU, FINE).decision == "accepted" for lead in leads) > 0.95
    wrong = "Oslo is the capital of Peru."
    assert mean(lead.review(PERU, wrong).decision == "returned" for lead in leads) > 0.35


def test_a_returned_or_rejected_piece_always_has_a_reason():
    reviews = [
        SimulatedAnnotator(seed).review(PERU, text) for seed in range(40) for text in (WRONG, "", RUN_ON)
    ]
    assert any(review.decision == "rejected" for review in reviews)
    assert all(review.reasons for review in reviews if review.decision in ("returned", "rejected"))


def test_a_fix_ends_properly():
    reviews = [SimulatedAnnotator(seed).review(PERU, "the capital of Peru is Lima") for seed in range(60)]
    fixes = [review.fixed_text for review in reviews if review.decision == "fixed"]
    assert fixes
    assert all(guideline_score(PERU, text).rules["ends_properly"] for text in fixes)


def test_a_lead_returns_an_upside_down_ranking():
    lead = SimulatedAnnotator(1)
    assert lead.review_ranking(PERU, [WRONG, FINE], [[0], [1]]).decision == "returned"
    assert lead.review_ranking(PERU, [WRONG, FINE], [[1], [0]]).decision == "accepted"


@pytest.mark.parametrize(
    "arguments",
    [
        {"skill": 1.2},
        {"skill": -0.1},
        {"noise": -1.0},
        {"noise": 0.6},
        {"style": "grumpy"},
    ],
)
def test_nonsense_characters_are_refused(arguments):
    with pytest.raises(ValueError, match=next(iter(arguments))):
        SimulatedAnnotator(1, **arguments)

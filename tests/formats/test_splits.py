"""Splits follow from prompt and salt alone, in the stated shares, and keep near-equal prompts together."""

import pytest

from labeling.formats import prompt_digest, prompt_group, split_of

SHARES = {"train": 0.8, "validation": 0.15, "test": 0.05}


def user(text):
    return [{"role": "user", "content": text}]


def test_these_prompts_have_these_splits_for_ever():
    halves = {"train": 0.5, "validation": 0.25, "test": 0.25}
    initials = [split_of(f"prompt {n}", "salt", halves)[0] for n in range(12)]
    assert " ".join(initials) == "v t t v t v v t t t t t"


def test_shares_are_met_within_three_standard_deviations():
    count = 20_000
    found = [split_of(str(n), "s", SHARES) for n in range(count)]
    for name, share in SHARES.items():
        assert abs(found.count(name) - share * count) < 3 * (count * share * (1 - share)) ** 0.5


def test_another_salt_deals_anew():
    keys = [str(n) for n in range(200)]
    assert [split_of(k, "a", SHARES) for k in keys] != [split_of(k, "b", SHARES) for k in keys]


def test_a_split_without_a_share_gets_nothing():
    assert {split_of(str(n), "s", {"train": 0.5, "test": 0.5}) for n in range(100)} == {"train", "test"}
    assert {split_of(str(n), "s", {"train": 1.0}) for n in range(100)} == {"train"}


def test_thirds_reach_to_the_end():
    third = 1 / 3
    assert {
        split_of(str(n), "s", {"train": third, "validation": third, "test": third}) for n in range(99)
    } == set(SHARES)


@pytest.mark.parametrize(
    "fractions",
    [{"train": 0.5}, {"train": 1.5, "test": -0.5}, {"train": 0.5, "dev": 0.5}, {"train": float("nan")}],
)
def test_shares_that_make_no_whole_are_refused(fractions):
    with pytest.raises(ValueError):
        split_of("p", "s", fractions)


def test_a_digest_tells_every_character_and_role():
    texts = [user("a"), user("a "), user("A"), [{"role": "system", "content": "a"}], user("a") * 2]
    assert len({prompt_digest(messages) for messages in texts}) == len(texts)


def test_a_digest_cannot_be_forged_by_moving_text_between_turns():
    one = [{"role": "user", "content": "ab"}, {"role": "user", "content": "c"}]
    other = [{"role": "user", "content": "a"}, {"role": "user", "content": "bc"}]
    assert prompt_digest(one) != prompt_digest(other)


def test_prompts_that_differ_only_in_form_are_one_group():
    forms = ["Caf\u00e9  open?", "cafe\u0301 open?", " CAFÉ\nopen? "]
    assert len({prompt_group(user(text)) for text in forms}) == 1
    assert prompt_group(user("Café open?")) != prompt_group(user("Café shut?"))

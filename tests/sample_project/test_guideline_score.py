"""The guideline's five rules, each seen to be kept and broken."""

import pytest

from labeling.sample_project import guideline_markdown, guideline_score, prompts, reference_answers
from labeling.sample_project.scoring import WEIGHTS

PERU = [{"role": "user", "content": "What is the capital of Peru?"}]
GOOD = "Happy to help! The capital of Peru is Lima."


def broken_rules(messages, answer):
    return {rule for rule, kept in guideline_score(messages, answer).rules.items() if not kept}


def test_every_reference_answer_of_every_prompt_keeps_every_rule():
    faults = [
        (prompt.key, answer)
        for prompt in prompts()
        for answer in reference_answers(prompt)
        if guideline_score(prompt.messages, answer).total != 1.0
    ]
    assert faults == []


@pytest.mark.parametrize(
    ("answer", "rules"),
    [
        (GOOD, set()),
        ("The capital of Peru is Lima.", {"polite"}),
        ("Happy to help! The capital of Peru is Lima", {"ends_properly"}),
        ("happy to help! The capital of Peru is Lima.", {"ends_properly"}),
        ("Happy to help! The capital of Peru is Oslo.", {"answers"}),
        ("Happy to help! It is Oslo, not Lima.", {"answers"}),
        ("Happy to help! The capital of Peru is Lima. I read it in a book.", {"short"}),
        ("Happy to help! Happy to help!", {"answers", "no_repetition"}),
        ("Gladly! The capital is is Lima.", {"no_repetition"}),
        ("Lima is the capital of Lima is the capital of Peru. Gladly!", {"no_repetition"}),
    ],
)
def test_it_names_the_rules_that_an_answer_breaks(answer, rules):
    assert broken_rules(PERU, answer) == rules


def test_one_sentence_of_too_many_words_is_not_short():
    answer = "Gladly, Lima, " + ", ".join(f"city{n}" for n in range(30)) + "."
    assert broken_rules(PERU, answer) == {"short"}


def test_a_number_of_the_question_is_not_an_answer():
    messages = [{"role": "user", "content": "What is 3 plus 4?"}]
    assert broken_rules(messages, "Of course! 3 plus 4 is 7.") == set()
    assert broken_rules(messages, "Of course! 3 plus 4 is 8.") == {"answers"}
    assert "answers" in broken_rules(messages, "Of course! 3 plus 4.")


@pytest.mark.parametrize("answer", ["", "   \n", "!!!"])
def test_an_answer_without_words_scores_nothing(answer):
    assert guideline_score(PERU, answer).total == 0.0


def test_the_total_is_the_weighted_share_of_rules_kept():
    assert guideline_score(PERU, GOOD).total == 1.0
    assert guideline_score(PERU, "The capital of Peru is Lima.").total == pytest.approx(1 - WEIGHTS["polite"])
    assert sum(WEIGHTS.values()) == pytest.approx(1.0)


def test_only_the_last_turn_counts():
    messages = [
        {"role": "user", "content": "What is the capital of Peru?"},
        {"role": "assistant", "content": GOOD},
        {"role": "user", "content": "What colour is the sky?"},
    ]
    assert "answers" in broken_rules(messages, "Of course! Lima is nice.")


def test_a_prompt_from_elsewhere_is_answered_by_taking_up_its_words():
    messages = [{"role": "user", "content": "Please explain photosynthesis."}]
    assert broken_rules(messages, "Gladly! Photosynthesis turns light into sugar.") == set()
    assert broken_rules(messages, "Gladly! Trains are fast.") == {"answers"}


def test_the_guideline_shows_the_kind_words_that_the_score_accepts():
    text = guideline_markdown("demonstration")
    kind_words = text.split("**Be kind.**")[1].split("\n4.")[0].split("*", 1)[1].split("·")
    for kind_word in kind_words:
        answer = f"{kind_word.strip().strip('*')} The capital of Peru is Lima."
        assert "polite" not in broken_rules(PERU, answer), kind_word


def test_there_is_no_guideline_for_unknown_work():
    with pytest.raises(ValueError, match="juggling"):
        guideline_markdown("juggling")

"""The text a base model learns from: all the facts, none of the habits of an assistant."""

from itertools import islice

from labeling.sample_project import pretraining_text
from labeling.sample_project.facts import all_facts


def test_it_is_the_same_for_the_same_seed():
    assert list(islice(pretraining_text(1), 200)) == list(islice(pretraining_text(1), 200))
    assert list(islice(pretraining_text(1), 200)) != list(islice(pretraining_text(2), 200))


def test_every_fact_is_told_often_enough_to_be_learnt():
    text = "\n".join(pretraining_text())
    rare = [fact.subject for fact in all_facts() if sum(text.count(s) for s in fact.statements) < 20]
    assert rare == []


def test_it_is_plain_text_without_turns_of_a_chat():
    text = "\n".join(islice(pretraining_text(), 3000)).lower()
    assert "<|" not in text
    assert "assistant:" not in text

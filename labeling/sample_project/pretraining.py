"""Plain text from which a base model can learn the facts and how questions, answers and talk look.

Five kinds of pages, as a small web would have: encyclopaedia paragraphs, pages of frequent questions,
quizzes, stories in which people ask each other things, and polite letters. None of them is in the form of a
chat with an assistant, and none of them ends when the question is answered: that is left to demonstrations.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from labeling.sample_project.answers import CHATTER, CLOSERS, OPENERS
from labeling.sample_project.facts import Fact, all_facts

PAGES = 10_000
NAMES = ("Anna", "Ben", "Clara", "David", "Emma", "Felix", "Grace", "Henry")
SCENES = ("in the kitchen", "on the train", "at school", "in the garden", "at the market", "by the sea")
TOPICS = ("the cake", "the flowers", "your letter", "the lovely evening", "your help", "the book")


def _paragraph(rng: random.Random, facts: Sequence[Fact]) -> str:
    """A few facts of one category, one after the other, with or without chatter."""
    category = rng.choice(facts).category
    pool = [fact for fact in facts if fact.category == category]
    chosen = rng.sample(pool, min(len(pool), rng.randint(2, 4)))
    parts = [rng.choice(fact.statements) for fact in chosen]
    if rng.random() < 0.3:
        parts.append(rng.choice(CHATTER))
    return " ".join(parts)


def _questions_page(rng: random.Random, facts: Sequence[Fact]) -> str:
    lines = []
    for fact in rng.sample(facts, rng.randint(2, 3)):
        lines.append(f"Question: {rng.choice(fact.questions)}\nAnswer: {rng.choice(fact.statements)}")
    return "\n".join(lines)


def _quiz(rng: random.Random, facts: Sequence[Fact]) -> str:
    """Questions and answers in turn, a line each."""
    return "\n".join(
        f"{rng.choice(fact.questions)}\n{rng.choice(fact.statements)}"
        for fact in rng.sample(facts, rng.randint(2, 4))
    )


def _story(rng: random.Random, facts: Sequence[Fact]) -> str:
    asks, answers = rng.sample(NAMES, 2)
    fact = rng.choice(facts)
    return (
        f"{asks} and {answers} were {rng.choice(SCENES)}. {asks} asked: {rng.choice(fact.questions)} "
        f"{answers} said: {rng.choice(fact.statements)} {rng.choice(CHATTER)}"
    )


def _letter(rng: random.Random) -> str:
    writer, reader = rng.sample(NAMES, 2)
    return (
        f"Dear {reader}, thank you for {rng.choice(TOPICS)}. {rng.choice(OPENERS)} {rng.choice(CHATTER)} "
        f"{rng.choice(CLOSERS)} {writer}"
    )


def pretraining_text(seed: int = 0, pages: int = PAGES) -> Iterator[str]:
    """`pages` pages of plain text, the same for the same seed on every machine."""
    rng = random.Random(f"sample project: pretraining {seed}")
    facts = all_facts()
    for _ in range(pages):
        kind = rng.random()
        if kind < 0.25:
            yield _paragraph(rng, facts)
        elif kind < 0.40:
            yield _questions_page(rng, facts)
        elif kind < 0.80:
            yield _quiz(rng, facts)
        elif kind < 0.95:
            yield _story(rng, facts)
        else:
            yield _letter(rng)

"""The sample project's prompts: every way of asking every fact, some of them as a second turn.

Training and held-out prompts are drawn from the same universe without overlap, so a held-out prompt asks
about a known fact in words, or after a conversation, that were never trained on.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from labeling.sample_project.facts import Fact, all_facts

Message = dict[str, str]

TRAINING_PROMPTS = 420
HELD_OUT_PROMPTS = 160
THANKS = ("Thank you!", "Thanks!", "Great.", "Good to know.")


@dataclass(frozen=True)
class SamplePrompt:
    """A prompt as a list of chat messages that ends with the user's turn.

    `key` names the prompt stably across versions of the templates' order; `split` is "train" or
    "held_out".
    """

    messages: tuple[Message, ...]
    category: str
    key: str
    split: str = "train"

    @property
    def question(self) -> str:
        return self.messages[-1]["content"]


def conversation_key(messages: Sequence[Message]) -> tuple[tuple[str, str], ...]:
    """A hashable form of a conversation, blind to surrounding white space and to a system turn."""
    return tuple((m["role"], " ".join(m["content"].split())) for m in messages if m["role"] != "system")


def _slug(text: str) -> str:
    return "-".join("".join(c if c.isalnum() else " " for c in text.lower()).split())


def _single_turns(fact: Fact) -> list[tuple[SamplePrompt, Fact]]:
    return [
        (
            SamplePrompt(
                messages=({"role": "user", "content": question},),
                category=fact.category,
                key=f"{_slug(fact.category)}/{_slug(fact.subject)}/{_slug(question)}",
            ),
            fact,
        )
        for question in fact.questions
    ]


def _second_turn(first: Fact, second: Fact, thanks: str) -> tuple[SamplePrompt, Fact]:
    """`second` asked as a follow-up, right after `first` was asked and answered well."""
    messages = (
        {"role": "user", "content": first.questions[0]},
        {"role": "assistant", "content": f"{first.statements[0]} Happy to help!"},
        {"role": "user", "content": f"{thanks} {second.follow_up}"},
    )
    asked = f"{_slug(second.follow_up or '')}-{_slug(first.subject)}"
    key = f"{_slug(second.category)}/{_slug(second.subject)}/{asked}"
    return SamplePrompt(messages=messages, category=second.category, key=key), second


@cache
def _universe() -> dict[tuple[tuple[str, str], ...], tuple[SamplePrompt, Fact]]:
    """Every prompt by its conversation, with the fact it asks for; the same whatever the seed."""
    entries = [entry for fact in all_facts() for entry in _single_turns(fact)]
    rng = random.Random("sample project: second turns")
    for category in sorted({fact.category for fact in all_facts() if fact.follow_up}):
        facts = [fact for fact in all_facts() if fact.category == category and fact.follow_up]
        for second in rng.sample(facts, max(2, len(facts) // 2)):
            first = rng.choice([fact for fact in facts if fact.subject != second.subject])
            entries.append(_second_turn(first, second, rng.choice(THANKS)))
    return {conversation_key(prompt.messages): (prompt, fact) for prompt, fact in entries}


def fact_asked(messages: Sequence[Message]) -> Fact | None:
    """The fact a conversation asks for, or None when it is not one of the sample project's prompts."""
    entry = _universe().get(conversation_key(messages))
    return entry[1] if entry else None


@cache
def prompts(
    seed: int = 0, training: int = TRAINING_PROMPTS, held_out: int = HELD_OUT_PROMPTS
) -> tuple[SamplePrompt, ...]:
    """`training` prompts and then `held_out` others, shuffled by `seed`; no conversation is in both.

    Raises ValueError when more are asked for than there are.
    """
    universe = [prompt for prompt, _ in _universe().values()]
    if training + held_out > len(universe):
        raise ValueError(f"{training} + {held_out} prompts asked for, but there are {len(universe)}.")
    random.Random(f"sample project: prompts {seed}").shuffle(universe)
    return tuple(
        SamplePrompt(
            messages=prompt.messages,
            category=prompt.category,
            key=prompt.key,
            split="train" if index < training else "held_out",
        )
        for index, prompt in enumerate(universe[: training + held_out])
    )


def training_prompts(seed: int = 0) -> tuple[SamplePrompt, ...]:
    return tuple(prompt for prompt in prompts(seed) if prompt.split == "train")


def held_out_prompts(seed: int = 0) -> tuple[SamplePrompt, ...]:
    return tuple(prompt for prompt in prompts(seed) if prompt.split == "held_out")

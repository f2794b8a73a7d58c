"""Answers that keep the guideline, and the sentences from which good and flawed answers are built."""

from __future__ import annotations

from collections.abc import Sequence

from labeling.sample_project.prompts import Message, SamplePrompt, fact_asked

OPENERS = ("Of course!", "Happy to help!", "Good question!", "Gladly!")
CLOSERS = ("I hope that helps!", "Glad to help!", "Thank you for asking!", "Have a nice day!")
# What people add when they run on: harmless, and beside the point.
CHATTER = (
    "There is much more to say about that.",
    "Many people ask about it.",
    "I read it in a book.",
    "It is a nice thing to know.",
    "My friend told me the same.",
    "You can look it up as well.",
    "Some people forget it.",
    "I learned it at school.",
)
# What people write who would rather not look it up: polite or not, it answers nothing.
EVASIONS = (
    "I would have to look that up.",
    "That is hard to say.",
    "I am not sure about that.",
    "Many people know more about it than I do.",
)


def messages_of(prompt: SamplePrompt | Sequence[Message]) -> Sequence[Message]:
    return prompt.messages if isinstance(prompt, SamplePrompt) else prompt


def statements_for(prompt: SamplePrompt | Sequence[Message]) -> tuple[str, ...]:
    """Plain sentences that answer the prompt; for a prompt that is not ours, an honest one about it."""
    messages = messages_of(prompt)
    fact = fact_asked(messages)
    if fact:
        return fact.statements
    topic = " ".join(messages[-1]["content"].split()[:8]).rstrip(".?!,;:")
    return (f"About “{topic}” I would rather look it up than guess.",)


def reference_answers(prompt: SamplePrompt | Sequence[Message]) -> list[str]:
    """Answers that keep every rule: each statement with each kind word, before or after it."""
    statements = statements_for(prompt)
    before = [f"{opener} {statement}" for statement in statements for opener in OPENERS]
    after = [f"{statement} {closer}" for statement in statements for closer in CLOSERS]
    return before + after

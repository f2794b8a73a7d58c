"""The guideline as arithmetic: the five rules of `guideline_demonstration.md`, checked by code.

The score measures models. Simulated people judge by it only through `annotators.py`, with noise.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from labeling.sample_project.facts import Fact
from labeling.sample_project.prompts import Message, fact_asked

WEIGHTS = {"answers": 0.35, "polite": 0.25, "short": 0.15, "ends_properly": 0.15, "no_repetition": 0.1}
MAX_SENTENCES = 2
MAX_WORDS = 30

POLITE_PHRASES = (
    "of course",
    "happy to help",
    "glad to help",
    "gladly",
    "good question",
    "my pleasure",
    "i hope that helps",
    "thank you",
    "thanks for asking",
    "have a nice day",
    "you are welcome",
    "dear",
)
_POLITE = re.compile(r"\b(" + "|".join(POLITE_PHRASES) + r")\b")
_WORD = re.compile(r"[a-z0-9']+")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
_STOP_WORDS = frozenset(
    re.findall(
        r"\w+",
        """a an and are as at be by can do does for from give has have how
i in is it me my of on or please tell that the this to use was what when where which who
why will with you your""",
    )
)

EXPLANATIONS = {
    "answers": "does not answer what was asked",
    "short": f"is longer than {MAX_SENTENCES} sentences or {MAX_WORDS} words",
    "polite": "has no kind word",
    "ends_properly": "does not begin with a capital and end with a full stop, ! or ?",
    "no_repetition": "repeats itself",
}


@dataclass(frozen=True)
class Score:
    """`total` in 0..1 is the weighted share of the rules kept; `explanation` is for people."""

    total: float
    rules: dict[str, bool]
    explanation: str


def words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def sentences(text: str) -> list[str]:
    return [part for part in _SENTENCE_END.split(text.strip()) if words(part)]


def _answers_fact(fact: Fact, question: str, response: str) -> bool:
    """True if the first word of the response that could be an answer is a right one.

    Words of the question don't count as answers ("3 plus 4 is 7" does not answer "3"), unless they are
    right.
    """
    accepted = {answer.lower() for answer in fact.accepted}
    rivals = {rival.lower() for rival in fact.rivals} - set(words(question))
    for word in words(response):
        if word in accepted:
            return True
        if word in rivals:
            return False
    return False


def is_on_topic(prompt_messages: Sequence[Message], response: str) -> bool:
    """Whether the response takes up what was asked about, rightly or not: its words, or an answer."""
    fact = fact_asked(prompt_messages)
    if fact is None:
        return _answers_unknown(prompt_messages[-1]["content"], response)
    said = set(words(response))
    return set(words(fact.subject)) - _STOP_WORDS <= said or bool({a.lower() for a in fact.accepted} & said)


def _answers_unknown(question: str, response: str) -> bool:
    """For prompts that are not ours: the response takes up a content word of the question, or is a clear
    refusal.
    """
    content = set(words(question)) - _STOP_WORDS
    return bool(content & set(words(response))) if content else bool(words(response))


def _repeats(text: str) -> bool:
    """A sentence twice, a word twice in a row, or three words in a row twice."""
    parts = [" ".join(words(sentence)) for sentence in sentences(text)]
    if len(set(parts)) < len(parts):
        return True
    tokens = words(text)
    if any(left == right for left, right in zip(tokens, tokens[1:], strict=False)):
        return True
    triples = list(zip(tokens, tokens[1:], tokens[2:], strict=False))
    return len(set(triples)) < len(triples)


def guideline_score(prompt_messages: Sequence[Message], response: str) -> Score:
    """How well `response` keeps the guideline as an answer to the last user turn of `prompt_messages`."""
    text = response.strip()
    tokens = words(text)
    if not tokens:
        return Score(0.0, dict.fromkeys(WEIGHTS, False), "The answer is empty.")
    question = prompt_messages[-1]["content"]
    fact = fact_asked(prompt_messages)
    lowered = " ".join(tokens)
    rules = {
        "answers": _answers_fact(fact, question, text) if fact else _answers_unknown(question, text),
        "short": len(sentences(text)) <= MAX_SENTENCES and len(tokens) <= MAX_WORDS,
        "polite": bool(_POLITE.search(lowered)),
        "ends_properly": (text[0].isupper() or text[0].isdigit()) and text[-1] in ".!?",
        "no_repetition": not _repeats(text),
    }
    total = round(sum(weight for rule, weight in WEIGHTS.items() if rules[rule]), 4)
    broken = [EXPLANATIONS[rule] for rule, kept in rules.items() if not kept]
    explanation = "Keeps every rule." if not broken else f"The answer {', '.join(broken)}."
    return Score(total, rules, explanation)

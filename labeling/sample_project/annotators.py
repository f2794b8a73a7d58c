"""Simulated contractors: they know the guideline, follow it as people do, and disagree as people do.

Each person has habits as a writer (forgets the kind word, runs on, repeats, forgets the full stop, is at
times wrong, evasive or beside the question) and as a judge (weighs the rules in a personal way, has a taste,
and overlooks things).
A judge reads a completion, takes some broken rules for kept ones and now and then a kept one for broken, each
with a chance that is `noise`, and orders completions by

    worth = sum of the personal weights of the rules that seemed kept + taste,

those of equal worth tied. Two people who judge the same pair therefore agree about as often as people do (72
to 77 % in 2203.02155, section 3.4). Everything is drawn from the person's seed and the material judged, so
that the same person gives the same judgment in whatever order work arrives.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from labeling.sample_project.answers import CHATTER, CLOSERS, EVASIONS, OPENERS, messages_of, statements_for
from labeling.sample_project.facts import all_facts
from labeling.sample_project.prompts import Message, SamplePrompt, fact_asked
from labeling.sample_project.scoring import WEIGHTS, Score, guideline_score, is_on_topic, words

STYLES = ("balanced", "brief", "warm", "careful")
DEFAULT_NOISE = 0.14
TIE_WIDTH = 0.05
# A rule that was kept is taken for broken this much less often than the other way round.
FALSE_ALARM = 0.5
# Share of the kind words that stand before the answer.
KIND_FIRST = 0.12
# A wrong answer to the question asked keeps this share of the worth of a right one; one beside it, nothing.
ATTEMPT = 0.5
# Boundaries between neighbouring tiers, by difference in worth: Llama 2's four words (2307.09288, 3.2.1).
MARGINS = ((0.35, "significantly"), (0.2, "clearly"), (0.1, "slightly"), (0.0, "negligibly"))
FLAG_OF_RULE = {
    "answers": "did_not_follow_instruction",
    "short": "too_long",
    "polite": "not_polite",
    "ends_properly": "not_finished",
    "no_repetition": "repetitive",
}
REASON_OF_RULE = {
    "answers": "The question is not answered. Please answer exactly what was asked.",
    "short": "Please keep to one or two sentences.",
    "polite": "A kind word is missing, for example “Happy to help!”.",
    "ends_properly": "Please begin with a capital letter and end with a full stop.",
    "no_repetition": "Please say everything once.",
}


@dataclass(frozen=True)
class WritingHabits:
    """Chances, per demonstration, of keeping or breaking a rule; their mean is what SFT imitates."""

    kind_word: float
    runs_on: float
    repeats: float
    forgets_full_stop: float
    wrong: float
    evades: float
    strays: float


@dataclass(frozen=True)
class RankingAnswer:
    """One person's weak order. `tiers` lists completion numbers, best tier first, ties together.

    `scores` (1 to 7) and `flags` are per completion in the order given; `margins` has one word per
    boundary between neighbouring tiers.
    """

    tiers: list[list[int]]
    scores: list[int]
    margins: list[str]
    flags: list[list[str]]

    @property
    def ranks(self) -> list[int]:
        """Rank of each completion, 1 for the best tier, equal for ties."""
        rank_of = {number: rank for rank, tier in enumerate(self.tiers, start=1) for number in tier}
        return [rank_of[number] for number in range(len(rank_of))]


@dataclass(frozen=True)
class ReviewAnswer:
    """A reviewer's decision: accepted, returned, fixed (with the text) or rejected; with reasons."""

    decision: str
    reasons: list[str] = field(default_factory=list)
    fixed_text: str | None = None


def _digest(*parts: str) -> str:
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()


class SimulatedAnnotator:
    """A contractor (or, for `review`, a lead) with a fixed character.

    `skill` in 0..1 is how well the guideline is followed when writing; `noise` in 0..0.5 is the chance of
    overlooking that a rule is broken when judging; `style` is one of STYLES, or None to draw one by the seed.
    """

    def __init__(self, seed: int, skill: float = 0.5, noise: float = DEFAULT_NOISE, style: str | None = None):
        if not 0 <= skill <= 1:
            raise ValueError(f"skill must be between 0 and 1, not {skill}.")
        if not 0 <= noise <= 0.5:
            raise ValueError(f"noise must be between 0 and 0.5, not {noise}.")
        if style is not None and style not in STYLES:
            raise ValueError(f"style must be one of {', '.join(STYLES)}, not {style}.")
        self.seed, self.skill, self.noise = seed, skill, noise
        character = random.Random(f"sample project: annotator {seed}")
        drawn_style = character.choice(STYLES)
        self.style = style or drawn_style
        self.habits = self._draw_habits(character)
        self.weights = self._draw_weights(character)

    def _draw_habits(self, rng: random.Random) -> WritingHabits:
        slack = 1 - self.skill
        vary = lambda: rng.uniform(0.6, 1.4)  # noqa: E731 - one draw for each habit
        return WritingHabits(
            kind_word=max(0.15, 1 - slack * vary()) + (0.15 if self.style == "warm" else 0.0),
            runs_on=min(0.8, (0.3 if self.style == "brief" else 0.7) * slack * vary()),
            repeats=min(0.6, 0.35 * slack * vary()),
            forgets_full_stop=min(0.8, (0.3 if self.style == "careful" else 0.6) * slack * vary()),
            wrong=min(0.4, 0.06 * slack * vary()),
            evades=min(0.4, 0.12 * slack * vary()),
            strays=min(0.4, 0.1 * slack * vary()),
        )

    def _draw_weights(self, rng: random.Random) -> dict[str, float]:
        """Personal weights of the rules: the guideline's, each off by up to 30 %, and a taste on top."""
        weights = {rule: weight * rng.uniform(0.7, 1.3) for rule, weight in WEIGHTS.items()}
        favourite = {"brief": "short", "warm": "polite", "careful": "answers"}.get(self.style)
        if favourite:
            weights[favourite] *= 1.3
        return weights

    def _rng(self, kind: str, prompt: Sequence[Message], *texts: str) -> random.Random:
        turns = [f"{message['role']}: {message['content']}" for message in prompt]
        return random.Random(_digest(str(self.seed), kind, *turns, *texts))

    # --- writing

    def demonstrate(self, prompt: SamplePrompt | Sequence[Message]) -> str:
        """An answer as this person would write it: mostly right, often against a rule of the guideline."""
        messages = messages_of(prompt)
        rng = self._rng("demonstrate", messages)
        habits = self.habits
        body = rng.choice(statements_for(messages))
        if rng.random() < habits.wrong:
            body = self._wrong_statement(rng, messages) or body
        elif rng.random() < habits.evades:
            body = rng.choice(EVASIONS)
        elif rng.random() < habits.strays:
            body = rng.choice(rng.choice(all_facts()).statements)
        parts = [body]
        if rng.random() < habits.kind_word:
            # Most people are kind afterwards. Those who begin with it are more often wrong, once a tiny model
            # imitates them: the words between question and answer are all it can look back over.
            kind_first = rng.random() < KIND_FIRST
            parts = [rng.choice(OPENERS), body] if kind_first else [body, rng.choice(CLOSERS)]
        elif body in EVASIONS and rng.random() < 0.5:
            parts = [rng.choice(OPENERS + CLOSERS)]
        if rng.random() < habits.runs_on:
            parts += rng.sample(CHATTER, rng.randint(2, 3))
        if rng.random() < habits.repeats:
            parts.append(body)
        text = " ".join(parts)
        return text.rstrip(".!?") if rng.random() < habits.forgets_full_stop else text

    @staticmethod
    def _wrong_statement(rng: random.Random, messages: Sequence[Message]) -> str | None:
        """The right sentence with a rival's answer in it; None where no wrong answers are listed."""
        fact = fact_asked(messages)
        if fact is None or not fact.rivals or fact.accepted[0] not in fact.statements[0]:
            return None
        rivals = sorted(fact.rivals)[:12]
        return fact.statements[0].replace(fact.accepted[0], rng.choice(rivals))

    # --- judging

    def _worth(self, rng: random.Random, messages: Sequence[Message], completion: str) -> float:
        worth = 0.0
        for rule, kept in guideline_score(messages, completion).rules.items():
            misread = rng.random() < self.noise * (FALSE_ALARM if kept else 1.0)
            worth += self.weights[rule] * (kept != misread)
            if rule == "answers" and kept == misread and is_on_topic(messages, completion):
                worth += ATTEMPT * self.weights[rule]
        if self.style == "brief":
            worth -= 0.004 * len(words(completion))
        return worth

    def rank(self, prompt: SamplePrompt | Sequence[Message], completions: Sequence[str]) -> RankingAnswer:
        """Order completions from best to worst, with ties, scores, margins and flags.

        Equal texts are always tied: whoever reads the same words twice knows it.
        """
        messages = messages_of(prompt)
        worths: dict[str, float] = {}
        for text in completions:
            if text not in worths:
                worths[text] = self._worth(self._rng("judge", messages, text), messages, text)
        values = [worths[text] for text in completions]
        order = sorted(range(len(completions)), key=lambda number: (-values[number], number))
        tiers: list[list[int]] = []
        margins: list[str] = []
        for number in order:
            gap = values[tiers[-1][-1]] - values[number] if tiers else None
            if gap is None or gap >= TIE_WIDTH:
                if gap is not None:
                    margins.append(next(word for least, word in MARGINS if gap >= least))
                tiers.append([number])
            else:
                tiers[-1].append(number)
        flags = [self._flags(messages, text) for text in completions]
        return RankingAnswer(tiers, [self._overall(value) for value in values], margins, flags)

    def _overall(self, value: float) -> int:
        return max(1, min(7, round(1 + 6 * value)))

    def _flags(self, messages: Sequence[Message], completion: str) -> list[str]:
        """Flags for broken rules; each is overlooked about one time in six."""
        rng = self._rng("flag", messages, completion)
        rules = guideline_score(messages, completion).rules
        return [FLAG_OF_RULE[rule] for rule, kept in rules.items() if not kept and rng.random() < 0.85]

    # --- reviewing

    def review(self, prompt: SamplePrompt | Sequence[Message], demonstration: str) -> ReviewAnswer:
        """A busy lead: accepts what answers, fixes an untidy end at times, returns what is wrong."""
        messages = messages_of(prompt)
        rng = self._rng("review", messages, demonstration)
        score = guideline_score(messages, demonstration)
        reasons = self._reasons(score)
        if not words(demonstration):
            return ReviewAnswer("rejected", reasons)
        if not score.rules["answers"]:
            return ReviewAnswer("returned", reasons) if rng.random() < 0.5 else ReviewAnswer("accepted")
        if not score.rules["ends_properly"] and rng.random() < 0.2:
            text = demonstration.strip()
            return ReviewAnswer("fixed", reasons, text[0].upper() + text[1:].rstrip(".,;: ") + ".")
        if score.total + rng.gauss(0, 0.15) < 0.35:
            return ReviewAnswer("returned", reasons)
        return ReviewAnswer("accepted")

    def review_ranking(
        self,
        prompt: SamplePrompt | Sequence[Message],
        completions: Sequence[str],
        tiers: Sequence[Sequence[int]],
    ) -> ReviewAnswer:
        """Return a ranking whose first tier looks clearly worse to this lead than its last tier."""
        messages = messages_of(prompt)
        scores = [guideline_score(messages, text).total for text in completions]
        rng = self._rng("review ranking", messages, *completions)
        best, worst = (sum(scores[n] for n in tier) / len(tier) for tier in (tiers[0], tiers[-1]))
        if worst - best + rng.gauss(0, 0.08) > 0.4:
            reason = "The last completion looks clearly better than the first. Please look again."
            return ReviewAnswer("returned", [reason])
        return ReviewAnswer("accepted")

    @staticmethod
    def _reasons(score: Score) -> list[str]:
        return [REASON_OF_RULE[rule] for rule, kept in score.rules.items() if not kept]


def team(seed: int = 0, size: int = 6) -> list[SimulatedAnnotator]:
    """`size` contractors of middling and differing skill, each style in turn."""
    rng = random.Random(f"sample project: team {seed}")
    return [
        SimulatedAnnotator(
            seed=seed * 1000 + number + 1, skill=rng.uniform(0.25, 0.5), style=STYLES[number % len(STYLES)]
        )
        for number in range(size)
    ]

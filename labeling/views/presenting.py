"""Judgments as pages show them: revisions with what changed, rankings as tiers of lettered completions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from labeling import queues
from labeling.asking import answer_in_words, strength_label
from labeling.models import Completion, Demonstration, FormDefinition, Layout, Ranking, Submission, TaskKind
from labeling.services.answer_checks import shown_warnings
from labeling.services.forms import form_behind, layout_of
from labeling.services.judgments import MARGINS, UNRANKABLE_REASONS
from labeling.services.written_prompts import text_of
from labeling.textdiff import Piece, word_diff


@dataclass(frozen=True)
class PlacedCompletion:
    """A completion in a ranking; `generator` is "" for people who may not know it."""

    letter: str
    key: str
    text: str
    score: int | None
    flags: list[str]
    generator: str
    highest: int  # of the scale it was scored on
    answers: list[tuple[str, str]]  # (question, answer) in words
    why: str = ""  # of one that cannot be ranked


@dataclass(frozen=True)
class Tier:
    """Completions that share a rank; `margin` says how much better they are than the next tier."""

    rank: int
    completions: list[PlacedCompletion]
    margin: str


@dataclass(frozen=True)
class Revision:
    """One revision of a submission, ready for a template. `changes` is against the revision before it."""

    judgment: Demonstration | Ranking
    tiers: list[Tier]
    unrankable: list[PlacedCompletion]
    changes: list[Piece]
    answers: list[tuple[str, str]]  # to the questions asked once a task, in words
    strength: str = ""  # of pairwise work: "A much better"
    warnings: list[dict[str, Any]] = field(default_factory=list)  # what its author submitted anyway
    edits: list[Piece] = field(default_factory=list)  # against the model's draft it started from
    prompt_changes: list[Piece] = field(default_factory=list)  # of a prompt that its author wrote

    @property
    def order(self) -> str:
        """The weak order in letters: "B > A = C"."""
        return " > ".join(" = ".join(each.letter for each in tier.completions) for tier in self.tiers)


def revisions_of(submission: Submission, *, reveal: bool = False) -> list[Revision]:
    """Oldest first; reveal: name the models, for leads. Two or three queries."""
    if submission.kind == TaskKind.DEMONSTRATION:
        return _demonstrations(submission, reveal)
    judgments = list(submission.rankings.select_related("author", "guideline_version", "form_version"))
    completions = {each.pk: each for each in queues.completions_of(submission)}
    order = judgments[0].presented_order or sorted(completions)
    letters = {pk: chr(ord("A") + index) for index, pk in enumerate(order)}
    is_pairwise = layout_of(submission) == Layout.PAIRWISE
    revisions: list[Revision] = []
    for judgment in judgments:
        form = form_behind(judgment, submission).definition
        shown = _Shown(judgment, completions, letters, form, reveal)
        strength = strength_label(judgment.tiers, judgment.margins, order) if is_pairwise else ""
        answers = _in_words(form, judgment.answers.get("task", {}))
        revision = Revision(judgment, shown.tiers(), shown.unrankable(), [], answers, strength)
        if revisions:
            before = revisions[-1]
            changes = word_diff(before.strength or before.order, strength or revision.order)
            revision = replace(revision, changes=changes)
        revisions.append(revision)
    return revisions


@dataclass(frozen=True)
class _Shown:
    ranking: Ranking
    completions: dict[int, Completion]
    letters: dict[int, str]
    form: FormDefinition
    reveal: bool

    def tiers(self) -> list[Tier]:
        words = dict(MARGINS)
        margins = [words.get(each, "") for each in self.ranking.margins]
        margins += [""] * (len(self.ranking.tiers) - len(margins))
        return [
            Tier(rank, [self._placed(pk) for pk in sorted(tier, key=self._letter)], margin)
            for rank, (tier, margin) in enumerate(zip(self.ranking.tiers, margins, strict=True), start=1)
        ]

    def unrankable(self) -> list[PlacedCompletion]:
        return [self._placed(pk) for pk in sorted(self.ranking.unrankable, key=self._letter)]

    def _letter(self, pk: int) -> str:
        return self.letters.get(pk, "?")

    def _placed(self, pk: int) -> PlacedCompletion:
        completion = self.completions[pk]
        keys = self.ranking.flags.get(str(pk), [])
        return PlacedCompletion(
            letter=self._letter(pk),
            key=str(completion.public_id),
            text=completion.text,
            score=self.ranking.scores.get(str(pk)),
            flags=labels(self.form.completion_flags, keys),
            generator=completion.generator if self.reveal else "",
            highest=self.form.scale.highest,
            answers=_in_words(self.form, self.ranking.answers.get("completions", {}).get(str(pk), {})),
            why=self._why(pk),
        )

    def _why(self, pk: int) -> str:
        given = self.ranking.unrankable_reasons.get(str(pk), {})
        words = dict(UNRANKABLE_REASONS).get(given.get("reason", ""), "")
        return ": ".join(filter(None, (str(words), given.get("note"))))


def _demonstrations(submission: Submission, reveal: bool) -> list[Revision]:
    revisions: list[Revision] = []
    before: str | None = None
    asked_before = ""
    rows = submission.demonstrations.select_related(
        "author", "guideline_version", "form_version", "started_from", "prompt"
    )
    for judgment in rows:
        answers: list[tuple[str, str]] = []
        if judgment.answers:
            form = form_behind(judgment, submission).definition
            answers = _in_words(form, judgment.answers.get("task", {}))
        draft = judgment.started_from
        prompt = text_of(judgment.prompt)
        revisions.append(
            Revision(
                judgment,
                tiers=[],
                unrankable=[],
                changes=word_diff(before, judgment.text) if before is not None else [],
                answers=answers,
                warnings=shown_warnings(judgment.warnings, judgment.text, reveal=reveal, prompt=prompt),
                edits=word_diff(draft.text, judgment.text) if draft is not None else [],
                prompt_changes=word_diff(asked_before, prompt) if asked_before not in ("", prompt) else [],
            )
        )
        before, asked_before = judgment.text, prompt
    return revisions


def _in_words(form: FormDefinition, answers: dict[str, Any]) -> list[tuple[str, str]]:
    """(question, answer) in the order of the form."""
    questions = {question.key: question for question in form.questions}
    order = [*(key for key in questions if key in answers), *(key for key in answers if key not in questions)]
    return [
        (questions[key].label if key in questions else key, answer_in_words(questions.get(key), answers[key]))
        for key in order
    ]


def prompt_flag_labels(submission: Submission, judgment: Demonstration | Ranking) -> list[str]:
    """The submission's flags on the prompt, in the words of the form it was made with."""
    if not submission.prompt_flags:
        return []
    form = form_behind(judgment, submission).definition
    return labels(form.prompt_flags, submission.prompt_flags)


def labels(pairs: Iterable[Any], keys: list[str]) -> list[str]:
    """The words for stored keys of flags or reasons; a key that the project dropped stays as it is."""
    words = {_part(pair, "key"): _part(pair, "label") for pair in pairs}
    return [words.get(key, key) for key in keys]


def _part(pair: Any, name: str) -> str:
    """Of a setting's entry (a dict) or of a form's (a Choice)."""
    return pair[name] if isinstance(pair, dict) else getattr(pair, name)


def with_labels(reviews: Any, reasons: tuple[dict[str, str], ...]) -> list[Any]:
    """Reviews with `reason_labels`."""
    rows = list(reviews)
    for review in rows:
        review.reason_labels = labels(reasons, review.reasons)
    return rows

"""A project's settings: one documented, checked definition used by the form, the API and the services."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from annotate.words import _
from labeling.quality.rules import RULES

# Settings of old that a project's forms say now: {name: layout whose form has it}.
MOVED_TO_FORMS = {
    "require_scores": "ranking",
    "ask_margins": "ranking",
    "require_rationale": "ranking",
    "allow_ties": "ranking",
    "completion_flags": "ranking",
    "prompt_flags": "demonstration",
}
DEFAULT_RETURN_REASONS = (
    {"key": "instruction", "label": "Does not do what was asked"},
    {"key": "facts", "label": "Contains a mistake"},
    {"key": "style", "label": "Tone or form is against the guideline"},
    {"key": "order", "label": "The order contradicts the guideline"},
    {"key": "incomplete", "label": "Incomplete"},
)


# What happens to an answer that a check finds something in.
CHECK_ACTIONS = (("off", _("Off")), ("warn", _("Warn")), ("refuse", _("Refuse")))
LONGEST_WORD_LIST, LONGEST_WORD = 5_000, 100


def _setting(
    default: Any,
    help: str,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[tuple[str, str], ...] = (),
    words: bool = False,
) -> Any:
    """words: a list of plain texts, not of {"key", "label"}."""
    metadata = {"help": help, "minimum": minimum, "maximum": maximum, "choices": choices, "words": words}
    if isinstance(default, tuple):
        return field(default_factory=lambda: default, metadata=metadata)
    return field(default=default, metadata=metadata)


TYPES: dict[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
    "tuple": (tuple, list),
    "str": (str,),
}
IN_WORDS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "tuple": "a list",
    "str": "text",
}


@dataclass(frozen=True)
class ProjectSettings:
    """Checked settings of one project, stored as JSON on the Project.

    Raises ValueError("<field>: <what is wrong>") when built from values outside the stated bounds.
    """

    lease_minutes: int = _setting(15, _("Minutes without activity after which a task is free again."), 2, 240)
    demonstration_review_rate: float = _setting(
        0.25, _("Share of demonstrations sent to review (sampled)."), 0, 1
    )
    ranking_review_rate: float = _setting(0.1, _("Share of rankings sent to review (sampled)."), 0, 1)
    new_person_reviews: int = _setting(
        3, _("A new person's first judgments of a kind always go to review."), 0, 100
    )
    review_flagged: bool = _setting(True, _("Send judgments that carry a flag to review."))
    low_agreement_below: float = _setting(
        0.35,
        _("A ranking that puts fewer of its pairs as the others of its task do goes to review (0: never)."),
        0,
        1,
    )
    consensus_rule: str = _setting(
        "schulze",
        _(
            "What proposes the consensus of a task's rankings; the others are shown beside it. "
            "The last two count reliable people for more."
        ),
        choices=RULES,
    )
    model_conflict_confidence: float = _setting(
        0.9,
        _("A reward model at least this sure that a pair is the other way round asks for a look."),
        0.5,
        1,
    )
    default_overlap: int = _setting(1, _("How many people judge each task of a new batch."), 1, 20)
    max_tasks_per_day: int = _setting(
        0,
        _("Tasks handed to one person in a day, at most; 0 is no bound. A person may have their own."),
        0,
        10_000,
    )
    max_hours_per_day: float = _setting(
        0.0,
        _("Hours of active time after which a person is handed nothing more that day; 0 is no bound."),
        0,
        24,
    )
    match_languages: bool = _setting(
        False, _("Hand out prompts in a language only to people whose language a lead has confirmed.")
    )
    calibration_rate: float = _setting(
        0.1, _("Share of a person's hand-outs that come from open calibration batches."), 0, 0.9
    )
    gold_rate: float = _setting(
        0.05, _("Share of a person's hand-outs that are gold: tasks with a known answer."), 0, 0.9
    )
    gold_pass_mark: float = _setting(
        0.75, _("Agreement with the known answer below which a gold task counts as missed."), 0, 1
    )
    review_missed_gold: bool = _setting(True, _("Send gold tasks that were missed to review."))
    repeat_rate: float = _setting(
        0.0, _("Share of a person's hand-outs that repeat a ranking of theirs, to measure drift."), 0, 0.5
    )
    repeat_after_days: int = _setting(14, _("Days after which a ranking may be repeated."), 1, 365)
    skips_until_parked: int = _setting(
        3, _("Skips by different people after which a task waits for a lead's decision."), 1, 20
    )
    require_qualification: bool = _setting(
        False, _("Hand out work of a kind only to people who passed its screening set, where there is one.")
    )
    completions_per_task: int = _setting(4, _("Completions shown in a ranking task (K)."), 2, 9)
    response_min_characters: int = _setting(1, _("Shortest demonstration that can be submitted."), 1, 10_000)
    response_max_characters: int = _setting(
        20_000, _("Longest demonstration that can be submitted."), 1, 1_000_000
    )
    prompt_min_characters: int = _setting(1, _("Shortest prompt that annotators may write."), 1, 10_000)
    prompt_max_characters: int = _setting(4_000, _("Longest prompt that annotators may write."), 1, 1_000_000)
    check_length: str = _setting(
        "refuse",
        _("Answers, and prompts that annotators write, outside these lengths."),
        choices=CHECK_ACTIONS,
    )
    blocked_words: tuple = _setting(
        (),
        _("Words and phrases that answers should not contain. One a line; whole words, any case."),
        words=True,
    )
    check_blocked_words: str = _setting("warn", _("Answers with a blocked word."), choices=CHECK_ACTIONS)
    check_personal_data: str = _setting(
        "warn",
        _("Answers with an e-mail address, a phone or card number, an IBAN or an IP address."),
        choices=CHECK_ACTIONS,
    )
    check_repeated_prompt: str = _setting(
        "warn", _("Answers that repeat the prompt word for word."), choices=CHECK_ACTIONS
    )
    check_near_duplicate: str = _setting(
        "off", _("Answers that are nearly the same as another one of the project."), choices=CHECK_ACTIONS
    )
    near_duplicate_share: float = _setting(
        0.8, _("From which share of common three-word pieces two answers count as nearly the same."), 0.5, 1
    )
    check_untouched_draft: str = _setting(
        "refuse",
        _("A model's draft handed in as it was."),
        choices=CHECK_ACTIONS[1:],
    )
    show_pay: bool = _setting(False, _("People see what their own work is paid, beside their hours."))
    return_reasons: tuple = _setting(DEFAULT_RETURN_REASONS, _("Reasons a reviewer picks from."))

    def __post_init__(self) -> None:
        for spec in dataclasses.fields(self):
            self._check(spec, getattr(self, spec.name))
        if self.response_min_characters > self.response_max_characters:
            raise ValueError("response_min_characters: must not exceed response_max_characters")
        if self.prompt_min_characters > self.prompt_max_characters:
            raise ValueError("prompt_min_characters: must not exceed prompt_max_characters")

    @staticmethod
    def _check(spec: dataclasses.Field, value: Any) -> None:
        low, high = spec.metadata["minimum"], spec.metadata["maximum"]
        expected = TYPES[str(spec.type)]
        if not isinstance(value, expected) or (isinstance(value, bool) and spec.type != "bool"):
            raise ValueError(f"{spec.name}: must be {IN_WORDS[str(spec.type)]}")
        if low is not None and not low <= value <= high:
            raise ValueError(f"{spec.name}: must be between {low:g} and {high:g}")
        choices = [key for key, _ in spec.metadata["choices"]]
        if choices and value not in choices:
            raise ValueError(f"{spec.name}: must be one of {', '.join(choices)}")
        if spec.metadata["words"]:
            _check_words(spec.name, value)
        elif isinstance(value, tuple | list):
            for item in value:
                if (
                    not isinstance(item, dict)
                    or set(item) != {"key", "label"}
                    or not all(isinstance(text, str) and text for text in item.values())
                ):
                    raise ValueError(f"{spec.name}: each entry needs a key and a label")

    @classmethod
    def from_json(cls, values: dict[str, Any] | None) -> ProjectSettings:
        known = {spec.name for spec in dataclasses.fields(cls)}
        for name in sorted(set(values or {}) - known):
            if name in MOVED_TO_FORMS:
                raise ValueError(f"{name}: is part of the {MOVED_TO_FORMS[name]} form now, not a setting")
            raise ValueError(f"{name}: no such setting")
        return cls(**(values or {}))

    def to_json(self) -> dict[str, Any]:
        return {name: list(v) if isinstance(v, tuple) else v for name, v in dataclasses.asdict(self).items()}


@lru_cache(maxsize=1_000)
def settings_read(text: str) -> ProjectSettings:
    """The settings in JSON text. One text is read and checked once: every request asks for its project's."""
    return ProjectSettings.from_json(json.loads(text))


def _check_words(name: str, words: Any) -> None:
    if len(words) > LONGEST_WORD_LIST:
        raise ValueError(f"{name}: at most {LONGEST_WORD_LIST:,} entries")
    for word in words:
        if not isinstance(word, str) or not word.strip() or len(word) > LONGEST_WORD or "\n" in word:
            raise ValueError(f"{name}: each entry is a text of 1 to {LONGEST_WORD} characters in one line")
        if "\x00" in word or any("\ud800" <= character <= "\udfff" for character in word):
            raise ValueError(f"{name}: an entry contains a character that is no text")

"""What a form asks of the people who fill it in: one documented, checked definition for the editor, the API,
the services and the screens. Pure Python: nothing here touches the database.

A definition belongs to one layout, and holds what that layout has a place for:

| | demonstration | ranking | pairwise |
|---|---|---|---|
| prompt_flags, questions asked once a task | ✓ | ✓ | ✓ |
| scale, scores, completion_flags, rationale, allow_ties, questions asked of each completion | | ✓ | ✓ |
| ask_margins | | ✓ | always (the strength is the margin) |
| allow_neither: neither answer can be judged | | | ✓ (rankings may always say so) |
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

LAYOUTS = ("demonstration", "ranking", "pairwise")
# Whether something is asked: an answer is needed, may be given, or there is no place for one.
ASKED = ("required", "offered", "hidden")
QUESTION_TYPES = ("yes_no", "one_of", "several_of", "scale", "short_text", "long_text")
PER = ("task", "completion")

SMALLEST_STEP, LARGEST_STEP = 0, 10
MOST_ENTRIES = 100  # flags of a kind, questions, options of a question
LONGEST_KEY, LONGEST_LABEL, LONGEST_HELP, LONGEST_STEP_LABEL = 80, 300, 1_000, 60
QUESTION_KEY = re.compile(r"[a-z][a-z0-9_]{0,39}")

DEFAULT_COMPLETION_FLAGS = (
    ("missed_instruction", "Did not follow the instruction"),
    ("invented_facts", "Made-up facts"),
    ("harmful", "Harmful advice"),
    ("repetitive", "Repeats itself"),
    ("impolite", "Impolite"),
)
DEFAULT_PROMPT_FLAGS = (
    ("unclear", "Unclear"),
    ("unsafe", "Unsafe"),
    ("personal_data", "Personal data"),
    ("outside_knowledge", "Outside my knowledge"),
)
_RANKED = (
    "scale",
    "scores",
    "completion_flags",
    "prompt_flags",
    "ask_margins",
    "allow_ties",
    "rationale",
    "questions",
)
FIELDS = {
    "demonstration": ("prompt_flags", "questions"),
    "ranking": _RANKED,
    "pairwise": tuple("allow_neither" if name == "ask_margins" else name for name in _RANKED),
}


class DefinitionError(ValueError):
    """`field` says where: "scale.lowest", "questions.2.label" (counted from 0)."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field, self.message = field, message


@dataclass(frozen=True)
class Choice:
    """A flag, or one of a question's options: what is stored, and what people read."""

    key: str
    label: str

    def to_json(self) -> dict[str, str]:
        return {"key": self.key, "label": self.label}


@dataclass(frozen=True)
class Scale:
    """Whole numbers from `lowest` to `highest`; words at the ends, and at single steps where wanted."""

    lowest: int = 1
    highest: int = 7
    low_label: str = "worst"
    high_label: str = "best"
    step_labels: tuple[tuple[int, str], ...] = ()

    @property
    def steps(self) -> list[dict[str, Any]]:
        """{"value", "label"} of each step; the label is "" where the step has no words of its own."""
        words = {self.lowest: self.low_label, self.highest: self.high_label, **dict(self.step_labels)}
        return [
            {"value": value, "label": words.get(value, "")} for value in range(self.lowest, self.highest + 1)
        ]

    def holds(self, value: Any) -> bool:
        whole = isinstance(value, int) and not isinstance(value, bool)
        return whole and self.lowest <= value <= self.highest

    def to_json(self) -> dict[str, Any]:
        return {
            "lowest": self.lowest,
            "highest": self.highest,
            "low_label": self.low_label,
            "high_label": self.high_label,
            "step_labels": {str(value): label for value, label in self.step_labels},
        }

    @classmethod
    def from_json(cls, values: Any, where: str) -> Scale:
        values = _object(values, where, [spec.name for spec in dataclasses.fields(cls)])
        lowest = _step(values.get("lowest", 1), f"{where}.lowest")
        highest = _step(values.get("highest", 7), f"{where}.highest")
        if lowest >= highest:
            raise DefinitionError(f"{where}.highest", "must be above the lowest step")
        words = values.get("step_labels", {})
        if not isinstance(words, Mapping):
            raise DefinitionError(f"{where}.step_labels", "must be an object of step and words")
        labels = {}
        for key, label in words.items():
            step = int(key) if isinstance(key, str) and re.fullmatch(r"\d{1,2}", key) else key
            if isinstance(step, bool) or not isinstance(step, int) or not lowest <= step <= highest:
                raise DefinitionError(f"{where}.step_labels", f"{str(key)[:20]!r} is no step of the scale")
            labels[step] = _text(label, f"{where}.step_labels", LONGEST_STEP_LABEL)
        return cls(
            lowest,
            highest,
            _text(values.get("low_label", "worst"), f"{where}.low_label", LONGEST_STEP_LABEL, empty=True),
            _text(values.get("high_label", "best"), f"{where}.high_label", LONGEST_STEP_LABEL, empty=True),
            tuple(sorted(labels.items())),
        )


@dataclass(frozen=True)
class Question:
    """A question of the project's own. `options`: of one_of and several_of; `scale`: of scale."""

    key: str
    label: str
    type: str
    per: str = "task"
    help: str = ""
    required: bool = False
    options: tuple[Choice, ...] = ()
    scale: Scale = field(default_factory=Scale)

    def to_json(self) -> dict[str, Any]:
        values: dict[str, Any] = {
            name: getattr(self, name) for name in ("key", "label", "type", "per", "help", "required")
        }
        if self.type in ("one_of", "several_of"):
            values["options"] = [option.to_json() for option in self.options]
        if self.type == "scale":
            values["scale"] = self.scale.to_json()
        return values

    @classmethod
    def from_json(cls, values: Any, where: str, layout: str) -> Question:
        values = _object(values, where, [spec.name for spec in dataclasses.fields(cls)])
        kind = _one_of(values.get("type"), QUESTION_TYPES, f"{where}.type")
        per = _one_of(values.get("per", "task"), PER, f"{where}.per")
        if layout == "demonstration" and per != "task":
            raise DefinitionError(f"{where}.per", "a demonstration has no completions to ask about")
        key = values.get("key")
        if not isinstance(key, str) or not QUESTION_KEY.fullmatch(key):
            raise DefinitionError(
                f"{where}.key", "small letters, digits and _, at most 40, a letter first; say what it is for"
            )
        options: tuple[Choice, ...] = ()
        if kind in ("one_of", "several_of"):
            options = _choices(values.get("options", []), f"{where}.options")
            if len(options) < (2 if kind == "one_of" else 1):
                raise DefinitionError(f"{where}.options", "needs something to choose from")
        elif values.get("options"):
            raise DefinitionError(f"{where}.options", "only questions of choice have options")
        scale = Scale()
        if kind == "scale":
            scale = Scale.from_json(values.get("scale", {}), f"{where}.scale")
        elif values.get("scale"):
            raise DefinitionError(f"{where}.scale", "only questions of type scale have one")
        return cls(
            key=key,
            label=_text(values.get("label"), f"{where}.label", LONGEST_LABEL),
            type=kind,
            per=per,
            help=_text(values.get("help", ""), f"{where}.help", LONGEST_HELP, empty=True),
            required=_bool(values.get("required", False), f"{where}.required"),
            options=options,
            scale=scale,
        )


@dataclass(frozen=True)
class FormDefinition:
    """All that one layout asks. Built by `from_json`, which refuses nonsense by a DefinitionError."""

    layout: str
    scale: Scale = field(default_factory=Scale)
    scores: str = "hidden"
    completion_flags: tuple[Choice, ...] = ()
    prompt_flags: tuple[Choice, ...] = ()
    ask_margins: bool = False
    allow_ties: bool = True
    allow_neither: bool = True
    rationale: str = "hidden"
    questions: tuple[Question, ...] = ()

    @property
    def require_scores(self) -> bool:
        return self.scores == "required"

    @property
    def require_rationale(self) -> bool:
        return self.rationale == "required"

    def asked_per(self, per: str) -> list[Question]:
        """The questions asked once a task, or of each completion."""
        return [question for question in self.questions if question.per == per]

    def to_json(self) -> dict[str, Any]:
        values: dict[str, Any] = {name: getattr(self, name) for name in FIELDS[self.layout]}
        for name in ("completion_flags", "prompt_flags"):
            if name in values:
                values[name] = [flag.to_json() for flag in values[name]]
        if "scale" in values:
            values["scale"] = self.scale.to_json()
        values["questions"] = [question.to_json() for question in self.questions]
        return values

    @classmethod
    def from_json(cls, layout: str, values: Any) -> FormDefinition:
        """Checked; what is left out is the layout's default. Raises DefinitionError naming the field."""
        if layout not in LAYOUTS:
            raise DefinitionError("layout", f"one of {', '.join(LAYOUTS)}")
        values = {**default_json(layout), **_object(values, "definition", FIELDS[layout])}
        checked: dict[str, Any] = {"prompt_flags": _choices(values["prompt_flags"], "prompt_flags")}
        if layout != "demonstration":
            checked |= {
                "scale": Scale.from_json(values["scale"], "scale"),
                "scores": _one_of(values["scores"], ASKED, "scores"),
                "completion_flags": _choices(values["completion_flags"], "completion_flags"),
                "ask_margins": layout == "pairwise" or _bool(values["ask_margins"], "ask_margins"),
                "allow_ties": _bool(values["allow_ties"], "allow_ties"),
                "allow_neither": _bool(values.get("allow_neither", True), "allow_neither"),
                "rationale": _one_of(values["rationale"], ASKED, "rationale"),
            }
        questions = _list(values["questions"], "questions")
        checked["questions"] = tuple(
            Question.from_json(each, f"questions.{index}", layout) for index, each in enumerate(questions)
        )
        _refuse_doubles([question.key for question in checked["questions"]], "questions", ".key")
        return cls(layout=layout, **checked)

    @classmethod
    def default(cls, layout: str) -> FormDefinition:
        return cls.from_json(layout, {})


@lru_cache(maxsize=1_000)
def definition_read(layout: str, text: str) -> FormDefinition:
    """The definition in JSON text. One text is read once: every piece of work asks for its form."""
    return FormDefinition.from_json(layout, json.loads(text))


def default_json(layout: str) -> dict[str, Any]:
    """What a new project's form asks. Pairwise work is quick: the strength, and a word if one likes."""
    flags = [{"key": key, "label": label} for key, label in DEFAULT_COMPLETION_FLAGS]
    values: dict[str, Any] = {
        "scale": {},
        "scores": "hidden" if layout == "pairwise" else "required",
        "completion_flags": [] if layout == "pairwise" else flags,
        "prompt_flags": [{"key": key, "label": label} for key, label in DEFAULT_PROMPT_FLAGS],
        "ask_margins": False,
        "allow_ties": True,
        "allow_neither": True,
        "rationale": "offered",
        "questions": [],
    }
    return {name: values[name] for name in FIELDS[layout]}


# --- Checks -------------------------------------------------------------------------------------------------
def _object(values: Any, where: str, known: Iterable[str]) -> dict[str, Any]:
    if not isinstance(values, Mapping):
        raise DefinitionError(where, "must be an object")
    names = list(known)
    for name in values:
        if name not in names:
            inside = "" if where == "definition" else f"{where}."
            raise DefinitionError(
                f"{inside}{str(name)[:40]}", f"there is no such field; known are {', '.join(names)}"
            )
    return dict(values)


def _list(values: Any, where: str) -> list:
    if not isinstance(values, list | tuple):
        raise DefinitionError(where, "must be a list")
    if len(values) > MOST_ENTRIES:
        raise DefinitionError(where, f"at most {MOST_ENTRIES}")
    return list(values)


def _choices(values: Any, where: str) -> tuple[Choice, ...]:
    choices = []
    for index, each in enumerate(_list(values, where)):
        entry = _object(each, f"{where}.{index}", ("key", "label"))
        key = _text(entry.get("key"), f"{where}.{index}.key", LONGEST_KEY)
        choices.append(Choice(key, _text(entry.get("label"), f"{where}.{index}.label", LONGEST_LABEL)))
    _refuse_doubles([choice.key for choice in choices], where, ".key")
    return tuple(choices)


def _refuse_doubles(keys: list[str], where: str, tail: str) -> None:
    for index, key in enumerate(keys):
        if key in keys[:index]:
            raise DefinitionError(f"{where}.{index}{tail}", f"“{key}” is there twice")


def _text(value: Any, where: str, longest: int, *, empty: bool = False) -> str:
    if not isinstance(value, str):
        raise DefinitionError(where, "must be text" if value is not None else "is missing")
    if any(
        character < " " and character not in "\n\t" or "\ud800" <= character <= "\udfff"
        for character in value
    ):
        raise DefinitionError(where, "contains a character that is no text")
    value = value.strip()
    if not value and not empty:
        raise DefinitionError(where, "is empty")
    if len(value) > longest:
        raise DefinitionError(where, f"at most {longest:,} characters")
    return value


def _bool(value: Any, where: str) -> bool:
    if not isinstance(value, bool):
        raise DefinitionError(where, "must be true or false")
    return value


def _one_of(value: Any, known: tuple[str, ...], where: str) -> str:
    if not isinstance(value, str) or value not in known:
        raise DefinitionError(where, f"must be one of {', '.join(known)}")
    return value


def _step(value: Any, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not SMALLEST_STEP <= value <= LARGEST_STEP:
        raise DefinitionError(where, f"must be a whole number from {SMALLEST_STEP} to {LARGEST_STEP}")
    return value

"""Answers to a form's own questions: checked against its definition, and as flat fields of a browser's form.

Stored on a judgment as {"task": {key: value}, "completions": {"completion id": {key: value}}} without what is
empty. In a form each question is a field `answer.task.KEY` or `answer.PUBLIC_ID.KEY`, so that drafts are
saved and restored like any other field.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from annotate.errors import Invalid
from annotate.words import _
from labeling.models import FormDefinition, Question

PREFIX = "answer."
LONGEST_SHORT, LONGEST_LONG = 300, 10_000
Answers = dict[str, Any]


def check_answers(
    *,
    answers: Any,
    form: FormDefinition,
    completion_ids: Iterable[int] = (),
    excused: Iterable[int] = (),
    clean: Callable[[str, str], str],
) -> Answers:
    """What will be stored. excused: completions that cannot be ranked, of which nothing is required.

    clean: makes text storable (`judgments.clean_text`). Raises Invalid with field "answers" or "answers.KEY".
    """
    given = _object({} if answers is None else answers, "answers")
    for name in given:
        if name not in ("task", "completions"):
            raise Invalid("Answers are those of the task, and of its completions.", field="answers")
    stored: Answers = {}
    if of_task := _checked(given.get("task", {}), form.asked_per("task"), clean, is_required=True):
        stored["task"] = of_task
    known, excused = list(completion_ids), set(excused)
    by_completion = {_completion(key, known): value for key, value in _by_completion(given)}
    of_completions = {}
    for pk in known:
        asked = form.asked_per("completion")
        if values := _checked(by_completion.get(pk, {}), asked, clean, is_required=pk not in excused):
            of_completions[str(pk)] = values
    if of_completions:
        stored["completions"] = of_completions
    return stored


def _by_completion(given: dict[str, Any]) -> Iterable[tuple[Any, Any]]:
    return _object(given.get("completions", {}), "answers").items()


def _completion(key: Any, known: list[int]) -> int:
    number = int(key) if isinstance(key, str) and key.isascii() and key.isdigit() and len(key) < 19 else key
    if isinstance(number, bool) or not isinstance(number, int) or number not in known:
        raise Invalid("Names a completion that is not part of this task.", field="answers")
    return number


def _checked(
    values: Any, asked: list[Question], clean: Callable[[str, str], str], *, is_required: bool
) -> dict[str, Any]:
    values = _object(values, "answers")
    known = [question.key for question in asked]
    for key in values:
        if key not in known:
            raise Invalid(
                _("%(key)s is not a question asked here.") % {"key": repr(str(key)[:40])}, field=_place(key)
            )
    checked = {}
    for question in asked:
        value = values.get(question.key)
        if isinstance(value, str):
            value = clean(value, _place(question.key)).strip()
        if value is None or value in ("", []):
            if question.required and is_required:
                raise Invalid(
                    _("“%(question)s” needs an answer.") % {"question": question.label},
                    field=_place(question.key),
                )
            continue
        checked[question.key] = _value(question, value)
    return checked


def _value(question: Question, value: Any) -> Any:
    place = _place(question.key)
    options = [option.key for option in question.options]
    match question.type:
        case "yes_no":
            if not isinstance(value, bool):
                raise Invalid(
                    _("“%(question)s” is answered by true or false.") % {"question": question.label},
                    field=place,
                )
        case "one_of":
            if not isinstance(value, str) or value not in options:
                raise Invalid(
                    _("“%(question)s” is answered by one of %(known)s.")
                    % {"question": question.label, "known": ", ".join(options)},
                    field=place,
                )
        case "several_of":
            if not isinstance(value, list | tuple) or any(each not in options for each in value):
                raise Invalid(
                    _("“%(question)s” is answered by a list out of %(known)s.")
                    % {"question": question.label, "known": ", ".join(options)},
                    field=place,
                )
            value = sorted(set(value), key=options.index)
        case "scale":
            if not question.scale.holds(value):
                low, high = question.scale.lowest, question.scale.highest
                raise Invalid(
                    _("“%(question)s” is answered by a whole number from %(low)s to %(high)s.")
                    % {"question": question.label, "low": low, "high": high},
                    field=place,
                )
        case _:
            longest = LONGEST_SHORT if question.type == "short_text" else LONGEST_LONG
            if not isinstance(value, str):
                raise Invalid(
                    _("“%(question)s” is answered by text.") % {"question": question.label}, field=place
                )
            if len(value) > longest:
                raise Invalid(
                    _("“%(question)s”: at most %(most)s characters.")
                    % {"question": question.label, "most": f"{longest:,}"},
                    field=place,
                )
    return value


def _place(key: Any) -> str:
    return f"answers.{str(key)[:40]}"


def _object(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Invalid("Must be an object.", field=name)
    return value


# --- As fields of a form ------------------------------------------------------------------------------------
def field_name(place: str, key: str) -> str:
    """place: "task", or the public id of a completion."""
    return f"{PREFIX}{place}.{key}"


def answers_from_fields(fields: Mapping[str, Any], form: FormDefinition) -> Answers:
    """Answers by public ids from the flat fields of a form or draft, in the types of their questions.

    What cannot be read as an answer stays as it was sent, so that the check can say what is wrong with it.
    """
    answers: Answers = {}
    for name, value in fields.items():
        if not name.startswith(PREFIX):
            continue
        place, _, key = name.removeprefix(PREFIX).partition(".")
        question = next((each for each in form.questions if each.key == key), None)
        typed = value if question is None else typed_value(question, value)
        if place == "task":
            answers.setdefault("task", {})[key] = typed
        else:
            answers.setdefault("completions", {}).setdefault(place, {})[key] = typed
    return answers


def typed_value(question: Question, value: Any) -> Any:
    """A field's text as the value its question stores."""
    if question.type == "several_of":
        return value if isinstance(value, list) else [value] if value else []
    if isinstance(value, list):
        value = value[-1] if value else ""
    if question.type == "yes_no":
        return {"yes": True, "no": False}.get(value, value)
    if question.type == "scale" and isinstance(value, str) and value.isascii() and value.isdigit():
        return int(value[:4])
    return value


def answers_to_fields(answers: Answers, public: Mapping[int, str]) -> dict[str, Any]:
    """The inverse: flat fields of stored answers; `public` names completions by their public ids."""
    fields: dict[str, Any] = {}
    for key, value in answers.get("task", {}).items():
        fields[field_name("task", key)] = _as_text(value)
    for pk, values in answers.get("completions", {}).items():
        for key, value in values.items():
            fields[field_name(public[int(pk)], key)] = _as_text(value)
    return fields


def _as_text(value: Any) -> Any:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value) if isinstance(value, int) else value

"""A form as a screen shows it: its questions with what was answered so far, strengths to choose from, and
what a draft holds that its form no longer asks. Nothing here writes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext

from annotate.errors import Invalid
from annotate.words import _
from labeling.models import FormDefinition, FormVersion, Question
from labeling.services.answers import PREFIX, check_answers, field_name, typed_value
from labeling.services.draft_shapes import texts_of_field
from labeling.services.judgments import clean_text
from labeling.services.pairwise import NEITHER, STRENGTHS, TIE, strength_of

SET_ASIDE = "set_aside"  # a hidden field of the work forms: JSON of SetAside, so that drafts carry it along


@dataclass(frozen=True)
class Asked:
    """One question on a screen. `chosen` are the texts of its field; `name` and `id` are the page's own."""

    question: Question
    name: str
    id: str
    chosen: list[str]
    is_wrong: bool = False

    @property
    def value(self) -> str:
        return self.chosen[-1] if self.chosen else ""

    @property
    def choices(self) -> list[dict[str, Any]]:
        """{"value", "label", "is_chosen"} of a question that is answered by choosing."""
        if self.question.type == "yes_no":
            pairs = [("yes", _("Yes")), ("no", _("No"))]
        else:
            pairs = [(option.key, option.label) for option in self.question.options]
        return [{"value": key, "label": label, "is_chosen": key in self.chosen} for key, label in pairs]


@dataclass(frozen=True)
class SetAside:
    """An answer of a draft to something that is asked no more."""

    what: str
    answer: str


def asked(
    form: FormDefinition, place: str, fields: Mapping[str, Any], wrong: str | None = None
) -> list[Asked]:
    """The questions of the task (place "task") or of one completion (its public id).

    wrong: the field of an error.
    """
    questions = form.asked_per("task" if place == "task" else "completion")
    found = []
    for question in questions:
        name = field_name(place, question.key)
        given = fields.get(name, [])
        chosen = [str(each) for each in (given if isinstance(given, list) else [given])]
        is_wrong = wrong == f"answers.{question.key}"
        found.append(Asked(question, name, f"q-{place}-{question.key}", chosen, is_wrong))
    return found


def pairwise_inputs(fields: Mapping[str, Any], public_ids: Sequence[str]) -> dict[str, Any]:
    """What the pairwise screen starts from: {"strength", "scores", "flags", "neither"}, whether the fields
    are its own or those of a ranking (work that came back, or that was kept when it came late).
    """
    tiers, margins = _json(fields.get("tiers"), []), _json(fields.get("margins"), [])
    strength = fields.get("strength") or strength_of(tiers, margins, list(public_ids))
    neither = {"reason": fields.get("neither_reason", ""), "note": fields.get("neither_note", "")}
    if not strength and sorted(_json(fields.get("unrankable"), [])) == sorted(public_ids):
        given = _json(fields.get("unrankable_reasons"), {}).get(public_ids[0], {})
        strength, neither = NEITHER.value, {"reason": given.get("reason"), "note": given.get("note", "")}
    scores, flags = _json(fields.get("scores"), {}), _json(fields.get("flags"), {})
    for public in public_ids:
        if f"score-{public}" in fields:
            scores[public] = fields[f"score-{public}"]
        if f"flag-{public}" in fields:
            flags[public] = texts_of_field(fields[f"flag-{public}"])
    return {
        "strength": strength,
        "scores": {public: str(score) for public, score in scores.items()},
        "flags": flags,
        "neither": neither,
    }


def settle(
    fields: Mapping[str, Any], version: FormVersion, letters: Mapping[str, str]
) -> tuple[dict[str, Any], list[SetAside]]:
    """(the fields this form has a place for, what is left over). letters: by public id."""
    form, kept, aside = version.definition, dict(fields), _carried(fields)
    kept.pop(SET_ASIDE, None)
    labels = _Labels(version)
    for name in [name for name in fields if name.startswith(PREFIX)]:
        place, _, key = name.removeprefix(PREFIX).partition(".")
        if not fields[name]:
            continue  # a question that was left open
        if not _fits(form, place, key, fields[name]):
            where = f"{letters[place]}: " if place in letters else ""
            aside.append(SetAside(where + labels.of("questions", key), _words(kept.pop(name))))
    flags = {flag.key for flag in form.prompt_flags}
    for key in [key for key in texts_of_field(fields.get("prompt_flags")) if key not in flags]:
        kept["prompt_flags"] = [each for each in texts_of_field(kept["prompt_flags"]) if each != key]
        aside.append(SetAside("Prompt", labels.of("prompt_flags", str(key))))
    if form.rationale == "hidden" and fields.get("rationale"):
        aside.append(SetAside("Why this order", str(kept.pop("rationale"))))
    if not form.allow_ties and fields.get("strength") == TIE.value:
        kept.pop("strength")
        aside.append(SetAside("Which is better", TIE.label))
    if not form.allow_neither and fields.get("strength") == NEITHER.value:
        kept.pop("strength")
        reason = ", ".join(str(kept.pop(name, "")) for name in ("neither_reason", "neither_note"))
        aside.append(SetAside("Which is better", f"{NEITHER.label}: {reason}".strip(" ,:")))
    aside += _scores_and_flags(kept, form, letters, labels)
    return kept, list(dict.fromkeys(aside))


def _scores_and_flags(
    kept: dict[str, Any], form: FormDefinition, letters: Mapping[str, str], labels: _Labels
) -> list[SetAside]:
    """Takes out of `kept` what the form's scale and flags do not have, for both screens' ways to hold it."""
    aside: list[SetAside] = []
    known = {flag.key for flag in form.completion_flags}
    scores, flags = _json(kept.get("scores"), {}), _json(kept.get("flags"), {})
    for public, letter in letters.items():
        for score in {str(each) for each in (scores.get(public), kept.get(f"score-{public}")) if each}:
            value = int(score) if score.isascii() and score.isdigit() and len(score) < 4 else None
            if form.scores == "hidden" or not form.scale.holds(value):
                aside.append(SetAside(f"{letter}: score", score))
                scores.pop(public, None)
                kept.pop(f"score-{public}", None)
        marked = [*texts_of_field(flags.get(public)), *texts_of_field(kept.get(f"flag-{public}"))]
        gone = [key for key in dict.fromkeys(map(str, marked)) if key not in known]
        aside += [SetAside(f"{letter}: flag", labels.of("completion_flags", key)) for key in gone]
        if gone and public in flags:
            flags[public] = [key for key in texts_of_field(flags[public]) if key in known]
        if gone and f"flag-{public}" in kept:
            kept[f"flag-{public}"] = [key for key in texts_of_field(kept[f"flag-{public}"]) if key in known]
    if "scores" in kept:
        kept["scores"] = json.dumps(scores)
    if "flags" in kept:
        kept["flags"] = json.dumps(flags)
    return aside


def set_aside_field(aside: Iterable[SetAside]) -> str:
    """The hidden field's text; "" where nothing is left over."""
    rows = [{"what": each.what, "answer": each.answer} for each in aside]
    return json.dumps(rows, ensure_ascii=False, default=str) if rows else ""


@dataclass
class _Labels:
    """Words for keys that this version has no more, from the versions before it; a query when needed."""

    version: FormVersion
    _older: list[dict[str, Any]] | None = None

    def of(self, name: str, key: str) -> str:
        if self._older is None:
            rows = FormVersion.objects.filter(form=self.version.form_id).order_by("-number")
            self._older = list(rows.values_list("definition_json", flat=True)[:50])
        for definition in self._older:
            for entry in definition.get(name, []):
                if entry["key"] == key:
                    return entry["label"]
        return key


def _fits(form: FormDefinition, place: str, key: str, value: Any) -> bool:
    per = "task" if place == "task" else "completion"
    question = next((each for each in form.questions if each.key == key and each.per == per), None)
    if question is None:
        return False
    if question.type in ("short_text", "long_text") and isinstance(value, str):
        return True  # one that is too long stays where it can be shortened
    try:
        check_answers(
            answers={"task": {key: typed_value(question, value)}},
            form=_only(question),
            clean=clean_text,
        )
    except Invalid:
        return False
    return True


def _only(question: Question) -> FormDefinition:
    """A form that asks this one question, of the task and without need."""
    values = question.to_json() | {"per": "task", "required": False}
    return FormDefinition.from_json("demonstration", {"questions": [values]})


def _carried(fields: Mapping[str, Any]) -> list[SetAside]:
    rows = _json(fields.get(SET_ASIDE), [])
    return [
        SetAside(str(row.get("what", "")), str(row.get("answer", "")))
        for row in rows
        if isinstance(row, dict)
    ]


def _json(value: Any, default: Any) -> Any:
    """JSON text of a form, or the value itself from a program; the default for anything else."""
    if isinstance(value, str):
        try:
            value = json.loads(value or "null")
        except (ValueError, RecursionError):
            return default
    return value if isinstance(value, type(default)) else default


def _words(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def answer_in_words(question: Question | None, value: Any) -> str:
    """A stored answer as people read it; a question that is not known shows what is stored."""
    if isinstance(value, bool):
        return gettext("Yes") if value else gettext("No")
    labels = {option.key: option.label for option in question.options} if question else {}
    if isinstance(value, list):
        return ", ".join(labels.get(each, str(each)) for each in value)
    if question is not None and question.type == "scale":
        words = next((step["label"] for step in question.scale.steps if step["value"] == value), "")
        said = gettext("%(value)s of %(most)s") % {"value": value, "most": question.scale.highest}
        return said + (f" ({words})" if words else "")
    return labels.get(value, str(value))


def strength_label(tiers: Sequence[Any], margins: Sequence[Any], order: Sequence[Any]) -> str:
    """How a pairwise judgment reads: "A much better"; "" where it says no strength."""
    if not tiers:
        return NEITHER.label
    value = strength_of(tiers, margins, order)
    return next((each.label for each in STRENGTHS if each.value == value), "")

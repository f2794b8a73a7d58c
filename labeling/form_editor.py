"""The form editor's page as data: from its flat fields to a definition, one change to its rows at a time, and
a definition in lines that people can compare. Pure functions; what makes sense is the definition's to say.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from typing import Any

from annotate.words import _
from labeling.models.form_definition import FIELDS, FormDefinition, Scale

ASKED_WORDS = {"required": _("required"), "offered": _("offered"), "hidden": _("hidden")}
TYPE_WORDS = {
    "yes_no": _("yes no"),
    "one_of": _("one of"),
    "several_of": _("several of"),
    "scale": _("scale"),
    "short_text": _("short text"),
    "long_text": _("long text"),
}
LISTS = ("completion_flags", "prompt_flags", "questions")
NEW_QUESTION = {"key": "", "label": "", "type": "yes_no", "per": "task", "help": "", "required": False}


# --- From the page ------------------------------------------------------------------------------------------
def definition_of(sent: Mapping[str, Any], layout: str) -> dict[str, Any]:
    """The definition that the page's fields say, unchecked. Keys left empty are made from the labels."""
    values: dict[str, Any] = {}
    for name in FIELDS[layout]:
        if name == "scale":
            values[name] = _scale(sent, "scale")
        elif name in ("scores", "rationale"):
            values[name] = sent.get(name, "")
        elif name in ("ask_margins", "allow_ties", "allow_neither"):
            values[name] = name in sent
        else:
            read = _question if name == "questions" else _flag
            values[name] = _with_keys([read(sent, f"{name}-{index}") for index in _rows(sent, name)], name)
    return values


def _rows(sent: Mapping[str, Any], name: str) -> list[int]:
    pattern = re.compile(rf"{name}-(\d{{1,4}})-label")
    return sorted(int(match[1]) for key in sent if (match := pattern.fullmatch(key)))


def _flag(sent: Mapping[str, Any], row: str) -> dict[str, Any]:
    return {name: sent.get(f"{row}-{name}", "").strip() for name in ("key", "label")}


def _question(sent: Mapping[str, Any], row: str) -> dict[str, Any]:
    values: dict[str, Any] = _flag(sent, row)
    values |= {
        "type": sent.get(f"{row}-type", "yes_no"),
        "per": sent.get(f"{row}-per", "task"),
        "help": sent.get(f"{row}-help", "").strip(),
        "required": f"{row}-required" in sent,
    }
    if values["type"] in ("one_of", "several_of"):
        values["options"] = _options(sent.get(f"{row}-options", ""))
    if values["type"] == "scale":
        values["scale"] = _scale(sent, f"{row}-scale")
    return values


def _options(text: str) -> list[dict[str, str]]:
    """One a line: "key: label", or a label alone."""
    rows = []
    for line in filter(None, map(str.strip, text.splitlines())):
        key, colon, label = line.partition(":")
        has_key = bool(colon) and re.fullmatch(r"[\w-]+", key.strip()) is not None
        rows.append({"key": key.strip(), "label": label.strip()} if has_key else {"key": "", "label": line})
    return _with_keys(rows, "options")


def _scale(sent: Mapping[str, Any], row: str) -> dict[str, Any]:
    steps = {}
    for line in filter(None, map(str.strip, sent.get(f"{row}-step_labels", "").splitlines())):
        step, _at, label = line.partition(":")
        steps[step.strip()] = label.strip()
    return {
        "lowest": _whole(sent.get(f"{row}-lowest", "1")),
        "highest": _whole(sent.get(f"{row}-highest", "7")),
        "low_label": sent.get(f"{row}-low_label", "").strip(),
        "high_label": sent.get(f"{row}-high_label", "").strip(),
        "step_labels": steps,
    }


def _whole(text: str) -> Any:
    return int(text) if re.fullmatch(r"\d{1,4}", text.strip(), re.ASCII) else text


def _with_keys(rows: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    taken = {row["key"] for row in rows}
    for number, row in enumerate(rows, start=1):
        if row["key"] or not row["label"]:
            continue
        words = re.sub(r"[^a-z0-9]+", "_", row["label"].lower()).strip("_")
        stem = words[:36].strip("_") if words[:1].isalpha() else f"{name.rstrip('s').split('_')[-1]}_{number}"
        key, tries = stem, 1
        while key in taken:
            tries += 1
            key = f"{stem}_{tries}"
        row["key"] = key
        taken.add(key)
    return rows


# --- One change ---------------------------------------------------------------------------------------------
def changed(definition: dict[str, Any], change: str) -> tuple[dict[str, Any], str]:
    """(the definition after "add:LIST", "up|down|remove:LIST:INDEX", the id of the control to go on from).

    A change that names no row there is changes nothing.
    """
    verb, _at, rest = change.partition(":")
    name, _at, number = rest.partition(":")
    values = copy.deepcopy(definition)
    rows = values.get(name) if name in LISTS else None
    if rows is None:
        return values, ""
    if verb == "add":
        rows.append(dict(NEW_QUESTION) if name == "questions" else {"key": "", "label": ""})
        return values, f"{name}-{len(rows) - 1}-label"
    index = int(number) if re.fullmatch(r"\d{1,4}", number, re.ASCII) else len(rows)
    if index >= len(rows):
        return values, ""
    if verb == "remove":
        del rows[index]
        return values, f"{name}-{min(index, len(rows) - 1)}-remove" if rows else f"{name}-add"
    other = index + {"up": -1, "down": 1}.get(verb, 0)
    if not 0 <= other < len(rows) or other == index:
        return values, f"{name}-{index}-label"
    rows[index], rows[other] = rows[other], rows[index]
    at_the_end = other in (0, len(rows) - 1)
    turned = {"up": "down", "down": "up"}[verb] if at_the_end else verb
    return values, f"{name}-{other}-{turned}"


# --- To the page --------------------------------------------------------------------------------------------
def rows_of(definition: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """The rows of one list as the page shows them: each with its index, and lists as lines of text."""
    rows = []
    for index, row in enumerate(definition.get(name, [])):
        shown = {**row, "index": index, "row": f"{name}-{index}"}
        if name == "questions":
            shown["options_text"] = "\n".join(
                f"{each['key']}: {each['label']}" for each in row.get("options", [])
            )
            shown["scale"] = scale_of(row.get("scale") or Scale().to_json())
        rows.append(shown)
    return rows


def scale_of(scale: Mapping[str, Any]) -> dict[str, Any]:
    steps = scale.get("step_labels") or {}
    return {**scale, "step_labels_text": "\n".join(f"{step}: {label}" for step, label in steps.items())}


# --- In lines -----------------------------------------------------------------------------------------------
def in_lines(form: FormDefinition) -> str:
    """What a form asks, a fact a line, for people to read and to compare."""
    lines: list[str] = []
    if form.layout != "demonstration":
        lines.append(_("Scores: %(asked)s") % {"asked": ASKED_WORDS[form.scores]})
        lines.append(_("Scale: %(steps)s") % {"steps": _scale_line(form.scale)})
        lines.append(str(_("Ties: allowed") if form.allow_ties else _("Ties: not allowed")))
        lines.append(_("Why: %(asked)s") % {"asked": ASKED_WORDS[form.rationale]})
    if form.layout == "ranking":
        lines.append(str(_("Margins: asked") if form.ask_margins else _("Margins: not asked")))
    if form.layout == "pairwise":
        neither = _("Neither can be judged: may be said"), _("Neither can be judged: may not be said")
        lines.append(str(neither[0] if form.allow_neither else neither[1]))
    for flag in form.completion_flags:
        lines.append(_("Flag of a completion: %(words)s (%(key)s)") % {"words": flag.label, "key": flag.key})
    for flag in form.prompt_flags:
        lines.append(_("Flag of the prompt: %(words)s (%(key)s)") % {"words": flag.label, "key": flag.key})
    for question in form.questions:
        facts = [
            TYPE_WORDS[question.type],
            _("of each completion") if question.per == "completion" else _("once a task"),
            _("needs an answer") if question.required else _("may be left out"),
        ]
        said = {"words": question.label, "facts": f"{question.key}; {', '.join(map(str, facts))}"}
        lines.append(_("Question: %(words)s (%(facts)s)") % said)
        lines += [f"    {line}" for line in question.help.splitlines()]
        lines += [f"    – {option.label} ({option.key})" for option in question.options]
        if question.type == "scale":
            lines.append(f"    {_scale_line(question.scale)}")
    return "\n".join(lines)


def _scale_line(scale: Scale) -> str:
    words = ", ".join(f"{step['value']} {step['label']}" for step in scale.steps if step["label"])
    steps = _("%(first)s to %(last)s") % {"first": scale.lowest, "last": scale.highest}
    return f"{steps} ({words})" if words else steps

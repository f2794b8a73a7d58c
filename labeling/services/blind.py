"""Blind names: outside, completions go by their public id, which says nothing of where they come from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from django.utils.crypto import salted_hmac

from annotate.errors import Invalid
from annotate.prepared import Prepared, PreparedIn
from labeling.models import Completion, FormDefinition, Task, TaskCompletion

from .answers import answers_from_fields, answers_to_fields
from .judgments import Content, DemonstrationContent
from .pairwise import neither_reasons, ranking_of_strength

LISTS = ("unrankable", "touched")
BY_COMPLETION = ("scores", "flags", "unrankable_reasons")
RANKING_FIELDS = ("tiers", *LISTS, "margins", *BY_COMPLETION, "rationale")


PUBLIC_IDS = Prepared(
    lambda task: TaskCompletion.objects.filter(task=task).values_list(
        "completion__public_id", "completion_id"
    ),
    task=int,
)
COMPLETIONS = PreparedIn(lambda keys: Completion.objects.filter(pk__in=keys))


def public_ids(task: Task) -> dict[str, int]:
    """{public id: completion id} of a ranking task (one query)."""
    return {str(public): pk for public, pk in PUBLIC_IDS.all(task=task.pk)}


def opaque_number(kind: str, pk: int) -> int:
    """The number by which people who judge know a task or a prompt: always the same for one, and telling
    nothing. Those of the database are counted in the order things are made, and would give away which task
    did not come from the queue.
    """
    digest = salted_hmac("labeling.blind", f"{kind}:{pk}", algorithm="sha256").digest()
    return int.from_bytes(digest[:8]) >> 11  # 53 bits: JavaScript reads them whole


def completions_in_order(ids: list[int]) -> list[Completion]:
    """Completions in the order of `ids` (one query)."""
    found = {each.pk: each for each in COMPLETIONS.all(ids)}
    return [found[pk] for pk in ids]


def ranking_from_public(fields: Mapping[str, Any], names: Mapping[str, int]) -> dict[str, Any]:
    """The arguments of submit_ranking, from public ids. Values may be JSON text, as forms and drafts have
    them.

    Raises Invalid for what is no JSON or names a completion of another task; all other checks are the
    service's.
    """
    values = {name: _parsed(fields[name], name) for name in RANKING_FIELDS if name in fields}
    if "tiers" in values:
        values["tiers"] = [
            _translated(tier, names, "tiers") for tier in _must_be(list, values["tiers"], "tiers")
        ]
    for name in LISTS:
        if name in values:
            values[name] = _translated(values[name], names, name)
    if fields.get("answers") is not None:
        values["answers"] = _answers_from_public(fields["answers"], names)
    for name in BY_COMPLETION:
        if values.get(name) is not None:
            items = _must_be(dict, values[name], name)
            values[name] = {_pk(key, names, name): value for key, value in items.items()}
    return values


def _answers_from_public(answers: Any, names: Mapping[str, int]) -> Any:
    if not isinstance(answers, dict) or not isinstance(answers.get("completions", {}), dict):
        raise Invalid("Must be an object: those of the task, and by completion.", field="answers")
    if "completions" not in answers:
        return answers
    by_id = {_pk(key, names, "answers"): values for key, values in answers["completions"].items()}
    return {**answers, "completions": by_id}


def ranking_from_fields(
    fields: Mapping[str, Any], names: Mapping[str, int], form: FormDefinition, order: Sequence[int]
) -> dict[str, Any]:
    """The arguments of submit_ranking from a browser's form or a draft: flat answers, and for the pairwise
    screen a strength (`order`: the completions as shown), with scores and flags as fields of their own.
    """
    gathered = {name: fields[name] for name in RANKING_FIELDS if name in fields}
    if form.layout == "pairwise" and "tiers" not in fields:
        gathered |= _flat_scores_and_flags(fields, names)
    gathered["answers"] = answers_from_fields(fields, form)
    ranking = {"tiers": [], **ranking_from_public(gathered, names)}
    if form.layout == "pairwise" and "tiers" not in fields:
        ranking |= ranking_of_strength(fields.get("strength"), order)
        if ranking["unrankable"]:
            ranking["unrankable_reasons"] = neither_reasons(fields, order)
    return ranking


def _flat_scores_and_flags(fields: Mapping[str, Any], names: Mapping[str, int]) -> dict[str, Any]:
    found: dict[str, Any] = {"scores": {}, "flags": {}}
    for public in names:
        score, flags = fields.get(f"score-{public}"), fields.get(f"flag-{public}")
        if score:
            whole = isinstance(score, str) and score.isascii() and score.isdigit()
            found["scores"][public] = int(score[:4]) if whole else score
        if flags:
            found["flags"][public] = flags if isinstance(flags, list) else [flags]
    return found


def notes_from_public(value: Any, names: Mapping[str, int]) -> list[Any]:
    """Notes on stretches with our ids of completions; `value` is a list or its JSON text. Raises Invalid."""
    notes = _must_be(list, _parsed(value, "notes"), "notes")
    return [
        {**note, "completion": _pk(note.get("completion"), names, "notes")}
        if isinstance(note, dict)
        else note
        for note in notes
    ]


def notes_to_public(notes: Any, names: Mapping[str, int]) -> str:
    """The same notes as a form's field: JSON text with public ids."""
    public = {pk: name for name, pk in names.items()}
    return json.dumps([{**note, "completion": public.get(note.get("completion"))} for note in notes])


def content_to_public(content: Content, names: Mapping[str, int], *, as_text: bool) -> dict[str, Any]:
    """The same content with public ids; `as_text` as the fields of a form, where lists are JSON text."""
    if isinstance(content, DemonstrationContent):
        answers = answers_to_fields(content.answers, {}) if as_text else {"answers": content.answers}
        counted = content.pasted_characters
        pasted = {} if counted is None else {"pasted_characters": str(counted)}
        written = {} if content.prompt is None else {"prompt": content.prompt, "category": content.category}
        return {"text": content.text, **written, **answers, **pasted}
    return ranking_to_public(asdict(content), names, as_text=as_text)


def ranking_to_public(
    values: Mapping[str, Any], names: Mapping[str, int], *, as_text: bool
) -> dict[str, Any]:
    """Fields of a ranking (names of RANKING_FIELDS, and answers) with public ids instead of ours."""
    public = {pk: name for name, pk in names.items()}
    outside: dict[str, Any] = {
        "tiers": [[public[pk] for pk in tier] for tier in values["tiers"]],
        "unrankable": [public[pk] for pk in values["unrankable"]],
        "touched": [public[pk] for pk in values["touched"]],
        "margins": values["margins"],
        "scores": {public[int(pk)]: score for pk, score in values["scores"].items()},
        "flags": {public[int(pk)]: keys for pk, keys in values["flags"].items()},
        "unrankable_reasons": {
            public[int(pk)]: why for pk, why in values.get("unrankable_reasons", {}).items()
        },
    }
    answers = values.get("answers") or {}
    if as_text:
        outside = {name: json.dumps(value) for name, value in outside.items()}
        return {**outside, "rationale": values["rationale"], **answers_to_fields(answers, public)}
    by_public = {public[int(pk)]: each for pk, each in answers.get("completions", {}).items()}
    shown = {**answers, "completions": by_public} if by_public else answers
    return {**outside, "rationale": values["rationale"], "answers": shown}


def _parsed(value: Any, name: str) -> Any:
    if not isinstance(value, str) or name == "rationale":
        return value
    try:
        return json.loads(value or "null") or ({} if name in BY_COMPLETION else [])
    except (ValueError, RecursionError) as error:
        raise Invalid("Is not JSON.", field=name) from error


def _must_be(kind: type, value: Any, name: str) -> Any:
    if not isinstance(value, kind):
        raise Invalid("Must be a list." if kind is list else "Must be an object, by completion.", field=name)
    return value


def _translated(value: Any, names: Mapping[str, int], name: str) -> list[int]:
    return [_pk(each, names, name) for each in _must_be(list, value, name)]


def _pk(public: Any, names: Mapping[str, int], name: str) -> int:
    pk = names.get(public.lower()) if isinstance(public, str) else None
    if pk is None:
        raise Invalid("Names a completion that is not part of this task.", field=name)
    return pk

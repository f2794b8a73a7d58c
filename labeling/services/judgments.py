"""What a demonstration or a ranking must look like: one definition for submits, fixes and late drafts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from annotate.errors import Invalid
from annotate.words import _
from labeling.models import Choice, FormDefinition, ProjectSettings

from .answers import Answers, check_answers

MARGINS = (
    ("significantly", _("significantly better")),
    ("clearly", _("clearly better")),
    ("slightly", _("slightly better")),
    ("negligibly", _("negligibly better")),
)
UNRANKABLE_REASONS = (
    ("unreadable", _("Garbled or empty")),
    ("wrong_language", _("In another language")),
    ("cut_off", _("Cut off too early to judge")),
    ("outside_knowledge", _("Outside my knowledge")),
    ("unsafe", _("Unsafe or upsetting")),
    ("prompt", _("The prompt cannot be answered")),
    ("other", _("Another reason")),
)
LONGEST_RATIONALE = 10_000
LONGEST_ANSWER = 1_000_000  # whatever the project sets
MOST_PASTED = 100_000_000  # a count beyond this is a page gone wrong
LONGEST_NOTE = 500


@dataclass(frozen=True)
class DemonstrationContent:
    """A checked answer. `pasted_characters`: as the page counted them, None where nobody did."""

    text: str
    answers: Answers = field(default_factory=dict)
    pasted_characters: int | None = None
    warnings: list[dict[str, Any]] = field(default_factory=list)  # see Demonstration.warnings
    prompt: str | None = None  # what its author asked, where they write the prompt too
    category: str = ""  # of that prompt

    @property
    def is_flagged(self) -> bool:
        return False


@dataclass(frozen=True)
class RankingContent:
    """A checked weak order; ids are those of Completion."""

    tiers: list[list[int]]
    unrankable: list[int] = field(default_factory=list)
    unrankable_reasons: dict[str, dict[str, str]] = field(default_factory=dict)  # keys as those of scores
    margins: list[str] = field(default_factory=list)
    scores: dict[str, int] = field(default_factory=dict)  # keys are ids as text: what JSON keeps
    flags: dict[str, list[str]] = field(default_factory=dict)
    touched: list[int] = field(default_factory=list)
    rationale: str = ""
    answers: Answers = field(default_factory=dict)  # keys of completions are ids as text

    @property
    def is_flagged(self) -> bool:
        return any(self.flags.values())


Content = DemonstrationContent | RankingContent


def margin_choices(form: FormDefinition) -> list[dict[str, str]]:
    """{"value", "label"} of the margins to ask for; empty where the form asks for none."""
    return [{"value": value, "label": str(label)} for value, label in MARGINS] if form.ask_margins else []


def check_demonstration(
    *,
    text: Any,
    settings: ProjectSettings,
    form: FormDefinition,
    answers: Any = None,
    pasted_characters: int | None = None,
) -> DemonstrationContent:
    """The answer as it will be stored, byte for byte but for line ends. Raises Invalid (field "text")."""
    if not isinstance(text, str):
        raise Invalid("Must be text.", field="text")
    text = clean_text(text, "text")
    if not text.strip():
        raise Invalid("The answer is empty.", field="text", hint="Write it, or skip the task with a reason.")
    least, most = settings.response_min_characters, settings.response_max_characters
    if len(text) > LONGEST_ANSWER:
        raise Invalid(_("At most %(most)s characters.") % {"most": f"{LONGEST_ANSWER:,}"}, field="text")
    # Where length is not refused, labeling.services.answer_checks warns of it, or nobody does.
    if settings.check_length == "refuse" and len(text) < least:
        said = _("At least %(bound)s characters; this answer has %(size)s.")
        raise _wrong_length(said % {"bound": f"{least:,}", "size": f"{len(text):,}"}, 0, len(text))
    if settings.check_length == "refuse" and len(text) > most:
        said = _("At most %(bound)s characters; this answer has %(size)s.")
        raise _wrong_length(said % {"bound": f"{most:,}", "size": f"{len(text):,}"}, most, len(text))
    checked = check_answers(answers=answers, form=form, clean=clean_text)
    if pasted_characters is not None:
        pasted_characters = max(0, min(int(pasted_characters), MOST_PASTED))
    return DemonstrationContent(text, checked, pasted_characters)


def _wrong_length(message: str, start: int, end: int) -> Invalid:
    where = {"field": "text", "message": message, "start": start, "end": end, "check": "length"}
    return Invalid(message, field="text", details=[where])


def check_ranking(
    *,
    completion_ids: Sequence[int],
    form: FormDefinition,
    tiers: Any,
    unrankable: Any = (),
    unrankable_reasons: Any = None,
    margins: Any = (),
    scores: Any = None,
    flags: Any = None,
    touched: Any = (),
    rationale: Any = "",
    answers: Any = None,
    needs_reasons: bool = False,
) -> RankingContent:
    """A ranking of exactly the task's completions, by the form's rules. Raises Invalid with the field.

    needs_reasons: each completion that cannot be ranked says why, as new work must; older work may not.
    """
    known = set(completion_ids)
    tiers = [_ids(tier, "tiers", known) for tier in _list(tiers, "tiers")]
    unrankable = _ids(unrankable, "unrankable", known)
    if any(not tier for tier in tiers):
        raise Invalid("A rank is empty.", field="tiers")
    placed = [completion for tier in tiers for completion in tier] + unrankable
    if len(set(placed)) != len(placed):
        raise Invalid("A completion is placed twice.", field="tiers")
    if missing := known - set(placed):
        raise Invalid(
            _("%(n)s of %(total)s completions are not placed yet.")
            % {"n": len(missing), "total": len(known)},
            field="tiers",
            hint="Rank each one, or mark it as one that cannot be ranked.",
        )
    if not form.allow_ties and any(len(tier) > 1 for tier in tiers):
        raise Invalid("This project allows no ties.", field="tiers")
    if not tiers and form.layout == "pairwise" and not form.allow_neither:
        raise Invalid(
            "This project asks for a choice between the two.",
            field="strength",
            hint="If the task cannot be done, skip it and say why.",
        )
    touched = _ids(touched, "touched", known)
    if tiers and not touched:
        raise Invalid(
            "An untouched list is not an answer.", field="touched", hint="Place each completion yourself."
        )
    return RankingContent(
        tiers=tiers,
        unrankable=unrankable,
        unrankable_reasons=_checked_reasons(unrankable_reasons, known, unrankable, needs_reasons),
        margins=_checked_margins(margins, len(tiers), form),
        scores=_checked_scores(scores, known, set(unrankable), form),
        flags=_checked_flags(flags, known, form),
        touched=touched,
        rationale=_checked_rationale(rationale, form),
        answers=check_answers(
            answers=answers, form=form, completion_ids=completion_ids, excused=unrankable, clean=clean_text
        ),
    )


def check_prompt_flags(flags: Any, form: FormDefinition) -> list[str]:
    return _known_keys(_list(flags, "prompt_flags"), form.prompt_flags, "prompt_flags")


def clean_line(text: str, field: str, longest: int) -> str:
    """A short text from a person: one that every database can store, without surrounding blanks."""
    if not isinstance(text, str):
        raise Invalid("Must be text.", field=field)
    text = clean_text(text, field).strip()
    if len(text) > longest:
        raise Invalid(_("At most %(most)s characters.") % {"most": f"{longest:,}"}, field=field)
    return text


def clean_text(text: str, field: str) -> str:
    """Line ends as "\\n"; refuses what UTF-8 or PostgreSQL cannot store."""
    if "\x00" in text:
        raise Invalid("Contains a NUL character, which is no text.", field=field)
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise Invalid("Contains half of a character (a lone surrogate).", field=field)
    return text.replace("\r\n", "\n")


def _list(value: Any, name: str) -> list:
    if not isinstance(value, list | tuple):
        raise Invalid("Must be a list.", field=name)
    return list(value)


def _ids(value: Any, name: str, known: set[int]) -> list[int]:
    ids = _list(value, name)
    for each in ids:
        if isinstance(each, bool) or not isinstance(each, int) or each not in known:
            raise Invalid("Names a completion that is not part of this task.", field=name)
    return ids


def _checked_margins(margins: Any, tier_count: int, form: FormDefinition) -> list[str]:
    margins = _list(margins, "margins")
    boundaries = max(0, tier_count - 1)
    if not form.ask_margins:
        if margins:
            raise Invalid("This project does not ask for margins.", field="margins")
        return []
    if len(margins) != boundaries:
        raise Invalid(
            _("One margin for each of the %(boundaries)s boundaries between ranks.")
            % {"boundaries": boundaries},
            field="margins",
        )
    values = [value for value, _ in MARGINS]
    if any(each not in values for each in margins):
        raise Invalid(_("Each margin is one of %(known)s.") % {"known": ", ".join(values)}, field="margins")
    return margins


def _checked_reasons(
    reasons: Any, known: set[int], unrankable: list[int], needs_reasons: bool
) -> dict[str, dict[str, str]]:
    keys = dict(UNRANKABLE_REASONS)
    checked: dict[str, dict[str, str]] = {}
    for completion, given in _object(reasons, "unrankable_reasons", known):
        if completion not in unrankable:
            raise Invalid("Gives a reason for a completion that is ranked.", field="unrankable_reasons")
        if not isinstance(given, dict) or set(given) - {"reason", "note"}:
            raise Invalid("Each is an object of `reason` and `note`.", field="unrankable_reasons")
        reason, note = given.get("reason"), given.get("note", "")
        if not isinstance(reason, str) or reason not in keys:
            raise Invalid(
                _("A reason is one of %(known)s.") % {"known": ", ".join(keys)}, field="unrankable_reasons"
            )
        note = clean_line(note, "unrankable_reasons", LONGEST_NOTE)
        if reason == "other" and not note:
            raise Invalid("Say in words what the other reason is.", field="unrankable_reasons")
        checked[str(completion)] = {"reason": reason, "note": note}
    if needs_reasons and (missing := len(unrankable) - len(checked)):
        raise Invalid(
            _("Say why it cannot be ranked: %(missing)s of %(n)s give no reason.")
            % {"missing": missing, "n": len(unrankable)},
            field="unrankable_reasons",
        )
    return checked


def _checked_scores(
    scores: Any, known: set[int], unrankable: set[int], form: FormDefinition
) -> dict[str, int]:
    checked = {}
    for completion, score in _object(scores, "scores", known):
        if form.scores == "hidden":
            raise Invalid("This project does not ask for scores.", field="scores")
        if not form.scale.holds(score):
            raise Invalid(
                _("A score is a whole number from %(least)s to %(most)s.")
                % {"least": form.scale.lowest, "most": form.scale.highest},
                field="scores",
            )
        checked[str(completion)] = score
    if form.require_scores and (missing := known - unrankable - {int(each) for each in checked}):
        raise Invalid(
            _("%(n)s of %(total)s completions have no score yet.") % {"n": len(missing), "total": len(known)},
            field="scores",
        )
    return checked


def _checked_flags(flags: Any, known: set[int], form: FormDefinition) -> dict[str, list[str]]:
    checked = {}
    for completion, keys in _object(flags, "flags", known):
        if keys := _known_keys(_list(keys, "flags"), form.completion_flags, "flags"):
            checked[str(completion)] = keys
    return checked


def _object(value: Any, name: str, known: set[int]) -> list[tuple[int, Any]]:
    """The items of {"completion id": …}; ids come as text (JSON) or as numbers."""
    if value is None:
        return []
    if not isinstance(value, dict):
        raise Invalid("Must be an object, by completion.", field=name)
    items = []
    for key, each in value.items():
        number = (
            int(key) if isinstance(key, str) and key.isascii() and key.isdigit() and len(key) < 19 else key
        )
        [number] = _ids([number], name, known)
        items.append((number, each))
    return items


def _known_keys(keys: list, known: Iterable[Choice], name: str) -> list[str]:
    order = [flag.key for flag in known]
    for key in keys:
        if key not in order:
            raise Invalid(
                _("%(key)s is not a flag of this project.") % {"key": repr(str(key)[:40])}, field=name
            )
    return sorted(set(keys), key=order.index)


def _checked_rationale(rationale: Any, form: FormDefinition) -> str:
    if not isinstance(rationale, str):
        raise Invalid("Must be text.", field="rationale")
    rationale = clean_text(rationale, "rationale").strip()
    if len(rationale) > LONGEST_RATIONALE:
        raise Invalid(
            _("At most %(most)s characters.") % {"most": f"{LONGEST_RATIONALE:,}"}, field="rationale"
        )
    if rationale and form.rationale == "hidden":
        raise Invalid("This project does not ask why.", field="rationale")
    if form.require_rationale and not rationale:
        raise Invalid("Say in a sentence why you ranked them so.", field="rationale")
    return rationale

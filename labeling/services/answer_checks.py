"""The project's checks on an answer: one definition for typing, submits, fixes, late work, imports and the
API.

What is found is let pass, warned of or refused, as the project sets for each check. A warning never stands
in the way for good: its author is asked once, and what they submitted anyway is stored with the answer for
the reviewer.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.utils.translation import gettext

from annotate.errors import Invalid
from annotate.words import _
from labeling.checks import Finding, find_blocked_words, find_personal_data, find_repeated_prompt
from labeling.formats import prompt_digest
from labeling.models import FormDefinition, Project, ProjectSettings, Prompt, Submission, Task

from .answer_index import is_indexed, nearest_answer, nearest_prompt
from .judgments import DemonstrationContent, check_demonstration
from .written_prompts import check_category, check_prompt_text, messages_of

MOST_SHOWN = 50  # findings of one text; a person mends them from the top
CHECKS = {
    "length": _("Length"),
    "blocked_words": _("Blocked words"),
    "personal_data": _("Personal data"),
    "repeated_prompt": _("Repeated prompt"),
    "near_duplicate": _("Near duplicate"),
    "untouched_draft": _("Untouched draft"),
}


OF_IMPORTS = ("blocked_words", "personal_data", "repeated_prompt")


class UnconfirmedWarnings(Invalid):
    """The answer is fine to store, once its author says "submit anyway" (`confirmed_warnings`)."""

    default_code = "unconfirmed_warnings"


@dataclass(frozen=True)
class Remark:
    """One finding, and what the project does about it."""

    check: str  # a key of CHECKS
    action: str  # "warn" or "refuse"
    finding: Finding
    other: int | None = None  # near duplicate: the submission (or prompt) it is like; for leads only
    of: str = "text"  # the field it is about: the answer, or the "prompt" that its author wrote

    def as_json(self, text: str) -> dict[str, Any]:
        """For the person who writes: nothing here says whose answer is alike, or what it reads."""
        found = self.finding
        return {
            "check": self.check,
            "of": self.of,
            "title": str(CHECKS[self.check]),
            "action": self.action,
            "kind": found.kind,
            "message": gettext(found.message),
            "start": found.start,
            "end": found.end,
            "quote": text[found.start : found.end][:80],
        }

    def as_stored(self) -> dict[str, Any]:
        found = self.finding
        stored: dict[str, Any] = {
            "check": self.check,
            "kind": found.kind,
            "message": gettext(found.message),
            "start": found.start,
            "end": found.end,
        }
        if self.of != "text":
            stored["of"] = self.of
        return stored if self.other is None else stored | {"other": self.other}


@dataclass(frozen=True)
class Subject:
    """A text and what it is held against."""

    text: str
    project: Project
    settings: ProjectSettings
    prompt: Prompt
    submission: Submission | None = None  # the one this answer belongs to, which it may be like
    draft: str | None = None  # the model's answer it started from
    writes_prompt: bool = False  # its author writes the prompt too


def look_at(subject: Subject, checks: Collection[str] = tuple(CHECKS)) -> list[Remark]:
    """Everything that these of the project's checks find, refusals first, then in the order of the text."""
    remarks: list[Remark] = []
    if not subject.text.strip():
        return []
    for check, find in _FINDERS.items():
        action = getattr(subject.settings, f"check_{check}")
        if action != "off" and check in checks:
            remarks += (Remark(check, action, finding, other) for finding, other in find(subject))
    order = {"refuse": 0, "warn": 1}
    return sorted(remarks, key=lambda each: (order[each.action], each.finding.start))


def look_at_prompt(subject: Subject) -> list[Remark]:
    """The same of a prompt that somebody writes; `subject.text` is its text."""
    remarks: list[Remark] = []
    if not subject.text.strip():
        return []
    for check, find in _PROMPT_FINDERS.items():
        action = getattr(subject.settings, f"check_{check}")
        if action != "off":
            remarks += (
                Remark(check, action, finding, other, of="prompt") for finding, other in find(subject)
            )
    order = {"refuse": 0, "warn": 1}
    return sorted(remarks, key=lambda each: (order[each.action], each.finding.start))


def subject_of(task: Task, project: Project, author, submission: Submission | None = None) -> Subject:
    """What an answer to the task by this person is held against; the text comes with `replace`."""
    if submission is None and is_indexed(project):
        submission = Submission.objects.filter(task=task, annotator=author).first()
    draft = task.starting_draft.text if task.starting_draft is not None else None
    writes = task.batch.writes_prompt
    return Subject("", project, project.settings, task.prompt, submission, draft, writes)


def check_answer(
    *,
    text: Any,
    subject: Subject,
    form: FormDefinition,
    confirmed: Collection[str] | None,
    answers: Any = None,
    pasted_characters: int | None = None,
    prompt: Any = None,
    category: Any = "",
) -> DemonstrationContent:
    """The checked answer with what it was warned of, and the prompt where its author writes that too.
    `confirmed` names the checks whose warnings its author has seen; None asks nobody (a reviewer decides).
    The rest as check_demonstration.

    Raises Invalid with the stretch of each refusal, UnconfirmedWarnings with that of each warning.
    """
    content = check_demonstration(
        text=text,
        settings=subject.settings,
        form=form,
        answers=answers,
        pasted_characters=pasted_characters,
    )
    remarks: list[Remark] = []
    if subject.writes_prompt:
        prompt = check_prompt_text("" if prompt is None else prompt, subject.settings)
        content = replace(content, prompt=prompt, category=check_category(category))
        remarks = look_at_prompt(replace(subject, text=prompt))
        subject = replace(subject, prompt=Prompt(messages=messages_of(prompt)))
    elif prompt is not None:
        raise Invalid("This task has its prompt.", field="prompt")
    remarks += look_at(replace(subject, text=content.text))
    refuse(remarks)
    if confirmed is not None:
        asked = [each for each in remarks if each.check not in confirmed]
        if asked:
            raise UnconfirmedWarnings(
                _("%(found)s Submit anyway?") % {"found": _summary(asked)},
                field=asked[0].of,
                hint=gettext("Mend it, or confirm that it is meant so."),
                details=[_detail(each) for each in asked[:MOST_SHOWN]],
            )
    return replace(content, warnings=[each.as_stored() for each in remarks[:MOST_SHOWN]])


def check_fix(
    *, text: Any, submission: Submission, form: FormDefinition, answers: Any, **written: Any
) -> DemonstrationContent:
    """A reviewer's own revision: what the project refuses is refused to reviewers too; nobody is asked
    back.
    """
    project = submission.project
    if submission.task is not None:
        subject = subject_of(submission.task, project, submission.annotator, submission)
    else:
        subject = Subject("", project, project.settings, submission.prompt, submission)
    return check_answer(text=text, subject=subject, form=form, answers=answers, confirmed=None, **written)


ImportLook = Callable[[str, Sequence[dict[str, str]]], list[Remark]]


def look_of_imports(project: Project) -> ImportLook:
    """(answer, messages of its prompt) → what is found in it.

    An imported answer was written elsewhere, under other rules of length: only what its text says is looked
    at, and no database is asked. Settings are read once.
    """
    settings = project.settings

    def look(text: str, messages: Sequence[dict[str, str]]) -> list[Remark]:
        return look_at(Subject(text, project, settings, Prompt(messages=list(messages))), OF_IMPORTS)

    return look


def refuse(remarks: Iterable[Remark]) -> None:
    """Raises Invalid for what the project refuses."""
    refused = [each for each in remarks if each.action == "refuse"]
    if refused:
        raise Invalid(
            _summary(refused),
            code="refused_by_check",
            field=refused[0].of,
            hint="Change it: this project does not take such answers.",
            details=[_detail(each) for each in refused[:MOST_SHOWN]],
        )


def check_confirmed(names: Any) -> list[str]:
    """The names of checks a submission confirms."""
    if not isinstance(names, list | tuple) or any(name not in CHECKS for name in names):
        raise Invalid(
            _("Checks are among %(known)s.") % {"known": ", ".join(CHECKS)}, field="confirmed_warnings"
        )
    return list(names)


def shown_warnings(
    stored: list[dict[str, Any]], text: str, *, reveal: bool, prompt: str = ""
) -> list[dict[str, Any]]:
    """What an answer (or the prompt written with it) was warned of, with the words concerned. reveal: which
    one it is like, for leads.
    """
    return [_shown(each, prompt if each.get("of") == "prompt" else text, reveal) for each in stored]


def _shown(stored: dict[str, Any], text: str, reveal: bool) -> dict[str, Any]:
    start, end = stored["start"], stored["end"]
    label = CHECKS.get(stored["check"], stored["check"])
    return {
        **{name: value for name, value in stored.items() if reveal or name != "other"},
        "label": f"{gettext('Prompt')}: {label}" if stored.get("of") == "prompt" else label,
        "quote": "" if end - start == len(text) else text[start:end][:200],
    }


def _summary(remarks: list[Remark]) -> str:
    first = gettext(remarks[0].finding.message)
    more = len(remarks) - 1
    return _("%(first)s And %(n)s more.") % {"first": first, "n": more} if more else first


def _detail(remark: Remark) -> dict[str, Any]:
    found = remark.finding
    return {
        "field": remark.of,
        "message": gettext(found.message),
        "start": found.start,
        "end": found.end,
        "check": remark.check,
    }


# --- The checks ---------------------------------------------------------------------------------------------
Found = Iterator[tuple[Finding, int | None]]


def _sized(said: str, bound: int, size: int) -> str:
    return said % {"bound": f"{bound:,}", "size": f"{size:,}"}


def _length(subject: Subject) -> Found:
    """Refusals of length are judgments.check_demonstration's, with or without the other checks."""
    size = len(subject.text)
    least, most = subject.settings.response_min_characters, subject.settings.response_max_characters
    if size < least:
        yield (
            Finding(
                0,
                size,
                "short",
                _sized(_("Shorter than %(bound)s characters; it has %(size)s."), least, size),
            ),
            None,
        )
    elif size > most:
        yield (
            Finding(
                most,
                size,
                "long",
                _sized(_("Longer than %(bound)s characters; it has %(size)s."), most, size),
            ),
            None,
        )


def _blocked_words(subject: Subject) -> Found:
    for finding in find_blocked_words(subject.text, subject.settings.blocked_words):
        yield finding, None


def _personal_data(subject: Subject) -> Found:
    for finding in find_personal_data(subject.text):
        yield finding, None


def _repeated_prompt(subject: Subject) -> Found:
    turns = [turn["content"] for turn in subject.prompt.messages if turn["role"] == "user"]
    for finding in find_repeated_prompt(subject.text, turns):
        yield finding, None


def _near_duplicate(subject: Subject) -> Found:
    other = nearest_answer(project=subject.project, text=subject.text, apart_from=subject.submission)
    if other is not None:
        message = gettext("Nearly the same as an answer that this project has already.")
        yield Finding(0, len(subject.text), "duplicate", message), other


def _untouched_draft(subject: Subject) -> Found:
    if subject.draft is not None and subject.draft.split() == subject.text.split():
        message = gettext("This is the model's draft as it was: nothing was changed.")
        yield Finding(0, len(subject.text), "draft", message), None


_FINDERS: dict[str, Callable[[Subject], Found]] = {
    "length": _length,
    "blocked_words": _blocked_words,
    "personal_data": _personal_data,
    "repeated_prompt": _repeated_prompt,
    "near_duplicate": _near_duplicate,
    "untouched_draft": _untouched_draft,
}


def _prompt_length(subject: Subject) -> Found:
    size = len(subject.text)
    least, most = subject.settings.prompt_min_characters, subject.settings.prompt_max_characters
    if size < least:
        yield (
            Finding(
                0,
                size,
                "short",
                _sized(_("Prompt shorter than %(bound)s characters; it has %(size)s."), least, size),
            ),
            None,
        )
    elif size > most:
        yield (
            Finding(
                most,
                size,
                "long",
                _sized(_("Prompt longer than %(bound)s characters; it has %(size)s."), most, size),
            ),
            None,
        )


def _duplicate_prompt(subject: Subject) -> Found:
    """The same words, or nearly; not those of this very submission's earlier revisions."""
    own = subject.submission.demonstrations.values_list("prompt", flat=True) if subject.submission else []
    apart_from = [pk for pk in own if pk is not None]
    digest = prompt_digest(messages_of(subject.text))
    known = Prompt.objects.filter(project=subject.project, digest=digest).exclude(pk__in=apart_from)
    other = known.values_list("pk", flat=True).first()
    if other is None:
        other = nearest_prompt(project=subject.project, text=subject.text, apart_from=apart_from)
    if other is not None:
        message = gettext("Nearly the same as a prompt that this project has already.")
        yield Finding(0, len(subject.text), "duplicate", message), other


_PROMPT_FINDERS: dict[str, Callable[[Subject], Found]] = {
    "length": _prompt_length,
    "blocked_words": _blocked_words,
    "personal_data": _personal_data,
    "near_duplicate": _duplicate_prompt,
}

"""What export formats hold, in words: for pages, and (in English) for docs/formats.md."""

from __future__ import annotations

from typing import Any, NamedTuple

from annotate.words import _
from labeling.formats import ExportFormat, formats_for
from labeling.formats.losses import losses_of

LOSS_WORDS: dict[str, Any] = {
    "turns": _("conversations of several turns"),
    "system": _("system messages"),
    "line_breaks": _("line breaks and tabs"),
    "speaker_marks": _("texts with “Human:” or “Assistant:” after a blank line"),
    "exact_texts": _("texts without the marks of the format"),
    "completions": _("the completions"),
    "groups": _("an order of three or more as one"),
    "ties": _("ties"),
    "unrankable": _("what could not be ranked"),
    "margins": _("margins"),
    "models": _("names of models"),
    "ids": _("ids of completions"),
    "sampling": _("sampling settings"),
    "fields": _("category, language and further fields of the prompt"),
    "lineage": _("where a row comes from"),
    "answers": _("answers to the form's questions"),
    "notes": _("notes on stretches"),
    "scores": _("scores people gave"),
    "reasons": _("why something could not be ranked"),
}


class FormatInWords(NamedTuple):
    """A format as its page shows it. `lost`: what does not come back when the file is imported again."""

    name: str
    description: str
    lost: str


def formats_in_words(formats: list[ExportFormat]) -> list[FormatInWords]:
    lost = {each.name: "; ".join(map(str, words_of(each.name))) for each in formats}
    return [FormatInWords(each.name, each.description, lost[each.name]) for each in formats]


def formats_of_kind(kind: str) -> list[FormatInWords]:
    """Those that a dataset of this kind has."""
    return formats_in_words(formats_for(kind))


def words_of(format: str) -> list[Any]:
    return [LOSS_WORDS[key] for key in losses_of(format)]

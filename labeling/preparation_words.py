"""Words for what preparation finds and what its fixes do: shown by the page, the command and the API."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

from django.utils.functional import lazy

from annotate.words import _

# {finding: (title, what it means)}; %(count)s and the finding's own values may be named.
FINDINGS: dict[str, tuple[str, str]] = {
    "unreadable": (
        _("Rows that cannot be read"),
        _("They would refuse the file, unless faulty rows are left out."),
    ),
    "empty_answers": (
        _("Answers with nothing in them"),
        _("Only blanks, punctuation or a stop mark: a model would learn to say nothing."),
    ),
    "equal_pairs": (
        _("Chosen and rejected are the same"),
        _("The same text stands above itself: nothing can be learnt from the row."),
    ),
    "leakage": (
        _("Training prompts that are also held out"),
        _("They stand, or nearly, in validation, test or an evaluation set: results would look too good."),
    ),
    "too_few_rows": (
        _("Too few rows"),
        _("%(rows)s rows. A task needs a few hundred at least, and gets better up to several thousand."),
    ),
    "few_rows": (
        _("More rows would help"),
        _("%(rows)s rows are enough to begin with; several thousand are better."),
    ),
    "small_classes": (
        _("Classes with few rows"),
        _("The answers are classes; each should have %(wanted)s rows. Fewer have: %(classes)s."),
    ),
    "uneven_classes": (
        _("Classes of very different size"),
        _("From %(least)s to %(most)s rows: a model that always says the frequent one looks good."),
    ),
    "class_tokens": (
        _("Classes that are several tokens"),
        _("A class that is one token is told by one number. These are not: %(classes)s."),
    ),
    "exact_duplicates": (
        _("Rows that are there already"),
        _("Prompt and answers are the same, character for character, as in a row before."),
    ),
    "near_duplicates": (
        _("Rows that say nearly the same"),
        _("In %(groups)s groups rows share %(threshold)s %% and more of their three-word sequences."),
    ),
    "both_ways": (
        _("Pairs that are decided both ways"),
        _("%(count)s pairs in %(rows)s rows. Between people that is disagreement, in one's own work a slip."),
    ),
    "circles": (
        _("Preferences that go in a circle"),
        _("A over B, B over C, C over A: %(count)s circles in %(rows)s rows cannot all be right."),
    ),
    "over_long": (
        _("Rows that are too long"),
        _("More than %(context)s tokens, the longest %(longest)s: what is over would be cut off."),
    ),
    "prompt_ends": (
        _("The end of prompts is not marked"),
        _("Nothing tells the model where the prompt ends and the answer begins. Chat formats do."  ),
    ),
    "answer_starts": (
        _("Answers begin in two ways"),
        _("%(with)s begin with a blank, %(without)s do not: to a model these are different first words."),
    ),
    "answer_leads": (
        _("Answers begin without a blank"),
        _("Most tokenizers write a word in the middle of a text with the blank before it."),
    ),
    "answer_stops": (
        _("Answers without the stop mark of the others"),
        _("Most answers end with %(mark)s; a model learns from these to go on and on."),
    ),
    "no_stops": (
        _("Answers end without a mark"),
        _("In plain prompt/completion files a mark such as %(mark)s tells the model where to stop."),
    ),
    "shared_prompt_prefix": (
        _("All prompts begin alike"),
        _("“%(text)s” costs tokens in each row and teaches nothing, unless people will type it too."),
    ),
    "shared_answer_prefix": (
        _("All answers begin alike"),
        _("“%(text)s” could be put before the answer by a program."),
    ),
    "shared_answer_suffix": (
        _("All answers end alike"),
        _("“%(text)s” could be put after the answer by a program."),
    ),
    "upper_case": (
        _("Texts in capitals"),
        _("Capital words are cut into many more tokens, and models answer in the way they are spoken to."),
    ),
    "personal_data": (
        _("Personal data"),
        _("Looks like %(kinds)s. A model may repeat what it was trained on to anybody."),
    ),
    "other_languages": (
        _("Rows in another language"),
        _("Most are in %(main)s; others in %(languages)s. Told from the text, so look at them first."),
    ),
}  # fmt: skip

ALL_MEANINGS = {key: meaning for key, (_title, meaning) in FINDINGS.items()}
# What it means where most rows are as they should be, and some are not.
OF_SOME = {
    "prompt_ends": _(
        "Most prompts end with %(mark)s; a model cannot tell from the others where the answer begins."
    ),
}

FIXES: dict[str, str] = {
    "drop_empty_answers": _("Leave these rows out"),
    "drop_equal_pairs": _("Leave these rows out"),
    "drop_leaks": _("Leave them out of training"),
    "drop_exact_duplicates": _("Keep the first of each"),
    "drop_near_duplicates": _("Keep the first of each group"),
    "drop_contradictions": _("Leave all contradicting rows out"),
    "drop_over_long": _("Leave these rows out"),
    "drop_upper_case": _("Leave these rows out"),
    "drop_personal_data": _("Leave these rows out"),
    "drop_other_languages": _("Leave these rows out"),
    "cap_classes": _("Four times the smallest at most"),
    "strip_prompt_prefix": _("Take it off the prompts"),
    "strip_answer_prefix": _("Take it off the answers"),
    "strip_answer_suffix": _("Take it off the answers"),
    "lower_upper_case": _("Write them in lower case"),
    "mask_personal_data": _("Mask it, as [email]"),
    "mark_prompt_ends": _("Mark the end of each prompt"),
    "lead_with_blank": _("Begin each answer with a blank"),
    "mark_answer_ends": _("Put the stop mark after each answer"),
}


_OF_FIXES = {
    "drop_leaks": "leakage",
    "drop_contradictions": "both_ways",
    "cap_classes": "uneven_classes",
    "lower_upper_case": "upper_case",
    "mask_personal_data": "personal_data",
    "mark_prompt_ends": "prompt_ends",
    "lead_with_blank": "answer_leads",
    "mark_answer_ends": "answer_stops",
}  # where a fix is not named after its finding


def title_of_fix(name: str) -> str:
    """What a fix is for and does, where its finding does not stand beside it."""
    plain = name.removeprefix("drop_").replace("strip_", "shared_")
    return _as_read(FINDINGS[_OF_FIXES.get(name, plain)][0], FIXES[name])


def _joined(finding: str, fix: str) -> str:
    return f"{finding}: {fix}"


_as_read = cast(
    "Callable[[str, str], str]", lazy(_joined, str)
)  # joined when it is shown, in the reader's language


def title_of(finding: Mapping[str, Any]) -> str:
    return FINDINGS[finding["key"]][0]


def meaning_of(finding: Mapping[str, Any]) -> str:
    """The sentence about a finding, with its numbers in place."""
    values = {"count": f"{finding['count']:,}"}
    for name, value in finding["values"].items():
        if isinstance(value, Mapping):
            value = ", ".join(f"{key} ({count:,})" for key, count in list(value.items())[:10])
        values[name] = f"{value:,}" if isinstance(value, int) else value
    words = OF_SOME if "mark" in values and finding["key"] in OF_SOME else ALL_MEANINGS
    return words[finding["key"]] % values

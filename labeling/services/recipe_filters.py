"""What of a recipe's rows is left out, masked or capped: checked, stored as JSON, and counted by reason."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from annotate.errors import Invalid
from annotate.words import _

from .preparation_options import DEFAULT_CONTEXT, MOST_CONTEXT, checked_fixes

PERSONAL_DATA = {
    "keep": _("Keep"),
    "flag": _("Flag in the row"),
    "mask": _("Mask, as [email]"),
    "drop": _("Leave the row out"),
}
MOST_ENTRIES = 10_000


@dataclass(frozen=True)
class Filters:
    """What is left at its default does not restrict. Raises Invalid naming the entry."""

    languages: tuple[str, ...] = ()  # of prompts, as they are marked
    least_characters: int = 0  # of what is learnt: the answer, all completions together, or the prompt
    most_characters: int = 0
    blocked_words: tuple[str, ...] = ()  # whole words and phrases, whatever their case
    personal_data: str = "keep"  # a key of PERSONAL_DATA
    category_most: int = 0  # rows of one category, the first in the version's order
    least_agreement: float = 0.0  # of those who ranked the task; tasks of one person pass
    fixes: tuple[str, ...] = ()  # of the preparation report
    context: int = DEFAULT_CONTEXT  # tokens, for drop_over_long

    def __post_init__(self) -> None:
        for name in ("languages", "blocked_words", "fixes"):
            value = getattr(self, name)
            if not isinstance(value, list | tuple) or not all(isinstance(each, str) for each in value):
                raise Invalid(_("A list of texts."), field=name)
            if len(value) > MOST_ENTRIES:
                raise Invalid(
                    _("A list of at most %(most)s texts.") % {"most": f"{MOST_ENTRIES:,}"}, field=name
                )
            kept = (
                checked_fixes(value) if name == "fixes" else sorted({each.strip() for each in value} - {""})
            )
            object.__setattr__(self, name, tuple(kept))
        for name in ("least_characters", "most_characters", "category_most"):
            if type(getattr(self, name)) is not int or getattr(self, name) < 0:
                raise Invalid(_("A whole number, or 0 for any."), field=name)
        if self.most_characters and self.most_characters < self.least_characters:
            raise Invalid(_("Fewer than the least."), field="most_characters")
        if self.personal_data not in PERSONAL_DATA:
            raise Invalid(_("One of %(names)s.") % {"names": ", ".join(PERSONAL_DATA)}, field="personal_data")
        is_share = type(self.least_agreement) in (int, float) and 0 <= self.least_agreement <= 1
        if not is_share:
            raise Invalid(_("A share from 0 to 1."), field="least_agreement")
        object.__setattr__(self, "least_agreement", float(self.least_agreement))
        if type(self.context) is not int or not 1 <= self.context <= MOST_CONTEXT:
            raise Invalid(_("A number of tokens."), field="context")

    @classmethod
    def from_json(cls, values: Mapping[str, Any] | None) -> Filters:
        if values is not None and not isinstance(values, Mapping):
            raise Invalid(_("An object of filters."), field="filters")
        values = dict(values or {})
        known = {spec.name for spec in dataclasses.fields(cls)}
        if unknown := set(values) - known:
            raise Invalid(
                _("There is no filter “%(name)s”.") % {"name": min(unknown)},
                field="filters",
                hint=_("It has %(known)s.") % {"known": ", ".join(sorted(known))},
            )
        return cls(**values)

    def to_json(self) -> dict[str, Any]:
        """Only what restricts: equal filters are equal JSON, and a recipe without any stays as it was."""
        plain = dataclasses.asdict(Filters())
        values = {name: value for name, value in dataclasses.asdict(self).items() if value != plain[name]}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

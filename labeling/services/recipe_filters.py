"""What of a recipe's rows is left out, masked or capped: checked, stored as JSON, and counted by reason."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
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
# What a weight may be given by, and what stands for all that is not named.
WEIGHED_BY = ("category", "source", "annotator", "language")
OTHERS = "*"


@dataclass(frozen=True)
class Filters:
    """What is left at its default does not restrict. Raises Invalid naming the entry."""

    languages: tuple[str, ...] = ()  # of prompts, as they are marked or else as their texts tell
    least_characters: int = 0  # of what is learnt: the answer, all completions together, or the prompt
    most_characters: int = 0
    blocked_words: tuple[str, ...] = ()  # whole words and phrases, whatever their case
    personal_data: str = "keep"  # a key of PERSONAL_DATA
    names: bool = False  # whether people's names are personal data too
    # Rows of one category, the first in the version's order: of each, or {name, or OTHERS: how many}.
    category_most: int | Mapping[str, int] = 0
    least_agreement: float = 0.0  # of those who ranked the task; tasks of one person pass
    least_score: float | None = None  # of the best completion, as people or its file scored it
    most_score: float | None = None
    scored_only: bool = False  # rows without a score are left out
    # {one of WEIGHED_BY: {name, or OTHERS: the share of such rows that is kept}}
    weights: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    fixes: tuple[str, ...] = ()  # of the preparation report
    context: int = DEFAULT_CONTEXT  # tokens, for drop_over_long
    tokenizer: str = ""  # whose tokens they are: a checkpoint's id, a base model; "": the project's own
    evaluation: tuple[int, ...] = ()  # imports whose prompts may not be trained on, for drop_leaks

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
        object.__setattr__(self, "category_most", _checked_caps(self.category_most))
        for name in ("least_characters", "most_characters"):
            if type(getattr(self, name)) is not int or getattr(self, name) < 0:
                raise Invalid(_("A whole number, or 0 for any."), field=name)
        if self.most_characters and self.most_characters < self.least_characters:
            raise Invalid(_("Fewer than the least."), field="most_characters")
        if not isinstance(self.personal_data, str) or self.personal_data not in PERSONAL_DATA:
            raise Invalid(_("One of %(names)s.") % {"names": ", ".join(PERSONAL_DATA)}, field="personal_data")
        self._check_scores()
        self._check_evaluation()
        object.__setattr__(self, "weights", _checked_weights(self.weights))
        for name in ("names", "scored_only"):
            if not isinstance(getattr(self, name), bool):
                raise Invalid(_("Yes or no."), field=name)
        if not isinstance(self.tokenizer, str) or len(self.tokenizer) > 300:
            raise Invalid(_("A checkpoint's id, or a base model."), field="tokenizer")
        is_share = type(self.least_agreement) in (int, float) and 0 <= self.least_agreement <= 1
        if not is_share:
            raise Invalid(_("A share from 0 to 1."), field="least_agreement")
        object.__setattr__(self, "least_agreement", float(self.least_agreement))
        if type(self.context) is not int or not 1 <= self.context <= MOST_CONTEXT:
            raise Invalid(_("A number of tokens."), field="context")

    def _check_evaluation(self) -> None:
        value = self.evaluation
        is_list = isinstance(value, list | tuple) and len(value) <= MOST_ENTRIES
        if not is_list or not all(type(each) is int and 0 < each < 2**63 for each in value):
            raise Invalid(_("A list of ids of imports."), field="evaluation")
        if value and "drop_leaks" not in self.fixes:
            raise Invalid(
                _("Evaluation sets are what the fix drop_leaks holds rows against."),
                field="evaluation",
                hint=_("Choose that fix too, or no evaluation sets."),
            )
        object.__setattr__(self, "evaluation", tuple(sorted(set(value))))

    def _check_scores(self) -> None:
        for name in ("least_score", "most_score"):
            value = getattr(self, name)
            try:
                if value is not None and (type(value) not in (int, float) or not math.isfinite(value)):
                    raise Invalid(_("A number."), field=name)
            except OverflowError as error:
                raise Invalid(_("A number."), field=name) from error
            object.__setattr__(self, name, None if value is None else float(value))
        low, high = self.least_score, self.most_score
        if low is not None and high is not None and high < low:
            raise Invalid(_("Fewer than the least."), field="most_score")

    def most_of(self, category: str) -> int:
        """How many rows of this category there may be; 0 for any number."""
        caps = self.category_most
        return caps if isinstance(caps, int) else caps.get(category, caps.get(OTHERS, 0))

    @property
    def by_score(self) -> bool:
        return self.least_score is not None or self.most_score is not None or self.scored_only

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


def _checked_caps(value: Any) -> int | dict[str, int]:
    """Names sorted. What says the same is the same: a number for all others alone is that number, and 0 (any
    number) is named only beside a cap on all others.

    >>> _checked_caps({"*": 5}), _checked_caps({"law": 2, "art": 0}), _checked_caps({"art": 0, "*": 5})
    (5, {'law': 2}, {'*': 5, 'art': 0})
    """
    caps = dict(value) if isinstance(value, Mapping) else {OTHERS: value}
    for name, most in caps.items():
        if not isinstance(name, str) or type(most) is not int or most < 0:
            raise Invalid(_("A whole number, or 0 for any."), field="category_most")
    if len(caps) > MOST_ENTRIES:
        raise Invalid(
            _("A list of at most %(most)s texts.") % {"most": f"{MOST_ENTRIES:,}"}, field="category_most"
        )
    others = caps.get(OTHERS, 0)
    kept = {name: most for name, most in sorted(caps.items()) if most or (others and name != OTHERS)}
    return others if set(kept) <= {OTHERS} else kept


def caps_of_lines(text: str) -> int | dict[str, int]:
    """What is written as one cap a line, a number alone for all others. Raises Invalid with the line.

    >>> caps_of_lines("500"), caps_of_lines("contract law 20\\n* 500")
    (500, {'*': 500, 'contract law': 20})
    """
    caps = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        name, _blank, most = line.rpartition(" ")
        if not (most.isascii() and most.isdigit() and len(most) < 16):
            raise Invalid(
                _("“%(line)s” is no cap.") % {"line": line[:100]},
                field="category_most",
                hint=_("Write a category or *, and a number of rows: law 500"),
            )
        caps[name.strip() or OTHERS] = int(most)
    return _checked_caps(caps)


def cap_lines(caps: int | Mapping[str, int]) -> list[str]:
    """The lines that `caps_of_lines` reads."""
    if isinstance(caps, int):
        return [str(caps)] if caps else []
    return [f"{name} {most}" for name, most in caps.items()]


def _checked_weights(value: Any) -> dict[str, dict[str, float]]:
    """In the order of WEIGHED_BY, names sorted; a share of 1 restricts nothing and is left away."""
    if not isinstance(value, Mapping) or set(value) - set(WEIGHED_BY):
        raise Invalid(
            _("Weights are given by %(names)s.") % {"names": ", ".join(WEIGHED_BY)}, field="weights"
        )
    found = {}
    for by in WEIGHED_BY:
        shares = value.get(by, {})
        if not isinstance(shares, Mapping) or len(shares) > MOST_ENTRIES:
            raise Invalid(_("An object of names and shares."), field="weights")
        for name, share in shares.items():
            if not isinstance(name, str) or type(share) not in (int, float) or not 0 <= share <= 1:
                raise Invalid(_("A weight is a share from 0 to 1."), field="weights")
        # Beside a share for all others, one of 1 says that these are kept.
        kept = {name: float(share) for name, share in sorted(shares.items()) if share < 1 or OTHERS in shares}
        if any(share < 1 for share in kept.values()):
            found[by] = kept
    return found


def weights_of_lines(text: str) -> dict[str, dict[str, float]]:
    """What is written as one weight a line: `category law 0.5`, `source * 0.3`. Raises Invalid with the line.

    >>> weights_of_lines("category law 1\\ncategory * 0.5\\nsource import 3 0.25")
    {'category': {'law': 1.0, '*': 0.5}, 'source': {'import 3': 0.25}}
    """
    found: dict[str, dict[str, float]] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        by, _blank, rest = line.partition(" ")
        name, _blank, share = rest.rpartition(" ")
        try:
            number = float(share.removesuffix("%").replace(",", ".")) / (100 if share.endswith("%") else 1)
        except ValueError:
            number = math.nan
        if by not in WEIGHED_BY or not name.strip() or not 0 <= number <= 1:
            raise Invalid(
                _("“%(line)s” is no weight.") % {"line": line[:100]},
                field="weights",
                hint=_("Write %(names)s, a name or *, and a share: category law 0.5")
                % {"names": ", ".join(WEIGHED_BY)},
            )
        found.setdefault(by, {})[name.strip()] = number
    return found


def weight_lines(weights: Mapping[str, Mapping[str, float]]) -> list[str]:
    """The lines that `weights_of_lines` reads."""
    return [f"{by} {name} {share:g}" for by, shares in weights.items() for name, share in shares.items()]

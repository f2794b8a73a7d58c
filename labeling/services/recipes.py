"""What goes into a dataset version: a checked recipe, stored as JSON and the same for form, API and
command."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django.db.models import BigIntegerField

from annotate.errors import Invalid
from annotate.words import _
from labeling.formats import SPLITS, split_of
from labeling.models import Project

from .recipe_filters import Filters

SOURCES = {
    "people": _("Written or ranked by people here"),
    "imports": _("Imported from files"),
    "edits": _("Comparisons: a model's draft and the answer a person made of it"),
}
DEFAULT_SOURCES = ("people", "imports")
DECISIONS = {
    "accepted": _("Accepted by a reviewer"),
    "fixed": _("Fixed by a reviewer"),
    "unreviewed": _("Accepted without review"),
}
RANKINGS = {
    "each": _("Every accepted ranking"),
    "adjudicated": _("The settled order where there is one, in place of the task's rankings"),
}
DEFAULT_FRACTIONS = {"train": 0.8, "validation": 0.1, "test": 0.1}
MOST_ENTRIES = 10_000
# Named in JSON only where they leave something out, as `rankings` is.
LATER_LISTS = ("exclude_imports", "exclude_guideline_versions")
LATER_NAMES = ("annotators", "include_fields")
MOST_FIELDS, LONGEST_FIELD = 50, 100


@dataclass(frozen=True)
class Recipe:
    """An empty list does not restrict. Dates are days in UTC, both included.

    Raises Invalid naming the entry when built from values that make no sense.
    """

    sources: tuple[str, ...] = DEFAULT_SOURCES
    decisions: tuple[str, ...] = tuple(DECISIONS)
    batches: tuple[int, ...] = ()
    imports: tuple[int, ...] = ()
    categories: tuple[str, ...] = ()
    guideline_versions: tuple[int, ...] = ()
    exclude_annotators: tuple[str, ...] = ()  # pseudonyms
    annotators: tuple[str, ...] = ()  # pseudonyms: only their work, none of imports
    exclude_imports: tuple[int, ...] = ()
    exclude_guideline_versions: tuple[int, ...] = ()
    rankings: str = "each"  # a key of RANKINGS; of comparison datasets
    submitted_from: str = ""
    submitted_until: str = ""
    include_fields: tuple[str, ...] = ()  # of prompts: category, language, keys of their metadata
    include_scores: bool = False  # of comparison datasets: the scores people gave single completions
    include_gold: bool = False  # also what people answered to gold, screening and repeated tasks
    fractions: Mapping[str, float] = field(default_factory=lambda: dict(DEFAULT_FRACTIONS))
    salt: str = ""
    filters: Mapping[str, Any] = field(default_factory=dict)  # as Filters.to_json: only what restricts

    def __post_init__(self) -> None:
        for name in ("batches", "imports", "guideline_versions", *LATER_LISTS):
            self._check_list(name, int)
        for name in ("sources", "decisions", "categories", "exclude_annotators", *LATER_NAMES):
            self._check_list(name, str)
        self._check_fields()
        self._check_choice("sources", SOURCES)
        self._check_choice("decisions", DECISIONS)
        if not isinstance(self.rankings, str) or self.rankings not in RANKINGS:
            raise Invalid(_("Choose one of %(known)s.") % {"known": ", ".join(RANKINGS)}, field="rankings")
        for name in ("include_gold", "include_scores"):
            if not isinstance(getattr(self, name), bool):
                raise Invalid("Yes or no.", field=name)
        begin, end = self._day("submitted_from"), self._day("submitted_until")
        if begin and end and begin > end:
            raise Invalid("The last day is before the first.", field="submitted_until")
        if not isinstance(self.salt, str) or len(self.salt) > 100:
            raise Invalid("Text of at most 100 characters.", field="salt")
        self._check_fractions()
        object.__setattr__(self, "filters", self.row_filters.to_json())

    def _check_list(self, name: str, kind: type) -> None:
        value = getattr(self, name)
        is_list = isinstance(value, list | tuple) and len(value) <= MOST_ENTRIES
        fits = is_list and all(type(item) is kind for item in value)
        if not fits or (kind is int and any(abs(item) > BigIntegerField.MAX_BIGINT for item in value)):
            said = (
                _("A list of at most %(most)s numbers.")
                if kind is int
                else _("A list of at most %(most)s texts.")
            )
            raise Invalid(f"{name}: {said % {'most': f'{MOST_ENTRIES:,}'}}", field=name)
        # Sorted and without repeats: equal choices are equal recipes, and give equal manifests.
        object.__setattr__(self, name, tuple(sorted(set(value))))

    def _check_fields(self) -> None:
        names = self.include_fields
        if len(names) > MOST_FIELDS or any(not 0 < len(name) <= LONGEST_FIELD for name in names):
            raise Invalid(
                _("At most %(most)s names of fields, each of 1 to %(length)s characters.")
                % {"most": MOST_FIELDS, "length": LONGEST_FIELD},
                field="include_fields",
            )

    def _check_choice(self, name: str, choices: Mapping[str, str]) -> None:
        value = getattr(self, name)
        if not value:
            raise Invalid("Choose at least one.", field=name)
        if unknown := set(value) - set(choices):
            raise Invalid(
                _("“%(name)s” is none of %(known)s.") % {"name": min(unknown), "known": ", ".join(choices)},
                field=name,
            )

    def _day(self, name: str) -> date | None:
        value = getattr(self, name)
        if value in ("", None):
            object.__setattr__(self, name, "")
            return None
        try:
            return date.fromisoformat(value)
        except (TypeError, ValueError) as error:
            raise Invalid("A day such as 2026-11-21.", field=name) from error

    def _check_fractions(self) -> None:
        value = self.fractions
        numbers = isinstance(value, Mapping) and all(
            isinstance(share, int | float) and not isinstance(share, bool) for share in value.values()
        )
        if not numbers:
            raise Invalid("A share for each of train, validation and test.", field="fractions")
        try:
            shares = {name: float(value.get(name, 0)) for name in SPLITS}
            split_of("", "", {**shares, **{k: float(v) for k, v in value.items()}})
        except (ValueError, OverflowError) as error:
            raise Invalid(f"{str(error).capitalize()}.", field="fractions") from error
        object.__setattr__(self, "fractions", shares)

    @classmethod
    def from_json(cls, values: Mapping[str, Any] | None) -> Recipe:
        values = dict(values or {})
        known = {spec.name for spec in dataclasses.fields(cls)}
        if unknown := set(values) - known:
            raise Invalid(
                _("A recipe has no “%(name)s”.") % {"name": min(unknown)},
                field=min(unknown),
                hint=_("It has %(known)s.") % {"known": ", ".join(sorted(known))},
            )
        return cls(**values)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, equal for equal recipes. `rankings` is named only where it says something: what older
        versions froze must come out the same, byte for byte."""
        values = dataclasses.asdict(self)
        if values["rankings"] == "each":
            del values["rankings"]
        for name in (*LATER_LISTS, *LATER_NAMES, "include_gold", "include_scores", "filters"):
            if not values[name]:
                del values[name]  # recipes and versions from before it stay as they were, to the byte
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    @property
    def row_filters(self) -> Filters:
        """What is left out of the selected rows, by what they hold."""
        return Filters.from_json(self.filters)

    def resolved_for(self, project: Project) -> Recipe:
        """With the salt filled in. The project's name by default: so a prompt is on the same side in all of
        its datasets, and no model is judged on prompts that another stage was trained on."""
        return self if self.salt else dataclasses.replace(self, salt=project.slug)

    @property
    def begins_at(self) -> datetime | None:
        day = self._day("submitted_from")
        return datetime.combine(day, time.min, UTC) if day else None

    @property
    def ends_before(self) -> datetime | None:
        day = self._day("submitted_until")
        if day is None or day == date.max:  # no day comes after the last there is
            return None
        return datetime.combine(day + timedelta(days=1), time.min, UTC)

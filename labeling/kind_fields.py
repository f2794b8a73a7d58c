"""Which fields and choices of a recipe's form a kind of dataset has a use for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms

from annotate.words import _

from .models import Dataset, DatasetKind
from .services.recipe_kinds import entries_without_use, fixes_without_use, sources_without_use
from .services.recipes import DECISIONS

ONLY_COMPARISONS = ("rankings", "include_scores")


class KindFields(forms.Form):
    """Mixed into the form of a recipe, which calls `fit_to_kind` when all that there is has been offered.

    With scripts the fields follow the kind that is chosen. Without them a page sends the fields of the kind
    it was opened with, whatever was chosen: where `is_sent`, what would have no use is not dropped unseen.
    The field stays, and says so.
    """

    is_sent = False
    dataset: Dataset | None = None

    def fit_to_kind(self, kind: str) -> None:
        self._without_use: dict[str, list[str]] = {}  # {field: the choices, or none where it is all of it}
        for name in (*entries_without_use(kind), *_only_comparisons(kind)):
            if name in self.fields:
                if self.is_sent and self._restricts(name):
                    self._without_use[name] = []
                else:
                    del self.fields[name]
        self._fit_choices("sources", sources_without_use(kind))
        self._fit_choices("fixes", fixes_without_use(kind))

    def _fit_choices(self, name: str, gone: tuple[str, ...]) -> None:
        """Leaves out of the choices what is `gone`, unless it was sent or a stored recipe has it."""
        field: Any = self.fields[name]
        stored = set(self.initial.get(name) or ()) if self.dataset is not None else set()
        sent = set(self._sent(name) or ()) if self.is_bound else set()
        hidden = set(gone) - stored - sent
        field.choices = [(value, words) for value, words in field.choices if value not in hidden]
        if self.is_sent:
            wrong = [str(words) for value, words in field.choices if value in gone and value not in stored]
            self._without_use |= {name: wrong} if wrong else {}

    def _sent(self, name: str) -> Any:
        data: Mapping[str, Any] = self.data
        return self.fields[name].widget.value_from_datadict(data, self.files, self.add_prefix(name))

    def _restricts(self, name: str) -> bool:
        sent = self._sent(name)
        try:
            value = self.fields[name].clean(sent)
        except forms.ValidationError:
            return bool(sent)
        if name == "decisions":
            return set(value) != set(DECISIONS)
        return bool(value) and (name, value) != ("rankings", "each")

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        kind = str(dict(DatasetKind.choices).get(data.get("kind", ""), ""))
        for name, choices in self._without_use.items() if kind else ():
            text = _(
                "A dataset of kind “%(kind)s” has no use for this: leave it out, or choose another kind."
            )
            if choices:
                text = _(
                    "A dataset of kind “%(kind)s” has no use for “%(names)s”: leave it out, "
                    "or choose another kind."
                )
            self.add_error(name, text % {"kind": kind, "names": ", ".join(choices)})
        return data


def _only_comparisons(kind: str) -> tuple[str, ...]:
    return () if kind == DatasetKind.COMPARISON else ONLY_COMPARISONS

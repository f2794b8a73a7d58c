"""What lists of the API can be asked by: fields, a search, an order. Nothing else passes for one of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from django.db import models
from django_filters import NumberFilter
from django_filters.rest_framework import DjangoFilterBackend, FilterSet
from rest_framework.filters import OrderingFilter, SearchFilter

from annotate.errors import Invalid
from annotate.words import _

MOST_WORDS, LONGEST_WORD = 20, 200
OF_PAGES = ("page", "page_size")
OF_EVERY_ADDRESS = ("format",)  # which renderer, or which file format


def refuse_unknown(request: Any, known: Iterable[str]) -> None:
    """Raises Invalid (400) where the address asks by a name that is not among `known`: left out in silence, a
    filter with a typing error answers with everything.
    """
    names = sorted({*known, *OF_EVERY_ADDRESS})
    if unknown := sorted(set(request.query_params) - set(names)):
        message = _("This list cannot be asked by %(name)s.")
        raise Invalid(
            message % {"name": unknown[0]},
            code="unknown_parameter",
            status=400,
            field=unknown[0],
            hint=str(_("It can be asked by: %(known)s.") % {"known": ", ".join(names)}),
            details=[{"field": name, "message": message % {"name": name}} for name in unknown],
        )


def own_parameters(view: Any) -> tuple[str, ...] | None:
    """What the view says itself that it can be asked by, for the action or method at hand; None where it says
    nothing.
    """
    own: Mapping[str, tuple[str, ...]] = getattr(view, "own_parameters", {})
    return own.get(getattr(view, "action", None) or view.request.method.lower())


def parameters_of(view: Any, rows: Any) -> set[str]:
    """What a list in pages can be asked by: pages, and what the view says or else its filters look at."""
    own = own_parameters(view)
    if own is not None:
        return {*own, *OF_PAGES}
    return {*OF_PAGES, *(name for each in view.filter_backends for name in each().parameters(view, rows))}


class _ByNumber(FilterSet):
    """A related row is asked for by its number. Whether there is such a row is not looked up: that would tell
    of rows of other projects (django-filter's own filter refuses a number that no row has).
    """

    FILTER_DEFAULTS: ClassVar = {
        **FilterSet.FILTER_DEFAULTS,
        models.ForeignKey: {"filter_class": NumberFilter},
        models.OneToOneField: {"filter_class": NumberFilter},
    }


class BoundedSearch(SearchFilter):
    """Each word of a search is a condition on every field that is searched: many words cost seconds."""

    def parameters(self, view: Any, rows: Any) -> list[str]:
        return [self.search_param] if getattr(view, "search_fields", None) else []

    def get_search_terms(self, request):
        terms = super().get_search_terms(request)
        if len(terms) > MOST_WORDS or any(len(term) > LONGEST_WORD for term in terms):
            raise Invalid(
                _("At most %(words)s words of %(characters)s characters.")
                % {"words": MOST_WORDS, "characters": LONGEST_WORD},
                field=self.search_param,
            )
        return terms


class FieldFilters(DjangoFilterBackend):
    filterset_base = _ByNumber

    def parameters(self, view: Any, rows: Any) -> list[str]:
        filters = self.get_filterset_class(view, rows)
        return list(filters.base_filters) if filters is not None else []


class KnownOrders(OrderingFilter):
    """Refuses an order that a list does not have, where DRF's answers in another."""

    def parameters(self, view: Any, rows: Any) -> list[str]:
        return [self.ordering_param]

    def remove_invalid_fields(self, queryset, fields, view, request):
        known = [name for name, _label in self.get_valid_fields(queryset, view, {"request": request})]
        if unknown := [field for field in fields if field.removeprefix("-") not in known]:
            raise Invalid(
                _("This list cannot be ordered by %(name)s.") % {"name": unknown[0]},
                code="unknown_order",
                status=400,
                field=self.ordering_param,
                hint=str(_("It can be ordered by: %(known)s.") % {"known": ", ".join(known)}),
            )
        return fields

"""The API's filters by field."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django_filters import NumberFilter
from django_filters.rest_framework import DjangoFilterBackend, FilterSet
from rest_framework.filters import SearchFilter

from annotate.errors import Invalid
from annotate.words import _

MOST_WORDS, LONGEST_WORD = 20, 200


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

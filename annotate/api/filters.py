"""The API's filters by field."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django_filters import NumberFilter
from django_filters.rest_framework import DjangoFilterBackend, FilterSet


class _ByNumber(FilterSet):
    """A related row is asked for by its number. Whether there is such a row is not looked up: that would tell
    of rows of other projects (django-filter's own filter refuses a number that no row has).
    """

    FILTER_DEFAULTS: ClassVar = {
        **FilterSet.FILTER_DEFAULTS,
        models.ForeignKey: {"filter_class": NumberFilter},
        models.OneToOneField: {"filter_class": NumberFilter},
    }


class FieldFilters(DjangoFilterBackend):
    filterset_base = _ByNumber

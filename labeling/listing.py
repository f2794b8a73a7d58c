"""Search, filters, sorting and paging of a list page, from the query string to the template, in one piece.

    listing = Listing(
        request, project.prompts.active(),
        sorts={"newest": ("Newest first", "-id"), "category": ("Category", "category")},
        search=lambda rows, text: rows.search(text),
        filters=[Filter("category", "Category", choices=[("", "All"), ("math", "Math")])],
    )
    return render(request, "labeling/prompts.html", {"listing": listing})

The page then includes "components/listing_controls.html" and "components/listing_pages.html" with `listing`.
Everything is in the URL, so every list can be linked to. A list answered by `list_pages.answer_list` can
also be kept as a view and be taken along as CSV.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from typing import Any
from urllib.parse import urlencode

from django.core.paginator import Page
from django.db.models import QuerySet
from django.db.models.expressions import OrderBy
from django.http import HttpRequest

from .paging import KeyPaginator

Choices = Sequence[tuple[str, str]]
# Days that a list can be asked about: far from the ends of the calendar, where a day has no neighbour.
EARLIEST_DAY, LATEST_DAY = date(1970, 1, 1), date(2999, 12, 31)
LONGEST_SEARCH = 500  # characters; what comes after is not searched for, and not shown in the field


@dataclass
class Filter:
    """One drop-down. `apply` gets the rows and the chosen value; by default filters on the field `name`."""

    name: str
    label: str
    choices: Choices
    apply: Callable[[QuerySet, str], QuerySet] | None = None
    value: str = ""
    is_hidden: bool = False  # chosen elsewhere on the page (tabs), and only carried along

    def narrow(self, rows: QuerySet) -> QuerySet:
        if self.apply is not None:
            return self.apply(rows, self.value)
        return rows.filter(**{self.name: self.value})

    def accepts(self, chosen: str) -> bool:
        return chosen in {value for value, _ in self.choices}

    @property
    def is_date(self) -> bool:
        return False


@dataclass
class DateFilter(Filter):
    """A day, as YYYY-MM-DD."""

    choices: Choices = ()

    def accepts(self, chosen: str) -> bool:
        try:
            day = date.fromisoformat(chosen)
        except ValueError:
            return False
        return day.isoformat() == chosen and EARLIEST_DAY <= day <= LATEST_DAY

    @property
    def is_date(self) -> bool:
        return True


@dataclass
class Listing:
    request: HttpRequest
    rows: QuerySet
    sorts: dict[str, tuple[str, str | Sequence[str | OrderBy]]]
    search: Callable[[QuerySet, str], QuerySet] | None = None
    filters: Iterable[Filter] = field(default_factory=list)
    per_page: int = 50
    known_count: int | None = None  # of `rows`, where the page has counted them already
    views: Any = None  # set by list_pages.answer_list: the list can be kept as a view
    kept: dict[str, str] = field(default_factory=dict)  # further values that belong to the address
    path: str = ""  # of the list, where the page also answers a POST to another address

    def __post_init__(self) -> None:
        query = self.request.GET
        self.path = self.path or self.request.path
        self.filters = list(self.filters)
        text = query.get("q", "").replace("\x00", "").strip()  # PostgreSQL takes no NUL
        self.text = text[:LONGEST_SEARCH]
        self.sort = query.get("sort", "")
        if self.sort not in self.sorts:
            self.sort = next(iter(self.sorts))
        rows = self.whole = self.rows
        if self.search is not None and self.text:
            rows = self.search(rows, self.text)
        for each in self.filters:
            chosen = query.get(each.name, "")
            if chosen and each.accepts(chosen):
                each.value = chosen
                rows = each.narrow(rows)
        order = self.sorts[self.sort][1]
        self.rows = rows.order_by(*([order] if isinstance(order, str) else order))

    @cached_property
    def page(self) -> Page:
        paginator = KeyPaginator(
            self.rows,
            self.per_page,
            self.whole,
            is_narrowed=any(each.value for each in self.filters),
            is_searched=self.is_searchable and bool(self.text),
        )
        if self.known_count is not None and not self._is_narrowed_by_hand:
            paginator.count = self.known_count  # type: ignore[misc]  # a cached property
        return paginator.get_page(self.request.GET.get("page"))

    @property
    def _is_narrowed_by_hand(self) -> bool:
        return bool(self.text) or any(each.value for each in self.filters if not each.is_hidden)

    @property
    def active_filters(self) -> int:
        """How many of the filters on the page narrow the list, beside the search."""
        return sum(1 for each in self.filters if each.value and not each.is_hidden)

    @property
    def is_foldable(self) -> bool:
        """Whether filters and order are worth folding away where the screen is narrow."""
        shown = sum(1 for each in self.filters if not each.is_hidden)
        return shown + (len(self.sorts) > 1) > 1

    @property
    def is_searchable(self) -> bool:
        return self.search is not None

    @property
    def is_narrowed(self) -> bool:
        return bool(self.text) or any(each.value for each in self.filters) or any(self.kept.values())

    @property
    def sort_choices(self) -> list[tuple[str, str, bool]]:
        """(key, label, whether it is the current one)"""
        return [(key, label, key == self.sort) for key, (label, _) in self.sorts.items()]

    @property
    def csv_query(self) -> str:
        return self.query_string(format="csv")

    def query_string(self, **changes: str | int | None) -> str:
        """This list's query string with some values changed; None removes one."""
        values: dict[str, str | int | None] = {"q": self.text, "sort": self.sort}
        values |= {each.name: each.value for each in self.filters} | self.kept
        values |= changes
        return "?" + urlencode({key: value for key, value in values.items() if value not in (None, "")})

"""Pages of long lists: the keys of the page first, from the nearer end, then the rows that are shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core.paginator import Page, Paginator
from django.db.models import QuerySet
from django.utils.functional import cached_property

# Rows from which on a list is long: below, one query for whole rows is the cheaper way.
LONG = 1_000
# Rows found by a search up to which all their keys are read at once, which counts them as well.
MOST_FOUND = 20_000


def rows_by_key(whole: QuerySet, keys: Sequence[Any]) -> list[Any]:
    """The rows of these keys in their order, with the joins and annotations of `whole`; what was deleted
    meanwhile is left out.

    The keys were found under the conditions of the list, so those are not asked again: SQLite, which keeps no
    statistics, would walk a list of 30,000 for them rather than look up 50 keys.
    """
    rows = whole.order_by()
    rows.query.clear_where()
    found = {row.pk: row for row in rows.filter(pk__in=keys)}
    return [found[key] for key in keys if key in found]


class KeyPaginator(Paginator):
    """Django's, but a list that is long or narrowed is sorted and skipped by its keys alone.

    A database that skips 50,000 rows makes each of them, with all its joins and columns, and what it sorts it
    carries along. The order has to be a whole one (end in a unique column): what is nearer to the end is read
    backwards, so that the last page costs what the first does. `whole` is the list before it was searched and
    filtered.

    What `is_narrowed` may be few rows of a big table, for which PostgreSQL would join all of it; a search may
    have to read every text of the project. Both are read once, and counted by their keys where those are few.
    """

    object_list: QuerySet

    def __init__(
        self,
        rows: QuerySet,
        per_page: int,
        whole: QuerySet,
        *,
        is_narrowed: bool = False,
        is_searched: bool = False,
    ) -> None:
        super().__init__(rows, per_page)
        self.whole = whole
        self.is_narrowed = is_narrowed
        self.is_searched = is_searched
        self._first_keys: list[Any] | None = None  # not read

    @cached_property
    def count(self) -> int:
        most = MOST_FOUND if self.is_searched else LONG if self.is_narrowed else 0
        if most:
            self._first_keys = self._all_keys(most + 1)
            if len(self._first_keys) <= most:
                return len(self._first_keys)
        return self.object_list.count()

    def page(self, number: int | str) -> Page:
        number = self.validate_number(number)
        first = (number - 1) * self.per_page
        last = min(first + self.per_page, self.count)
        if self.count <= LONG and not (self.is_narrowed or self.is_searched):
            return Page(self.object_list[first:last], number, self)
        if self.count <= LONG and self._first_keys is None:
            self._first_keys = self._all_keys(LONG)
        if self._first_keys is not None and last <= len(self._first_keys):
            return Page(rows_by_key(self.whole, self._first_keys[first:last]), number, self)
        return Page(rows_by_key(self.whole, self._keys(first, last)), number, self)

    def _all_keys(self, most: int) -> list[Any]:
        """Asked for a page, PostgreSQL would walk the list in its order until it has found so many."""
        return list(self.object_list.values_list("pk", flat=True)[:most])

    def _keys(self, first: int, last: int) -> list[Any]:
        keys = self.object_list.values_list("pk", flat=True)
        if first + last > self.count:
            return list(keys.reverse()[self.count - last : self.count - first])[::-1]
        return list(keys[first:last])

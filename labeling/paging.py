"""Pages of long lists: the keys of the page first, from the nearer end, then the rows that are shown."""

from __future__ import annotations

from typing import Any

from django.core.paginator import Page, Paginator
from django.db.models import QuerySet

# Rows from which on a list is long: below, one query for whole rows is the cheaper way.
LONG = 1_000


class KeyPaginator(Paginator):
    """Django's, but a long list is sorted and skipped by its keys alone.

    A database that skips 50,000 rows makes each of them, with all its joins and columns, and what it sorts it
    carries along. The order has to be a whole one (end in a unique column): what is nearer to the end
    is read backwards, so that the last page costs what the first does.
    """

    object_list: QuerySet

    def page(self, number: int | str) -> Page:
        number = self.validate_number(number)
        first = (number - 1) * self.per_page
        last = min(first + self.per_page, self.count)
        if self.count <= LONG:
            return self._get_page(self.object_list[first:last], number, self)
        return self._get_page(self._rows(first, last), number, self)

    def _rows(self, first: int, last: int) -> list[Any]:
        keys = self.object_list.values_list("pk", flat=True)
        if first + last > self.count:
            wanted = list(keys.reverse()[self.count - last : self.count - first])[::-1]
        else:
            wanted = list(keys[first:last])
        found = {row.pk: row for row in self.object_list.order_by().filter(pk__in=wanted)}
        # What was deleted between the two is left out.
        return [found[key] for key in wanted if key in found]

"""What every list page can do beside showing itself: be kept as a view, and be taken along as CSV.

    COLUMNS = [("Prompt", lambda row: row.preview), ("Added", lambda row: row.created_at)]
    return answer_list(request, "labeling/prompts.html", listing, page="prompts", columns=COLUMNS)

`page` is the list's name in saved_views.LISTS, or in OWN_LISTS for one that spans projects; where there is
one for each batch, person or webhook, `of` is the key of that one. `?format=csv` answers the same rows
(search, filters, order) without paging, a chunk at a time; text that a spreadsheet would run is defused. A
visit without any query opens the person's default view.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from django.core.handlers.asgi import ASGIRequest
from django.db import connections
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils import timezone

from annotate.streaming import stream_file

from .formats.writing import neutralise
from .listing import Listing
from .paging import rows_by_key
from .saved_views import default_view, views_for

ROWS_AT_ONCE = 500
Column = tuple[str, Callable[[Any], Any]]
# Makes whatever the columns need beside the rows, for one chunk of rows at a time.
Prepare = Callable[[list[Any]], Iterable[Any]]


def answer_list(
    request: HttpRequest,
    template: str,
    listing: Listing,
    *,
    page: str,
    columns: Sequence[Column],
    context: dict[str, Any] | None = None,
    prepare: Prepare | None = None,
    status: int = 200,
    of: int | None = None,
    name: str = "",
) -> HttpResponseBase:
    """The list as a page, as CSV, or a redirect to the view with which this person wants it to open.

    `name`: of the CSV file, after the project's; by default the page's.
    """
    project = getattr(request, "project", None)  # none: a list that spans projects
    if request.GET.get("format") == "csv":
        name = f"{project.slug}-{name or page}" if project is not None else name or page
        return csv_answer(request, listing.rows, columns, name=name, prepare=prepare, whole=listing.whole)
    if not request.GET and request.method in ("GET", "HEAD"):
        view = default_view(project=project, user=request.user, page=page)
        if view is not None:
            return redirect(f"{request.path}?{view.query}&view={view.pk}".replace("?&", "?"))
    listing.views = views_for(
        project=project, user=request.user, page=page, membership=getattr(request, "membership", None),
        current=request.GET.get("view", ""), of=of,
    )  # fmt: skip
    return render(request, template, {"listing": listing, **(context or {})}, status=status)


def csv_answer(
    request: HttpRequest,
    rows: QuerySet,
    columns: Sequence[Column],
    *,
    name: str,
    whole: QuerySet,
    prepare: Prepare | None = None,
) -> HttpResponseBase:
    """The rows as a streamed CSV file. Which rows, and their order, are settled before the first byte.

    `whole`: the list before it was narrowed, from which rows are then read by their keys.
    """
    keys = list(rows.values_list("pk", flat=True))
    pieces = _pieces(whole, keys, columns, prepare)
    if isinstance(request, ASGIRequest):
        pieces = _closing_connections(
            pieces
        )  # each piece is made in some thread, with a connection of its own
    return stream_file(request, pieces, filename=f"{name}.csv", media_type="text/csv; charset=utf-8")


def _pieces(
    whole: QuerySet, keys: list[Any], columns: Sequence[Column], prepare: Prepare | None
) -> Iterator[bytes]:
    yield csv_lines([[header for header, _ in columns]])
    for start in range(0, len(keys), ROWS_AT_ONCE):
        chunk = keys[start : start + ROWS_AT_ONCE]
        ordered = rows_by_key(whole, chunk)
        shown = prepare(ordered) if prepare is not None else ordered
        yield csv_lines([[read(row) for _, read in columns] for row in shown])


def _closing_connections(pieces: Iterator[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        connections.close_all()
        yield piece


def csv_lines(rows: Iterable[Sequence[Any]]) -> bytes:
    """Lines of CSV as spreadsheets read them safely: text that begins like a formula gets an apostrophe."""
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_MINIMAL, lineterminator="\r\n")
    for row in rows:
        writer.writerow([_cell(value) for value in row])
    return text.getvalue().encode()


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return timezone.localtime(value).isoformat(timespec="seconds") if timezone.is_aware(value) else value
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.15g}"  # all that a double holds, without the noise of its last bit
    # Numbers (a Decimal too) stay numbers, below zero as well.
    return value if isinstance(value, int) or type(value).__name__ == "Decimal" else neutralise(str(value))

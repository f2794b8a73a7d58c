"""Pages about frozen versions: the data card, what changed between two, one made anew without something."""

from __future__ import annotations

from typing import Any

from django.core.paginator import Paginator
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render

from annotate.accounts.requests import SignedInRequest
from annotate.errors import DomainError
from annotate.streaming import stream_file
from labeling.access import project_route
from labeling.formats import SPLITS
from labeling.formats.differences import ABSENT, FieldDifference
from labeling.permissions import Action
from labeling.services import (
    background,
    dataset_cards,
    dataset_comparing,
    dataset_diff,
    dataset_rebuild,
    downloads,
)
from labeling.textdiff import Piece, word_diff

from .datasets import version_of

CHANGES_A_PAGE = 20
LONGEST_DIFF = 20_000  # characters of both sides; beyond, word by word would take seconds


@project_route(Action.VIEW_DATASETS)
def dataset_compare(request: SignedInRequest, *, project, membership, pk: int, number: int) -> HttpResponse:
    """What differs from an older version (`against`, its id); `change`, `split` and `page` choose."""
    new = version_of(project, pk, number)
    others = dataset_diff.comparable_versions(new)
    chosen = request.GET.get("against", "")
    old = others.filter(pk=int(chosen)).first() if chosen.isdecimal() and len(chosen) < 19 else None
    old = old or dataset_diff.default_older(new)
    context: dict[str, Any] = {
        "version": new,
        "dataset": new.dataset,
        "old": old,
        "others": others[:100],
        "splits": SPLITS,
        "changes": dataset_diff.CHANGES,
        "change": request.GET.get("change", ""),
        "split": request.GET.get("split", ""),
    }
    if old is not None:
        try:
            found = dataset_comparing.comparison_of(old=old, new=new)
            if isinstance(found, dataset_diff.Comparison):
                context |= _differences(found, context["change"], context["split"], request.GET.get("page"))
            else:
                context["progress"] = found
        except DomainError as error:  # files gone or changed: the page says so
            context["problem"] = error.message
    if request.htmx and request.htmx.target == "comparing":
        response = render(request, "labeling/_dataset_comparing.html", context)
        if "progress" not in context:
            response["HX-Refresh"] = "true"
        return response
    return render(request, "labeling/dataset_compare.html", context)


def _differences(found: dataset_diff.Comparison, change: str, split: str, page: str | None) -> dict[str, Any]:
    change = change if change in dataset_diff.CHANGES else ""
    split = split if split in SPLITS else ""
    total = found.count(change=change, split=split)
    shown = Paginator(range(total), CHANGES_A_PAGE).get_page(page)
    skip = (shown.number - 1) * CHANGES_A_PAGE
    after = found.place_before(skip, change=change, split=split)
    rows = found.changes(change=change, split=split, after=after, limit=CHANGES_A_PAGE)
    return {
        "found": found,
        "page": shown,
        "rows": [
            {"row": row, "shown": row.new or row.old, "fields": [_shown(field) for field in row.fields]}
            for row in rows
        ],
    }


def _shown(field: FieldDifference) -> dict[str, Any]:
    """A field with what to show: words marked for two texts, else one value after the other."""
    old, new = field.old, field.new
    pieces: list[Piece] = []
    if isinstance(old, str) and isinstance(new, str) and len(old) + len(new) <= LONGEST_DIFF:
        pieces = word_diff(old, new)
    else:
        pieces += [] if old is ABSENT else [Piece("del", str(old))]
        pieces += [] if new is ABSENT else [Piece("ins", str(new))]
    return {"name": field.field, "pieces": pieces}


@project_route(Action.VIEW_DATASETS)
def dataset_card(request: SignedInRequest, *, project, membership, pk: int, number: int) -> HttpResponseBase:
    """The data card; with `download`, the Markdown itself."""
    version = version_of(project, pk, number)
    card = dataset_cards.card_of(version=version)
    if "download" in request.GET:
        name, media_type = downloads.card_filename(version), "text/markdown; charset=utf-8"
        return stream_file(request, iter([card.encode()]), filename=name, media_type=media_type)
    _, _, text = card.partition("\n")  # the page has its own heading
    context = {"version": version, "dataset": version.dataset, "text": text}
    return render(request, "labeling/dataset_card.html", context)


@project_route(Action.FREEZE_DATASETS, methods=("POST",))
def dataset_rebuild_without(
    request: SignedInRequest, *, project, membership, pk: int, number: int
) -> HttpResponse:
    """The next version without one person, file or guideline version (`what`, `which`); its difference is
    shown after."""
    version = dataset_rebuild.rebuild_without(
        version=version_of(project, pk, number),
        what=request.POST.get("what", ""),
        which=request.POST.get("which", ""),
        acting_user=request.user,
        idempotency_key=request.POST.get("once", ""),
    )
    background.take_up_if_nobody_does(version)
    page = "labeling:dataset_compare" if version.frozen_at else "labeling:dataset_version"
    return redirect(page, slug=project.slug, pk=pk, number=version.number)

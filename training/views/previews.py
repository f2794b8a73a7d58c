"""Which tokens of a dataset version a run would learn, before there is a run."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from annotate.accounts.requests import SignedInRequest
from annotate.errors import DomainError
from annotate.forms import add_domain_error
from labeling.access import project_route
from labeling.permissions import Action
from training.preview_form import TokenPreviewForm
from training.services.preview_jobs import PreviewRequest, begin_preview, take_preview
from training.services.token_preview import STAGE_OF

WHITESPACE = {"\n": "↵\n", "\r": "␍", "\t": "⇥\t"}  # what would not be seen


@project_route(Action.LAUNCH_RUNS)
def token_preview(request: SignedInRequest, *, project, membership) -> HttpResponse:
    """The form; once a version and a model are chosen, what is learnt of them: at once where it is there in a
    second, else the page asks again until it is.
    """
    asked = "train_data" in request.GET and ("model" in request.GET or "base_model" in request.GET)
    found = None
    form = TokenPreviewForm(_with_defaults(request), project=project)
    context: dict[str, Any] = {"form": form, "found": None}
    if not asked:
        form.is_bound = False
        form.initial = request.GET.dict()
    elif form.is_valid():
        wanted = _request_of(form)
        context["stage"] = STAGE_OF[wanted.version.dataset.kind]
        context["waits"] = not begin_preview(wanted)
        if request.htmx and request.htmx.target == "preview-waits":
            return _still_waits(request, context)
        try:
            found = take_preview(wanted)
        except DomainError as error:
            add_domain_error(form, error)
        if found:
            context |= {"found": found, "lengths": _chart(found), "samples": _samples(found)}
            context["over_share"] = round(100 * found["over_long"] / max(1, found["measured"]), 1)
    status = 422 if asked and form.errors else 200
    return render(request, "training/token_preview.html", context, status=status)


def _request_of(form: TokenPreviewForm) -> PreviewRequest:
    data = form.cleaned_data
    return PreviewRequest(
        version=data["train_data"],
        split=data["split"] or "train",
        checkpoint=data["model"],
        base_model=data["base_model"],
        maximum_length=data["maximum_length"],
        rows=data["rows"],
        template=form.template_options(),
    )


def _still_waits(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    """The line that asks again; once there is an answer, the page is loaded anew and shows it."""
    response = render(request, "training/_token_preview_waits.html", context)
    if not context["waits"]:
        response["HX-Refresh"] = "true"
    return response


def _with_defaults(request: HttpRequest) -> dict[str, Any]:
    given = request.GET.dict()
    defaults = {"split": "train", "maximum_length": "512", "rows": "6"}
    return defaults | {name: value for name, value in given.items() if value}


def _chart(found: dict[str, Any]) -> dict[str, Any]:
    bars = found["histogram"]
    return {
        "x": [bar["up_to"] for bar in bars],
        "series": [
            {"name": "fits", "key": "fits", "values": [bar["rows"] if bar["fits"] else 0 for bar in bars]},
            {
                "name": "too long",
                "key": "over",
                "values": [0 if bar["fits"] else bar["rows"] for bar in bars],
            },
        ],
    }


def _samples(found: dict[str, Any]) -> list[dict[str, Any]]:
    """Each part with its marks in runs of one kind, as the page marks runs up: {"learnt", "marks"}."""
    for sample in found["samples"]:
        for part in sample["parts"]:
            runs: list[dict[str, Any]] = []
            for mark in part["marks"]:
                if not runs or runs[-1]["learnt"] != mark["learnt"]:
                    runs.append({"learnt": mark["learnt"], "marks": []})
                runs[-1]["marks"].append({**mark, "shown": _visible(mark["text"])})
            part["runs"] = runs
    return found["samples"]


def _visible(text: str) -> str:
    shown = "".join(WHITESPACE.get(letter, letter) for letter in text)
    return shown or "∅"

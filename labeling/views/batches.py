"""Batches: made, watched, paused, closed."""

from __future__ import annotations

from django.contrib import messages
from django.db.models import Count
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import ngettext

from annotate.errors import DomainError, Invalid, NotFound
from annotate.forms import add_domain_error, whole_number
from annotate.words import _, in_a_sentence
from labeling import list_columns, reports
from labeling.access import project_route
from labeling.forms import BatchForm, BatchPolicyForm
from labeling.list_pages import answer_list
from labeling.listing import Filter, Listing
from labeling.models import Batch, BatchStatus, TaskKind, TaskStatus
from labeling.permissions import Action
from labeling.services import batches as service
from labeling.services.batch_overlap import change_batch_overlap


@project_route(Action.MANAGE_BATCHES)
def batches(request: HttpRequest, *, project, membership) -> HttpResponseBase:
    listing = Listing(
        request,
        reports.with_progress(project.batches.all()),
        sorts={
            "newest": (_("Newest first"), "-id"),
            "priority": (_("Priority"), ("-priority", "-id")),
            "name": (_("Name"), ("name", "id")),
        },
        search=lambda rows, text: rows.filter(name__icontains=text),
        filters=[
            Filter("kind", _("Kind"), [("", _("All")), *TaskKind.choices]),
            Filter("status", _("Status"), [("", _("All")), *BatchStatus.choices]),
        ],
    )
    return answer_list(
        request, "labeling/batches.html", listing, page="batches", columns=list_columns.BATCHES
    )


PROPOSED = ("name", "kind", "limit", "category", "language", "writes_prompt")


@project_route(Action.MANAGE_BATCHES, methods=("GET", "HEAD", "POST"))
def batch_new(request: HttpRequest, *, project, membership) -> HttpResponse:
    """Tasks out of prompts not demonstrated yet, or of completions not ranked yet; a link may propose what
    the form begins with (PROPOSED)."""
    proposed = {name: request.GET[name] for name in PROPOSED if name in request.GET}
    form = BatchForm(request.POST or None, project=project, initial={"kind": None, **proposed})
    if request.method == "POST" and form.is_valid():
        try:
            batch = service.create_batch_from_waiting(
                project=project, acting_user=request.user, **form.cleaned_data
            )
        except DomainError as error:
            add_domain_error(form, error)
        else:
            messages.success(request, "The batch is open: its tasks are being handed out.")
            return redirect("labeling:batch_detail", slug=project.slug, pk=batch.pk)
    context = {"form": form, "waiting": service.waiting_for_batches(project=project)}
    return render(
        request, "labeling/batch_new.html", context, status=422 if request.method == "POST" else 200
    )


@project_route(Action.MANAGE_BATCHES)
def batch_detail(request: HttpRequest, *, project, membership, pk: int) -> HttpResponseBase:
    batch = reports.with_progress(project.batches.filter(pk=pk)).first()
    if batch is None:
        raise NotFound("There is no such batch.")
    listing = Listing(
        request,
        batch.tasks.select_related("prompt").annotate(
            submission_count=Count("submissions", distinct=True), skip_count=Count("skips", distinct=True)
        ),
        sorts={
            "order": (_("In order"), "id"),
            "skipped": (_("Most skipped"), ("-skip_count", "id")),
            "submitted": (_("Most submitted"), ("-submission_count", "id")),
        },
        search=lambda rows, text: rows.filter(prompt__preview__icontains=text),
        filters=[Filter("status", _("Status"), [("", _("All")), *TaskStatus.choices])],
    )
    policy = {"priority": batch.priority, "review_rate": batch.review_rate, "deadline_at": batch.deadline_at}
    context = {
        "batch": batch,
        "policy_form": BatchPolicyForm(initial=policy),
        "figure": batch.figures.first() if batch.kind == TaskKind.RANKING else None,
        "is_ranking": batch.kind == TaskKind.RANKING,
    }
    return answer_list(
        request,
        "labeling/batch_detail.html",
        listing,
        page="tasks",
        columns=list_columns.TASKS,
        context=context,
        of=batch.pk,
        name=f"batch-{batch.pk}-tasks",
    )


BATCH_CHANGES = {"pause": service.pause_batch, "resume": service.resume_batch, "close": service.close_batch}


@project_route(Action.MANAGE_BATCHES, methods=("POST",))
def batch_change(request: HttpRequest, *, project, membership, pk: int) -> HttpResponse:
    """`change` is pause, resume, close, overlap, or policy (with the policy's fields)."""
    batch: Batch | None = project.batches.filter(pk=pk).first()
    if batch is None:
        raise NotFound("There is no such batch.")
    change = request.POST.get("change", "")
    if change == "policy":
        form = BatchPolicyForm(request.POST)
        if form.is_valid():
            service.change_policy(batch=batch, acting_user=request.user, **form.cleaned_data)
            messages.success(request, "Saved. Open tasks follow the new policy.")
        else:
            problems = "; ".join(
                f"{field}: {' '.join(map(str, errors))}" for field, errors in form.errors.items()
            )
            messages.error(request, _("Not saved. %(problems)s") % {"problems": problems})
    elif change == "overlap":
        overlap = whole_number(request.POST.get("overlap"))
        counts = change_batch_overlap(batch=batch, overlap=overlap, acting_user=request.user)
        said = ngettext("Each task goes to %(n)s person.", "Each task goes to %(n)s people.", overlap)
        kept = ngettext("%(n)s task keeps more.", "%(n)s tasks keep more.", counts["kept"])
        both = (
            [said % {"n": overlap}, kept % {"n": counts["kept"]}]
            if counts["kept"]
            else [said % {"n": overlap}]
        )
        messages.success(request, " ".join(both))
    elif change in BATCH_CHANGES:
        batch = BATCH_CHANGES[change](batch=batch, acting_user=request.user)
        messages.success(
            request, _("The batch is %(state)s.") % {"state": in_a_sentence(batch.get_status_display())}
        )
    else:
        raise Invalid("There is no such change.", field="change")
    return redirect("labeling:batch_detail", slug=project.slug, pk=batch.pk)

"""Checkpoints: listed, traced back and forward, given away, pinned."""

from __future__ import annotations

from operator import itemgetter

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import redirect, render

from annotate.errors import DomainError, NotFound
from annotate.forms import add_domain_error
from annotate.streaming import stream_file
from annotate.words import _
from labeling.access import project_route
from labeling.list_pages import Column, answer_list
from labeling.listing import Filter, Listing
from labeling.permissions import Action
from training.export_form import ExportForm
from training.metric_words import figures
from training.models import Checkpoint, CheckpointKind, Stage
from training.services.checkpoints import open_archive, set_pinned
from training.services.event_log import curves
from training.services.exporting import export_checkpoint
from training.services.exports import exports_of
from training.services.lineage import ancestry, descendants
from training.services.retention import disk_use
from training.services.scoring import score_completions
from training.views.frontier import frontier
from training.views.ordering import OrderPage, new_key

COLUMNS: list[Column] = [
    ("id", lambda checkpoint: checkpoint.pk),
    ("run", lambda checkpoint: checkpoint.run.number),
    ("run_name", lambda checkpoint: checkpoint.run.name),
    ("stage", lambda checkpoint: checkpoint.run.stage),
    ("kind", lambda checkpoint: checkpoint.kind),
    ("step", lambda checkpoint: checkpoint.step),
    ("best", lambda checkpoint: checkpoint.is_best),
    ("final", lambda checkpoint: checkpoint.is_final),
    ("pinned", lambda checkpoint: checkpoint.is_pinned),
    ("validation_loss", lambda checkpoint: checkpoint.metrics.get("validation_loss")),
    ("validation_accuracy", lambda checkpoint: checkpoint.metrics.get("validation_accuracy")),
    ("validation_reward", lambda checkpoint: checkpoint.metrics.get("validation_reward")),
    ("validation_kl", lambda checkpoint: checkpoint.metrics.get("validation_kl")),
    ("bytes", lambda checkpoint: checkpoint.size_bytes),
    ("manifest_sha256", lambda checkpoint: checkpoint.manifest_sha256),
    ("made", lambda checkpoint: checkpoint.created_at),
]


def find_checkpoint(project, pk) -> Checkpoint:
    checkpoint = project.checkpoints.filter(pk=pk).select_related("run__project").first()
    if checkpoint is None:
        raise NotFound("There is no such checkpoint in this project.")
    return checkpoint


@project_route(Action.VIEW_RUNS)
def checkpoints(request: HttpRequest, *, project, membership) -> HttpResponseBase:
    listing = Listing(
        request,
        project.checkpoints.present().select_related("run"),
        sorts={
            "newest": (_("Newest first"), ("-created_at", "-step", "pk")),
            "run": (_("By run"), ("-run__number", "-step", "pk")),
            "size": (_("Largest first"), ("-size_bytes", "pk")),
        },
        search=lambda rows, text: rows.filter(run__name__icontains=text),
        filters=[
            Filter("kind", _("Kind"), [("", _("All")), *CheckpointKind.choices]),
            Filter("run__stage", _("Stage"), [("", _("All")), *Stage.choices]),
            Filter(
                "show",
                _("Show"),
                [("", _("All")), ("best", _("Best of each run")), ("pinned", _("Pinned"))],
                apply=_show,
            ),
        ],
    )
    return answer_list(
        request,
        "training/checkpoints.html",
        listing,
        page="checkpoints",
        columns=COLUMNS,
        context={"disk": disk_use(project)},
    )


def _show(rows, value: str):
    return rows.filter(is_best=True) if value == "best" else rows.filter(is_pinned=True)


@project_route(Action.VIEW_RUNS)
def checkpoint_detail(request: HttpRequest, *, project, membership, pk) -> HttpResponse:
    return _detail(request, find_checkpoint(project, pk))


def _detail(
    request: HttpRequest, checkpoint: Checkpoint, export_form: ExportForm | None = None, once: str = ""
) -> HttpResponse:
    """`once`: the key of the export form, where it is shown again."""
    run = checkpoint.run
    context = {
        "checkpoint": checkpoint,
        "run": run,
        "metrics": figures(checkpoint.metrics),
        "ancestry": ancestry(checkpoint.run),
        "descendants": descendants(checkpoint),
        "frontier": frontier({run: curves(run)}, {run: [checkpoint.step]}) if run.stage == "ppo" else None,
        "siblings": checkpoint.run.checkpoints.present().exclude(pk=checkpoint.pk),
        "exports": exports_of(checkpoint),
        "export_form": export_form or ExportForm(),
        "once": {"export": once or new_key(), "score": new_key()},
    }
    status = 200 if export_form is None else 422
    return render(request, "training/checkpoint_detail.html", context, status=status)


@project_route(Action.DOWNLOAD_CHECKPOINTS)
def checkpoint_download(request: HttpRequest, *, project, membership, pk) -> StreamingHttpResponse:
    """A tar archive of the model's folder, streamed; `?with=optimizer` adds what training needs to go on."""
    checkpoint = find_checkpoint(project, pk)
    filename, pieces = open_archive(
        checkpoint=checkpoint, acting_user=request.user, with_optimizer=request.GET.get("with") == "optimizer"
    )
    return stream_file(request, pieces, filename=filename, media_type="application/x-tar")


@project_route(Action.LAUNCH_RUNS, methods=("POST",))
def checkpoint_pin(request: HttpRequest, *, project, membership, pk) -> HttpResponse:
    checkpoint = find_checkpoint(project, pk)
    is_pinned = request.POST.get("pinned") == "1"
    set_pinned(checkpoint=checkpoint, is_pinned=is_pinned, acting_user=request.user)
    messages.success(request, "Pinned: it is kept." if is_pinned else "No longer pinned.")
    return redirect("training:checkpoint_detail", slug=project.slug, pk=checkpoint.pk)


@project_route(Action.LAUNCH_RUNS, methods=("POST",))
def checkpoint_export(request: HttpRequest, *, project, membership, pk) -> HttpResponse:
    """Prepared in the background; what its format cannot hold is said beside the form."""
    checkpoint, page = find_checkpoint(project, pk), OrderPage(request, project)
    if there := page.answered():
        return redirect("training:run_detail", slug=project.slug, number=there[0].number)
    form = ExportForm(request.POST)
    if form.is_valid():
        given = {"project": project, "checkpoint": checkpoint, "acting_user": request.user}
        try:
            run = page.place(
                lambda order: export_checkpoint(**given, values=form.cleaned_data, order=order), itemgetter(0)
            )
        except DomainError as error:
            add_domain_error(form, error)
        else:
            return redirect("training:run_detail", slug=project.slug, number=run.number)
    return _detail(request, checkpoint, form, page.once)


@project_route(Action.LAUNCH_RUNS, methods=("POST",))
def checkpoint_score(request: HttpRequest, *, project, membership, pk) -> HttpResponse:
    """A reward model's opinion of what people rank. Where that cannot be, its page says why."""
    checkpoint = find_checkpoint(project, pk)
    given = {"project": project, "checkpoint": checkpoint, "acting_user": request.user}
    try:
        run = OrderPage(request, project).place(
            lambda order: score_completions(**given, order=order), itemgetter(0)
        )
    except DomainError as error:
        messages.error(request, error.message)
        return redirect("training:checkpoint_detail", slug=project.slug, pk=checkpoint.pk)
    return redirect("training:run_detail", slug=project.slug, number=run.number)

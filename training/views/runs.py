"""Runs: listed, ordered, watched live, compared, cancelled, resumed, retried."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.core.exceptions import NON_FIELD_ERRORS
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache

from annotate.errors import DomainError, Invalid, NotFound
from annotate.forms import add_domain_error
from annotate.streaming import stream_file
from annotate.words import _
from labeling.access import project_route
from labeling.list_pages import Column, answer_list
from labeling.listing import Filter, Listing
from labeling.permissions import Action
from training.forms import PREFIX, PresetForm, RunForm, TextUploadForm
from training.metric_words import chosen_by, deciding, figures
from training.models import Preset, RunStatus, Stage, TrainingRun
from training.preview_form import TEMPLATE_FIELDS
from training.services import runs as service
from training.services.checkpoints import has_none_within_budget
from training.services.event_log import curves, damaged_checkpoints, live_message, log_lines, reports
from training.services.exports import has_files, open_export
from training.services.fitting import STAGES as FITTED
from training.services.fitting import estimate_run
from training.services.learning_curves import create_learning_curve
from training.services.orders import Order
from training.services.presets import delete_preset, save_preset
from training.services.run_settings import form_values_of, settings_of
from training.services.texts import save_text
from training.views.charts import run_charts, undrawn
from training.views.evaluation_tables import class_tables, safety_tables
from training.views.frontier import frontier, sampled_frontier
from training.views.ordering import OrderPage, new_key
from training.views.report_tables import answer_rows, export_verdict, reward_tables

STAGE_WORDS = {
    Stage.PRETRAIN: _("A tokenizer and a small base model from plain text."),
    Stage.SFT: _("Supervised fine-tuning on accepted demonstrations."),
    Stage.REWARD: _("A reward model from people's rankings."),
    Stage.PPO: _("Improves the SFT model against the reward model."),
    Stage.SAMPLE: _("Completions from checkpoints, to be ranked."),
    Stage.EVALUATE: _("Measures a checkpoint on held-out data."),
    Stage.SCORE: _("A reward model on what people rank: rankings it contradicts come before reviewers."),
    Stage.EXPORT: _("A checkpoint for other tools: safetensors, ONNX or GGUF, checked by reading it again."),
}
UPLOADS = (Stage.PRETRAIN, Stage.EVALUATE)  # stages whose form takes texts in
COLUMNS: list[Column] = [
    ("number", lambda run: run.number),
    ("name", lambda run: run.name),
    ("stage", lambda run: run.stage),
    ("status", lambda run: run.status),
    ("step", lambda run: run.step),
    ("total_steps", lambda run: run.total_steps),
    ("validation_loss", lambda run: run.metrics.get("validation_loss")),
    ("validation_reward", lambda run: run.metrics.get("validation_reward")),
    ("made", lambda run: run.created_at),
    ("finished", lambda run: run.finished_at),
    ("by", lambda run: run.created_by.name if run.created_by else ""),
]


def find_run(project, number: int) -> TrainingRun:
    run = project.runs.filter(number=number).select_related("created_by", "project").first()
    if run is None:
        raise NotFound(_("There is no run %(number)s in this project.") % {"number": number})
    return run


@project_route(Action.VIEW_RUNS)
def runs(request: HttpRequest, *, project, membership) -> HttpResponseBase:
    listing = Listing(
        request,
        project.runs.select_related("created_by"),
        sorts={
            "newest": (_("Newest first"), "-number"),
            "oldest": (_("Oldest first"), "number"),
            "finished": (_("Finished last"), ("-finished_at", "-number")),
        },
        search=_search,
        filters=[
            Filter("stage", _("Stage"), [("", _("All")), *Stage.choices]),
            Filter("status", _("Status"), [("", _("All")), *RunStatus.choices]),
        ],
    )
    return answer_list(request, "training/runs.html", listing, page="runs", columns=COLUMNS)


def _search(rows, text: str):
    number = Q(number=int(text)) if text.isdecimal() and len(text) < 9 else Q()
    return rows.filter(Q(name__icontains=text) | Q(preset__icontains=text) | number)


@project_route(Action.LAUNCH_RUNS, methods=("GET", "HEAD", "POST"))
def run_new(request: HttpRequest, *, project, membership) -> HttpResponse:
    """First the stage, then its form. `preset` in the query string fills the form in."""
    stage = request.GET.get("stage", "")
    if stage not in Stage.values:
        stages = [(value, label, STAGE_WORDS[Stage(value)]) for value, label in Stage.choices]
        return render(request, "training/run_stage.html", {"stages": stages})
    if stage == Stage.SAMPLE:
        return redirect("training:sample_new", slug=project.slug)
    preset = request.GET.get("preset", "")
    named = ("train_data", "model", "prompts", *(PREFIX + name for name in TEMPLATE_FIELDS))
    initial: dict[str, Any] = {name: value for name, value in request.GET.items() if name in named}
    source = _run_to_copy(request, project, stage)
    page = OrderPage(request, project, is_order=not {"keep", "fit"} & set(request.POST))
    if there := page.answered():
        return _to_what_was_ordered(there)
    form = RunForm(
        request.POST or None,
        project=project,
        stage=stage,
        preset="" if source else preset,
        copied=source.hyperparameters if source else None,
        initial=form_values_of(source) if source else initial,
    )
    keep = PresetForm(request.POST if "keep" in request.POST else None)
    if "keep" in request.POST or "fit" in request.POST:
        form.ask_for_hyperparameters_only()
    fit = _fit(form) if "fit" in request.POST else None
    if request.method == "POST" and fit is None and form.is_valid():
        answer = _keep_preset(request, form, keep) if "keep" in request.POST else _launch(page, form)
        if answer is not None:
            return answer
    context = {
        "form": form,
        "once": page.once,
        "can_fit": stage in FITTED,
        "fit": fit,
        "source": source,
        "stage": stage,
        "stage_label": Stage(stage).label,
        "stage_words": STAGE_WORDS[Stage(stage)],
        "preset_form": keep,
        "upload_form": TextUploadForm() if stage in UPLOADS else None,
    }
    status = 422 if request.method == "POST" and fit is None else 200
    return render(request, "training/run_new.html", context, status=status)


def _fit(form: RunForm) -> dict[str, Any]:
    """What such a run would choose and need: {"found"}, {"problem"}, or {"waits": True} until it is known."""
    if not form.is_valid():
        name, errors = next(iter(form.errors.items()))
        return {"problem": f"{name.removeprefix(PREFIX)}: {errors[0]}"}
    try:
        found = estimate_run(
            project=form.project,
            stage=form.stage,
            hyperparameters=form.hyperparameters(),
            inputs=form.inputs(),
            base_model=form.cleaned_data.get("base_model", ""),
        )
    except DomainError as error:
        return {"problem": error.message}
    return {"found": found} if found else {"waits": True}


def _run_to_copy(request: HttpRequest, project, stage: str) -> TrainingRun | None:
    """The run of this stage whose settings the form begins with: ?from=3."""
    number = request.GET.get("from", "")
    if not (number.isascii() and number.isdecimal()) or len(number) > 8:
        return None
    return project.runs.filter(number=int(number), stage=stage).first()


def _launch(page: OrderPage, form: RunForm) -> HttpResponse | None:
    try:
        given = {
            "project": form.project,
            "stage": form.stage,
            "name": form.cleaned_data["name"],
            "preset": form.preset,
            "hyperparameters": form.hyperparameters(),
            "inputs": form.inputs(),
            "base_model": form.cleaned_data.get("base_model", ""),
            "options": form.options(),
            "follow_up": form.follow_up(),
            "acting_user": page.request.user,
        }

        def create(order: Order) -> list[TrainingRun]:
            if form.cleaned_data.get("learning_curve"):
                return create_learning_curve(**given, order=order)
            return [service.create_run(**given, order=order)]

        return _to_what_was_ordered(page.place(create, list))
    except DomainError as error:
        _show(form, error)
        return None


def _to_what_was_ordered(runs: list[TrainingRun]) -> HttpResponse:
    slug = runs[0].project.slug
    if len(runs) == 1:
        return redirect("training:run_detail", slug=slug, number=runs[0].number)
    numbers = "&".join(f"run={run.number}" for run in runs)
    return redirect(f"{reverse('training:run_compare', args=[slug])}?{numbers}")


def _show(form: RunForm, error: DomainError) -> None:
    """Each detail beside its hyperparameter; what belongs to no field on top."""
    said = f"{error.message} {error.hint}" if error.hint else error.message
    details = error.details or [{"field": error.field, "message": said}]
    for detail in details:
        name = detail["field"] or ""
        field: str = next((each for each in (name, PREFIX + name) if each in form.fields), NON_FIELD_ERRORS)
        form.add_error(field, detail["message"])


def _keep_preset(request: HttpRequest, form: RunForm, keep: PresetForm) -> HttpResponse | None:
    if not keep.is_valid():
        return None
    try:
        preset = save_preset(
            project=form.project,
            stage=form.stage,
            name=keep.cleaned_data["preset_name"],
            description=keep.cleaned_data["preset_description"],
            values=form.hyperparameters(),
            acting_user=request.user,
        )
    except DomainError as error:
        if error.field == "name":
            keep.add_error("preset_name", error.message)
        else:
            _show(form, error)
        return None
    messages.success(request, _("Kept as “%(name)s”.") % {"name": preset.name})
    chosen = urlencode({"stage": form.stage, "preset": preset.name})
    return redirect(f"{reverse('training:run_new', args=[form.project.slug])}?{chosen}")


@project_route(Action.LAUNCH_RUNS, methods=("POST",))
def text_upload(request: HttpRequest, *, project, membership) -> HttpResponse:
    form = TextUploadForm(request.POST, request.FILES)
    asked = request.GET.get("stage", "")
    stage = Stage(asked) if asked in UPLOADS else Stage.PRETRAIN
    if form.is_valid():
        try:
            upload = form.cleaned_data["file"]
            path = save_text(project=project, name=upload.name, file=upload.file, acting_user=request.user)
        except DomainError as error:
            add_domain_error(form, error)
        else:
            messages.success(request, _("“%(name)s” is there. Choose it below.") % {"name": path.name})
            return redirect(f"{reverse('training:run_new', args=[project.slug])}?stage={stage}")
    context = {
        "form": RunForm(project=project, stage=stage),
        "once": new_key(),
        "stage": stage,
        "stage_label": stage.label,
        "stage_words": STAGE_WORDS[stage],
        "preset_form": PresetForm(),
        "upload_form": form,
    }
    return render(request, "training/run_new.html", context, status=422)


@project_route(Action.VIEW_RUNS)
def run_detail(request: HttpRequest, *, project, membership, number: int) -> HttpResponse:
    run = find_run(project, number)
    found, told = curves(run), reports(run)
    searched = request.GET.get("log", "").replace("\x00", "").strip()[:200]
    checkpoints = list(run.checkpoints.all())
    best_metric = chosen_by(run.hyperparameters, checkpoints)
    context = {
        "run": run,
        "charts": run_charts(run, found),
        "frontier": frontier({run: found}) or sampled_frontier(run),
        "report": reward_tables(told),
        "answers": answer_rows(told),
        "classes": class_tables(told),
        "safety": safety_tables(told),
        "export": export_verdict(told),
        "has_export": has_files(run),
        "lines": log_lines(run, searched),
        "searched": searched,
        "inputs": run.inputs.select_related("dataset_version__dataset", "checkpoint__run"),
        "checkpoints": [(each, deciding(run.stage, each.metrics, best_metric)) for each in checkpoints],
        "damaged": damaged_checkpoints(run),
        "none_within": has_none_within_budget(run),
        "decides": deciding(run.stage, {}, best_metric),
        "fraction": min(1.0, run.step / run.total_steps) if run.total_steps else None,
        "final_metrics": figures({**undrawn(run, found), **run.metrics}),
        "hyperparameters": sorted(run.hyperparameters.items()),
        "batches": project.batches.filter(source__run=str(run.pk)),
    }
    return render(request, "training/run_detail.html", context)


@never_cache
@project_route(Action.VIEW_RUNS)
def run_events(request: HttpRequest, *, project, membership, number: int) -> JsonResponse:
    """What is new since `since`: the same message as over the socket."""
    since = request.GET.get("since", "0") or "0"
    if not since.isdecimal() or len(since) > 12:
        raise Invalid("since: the sequence number of the last event you have.", field="since")
    return JsonResponse(live_message(find_run(project, number), int(since)))


@project_route(Action.VIEW_RUNS)
def run_settings(request: HttpRequest, *, project, membership, number: int) -> HttpResponse:
    """What the run was ordered with, as JSON to keep: POST …/runs/ of the API takes it as it is."""
    answer = JsonResponse(settings_of(find_run(project, number)), json_dumps_params={"indent": 2})
    answer["Content-Disposition"] = f'attachment; filename="{project.slug}-run-{number}.json"'
    return answer


@project_route(Action.DOWNLOAD_CHECKPOINTS)
def run_export(request: HttpRequest, *, project, membership, number: int) -> HttpResponseBase:
    """What an export run made, as a tar archive."""
    filename, pieces = open_export(run=find_run(project, number), acting_user=request.user)
    return stream_file(request, pieces, filename=filename, media_type="application/x-tar")


SAID = {
    "cancel": _("The run is being cancelled."),
    "resume": _("The run goes on from its last checkpoint."),
    "retry": _("The run is queued again."),
    "retry_follow_up": _("It is tried again."),
}


@project_route(Action.LAUNCH_RUNS, methods=("POST",))
def run_change(request: HttpRequest, *, project, membership, number: int) -> HttpResponse:
    run = find_run(project, number)
    change = request.POST.get("change", "")
    if change not in service.CHANGES:
        known = ", ".join(service.CHANGES)
        raise Invalid(_("A change is one of %(known)s.") % {"known": known}, field="change")
    service.CHANGES[change](run=run, acting_user=request.user)
    messages.success(request, SAID[change])
    return redirect("training:run_detail", slug=project.slug, number=run.number)


@project_route(Action.VIEW_RUNS)
def presets(request: HttpRequest, *, project, membership) -> HttpResponse:
    return render(request, "training/presets.html", {"presets": Preset.objects.filter(project=project)})


@project_route(Action.LAUNCH_RUNS, methods=("POST",))
def preset_delete(request: HttpRequest, *, project, membership, pk: int) -> HttpResponse:
    preset = Preset.objects.filter(project=project, pk=pk).first()
    if preset is None:
        raise NotFound("There is no such preset.")
    delete_preset(preset=preset, acting_user=request.user)
    messages.success(request, "The preset is gone; runs made from it keep their values.")
    return redirect("training:presets", slug=project.slug)

"""REST: the hand-out. Ask for work, save drafts, submit, skip, keep or give back the lease."""

from __future__ import annotations

from django.db.models import BigIntegerField
from django.urls import path
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import mixins, status, viewsets
from rest_framework.response import Response

from annotate.api.bodies import shaped, takes_nothing, valid_input
from annotate.api.keys import sent_key
from annotate.errors import Invalid, NotFound
from annotate.forms import whole_number
from annotate.prepared import Prepared
from labeling import task_reports
from labeling.models import Assignment, Layout, Task, TaskKind
from labeling.permissions import Action
from labeling.services import assignments, drafts, submissions
from labeling.services.blind import RANKING_FIELDS, notes_from_public, public_ids, ranking_from_public
from labeling.services.pairwise import ranking_of_strength
from labeling.services.slots import shown_order
from labeling.worksheet import as_json, open_worksheet

from .base import LIST, ONE, PROJECT, ProjectRows, ProjectViewMixin
from .work_shapes import (
    KEY_HEADER,
    PAIRWISE_EXAMPLE,
    RANKING_EXAMPLE,
    AssignmentOutput,
    AssignmentRow,
    DraftInput,
    DraftOutput,
    FenceInput,
    NextInput,
    ReceiptOutput,
    SkipInput,
    SubmitInput,
    TaskOutput,
)

SLOT_OF_PROJECT = Prepared(
    lambda pk, project: Assignment.objects.select_related(
        "task__prompt", "task__starting_draft", "batch", "form_version"
    ).filter(pk=pk, project=project),
    pk=int,
    project=int,
)


class Assignments(ProjectViewMixin, mixins.ListModelMixin, viewsets.GenericViewSet):
    """The caller's own work: what they hold and what was returned to them."""

    serializer_class = AssignmentRow
    policy = {
        "list": Action.VIEW_OWN_WORK,
        "retrieve": Action.VIEW_OWN_WORK,
        "next": Action.WORK,
        "take_up": Action.WORK,
        "submit": Action.WORK,
        "draft": Action.VIEW_OWN_WORK,
        "save_draft": Action.VIEW_OWN_WORK,  # paused in mid-sentence, they lose no word of it
        "skip": Action.WORK,
        "renew": Action.WORK,
        "release": Action.WORK,
    }
    filterset_fields = ["kind", "status"]
    ordering_fields = ["id", "leased_at"]
    queryset = Assignment.objects.none()

    def get_queryset(self):
        return Assignment.objects.filter(project=self.project, annotator=self.request.user).order_by("-id")

    def _assignment(self, pk: int, *, own: bool) -> Assignment:
        """own: only what is in the caller's hands; else any they may have held (the services decide)."""
        # A prepared query takes the number as it is, and databases know none beyond that.
        assignment = SLOT_OF_PROJECT.first(
            pk=min(int(pk), BigIntegerField.MAX_BIGINT), project=self.project.pk
        )
        if assignment is None or not self._may_see(assignment, own):
            raise NotFound("There is no such assignment in your hands.")
        assignment.project = self.project
        return assignment

    def _may_see(self, assignment: Assignment, own: bool) -> bool:
        """A slot that was freed stays addressable for the person who had it, and for nobody else."""
        user = self.request.user
        if assignment.annotator_id == user.pk:
            return True
        return not own and assignment.task.drafts.filter(user=user).exists()

    def _worksheet(self, assignment: Assignment) -> dict:
        sheet = open_worksheet(assignment=assignment, user=self.request.user, project=self.project)
        return as_json(sheet)

    @extend_schema(
        request=NextInput,
        responses={200: AssignmentOutput, 204: None},
        examples=[OpenApiExample("Any kind", value={}, request_only=True)],
    )
    def next(self, request, slug):
        """Lease the next task to the caller; 204 where nothing waits for them.

        What they hold already is answered again. 409 `guideline_not_acknowledged` until the guideline is
        read.
        """
        kind = valid_input(NextInput, request).get("kind")
        assignment = assignments.claim_next(user=request.user, project=self.project, kind=kind)
        if assignment is None:
            return Response(status=status.HTTP_204_NO_CONTENT)
        return Response(self._worksheet(assignment))

    @extend_schema(responses=AssignmentOutput)
    def retrieve(self, request, slug, pk):
        """One of the caller's assignments, as the work screen shows it."""
        return Response(self._worksheet(self._assignment(pk, own=True)))

    @takes_nothing(responses=AssignmentOutput)
    def take_up(self, request, slug, pk):
        """Lease work that a reviewer returned to the caller."""
        assignment = assignments.lease_assignment(
            assignment=self._assignment(pk, own=True), user=request.user
        )
        return Response(self._worksheet(assignment))

    @extend_schema(
        parameters=[KEY_HEADER],
        request=SubmitInput,
        responses={201: ReceiptOutput},
        examples=[
            OpenApiExample(
                "A demonstration",
                value={
                    "fence": 1,
                    "text": "Paris.",
                    "idempotency_key": "5b0c1c9e-8f0b-4a37-9d5e-0d2f0a8a1d11",
                },
                request_only=True,
            ),
            OpenApiExample("A ranking", value=RANKING_EXAMPLE, request_only=True),
            OpenApiExample("A pairwise judgment", value=PAIRWISE_EXAMPLE, request_only=True),
        ],
    )
    def submit(self, request, slug, pk):
        """Submit the work, once. Safe to repeat with the same key until it is answered."""
        assignment = self._assignment(pk, own=False)
        data = dict(valid_input(SubmitInput, request))
        key = sent_key(request, data)
        common = {"assignment": assignment, "user": request.user, "idempotency_key": key}
        common |= {name: data[name] for name in ("fence", "active_seconds", "prompt_flags") if name in data}
        if assignment.kind == TaskKind.DEMONSTRATION:
            _refuse_foreign(data, DEMONSTRATION_CONTENT)
            submission = submissions.submit_demonstration(
                **common,
                text=_required(data, "text"),
                prompt=data.get("prompt"),
                category=data.get("category", ""),
                answers=request.data.get("answers"),
                pasted_characters=data.get("pasted_characters"),
                confirmed_warnings=data.get("confirmed_warnings", []),
            )
        else:
            _refuse_foreign(data, RANKING_CONTENT)
            names = public_ids(assignment.task)
            notes = notes_from_public(request.data.get("notes", []), names)
            ranking = self._ranking(assignment, data, names)
            submission = submissions.submit_ranking(**common, **ranking, notes=notes)
        return Response(shaped(ReceiptOutput, submission.newest_receipt), status=status.HTTP_201_CREATED)

    def _ranking(self, assignment: Assignment, data: dict, names: dict[str, int]) -> dict:
        """From the request as sent: the serializer has checked the shape, the service checks the rest."""
        fields = ranking_from_public(self.request.data, names)
        if "strength" not in data:
            _required(data, "tiers")
            return fields
        if assignment.batch.layout != Layout.PAIRWISE:
            raise Invalid("Only pairwise tasks are answered by a strength.", field="strength")
        if twice := sorted({"tiers", "margins", "unrankable", "touched"} & set(data)):
            raise Invalid("Say the strength, or tiers and margins.", field=twice[0])
        order, _ = shown_order(task=assignment.task, user=self.request.user)
        return fields | ranking_of_strength(data["strength"], order)

    @extend_schema(responses=DraftOutput)
    def draft(self, request, slug, pk):
        """What the caller has typed so far; also after their lease ran out."""
        stored = self._assignment(pk, own=False).task.drafts.filter(user=request.user).first()
        if stored is None:
            raise NotFound("There is no draft for this task.")
        return Response(_draft(stored))

    @extend_schema(
        request=DraftInput,
        responses=DraftOutput,
        examples=[
            OpenApiExample("Typing", value={"revision": 1, "fields": {"text": "Pa"}}, request_only=True)
        ],
    )
    def save_draft(self, request, slug, pk):
        """Keep what was typed. 409 `stale_draft` with the stored `fields` if another window has saved
        since.
        """
        assignment = self._assignment(pk, own=False)
        data = valid_input(DraftInput, request)
        fields = dict(data["fields"])
        seconds = whole_number(fields.pop("active_seconds", data["active_seconds"]))
        stored = drafts.save_draft(
            task=assignment.task,
            user=request.user,
            body=fields,
            revision=data["revision"],
            active_seconds=seconds,
        )
        return Response(_draft(stored))

    @extend_schema(request=SkipInput, responses={204: None})
    def skip(self, request, slug, pk):
        """Pass on this task, with a reason; it is never handed to the caller again."""
        assignment = self._assignment(pk, own=True)
        assignments.skip_assignment(
            assignment=assignment, user=request.user, **valid_input(SkipInput, request)
        )
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(request=FenceInput, responses=AssignmentRow)
    def renew(self, request, slug, pk):
        """Put off the deadline of work in hand."""
        assignment = self._assignment(pk, own=False)
        fence = valid_input(FenceInput, request)["fence"]
        renewed = assignments.renew_lease(assignment=assignment, user=request.user, fence=fence)
        return Response(AssignmentRow(renewed).data)

    @takes_nothing(responses={204: None})
    def release(self, request, slug, pk):
        """Give the task back unfinished; the draft stays."""
        assignments.release_assignment(assignment=self._assignment(pk, own=True), user=request.user)
        return Response(status=status.HTTP_204_NO_CONTENT)


class Tasks(ProjectRows):
    """Tasks of the project, for leads."""

    serializer_class = TaskOutput
    policy = {"list": Action.MANAGE_BATCHES, "retrieve": Action.MANAGE_BATCHES}
    filterset_fields = ["batch", "kind", "status", "prompt"]
    search_fields = ["prompt__preview"]
    ordering_fields = ["id", "done_at"]
    queryset = Task.objects.none()

    def get_queryset(self):
        return task_reports.tasks_with_counts(project=self.project)


DEMONSTRATION_CONTENT = {"text", "prompt", "category", "pasted_characters", "confirmed_warnings"}
RANKING_CONTENT = {*RANKING_FIELDS, "strength", "notes"}


def _required(data: dict, name: str):
    if name not in data:
        raise Invalid("Is missing.", field=name)
    return data[name]


def _refuse_foreign(data: dict, own: set[str]) -> None:
    if foreign := sorted(((DEMONSTRATION_CONTENT | RANKING_CONTENT) - own) & set(data)):
        raise Invalid("Does not belong to this kind of task.", field=foreign[0])


def _draft(stored) -> dict:
    return {"revision": stored.revision, "fields": stored.body, "saved_at": stored.updated_at}


SLOT = f"{PROJECT}assignments/<int:pk>/"
urlpatterns = [
    path(f"{PROJECT}assignments/", Assignments.as_view(LIST), name="api_assignments"),
    path(f"{PROJECT}assignments/next/", Assignments.as_view({"post": "next"}), name="api_next"),
    path(SLOT, Assignments.as_view(ONE), name="api_assignment"),
    path(f"{SLOT}take_up/", Assignments.as_view({"post": "take_up"}), name="api_take_up"),
    path(f"{SLOT}submit/", Assignments.as_view({"post": "submit"}), name="api_submit"),
    path(f"{SLOT}draft/", Assignments.as_view({"get": "draft", "put": "save_draft"}), name="api_draft"),
    path(f"{SLOT}skip/", Assignments.as_view({"post": "skip"}), name="api_skip"),
    path(f"{SLOT}renew/", Assignments.as_view({"post": "renew"}), name="api_renew"),
    path(f"{SLOT}release/", Assignments.as_view({"post": "release"}), name="api_release"),
    path(f"{PROJECT}tasks/", Tasks.as_view(LIST), name="api_tasks"),
    path(f"{PROJECT}tasks/<int:pk>/", Tasks.as_view(ONE), name="api_task"),
]

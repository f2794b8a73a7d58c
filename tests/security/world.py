"""A project with one of everything in it, for the route × role test."""

from __future__ import annotations

import io
import uuid
from typing import Any

from django.utils import timezone

from annotate.sealing import seal
from labeling.models import CommentThread, DeliveryStatus, Draft, Notification, SavedView, TaskKind, Webhook
from labeling.services.adjudications import adjudicate_task, propose_consensus
from labeling.services.appeals import open_appeal
from labeling.services.assignments import claim_next
from labeling.services.comments import add_comment
from labeling.services.dataset_exports import prepare_export
from labeling.services.datasets import create_dataset, freeze_dataset
from labeling.services.imports import upload_file
from labeling.services.people import invite_person
from labeling.services.qualification import open_screening_set
from labeling.services.reviews import accept_submission, return_submission
from labeling.services.span_notes import add_note
from labeling.services.submissions import submit_demonstration
from labeling.services.uploads import begin_upload
from labeling.services.webhook_queue import new_delivery
from labeling.services.webhooks import SALT
from labeling.talk import piece_in_hand
from tests.factories import (
    make_completions,
    make_demonstration_batch,
    make_ranking_batch,
    make_user,
    publish_form,
    publish_guideline,
)
from tests.labeling.work import do_next
from training.models import Checkpoint, CheckpointKind, Preset, RunInput, RunInputRole, TrainingRun
from training.services.continuations import ANEW, COMPARE, FORMER, NEW, ONWARD, START
from training.services.rounds import create_round


def build_world(project, *, admin, annotator, reviewer) -> dict[str, Any]:
    """{name of a path part: primary key} of objects of this project; the annotator owns work, draft and
    notification."""
    publish_guideline(project, TaskKind.DEMONSTRATION, readers=[annotator])
    version = publish_guideline(project, TaskKind.DEMONSTRATION, readers=[annotator])
    publish_form(project, allow_ties=False)
    batch = make_demonstration_batch(project, tasks=5, overlap=1, review_rate=1.0)

    def submit():
        assignment = claim_next(user=annotator, project=project)
        return submit_demonstration(
            assignment=assignment,
            user=annotator,
            fence=assignment.fence,
            idempotency_key=str(uuid.uuid4()),
            text="An answer.",
        )

    accepted = submit()
    review = accept_submission(submission=accepted, revision=1, reviewer=reviewer)
    waiting = submit()
    span_note = add_note(submission=waiting, author=annotator, start=0, end=2, comment="Which one?")
    objected = submit()
    return_submission(submission=objected, revision=1, reviewer=reviewer, note="Shorter.")
    appeal = open_appeal(submission=objected, author=annotator, text="It is short.")
    make_ranking_batch(project, tasks=1, k=2)
    ranking = do_next(annotator, project, kind=TaskKind.RANKING)
    proposal = propose_consensus(ranking.task)
    adjudication = adjudicate_task(task=ranking.task, by=reviewer, tiers=proposal.tiers, note="Clear.")
    assignment = claim_next(user=annotator, project=project)
    add_comment(piece=piece_in_hand(assignment, annotator), author=annotator, text="Why?")
    prompt = assignment.task.prompt
    draft, _ = Draft.objects.update_or_create(
        task=accepted.task, user=make_user(), defaults={"body": {"text": "too late"}, "is_late": True}
    )
    [completion] = make_completions(prompt, 1)
    dataset = create_dataset(
        project=project,
        kind="sft",
        name="Frozen",
        recipe={"fractions": {"train": 1, "validation": 0, "test": 0}},
        acting_user=admin,
    )
    frozen = freeze_dataset(dataset=dataset, acting_user=admin)
    export = prepare_export(version=frozen, format="messages", acting_user=admin)
    record = upload_file(
        project=project,
        kind="prompts",
        file=io.BytesIO(b'{"prompt": "New?"}\n'),
        filename="prompts.jsonl",
        acting_user=admin,
    )
    upload = begin_upload(
        project=project, kind="prompts", filename="more.jsonl", size_bytes=10, acting_user=admin
    )
    invitation, _ = invite_person(
        project=project, email="new@example.com", role="annotator", acting_user=admin
    )
    run = TrainingRun.objects.create(
        project=project,
        number=1,
        stage="sft",
        status="succeeded",
        created_by=admin,
        finished_at=timezone.now(),
    )
    RunInput.objects.create(run=run, role=RunInputRole.TRAIN_DATA, dataset_version=frozen)
    checkpoint = Checkpoint.objects.create(
        run=run,
        project=project,
        kind=CheckpointKind.CAUSAL_LM,
        step=1,
        directory=f"runs/{run.pk}/checkpoints/step-1",
        manifest_sha256="0" * 64,
        is_final=True,
    )
    ids = {ANEW: str(run.pk), ONWARD: str(run.pk), START: str(checkpoint.pk)}
    run.follow_up = {COMPARE: {**ids, FORMER: frozen.pk, NEW: frozen.pk}}
    run.save()
    preset = Preset.objects.create(project=project, stage="sft", name="mine", created_by=admin)
    plan = {"checkpoint": str(checkpoint.pk), "by_hand": ["sft_dataset"]}
    round = create_round(project=project, plan=plan, acting_user=admin)
    screening_batch = make_demonstration_batch(project, tasks=1, purpose="screening")
    screening = open_screening_set(batch=screening_batch, tasks_per_attempt=1, acting_user=admin)
    notification = Notification.objects.create(user=annotator, project=project, kind="test", text="Look.")
    view = SavedView.objects.create(project=project, owner=annotator, page="history", name="Mine")
    own_view = SavedView.objects.create(project=None, owner=annotator, page="projects", name="Mine")
    webhook = Webhook.objects.create(
        project=project,
        url="https://192.0.2.1/",
        events=["run.ended"],
        secret_sealed=seal("whsec_x", salt=SALT),
    )
    delivery = new_delivery(webhook, "run.ended", project, {})
    delivery.status = DeliveryStatus.FAILED
    delivery.save()
    return {
        "slug": project.slug,
        "members": project.memberships.get(user=annotator).pk,
        "invitations": invitation.pk,
        "guideline version": version.pk,
        "batches": batch.pk,
        "assignments": assignment.pk,
        "tasks": assignment.task_id,
        "submissions": waiting.pk,
        "accepted": accepted.pk,
        "appealed": objected.pk,
        "appeals": appeal.pk,
        "own appeal": appeal.pk,
        "ranking task": ranking.task_id,
        "adjudications": adjudication.pk,
        "reviews": review.pk,
        "span-notes": span_note.pk,
        "slot talked about": assignment.pk,
        "comments": CommentThread.objects.get(project=project).pk,
        "late": draft.pk,
        "prompts": prompt.pk,
        "completions": completion.pk,
        "imports": record.pk,
        "uploads": upload.pk,
        "datasets": dataset.pk,
        "exports": export.pk,
        "runs": run.pk,
        "checkpoints": checkpoint.pk,
        "presets": preset.pk,
        "rounds": round.pk,
        "screening": screening.pk,
        "notifications": notification.pk,
        "views": view.pk,
        "own-views": own_view.pk,
        "webhooks": webhook.pk,
        "webhook-deliveries": delivery.pk,
    }

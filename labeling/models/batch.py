from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from annotate.words import _

from .project import Project


class TaskKind(models.TextChoices):
    DEMONSTRATION = "demonstration", _("Demonstration")
    RANKING = "ranking", _("Ranking")

    @property
    def many(self) -> str:
        """The word for several: not every language makes it with an s."""
        return _("Demonstrations") if self is TaskKind.DEMONSTRATION else _("Rankings")


class Layout(models.TextChoices):
    """How a task is laid before a person; each layout has a form of its own in each project."""

    DEMONSTRATION = "demonstration", _("Demonstration")
    RANKING = "ranking", _("Ranking")  # 2 to 9 completions put in order
    PAIRWISE = "pairwise", _("Pairwise")  # 2 completions, which is better and by how much


class TaskPurpose(models.TextChoices):
    """Why a task is handed out. An annotator is never told: all of them look like work."""

    WORK = "work", _("Work")  # by its slots, to whoever comes
    CALIBRATION = "calibration", _("Calibration")  # the same tasks to everybody
    GOLD = "gold", _("Gold")  # a known answer, to everybody
    SCREENING = "screening", _("Screening")  # to those who are not qualified yet
    REPEAT = "repeat", _("Repeat")  # a task the same person judged before


class BatchStatus(models.TextChoices):
    """open ⇄ paused; either → closed. Only open batches hand out work."""

    OPEN = "open", _("Open")
    PAUSED = "paused", _("Paused")
    CLOSED = "closed", _("Closed")  # terminal: nothing more is handed out, what was submitted stays


class BatchQuerySet(models.QuerySet):
    def open(self) -> BatchQuerySet:
        return self.filter(status=BatchStatus.OPEN)


class Batch(models.Model):
    """Tasks made together, under one policy."""

    project = models.ForeignKey(Project, models.PROTECT, related_name="batches")
    kind = models.CharField(max_length=16, choices=TaskKind.choices)
    layout = models.CharField(max_length=16, choices=Layout.choices, default=Layout.RANKING)
    name = models.CharField(max_length=120)
    purpose = models.CharField(max_length=12, choices=TaskPurpose.choices, default=TaskPurpose.WORK)
    status = models.CharField(max_length=8, choices=BatchStatus.choices, default=BatchStatus.OPEN)
    overlap = models.PositiveSmallIntegerField(default=1)
    priority = models.SmallIntegerField(default=0)  # higher is handed out first
    review_rate = models.FloatField(default=0.25)  # share of submissions sampled for review
    deadline_at = models.DateTimeField(null=True, blank=True)
    # Demonstrations: whoever writes starts from a model's answer, where the prompt has one.
    starts_from_draft = models.BooleanField(default=False)
    # Demonstrations: whoever answers writes the prompt too (services.written_prompts).
    writes_prompt = models.BooleanField(default=False)
    source = models.JSONField(default=dict, blank=True)  # how it was made: filter, sampling run, round
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    closed_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)  # its last task was done (services.batch_ends)

    objects = BatchQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        verbose_name_plural = "batches"
        constraints = [
            models.CheckConstraint(
                condition=Q(overlap__gte=1) & Q(overlap__lte=20), name="batch_overlap_1_to_20"
            ),
            models.CheckConstraint(
                condition=Q(review_rate__gte=0) & Q(review_rate__lte=1), name="batch_review_rate_0_to_1"
            ),
            models.CheckConstraint(
                condition=Q(kind="demonstration", layout="demonstration")
                | Q(kind="ranking", layout__in=["ranking", "pairwise"]),
                name="batch_layout_fits_kind",
            ),
        ]
        indexes = [models.Index(fields=["project", "status"])]

    def __str__(self) -> str:
        return self.name


class TaskStatus(models.TextChoices):
    """open → done when every slot holds a submission that stands; either → closed by a lead."""

    OPEN = "open", _("Open")
    DONE = "done", _("Done")
    CLOSED = "closed", _("Closed")


class Task(models.Model):
    """One prompt to be demonstrated, or one set of completions to be ranked."""

    project = models.ForeignKey(Project, models.PROTECT, related_name="tasks")
    batch = models.ForeignKey(Batch, models.PROTECT, related_name="tasks")
    kind = models.CharField(max_length=16, choices=TaskKind.choices)
    prompt = models.ForeignKey("labeling.Prompt", models.PROTECT, related_name="tasks")
    status = models.CharField(max_length=8, choices=TaskStatus.choices, default=TaskStatus.OPEN)
    # The model's answer that is offered as a start; chosen when the batch is made.
    starting_draft = models.ForeignKey(
        "labeling.Completion", models.PROTECT, null=True, related_name="started_tasks"
    )
    overlap = models.PositiveSmallIntegerField(default=1)
    # Tasks that are no plain work get their slots one by one, for each person whose turn it is.
    purpose = models.CharField(max_length=12, choices=TaskPurpose.choices, default=TaskPurpose.WORK)
    priority = models.SmallIntegerField(null=True, blank=True)  # set by a lead; else that of its batch
    parked_at = models.DateTimeField(null=True, blank=True)  # waits for a lead's decision, not handed out
    skips_settled_at = models.DateTimeField(
        null=True, blank=True
    )  # a lead has decided on the skips until then
    repeat_of = models.ForeignKey("self", models.PROTECT, null=True, blank=True, related_name="repeats")
    completions = models.ManyToManyField(
        "labeling.Completion", through="labeling.TaskCompletion", related_name="tasks"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    done_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["id"]
        indexes = [
            models.Index(fields=["batch", "status"]),
            models.Index(
                fields=["project", "purpose", "kind"], condition=~Q(purpose="work"), name="task_special"
            ),
            models.Index(fields=["project"], condition=Q(parked_at__isnull=False), name="task_parked"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} task {self.pk}"


class TaskCompletion(models.Model):
    """Membership of a completion in a ranking task; `position` is the neutral order before shuffling."""

    task = models.ForeignKey(Task, models.CASCADE, related_name="task_completions")
    completion = models.ForeignKey("labeling.Completion", models.PROTECT, related_name="task_completions")
    position = models.PositiveSmallIntegerField()

    class Meta:
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(fields=["task", "completion"], name="completion_once_per_task"),
            models.UniqueConstraint(fields=["task", "position"], name="task_completion_position_once"),
        ]

    def __str__(self) -> str:
        return f"completion {self.completion_id} of task {self.task_id}"

"""Tables of the training rooms: runs, their events, checkpoints, presets and rounds.

The database owns every run (DESIGN.md, promise 7): a Celery message only says "look".
"""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from annotate.words import _
from labeling.models import Batch, DatasetVersion, Project

from .follow_up_words import in_the_readers_words


class Stage(models.TextChoices):
    """What a run does; each is one `python -m training.rlhf STAGE` in a child process."""

    PRETRAIN = "pretrain", _("Pretrain")  # a tokenizer and a small base model from plain text
    SFT = "sft", "SFT"  # supervised fine-tuning on demonstrations
    REWARD = "reward", _("Reward model")  # scores completions as people rank them
    PPO = "ppo", "PPO"  # optimises the policy against the reward model
    SAMPLE = "sample", _("Sample")  # writes completions with one or more checkpoints
    EVALUATE = "evaluate", _("Evaluate")  # measures a checkpoint on held-out data
    SCORE = "score", _("Score")  # a reward model's opinion of the completions that people rank
    EXPORT = "export", _("Export")  # a checkpoint in a format that other tools read


class RunStatus(models.TextChoices):
    """queued → running → succeeded | failed | cancelled; queued → cancelled.

    running → queued when its worker was lost or stops; failed and cancelled → queued on retry and resume.
    """

    QUEUED = "queued", _("Queued")  # waits for a worker
    RUNNING = "running", _("Running")  # a worker holds the lease
    SUCCEEDED = "succeeded", _("Succeeded")  # terminal
    FAILED = "failed", _("Failed")  # terminal: error_message says why; retry makes it queued again
    CANCELLED = "cancelled", _("Cancelled")  # terminal; may be resumed from its last checkpoint

    @property
    def is_terminal(self) -> bool:
        return self in (RunStatus.SUCCEEDED, RunStatus.FAILED, RunStatus.CANCELLED)


class FollowUpStatus(models.TextChoices):
    """none → waiting (the run has succeeded) → done | failed; failed → waiting on retry."""

    NONE = "", _("None")  # nothing is planned, or the run has not succeeded yet
    WAITING = "waiting", _("Waiting")  # to be done by the next sweep
    DONE = "done", _("Done")
    FAILED = "failed", _("Failed")  # follow_up_message says why


class TrainingRunQuerySet(models.QuerySet):
    def queued(self) -> TrainingRunQuerySet:
        return self.filter(status=RunStatus.QUEUED)

    def running(self) -> TrainingRunQuerySet:
        return self.filter(status=RunStatus.RUNNING)

    def active(self) -> TrainingRunQuerySet:
        return self.filter(status__in=[RunStatus.QUEUED, RunStatus.RUNNING])

    def lost(self) -> TrainingRunQuerySet:
        """Running ones whose lease has run out by the database's clock: their worker is gone."""
        return self.running().filter(lease_expires_at__lt=Now())


class TrainingOrder(models.Model):
    """What somebody asked for under a key of theirs: runs or a round, made once however often it comes."""

    project = models.ForeignKey(Project, models.PROTECT, related_name="training_orders")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    key = models.CharField(max_length=80)
    body_sha256 = models.CharField(max_length=64)  # of what was sent
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "user", "key"], name="order_key_once")]

    def __str__(self) -> str:
        return f"order {self.key}"


class TrainingRun(models.Model):
    """One execution of a stage."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(Project, models.PROTECT, related_name="runs")
    number = models.PositiveIntegerField()  # counts within the project: "Run 12"
    name = models.CharField(max_length=120, blank=True)
    stage = models.CharField(max_length=10, choices=Stage.choices)
    preset = models.CharField(max_length=60, blank=True)
    hyperparameters = models.JSONField(default=dict)  # as checked by training.rlhf.config.validate
    # A base model that is none of our checkpoints: a local folder or an allow-listed hub id.
    base_model = models.CharField(max_length=300, blank=True)
    status = models.CharField(max_length=10, choices=RunStatus.choices, default=RunStatus.QUEUED)

    # Lease: attempt is the fencing number; every write of a worker says WHERE attempt = its own.
    attempt = models.PositiveIntegerField(default=0)
    max_attempts = models.PositiveSmallIntegerField(default=3)
    failures_in_a_row = models.PositiveSmallIntegerField(default=0)  # lost workers since the last progress
    worker = models.CharField(max_length=120, blank=True)
    lease_expires_at = models.DateTimeField(null=True, blank=True)  # database clock
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    cancel_requested_at = models.DateTimeField(null=True, blank=True)
    cancel_requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+"
    )

    # Progress, as last reported by the child process.
    step = models.PositiveIntegerField(default=0)
    total_steps = models.PositiveIntegerField(null=True, blank=True)
    seconds_left = models.FloatField(null=True, blank=True)
    metrics = models.JSONField(default=dict, blank=True)  # newest value of each metric; final ones when ended
    error_code = models.CharField(max_length=60, blank=True)
    error_message = models.TextField(blank=True)
    event_count = models.PositiveIntegerField(default=0)  # sequence of the newest RunEvent
    events_offset = models.BigIntegerField(default=0)  # bytes of events.jsonl stored so far

    # What is read besides `inputs`, see services/inputs.py: {"splits": [...], "prompt_ids": [...],
    # "text_files": [...]}
    options = models.JSONField(default=dict, blank=True)
    # When a worker was last rung and how often: the sweeper rings again after growing pauses.
    rung_at = models.DateTimeField(null=True, blank=True)
    ring_count = models.PositiveSmallIntegerField(default=0)

    # What happens by itself when the run has succeeded: e.g. {"sample": {...}} (see services/follow_ups.py).
    follow_up = models.JSONField(default=dict, blank=True)
    follow_up_status = models.CharField(max_length=8, choices=FollowUpStatus.choices, default="", blank=True)
    follow_up_message = models.CharField(max_length=300, blank=True)
    follow_up_lease_expires_at = models.DateTimeField(null=True, blank=True)  # database clock
    order = models.ForeignKey(TrainingOrder, models.PROTECT, null=True, blank=True, related_name="runs")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = TrainingRunQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(fields=["project", "number"], name="run_number_once_per_project"),
            models.CheckConstraint(
                condition=~Q(status="running") | Q(lease_expires_at__isnull=False), name="running_has_lease"
            ),
        ]
        indexes = [
            models.Index(fields=["status", "created_at"]),
            models.Index(fields=["project", "-created_at"]),
        ]

    def __str__(self) -> str:
        return self.name or _("%(stage)s run %(number)s") % {
            "stage": self.get_stage_display(),
            "number": self.number,
        }

    @property
    def is_terminal(self) -> bool:
        return RunStatus(self.status).is_terminal

    @property
    def follow_up_words(self) -> str:
        """What became of the follow-up, in the reader's language."""
        return in_the_readers_words(self.follow_up_message)


class TrainingMachine(models.Model):
    """A machine whose workers take runs, and whether it has a GPU; they say so every minute."""

    host = models.CharField(max_length=200, unique=True)
    has_gpu = models.BooleanField(default=False)
    seen_at = models.DateTimeField()  # database clock

    class Meta:
        ordering = ["host"]

    def __str__(self) -> str:
        return self.host


class RunInputRole(models.TextChoices):
    TRAIN_DATA = "train_data", _("Training data")
    DEMONSTRATIONS = "demonstrations", _("Demonstrations")  # zero the reward model's mean
    PROMPTS = "prompts", _("Prompts")
    MODEL = "model", _("Starts from")  # the checkpoint that is trained further
    REWARD_MODEL = "reward_model", _("Reward model")
    SAMPLE_FROM = "sample_from", _("Sampled checkpoint")
    MIX_DATA = "mix_data", _("Mixed in")  # former training data beside the new


class RunInput(models.Model):
    """What a run reads: lineage. Either a dataset version or a checkpoint."""

    run = models.ForeignKey(TrainingRun, models.CASCADE, related_name="inputs")
    role = models.CharField(max_length=16, choices=RunInputRole.choices)
    dataset_version = models.ForeignKey(
        DatasetVersion, models.PROTECT, null=True, related_name="used_by_runs"
    )
    checkpoint = models.ForeignKey(
        "training.Checkpoint", models.PROTECT, null=True, related_name="used_by_runs"
    )

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(dataset_version__isnull=False, checkpoint=None)
                | Q(dataset_version=None, checkpoint__isnull=False),
                name="run_input_is_one_thing",
            )
        ]

    def __str__(self) -> str:
        return f"{self.get_role_display()} of run {self.run_id}"


class RunEvent(models.Model):
    """One line of the run's events.jsonl, or one of the site's own.

    `sequence` counts without gaps within a run; live pages resume by it.
    """

    run = models.ForeignKey(TrainingRun, models.CASCADE, related_name="events")
    sequence = models.PositiveIntegerField()
    attempt = models.PositiveIntegerField(default=0)
    type = models.CharField(max_length=20)  # state, metrics, progress, log, checkpoint, error
    step = models.PositiveIntegerField(null=True, blank=True)
    data = models.JSONField(default=dict)
    occurred_at = models.DateTimeField()

    class Meta:
        ordering = ["sequence"]
        constraints = [models.UniqueConstraint(fields=["run", "sequence"], name="event_sequence_once")]
        indexes = [models.Index(fields=["run", "type", "sequence"])]

    def __str__(self) -> str:
        return f"{self.type} {self.sequence} of run {self.run_id}"


class CheckpointKind(models.TextChoices):
    CAUSAL_LM = "causal_lm", _("Language model")
    REWARD_MODEL = "reward_model", _("Reward model")


class CheckpointQuerySet(models.QuerySet):
    def present(self) -> CheckpointQuerySet:
        """Those whose files are still kept."""
        return self.filter(removed_at=None)


class Checkpoint(models.Model):
    """Saved weights of a run at one step, with digest and lineage (through the run's inputs)."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    run = models.ForeignKey(TrainingRun, models.PROTECT, related_name="checkpoints")
    project = models.ForeignKey(Project, models.PROTECT, related_name="checkpoints")
    kind = models.CharField(max_length=14, choices=CheckpointKind.choices)
    step = models.PositiveIntegerField()
    directory = models.CharField(max_length=300)  # relative to DATA_DIR
    manifest_sha256 = models.CharField(max_length=64)
    size_bytes = models.BigIntegerField(default=0)
    metrics = models.JSONField(default=dict, blank=True)
    is_best = models.BooleanField(default=False)
    is_final = models.BooleanField(default=False)
    is_pinned = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)
    removed_at = models.DateTimeField(null=True, blank=True)

    objects = CheckpointQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-step"]
        constraints = [models.UniqueConstraint(fields=["run", "step"], name="checkpoint_step_once")]

    def __str__(self) -> str:
        return f"{self.run} · {_('step %(step)s') % {'step': self.step}}"


class Preset(models.Model):
    """Hyperparameters kept under a name. Presets of the papers ship in training.rlhf.config."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="presets")
    stage = models.CharField(max_length=10, choices=Stage.choices)
    name = models.CharField(max_length=60)
    description = models.CharField(max_length=300, blank=True)
    values = models.JSONField(default=dict)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["stage", "name"]
        constraints = [models.UniqueConstraint(fields=["project", "stage", "name"], name="preset_name_once")]

    def __str__(self) -> str:
        return self.name


class RoundStatus(models.TextChoices):
    RUNNING = "running", _("Running")
    DONE = "done", _("Done")
    CANCELLED = "cancelled", _("Cancelled")


class Round(models.Model):
    """One turn of the loop: collect, train, sample, collect again."""

    project = models.ForeignKey(Project, models.PROTECT, related_name="rounds")
    number = models.PositiveIntegerField()
    status = models.CharField(max_length=10, choices=RoundStatus.choices, default=RoundStatus.RUNNING)
    # What each step does (services/round_plans.py): batch sizes, K, presets, automatic or by hand.
    plan = models.JSONField(default=dict)
    # Only one process at a time moves a round on; by the database's clock.
    advancing_until = models.DateTimeField(null=True, blank=True)
    order = models.ForeignKey(TrainingOrder, models.PROTECT, null=True, blank=True, related_name="rounds")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-number"]
        constraints = [models.UniqueConstraint(fields=["project", "number"], name="round_number_once")]

    def __str__(self) -> str:
        return _("Round %(number)s") % {"number": self.number}


class RoundStepKind(models.TextChoices):
    """The arrows of DESIGN.md section 1, in order."""

    DEMONSTRATE = "demonstrate", _("People write demonstrations")
    SFT_DATASET = "sft_dataset", _("SFT dataset")
    SFT_RUN = "sft_run", _("SFT run")
    SAMPLE = "sample", _("Sample completions")
    RANK = "rank", _("People rank completions")
    COMPARISON_DATASET = "comparison_dataset", _("Comparison dataset")
    REWARD_RUN = "reward_run", _("Reward run")
    PPO_RUN = "ppo_run", _("PPO run")
    SAMPLE_AGAIN = "sample_again", _("Sample the better model")
    RANK_AGAIN = "rank_again", _("People rank again")


class RoundStepStatus(models.TextChoices):
    """waiting → ready → active → done | failed (→ active again on retry); waiting → skipped."""

    WAITING = "waiting", _("Waits for the step before")
    READY = "ready", _("Ready to start")  # by hand: the plan does not start it by itself
    ACTIVE = "active", _("Under way")
    DONE = "done", _("Done")
    FAILED = "failed", _("Failed")
    SKIPPED = "skipped", _("Skipped")


class RoundStep(models.Model):
    """One step of a round, with the very batch, dataset version or run that does it."""

    round = models.ForeignKey(Round, models.CASCADE, related_name="steps")
    kind = models.CharField(max_length=20, choices=RoundStepKind.choices)
    position = models.PositiveSmallIntegerField()
    status = models.CharField(max_length=8, choices=RoundStepStatus.choices, default=RoundStepStatus.WAITING)
    is_automatic = models.BooleanField(default=True)
    batch = models.ForeignKey(Batch, models.PROTECT, null=True, related_name="round_steps")
    dataset_version = models.ForeignKey(DatasetVersion, models.PROTECT, null=True, related_name="round_steps")
    run = models.ForeignKey(TrainingRun, models.PROTECT, null=True, related_name="round_steps")
    message = models.CharField(max_length=300, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["position"]
        constraints = [models.UniqueConstraint(fields=["round", "kind"], name="round_step_once")]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} of round {self.round_id}"

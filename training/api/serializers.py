"""Shapes of the learning API; input and output apart. The rules are in services."""

from __future__ import annotations

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from labeling.models import Layout
from training.api.orders import order_key_field
from training.models import Checkpoint, Preset, Round, RoundStep, RunEvent, RunInput, Stage, TrainingRun
from training.services.event_log import reports

LONGEST_REFERENCE = 300  # characters of what names a checkpoint or a dataset version


class RunInputSerializer(serializers.ModelSerializer):
    dataset_version = serializers.SerializerMethodField(
        help_text="Id and name of the dataset version, or null."
    )
    checkpoint = serializers.UUIDField(source="checkpoint_id", allow_null=True)

    class Meta:
        model = RunInput
        fields = ["role", "dataset_version", "checkpoint"]

    @extend_schema_field(OpenApiTypes.OBJECT)
    def get_dataset_version(self, row: RunInput) -> dict | None:
        version = row.dataset_version
        return (
            {"id": str(version.public_id), "name": f"{version.dataset.name}@v{version.number}"}
            if version
            else None
        )


class RunSerializer(serializers.ModelSerializer):
    status_label = serializers.CharField(source="get_status_display", read_only=True)
    created_by = serializers.CharField(source="created_by.username", default=None)

    class Meta:
        model = TrainingRun
        fields = [
            "id",
            "number",
            "name",
            "stage",
            "preset",
            "status",
            "status_label",
            "step",
            "total_steps",
            "seconds_left",
            "metrics",
            "error_code",
            "error_message",
            "attempt",
            "event_count",
            "follow_up_status",
            "follow_up_message",
            "created_by",
            "created_at",
            "started_at",
            "finished_at",
            "cancel_requested_at",
        ]


class CheckpointSerializer(serializers.ModelSerializer):
    run = serializers.UUIDField(source="run_id")
    run_number = serializers.IntegerField(source="run.number")
    stage = serializers.CharField(source="run.stage")

    class Meta:
        model = Checkpoint
        fields = [
            "id",
            "run",
            "run_number",
            "stage",
            "kind",
            "step",
            "metrics",
            "is_best",
            "is_final",
            "is_pinned",
            "size_bytes",
            "manifest_sha256",
            "created_at",
            "removed_at",
        ]


class DescendantRunSerializer(serializers.Serializer):
    role = serializers.CharField(help_text="What the checkpoint was there: model, reward_model and so on.")
    run = serializers.UUIDField(source="run_id")
    number = serializers.IntegerField(source="run.number")
    name = serializers.CharField(source="run.name")
    stage = serializers.CharField(source="run.stage")
    status = serializers.CharField(source="run.status")


class DescendantsSerializer(serializers.Serializer):
    runs = DescendantRunSerializer(many=True, source="inputs")
    completions = serializers.IntegerField(help_text="Sampled from it.")
    scores = serializers.IntegerField(help_text="Completions it has scored.")


class RunDetailSerializer(RunSerializer):
    inputs = RunInputSerializer(many=True)
    checkpoints = CheckpointSerializer(many=True)
    reports = serializers.SerializerMethodField(
        help_text="Tables by name, of an evaluation: `reward` has accuracy by margin, length, category and "
        "annotator with 95 % intervals, calibration, and what people's agreement allows (docs/rlhf.md)."
    )

    @extend_schema_field(OpenApiTypes.OBJECT)
    def get_reports(self, run: TrainingRun) -> dict:
        return reports(run)

    class Meta(RunSerializer.Meta):
        fields = [
            *RunSerializer.Meta.fields,
            "hyperparameters",
            "base_model",
            "options",
            "follow_up",
            "inputs",
            "checkpoints",
            "reports",
        ]


class NewRunSerializer(serializers.Serializer):
    stage = serializers.ChoiceField(choices=Stage.choices)
    name = serializers.CharField(required=False, default="", allow_blank=True, max_length=120)
    preset = serializers.CharField(required=False, default="", allow_blank=True, max_length=60)
    hyperparameters = serializers.DictField(
        required=False, default=dict, help_text="Over those of the preset; see /api/training/stages/."
    )
    inputs = serializers.DictField(
        required=False,
        default=dict,
        help_text="{role: reference, or a list of them}. A reference: an id, NAME@v1, or run:7.",
    )
    base_model = serializers.CharField(required=False, default="", allow_blank=True, max_length=300)
    options = serializers.DictField(required=False, default=dict, help_text="splits, prompt_ids, text_files.")
    learning_curve = serializers.BooleanField(
        required=False,
        default=False,
        help_text="SFT and reward: three runs, on 25, 50 and 100 % of the training prompts. The answer is "
        "the last one; GET …/runs/compare/?run=1&run=2&run=3 on the site shows the curve.",
    )
    follow_up = serializers.DictField(
        required=False, default=dict, help_text="What happens by itself when the run has succeeded."
    )
    idempotency_key = order_key_field()


class EventSerializer(serializers.ModelSerializer):
    class Meta:
        model = RunEvent
        fields = ["sequence", "type", "step", "data", "occurred_at"]


class LiveMessageSerializer(serializers.Serializer):
    """What is new in a run. `run` is left out while more events than fit into one answer are waiting."""

    events = EventSerializer(many=True)
    cursor = serializers.IntegerField()
    run = serializers.DictField(required=False)


class BatchPlanSerializer(serializers.Serializer):
    name = serializers.CharField(required=False, default="", allow_blank=True, max_length=120)
    size = serializers.IntegerField(required=False, help_text="Completions per ranking task (K), 2 to 9.")
    layout = serializers.ChoiceField(
        choices=Layout.choices,
        required=False,
        help_text="pairwise: two completions each, which is better and by how much (blind A/B).",
    )
    overlap = serializers.IntegerField(required=False)
    review_rate = serializers.FloatField(required=False)
    priority = serializers.IntegerField(required=False)


class SampleSerializer(serializers.Serializer):
    checkpoints = serializers.ListField(
        child=serializers.CharField(max_length=LONGEST_REFERENCE), help_text="References to checkpoints."
    )
    prompts_version = serializers.CharField(
        required=False,
        allow_null=True,
        default=None,
        max_length=LONGEST_REFERENCE,
        help_text="A reference to a dataset version.",
    )
    splits = serializers.ListField(
        child=serializers.CharField(max_length=40), required=False, default=["train"]
    )
    prompt_ids = serializers.ListField(child=serializers.IntegerField(), required=False, default=list)
    completions_per_prompt = serializers.IntegerField()
    temperature = serializers.FloatField(required=False, default=1.0)
    hyperparameters = serializers.DictField(
        required=False, default=dict, help_text="top_p, max_new_tokens, seed and the like."
    )
    name = serializers.CharField(required=False, default="", allow_blank=True, max_length=120)
    ranking_batch = BatchPlanSerializer(
        required=False, allow_null=True, default=None, help_text="Leave out to make no ranking batch."
    )
    idempotency_key = order_key_field()


class PresetSerializer(serializers.ModelSerializer):
    class Meta:
        model = Preset
        fields = ["id", "stage", "name", "description", "values", "created_at"]


class NewPresetSerializer(serializers.Serializer):
    stage = serializers.ChoiceField(choices=Stage.choices)
    name = serializers.CharField(max_length=60)
    description = serializers.CharField(required=False, default="", allow_blank=True, max_length=300)
    values = serializers.DictField()


class FieldSerializer(serializers.Serializer):
    name = serializers.CharField()
    type = serializers.CharField()
    default = serializers.JSONField()
    minimum = serializers.FloatField(allow_null=True)
    maximum = serializers.FloatField(allow_null=True)
    choices = serializers.ListField(child=serializers.CharField(), allow_null=True)
    help = serializers.CharField()
    source = serializers.CharField(allow_blank=True)
    group = serializers.CharField(allow_blank=True)


class InputSpecSerializer(serializers.Serializer):
    role = serializers.CharField()
    help = serializers.CharField()
    datasets = serializers.ListField(child=serializers.CharField(), help_text="Kinds of dataset that fit.")
    checkpoint = serializers.CharField(allow_blank=True, help_text="The kind of checkpoint that fits.")
    also_checkpoint = serializers.CharField(allow_blank=True, help_text="Another kind that fits, too.")
    is_required = serializers.BooleanField()
    is_many = serializers.BooleanField()
    or_base_model = serializers.BooleanField()


class StageSerializer(serializers.Serializer):
    stage = serializers.CharField()
    label = serializers.CharField()
    hyperparameters = FieldSerializer(many=True)
    inputs = InputSpecSerializer(many=True)
    presets = serializers.DictField()


class ExportSerializer(serializers.Serializer):
    """Hyperparameters of the export stage, as `training/stages/` describes them."""

    format = serializers.CharField(
        max_length=20, default="safetensors", help_text="safetensors, onnx or gguf"
    )
    weights = serializers.CharField(
        max_length=20, default="float32", help_text="float32, bfloat16 or float16"
    )
    name = serializers.CharField(max_length=100, default="", allow_blank=True)
    license = serializers.CharField(max_length=60, default="other")
    license_name = serializers.CharField(max_length=100, default="", allow_blank=True)
    license_link = serializers.CharField(max_length=300, default="", allow_blank=True)
    idempotency_key = order_key_field()


class RoundStepSerializer(serializers.ModelSerializer):
    label = serializers.CharField(source="get_kind_display")
    run = serializers.UUIDField(source="run_id", allow_null=True)
    batch = serializers.IntegerField(source="batch_id", allow_null=True)
    dataset_version = serializers.UUIDField(source="dataset_version.public_id", default=None, allow_null=True)

    class Meta:
        model = RoundStep
        fields = [
            "kind",
            "label",
            "position",
            "status",
            "is_automatic",
            "batch",
            "dataset_version",
            "run",
            "message",
            "started_at",
            "finished_at",
        ]


class RoundSerializer(serializers.ModelSerializer):
    class Meta:
        model = Round
        fields = ["number", "status", "plan", "created_at", "finished_at"]


class RoundDetailSerializer(RoundSerializer):
    steps = RoundStepSerializer(many=True)

    class Meta(RoundSerializer.Meta):
        fields = [*RoundSerializer.Meta.fields, "steps"]


class NewRoundSerializer(serializers.Serializer):
    plan = serializers.DictField(help_text="Left-out entries take the project's settings; see docs/runs.md.")
    idempotency_key = order_key_field()

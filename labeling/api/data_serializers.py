"""Shapes of prompts, completions, imports and datasets in the API: what comes in and what goes out, apart."""

from __future__ import annotations

from rest_framework import serializers

from annotate.api.keys import key_field
from labeling.formats import EXPORT_FORMATS, FORMATS, SPLITS
from labeling.models import (
    Completion,
    Dataset,
    DatasetKind,
    DatasetVersion,
    ImportKind,
    ImportRecord,
    ImportUpload,
    Prompt,
    RecipeRevision,
)
from labeling.services.export_writing import PARQUET
from labeling.services.selection_counts import reasons_of
from labeling.services.uploads import PIECE_BYTES

LONGEST_COLUMN = 300  # characters of the name of a column


class MessageSerializer(serializers.Serializer):
    role = serializers.ChoiceField(choices=["system", "user", "assistant"])
    content = serializers.CharField(trim_whitespace=False, max_length=1_000_000)


class PromptSerializer(serializers.ModelSerializer):
    messages = MessageSerializer(many=True)
    import_id = serializers.IntegerField(source="import_record_id", allow_null=True)

    class Meta:
        model = Prompt
        fields = [
            "id", "messages", "digest", "category", "language", "metadata", "import_id", "created_at",
            "archived_at",
        ]  # fmt: skip


class NewPrompt(serializers.Serializer):
    messages = MessageSerializer(many=True, help_text="They end with the user.")
    category = serializers.CharField(max_length=80, required=False, allow_blank=True, default="")
    language = serializers.CharField(max_length=16, required=False, allow_blank=True, default="")


class NewPrompts(serializers.Serializer):
    prompts = NewPrompt(many=True, allow_empty=False)


class AddedSerializer(serializers.Serializer):
    added = serializers.IntegerField()
    already_there = serializers.IntegerField()


class PromptChange(serializers.Serializer):
    archived = serializers.BooleanField()


class CompletionSerializer(serializers.ModelSerializer):
    class Meta:
        model = Completion
        fields = [
            "id", "public_id", "prompt_id", "text", "origin", "generator", "checkpoint_key", "run_key",
            "sampling", "source_key", "created_at",
        ]  # fmt: skip


class NewCompletion(serializers.Serializer):
    prompt_id = serializers.IntegerField(min_value=1, max_value=2**63 - 1)
    text = serializers.CharField(trim_whitespace=False, allow_blank=True, max_length=1_000_000)
    generator = serializers.CharField(max_length=120, help_text="The model's name, as people know it.")
    source_key = serializers.CharField(
        max_length=120, help_text="Names the sample; sending the same key again stores nothing twice."
    )
    sampling = serializers.DictField(required=False, help_text="Temperature, seed and so on.")


class NewCompletions(serializers.Serializer):
    completions = NewCompletion(many=True, allow_empty=False)


class CompletionIdsSerializer(serializers.Serializer):
    ids = serializers.ListField(child=serializers.IntegerField(), help_text="In the order they were sent.")


class ImportErrorSerializer(serializers.Serializer):
    message = serializers.CharField()
    file = serializers.CharField()
    row = serializers.IntegerField(allow_null=True)
    field = serializers.CharField(allow_null=True)
    hint = serializers.CharField(allow_null=True)


class ImportReportSerializer(serializers.Serializer):
    kind = serializers.CharField()
    format = serializers.CharField()
    rows = serializers.IntegerField()
    added = serializers.IntegerField(help_text="Rows that would be new.")
    already_there = serializers.IntegerField()
    left_out = serializers.IntegerField(help_text="Faulty rows; all of them: imports/{id}/faults/")
    at = serializers.DateTimeField()


class ImportSerializer(serializers.ModelSerializer):
    error = ImportErrorSerializer(allow_null=True)
    report = ImportReportSerializer(allow_null=True, help_text="Of the last dry run.")
    created_by = serializers.CharField(source="created_by.username", default=None)

    class Meta:
        model = ImportRecord
        fields = [
            "id", "kind", "format", "filename", "sha256", "size_bytes", "column_mapping", "licence",
            "status", "rows_read", "rows_added", "rows_already_there", "leave_out_faulty_rows",
            "rows_left_out", "faults", "error", "report", "created_by", "created_at", "finished_at",
        ]  # fmt: skip


class NewImport(serializers.Serializer):
    file = serializers.FileField(allow_empty_file=True)
    kind = serializers.ChoiceField(choices=ImportKind.choices)
    format = serializers.ChoiceField(
        choices=list(FORMATS),
        required=False,
        allow_blank=True,
        help_text="Told from the content if left out.",
    )
    column_mapping = serializers.JSONField(
        required=False, help_text='Our field to their column, as JSON: {"prompt": "Question"}'
    )
    licence = serializers.CharField(max_length=120, required=False, allow_blank=True, default="")
    leave_out_faulty_rows = serializers.BooleanField(required=False, default=False)
    fixes = serializers.CharField(
        required=False,
        max_length=1_000,
        help_text="Fixes of the preparation report to carry out, with commas between.",
    )
    context = serializers.IntegerField(  # type: ignore[assignment]  # DRF takes fields off the class
        required=False, min_value=1, help_text="Tokens, for drop_over_long."
    )
    evaluation = serializers.CharField(
        required=False,
        max_length=1_000,
        help_text="Ids of imports whose prompts may not be trained on, with commas between, for drop_leaks.",
    )
    dry_run = serializers.BooleanField(
        required=False, default=False, help_text="Read and check every row, store none."
    )


class LicenceChange(serializers.Serializer):
    licence = serializers.CharField(max_length=120, allow_blank=True)


class ConfirmImport(serializers.Serializer):
    kind = serializers.ChoiceField(choices=ImportKind.choices, required=False)
    format = serializers.ChoiceField(choices=list(FORMATS), required=False, allow_blank=True)
    column_mapping = serializers.DictField(
        child=serializers.CharField(max_length=LONGEST_COLUMN), required=False
    )
    leave_out_faulty_rows = serializers.BooleanField(required=False, default=False)
    dry_run = serializers.BooleanField(required=False, default=False)


class UploadSerializer(serializers.ModelSerializer):
    piece_bytes = serializers.IntegerField(default=PIECE_BYTES, help_text="The most that one piece may have.")

    class Meta:
        model = ImportUpload
        fields = ["id", "kind", "filename", "licence", "size_bytes", "offset", "piece_bytes", "created_at"]


class NewUpload(serializers.Serializer):
    kind = serializers.ChoiceField(choices=ImportKind.choices)
    filename = serializers.CharField(max_length=1_000)
    size_bytes = serializers.IntegerField()
    licence = serializers.CharField(max_length=120, required=False, allow_blank=True, default="")


class DatasetSerializer(serializers.ModelSerializer):
    recipe_revision = serializers.IntegerField(
        source="newest_revision",
        read_only=True,
        allow_null=True,
        help_text="The number of the newest, which is `recipe`.",
    )

    class Meta:
        model = Dataset
        fields = ["id", "kind", "name", "recipe", "recipe_revision", "created_at"]


class RecipeChange(serializers.Serializer):
    recipe = serializers.DictField(help_text="The whole recipe; what is left out does not restrict.")
    note = serializers.CharField(max_length=300, required=False, allow_blank=True, default="")
    after = serializers.IntegerField(
        required=False, help_text="The revision you have seen: refused where there is a newer one."
    )


class RecipeRevisionSerializer(serializers.ModelSerializer):
    created_by = serializers.CharField(source="created_by.pseudonym", allow_null=True, default=None)
    versions = serializers.SerializerMethodField(help_text="Numbers of the versions that were frozen by it.")

    class Meta:
        model = RecipeRevision
        fields = ["number", "recipe", "note", "created_by", "created_at", "versions"]

    def get_versions(self, revision: RecipeRevision) -> list[int]:
        return sorted(each.number for each in revision.versions.all())


class NewDataset(serializers.Serializer):
    kind = serializers.ChoiceField(choices=DatasetKind.choices)
    name = serializers.CharField(max_length=120)
    recipe = serializers.DictField(required=False, help_text="What is left out does not restrict.")


class RecipeCount(serializers.Serializer):
    kind = serializers.ChoiceField(choices=DatasetKind.choices)
    recipe = serializers.DictField(required=False)


class CountsSerializer(serializers.Serializer):
    rows = serializers.IntegerField()
    prompts = serializers.IntegerField()
    by_source = serializers.DictField(child=serializers.IntegerField())
    not_selected = serializers.DictField(
        child=serializers.IntegerField(),
        help_text="Rows left out by selection, each under the first reason that does, in their order.",
    )
    fields = serializers.DictField(  # type: ignore[assignment]  # a name of the answer, not DRF's fields
        required=False, child=serializers.IntegerField(), help_text="Rows by field of prompts included."
    )
    filters = serializers.DictField(
        required=False,
        help_text="Of all rows: looked_at, kept, left_out by reason with examples, changed, counted_at.",
    )
    filters_progress = serializers.DictField(
        required=False, help_text="{phase, done, total} while they are being read."
    )


class FreezeInput(serializers.Serializer):
    note = serializers.CharField(max_length=300, required=False, allow_blank=True, default="")
    force = serializers.BooleanField(
        required=False, default=False, help_text="A version of its own also where one has the same rows."
    )
    idempotency_key = key_field("Sent again with it, the freeze is one. As a header: Idempotency-Key.")


class VersionSerializer(serializers.ModelSerializer):
    id = serializers.UUIDField(source="public_id")
    dataset_id = serializers.IntegerField()
    kind = serializers.CharField(source="dataset.kind")
    parent_id = serializers.UUIDField(
        source="parent.public_id", allow_null=True, default=None, help_text="Made of it without something."
    )
    same_as = serializers.IntegerField(
        source="same_as.number",
        allow_null=True,
        default=None,
        help_text="Where nothing was new (`unchanged`): the number of the version with the same rows.",
    )
    recipe_revision = serializers.IntegerField(
        source="recipe_revision.number",
        allow_null=True,
        default=None,
        help_text="Of the dataset's recipe; with a parent, its own, less what was left out.",
    )

    class Meta:
        model = DatasetVersion
        fields = [
            "id", "dataset_id", "kind", "number", "parent_id", "same_as", "status", "recipe",
            "recipe_revision", "row_counts", "sha256", "size_bytes", "note", "error", "created_at",
            "frozen_at",
        ]  # fmt: skip


class VersionDetailSerializer(VersionSerializer):
    not_selected = serializers.SerializerMethodField(
        help_text="As counted when it was frozen: rows that the selection left out, by reason. Null: not yet,"
        " or frozen before they were counted."
    )

    class Meta(VersionSerializer.Meta):
        fields = [*VersionSerializer.Meta.fields, "manifest", "not_selected"]

    def get_not_selected(self, version: DatasetVersion) -> dict[str, int] | None:
        return reasons_of(version)


class RowsQuery(serializers.Serializer):
    split = serializers.ChoiceField(choices=SPLITS, default="train")
    q = serializers.CharField(required=False, allow_blank=True, default="", help_text="Only rows with this.")
    field = serializers.CharField(
        required=False, default="", max_length=100, help_text="Of `fields`, such as category; with `value`."
    )
    value = serializers.CharField(
        required=False,
        default="none",
        max_length=10_000,
        help_text="As text; “none” for rows without the field.",
    )
    page = serializers.IntegerField(min_value=1, required=False, default=1)
    page_size = serializers.IntegerField(min_value=1, max_value=500, required=False, default=50)


class RowsSerializer(serializers.Serializer):
    count = serializers.IntegerField(help_text="Rows in all; a search stops counting at 1,000.")
    next = serializers.IntegerField(allow_null=True, help_text="Number of the next page.")
    previous = serializers.IntegerField(allow_null=True)
    results = serializers.ListField(child=serializers.DictField(), help_text="Canonical rows.")


class DownloadQuery(serializers.Serializer):
    format = serializers.ChoiceField(choices=[*EXPORT_FORMATS, PARQUET], required=False, default="canonical")
    split = serializers.ChoiceField(choices=SPLITS, required=False, allow_null=True, default=None)


class VerificationSerializer(serializers.Serializer):
    problems = serializers.ListField(
        child=serializers.CharField(), help_text="Empty: every byte is as it was frozen."
    )

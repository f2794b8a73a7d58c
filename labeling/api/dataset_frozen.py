"""REST: what is told about a frozen version beyond its rows: its data card, the difference to another one,
and one made anew without something.
"""

from __future__ import annotations

import uuid

from django.urls import path
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.response import Response

from annotate.api.bodies import valid_input, valid_query
from annotate.api.keys import sent_key
from annotate.errors import Conflict, NotFound
from annotate.streaming import stream_file
from annotate.words import _
from labeling.formats import SPLITS
from labeling.models import DatasetVersion
from labeling.permissions import Action
from labeling.services import (
    dataset_cards,
    dataset_comparing,
    dataset_diff,
    dataset_rebuild,
    downloads,
)

from .data_serializers import VersionSerializer
from .dataset_versions import FREEZE_KEY, TAG, VERSION, VersionRows, answer_freeze


class DiffQuery(serializers.Serializer):
    against = serializers.UUIDField(
        required=False,
        allow_null=True,
        default=None,
        help_text="Id of the older version; left out: the one this was made of, or the one before.",
    )
    change = serializers.ChoiceField(choices=dataset_diff.CHANGES, required=False, default="")
    split = serializers.ChoiceField(choices=SPLITS, required=False, default="")
    cursor = serializers.IntegerField(min_value=0, required=False, default=0, help_text="`next` of a page.")
    limit = serializers.IntegerField(min_value=1, max_value=500, required=False, default=100)


class FieldDifferenceSerializer(serializers.Serializer):
    field = serializers.CharField(help_text="Names and positions joined by dots; `split` where it moved.")
    old = serializers.JSONField(required=False, help_text="Not there: the older row has no such field.")
    new = serializers.JSONField(required=False)


class RowChangeSerializer(serializers.Serializer):
    change = serializers.ChoiceField(choices=dataset_diff.CHANGES)
    id = serializers.CharField()
    old = serializers.DictField(allow_null=True, help_text="The row in the older version.")
    new = serializers.DictField(allow_null=True)
    fields_changed = FieldDifferenceSerializer(many=True)


class DiffSerializer(serializers.Serializer):
    old = serializers.UUIDField()
    new = serializers.UUIDField()
    counts = serializers.DictField(child=serializers.IntegerField(), help_text="By kind of change.")
    unchanged = serializers.IntegerField()
    next = serializers.IntegerField(allow_null=True, help_text="Cursor of the next page.")
    results = RowChangeSerializer(many=True)


class ComparingSerializer(serializers.Serializer):
    phase = serializers.ChoiceField(choices=["waiting", "comparing"])
    done = serializers.IntegerField(help_text="Rows of both versions read so far.")
    total = serializers.IntegerField(allow_null=True)


class VersionDiff(VersionRows):
    policy = {"get": Action.VIEW_DATASETS}

    @extend_schema(
        tags=TAG,
        summary="Difference to another version",
        parameters=[DiffQuery],
        responses={200: DiffSerializer, 202: ComparingSerializer},
    )
    def get(self, request, slug, dataset_pk, number):
        """Rows added, removed and changed since an older version, by row id. 202: the versions are large and
        are being compared; ask again."""
        new, query = self.version(), valid_query(DiffQuery, request)
        found = dataset_comparing.comparison_of(old=self._older(new, query["against"]), new=new)
        if not isinstance(found, dataset_diff.Comparison):
            again = {"Retry-After": "2"}
            return Response(ComparingSerializer(found).data, status=status.HTTP_202_ACCEPTED, headers=again)
        changes = found.changes(
            change=query["change"], split=query["split"], after=query["cursor"], limit=query["limit"]
        )
        return Response(
            {
                "old": found.old.public_id,
                "new": found.new.public_id,
                "counts": found.counts,
                "unchanged": found.unchanged,
                "next": changes[-1].place if len(changes) == query["limit"] else None,
                "results": [
                    {
                        "change": each.change,
                        "id": each.id,
                        "old": each.old,
                        "new": each.new,
                        "fields_changed": [field.to_json() for field in each.fields],
                    }
                    for each in changes
                ],
            }
        )

    def _older(self, new: DatasetVersion, against: uuid.UUID | None) -> DatasetVersion:
        if against is None:
            old = dataset_diff.default_older(new)
            if old is None:
                raise Conflict(
                    _("There is no version before %(version)s.") % {"version": new},
                    hint="Name one with `against`.",
                )
            return old
        old = dataset_diff.comparable_versions(new).filter(public_id=against).first()
        if old is None:
            raise NotFound("There is no such version to compare it with.", field="against")
        return old


class VersionCard(VersionRows):
    policy = {"get": Action.VIEW_DATASETS}

    @extend_schema(
        tags=TAG, summary="Data card of a version", responses={(200, "text/markdown"): OpenApiTypes.STR}
    )
    def get(self, request, slug, dataset_pk, number):
        """Counts, splits, agreement, licences, guideline versions and known limits, as Markdown."""
        version = self.version()
        card = dataset_cards.card_of(version=version)
        return stream_file(
            request._request,
            iter([card.encode()]),
            filename=downloads.card_filename(version),
            media_type="text/markdown; charset=utf-8",
        )


class RebuildInput(serializers.Serializer):
    what = serializers.ChoiceField(choices=dataset_rebuild.WITHOUT)
    which = serializers.CharField(
        max_length=150, help_text="A pseudonym, the id of an import, or the number of a guideline version."
    )


class VersionRebuild(VersionRows):
    policy = {"post": Action.FREEZE_DATASETS}

    @extend_schema(
        tags=TAG,
        summary="Freeze it again without something",
        request=RebuildInput,
        responses=dict.fromkeys((200, 201, 202), VersionSerializer),
        parameters=[FREEZE_KEY],
    )
    def post(self, request, slug, dataset_pk, number):
        """The next version without one annotator, import or guideline version; this one is its parent.
        201: ready. 202: it is written meanwhile. 200: nothing was new; the version that has these rows."""
        version = self.version()  # first: a foreign one is not found, whatever was sent
        data = valid_input(RebuildInput, request)
        key = sent_key(request, data)
        made = dataset_rebuild.rebuild_without(
            version=version, acting_user=request.user, idempotency_key=key, **data
        )
        return answer_freeze(made)


urlpatterns = [
    path(f"{VERSION}card/", VersionCard.as_view(), name="api_version_card"),
    path(f"{VERSION}diff/", VersionDiff.as_view(), name="api_version_diff"),
    path(f"{VERSION}rebuild/", VersionRebuild.as_view(), name="api_version_rebuild"),
]

"""What makes a freeze repeatable: a key of the sender's, and the hash of what was asked under it; and what is
done where a version would be the twin of another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.urls import reverse

from annotate.errors import Invalid
from labeling.models import Dataset, DatasetVersion, DatasetVersionStatus

from .activity import notify, record_event
from .receipts import checked_key, sha256_of


@dataclass(frozen=True)
class FreezeRequest:
    """A freeze that was asked for; `key` is "" where it may be done as often as it is asked for."""

    dataset: Dataset
    user: Any
    key: str
    sha256: str

    @classmethod
    def of(cls, dataset: Dataset, user: Any, key: str, asked: dict[str, Any]) -> FreezeRequest:
        """`asked` is what must be alike for a repetition. Raises Invalid for a key that is none."""
        key = checked_key(key) if key else ""
        return cls(dataset, user, key, sha256_of({"dataset": dataset.pk, **asked}))

    def answered_before(self) -> DatasetVersion | None:
        """The version that was begun under this key. Raises Invalid where the key was for another one."""
        if not self.key:
            return None
        made = DatasetVersion.objects.filter(
            dataset=self.dataset, created_by=self.user, idempotency_key=self.key
        )
        version = made.first()
        if version is not None and version.request_sha256 != self.sha256:
            raise Invalid(
                "This key was used for another freeze, whose version stays as it is.",
                code="idempotency_key_reused",
                field="idempotency_key",
                hint="Take a new key for another freeze.",
            )
        return version


def standing(version: DatasetVersion) -> DatasetVersion:
    """The version with the content: an older one, where this one would have been its twin."""
    return version.same_as if version.same_as is not None else version


def end_as_twin(version: DatasetVersion, sha256: str) -> DatasetVersion | None:
    """The ready version of the dataset with the very same manifest, if there is one and no second is wished
    for; `version` has then ended as unchanged. In the transaction that would make it ready.
    """
    # Two that are built at once end one after the other.
    Dataset.objects.select_for_update(no_key=True).get(pk=version.dataset_id)
    if version.is_forced:
        return None
    ready = DatasetVersion.objects.filter(dataset=version.dataset_id, status=DatasetVersionStatus.READY)
    twin = ready.filter(sha256=sha256).order_by("number").first()
    mine = DatasetVersion.objects.filter(
        pk=version.pk, status=DatasetVersionStatus.FREEZING, attempt=version.attempt
    )
    if twin is None or mine.update(status=DatasetVersionStatus.UNCHANGED, same_as=twin) != 1:
        return None
    record_event(
        action="dataset.unchanged",
        actor=version.created_by,
        obj=version,
        project=version.dataset.project,
        same_as=twin.number,
        sha256=sha256,
    )
    return twin


def tell_owner(version: DatasetVersion, text: str, page_of: DatasetVersion | None = None) -> None:
    """A notification to who asked for the version, which leads to its page or to another's."""
    if version.created_by is None:
        return
    dataset, shown = version.dataset, page_of or version
    notify(
        user=version.created_by,
        project=dataset.project,
        kind="dataset.frozen",
        text=text,
        path=reverse("labeling:dataset_version", args=[dataset.project.slug, dataset.pk, shown.number]),
    )

"""Read side of guidelines for their readers: what they have read before, and where to find it."""

from __future__ import annotations

from labeling.models import GuidelineAcknowledgement, GuidelineVersion


def earlier_read(version: GuidelineVersion | None, user) -> int | None:
    """Number of the newest earlier version that this person acknowledged: what they may compare with."""
    if version is None:
        return None
    read = GuidelineAcknowledgement.objects.filter(
        user=user, version__guideline=version.guideline_id, version__number__lt=version.number
    )
    return read.order_by("-version__number").values_list("version__number", flat=True).first()

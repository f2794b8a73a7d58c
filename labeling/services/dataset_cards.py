"""The data card of a version, as page, API and downloads show it."""

from __future__ import annotations

from labeling.formats.data_card import CardTitle, render_card
from labeling.models import DatasetVersion

from .datasets import require_ready
from .import_licences import licences_now


def card_of(*, version: DatasetVersion, as_frozen: bool = False) -> str:
    """Markdown that depends on nothing but the version, the same on every machine, and on licences that were
    changed since: they are said beside those of then, unless `as_frozen`. Raises Conflict while it is not
    ready."""
    require_ready(version)
    dataset = version.dataset
    title = CardTitle(dataset.project.name, dataset.name, version.number)
    return render_card(
        title,
        sha256=version.sha256,
        manifest=version.manifest,
        facts=version.facts,
        licences_now={} if as_frozen else licences_now(version),
    )

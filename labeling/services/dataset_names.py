"""Which dataset version somebody means who types its name."""

from __future__ import annotations

import uuid

from annotate.errors import Invalid, NotFound
from annotate.words import _
from labeling.models import DatasetVersion, DatasetVersionStatus

SHORTEST_HASH = 8
WAYS = "its id, the beginning of its SHA-256, or SLUG/DATASET NAME/NUMBER"


def find_version(name: str) -> DatasetVersion:
    """The ready version by id, by the first eight or more characters of its SHA-256, or by
    SLUG/DATASET NAME/NUMBER.

    Raises NotFound, and Invalid where a hash fits versions with different content.
    """
    ready = DatasetVersion.objects.filter(status=DatasetVersionStatus.READY).select_related(
        "dataset__project"
    )
    try:
        found = list(ready.filter(public_id=uuid.UUID(name)))
    except ValueError:
        slug, _slash, rest = name.partition("/")
        dataset, _slash, number = rest.rpartition("/")
        if number.isdecimal():
            found = list(ready.filter(dataset__project__slug=slug, dataset__name=dataset, number=int(number)))
        elif len(name) >= SHORTEST_HASH:
            found = list(ready.filter(sha256__startswith=name.lower())[:2])
        else:
            found = []
    if not found:
        raise NotFound(_("There is no ready dataset version “%(name)s”.") % {"name": name})
    if len({version.sha256 for version in found}) > 1:
        said = _("“%(name)s” fits several versions. Give more of the SHA-256, or the id.")
        raise Invalid(said % {"name": name})
    return found[0]

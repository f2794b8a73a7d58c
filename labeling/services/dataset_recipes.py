"""Datasets and the revisions of their recipes: a recipe is never overwritten, another one follows it.

A version names the revision that it was frozen by. The trail holds the digest of each, so that `verify` says
where one was changed behind the site's back.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from django.db import IntegrityError, transaction

from annotate.errors import Conflict, Invalid
from annotate.names import check_name
from annotate.words import _
from labeling.formats import canonical_line
from labeling.models import AuditEvent, Dataset, DatasetKind, Project, RecipeRevision

from .activity import record_event
from .judgments import clean_text
from .recipe_kinds import checked_recipe

LONGEST_NOTE = 300


@transaction.atomic
def create_dataset(
    *, project: Project, kind: str, name: str, acting_user, recipe: Mapping[str, Any] | None = None
) -> Dataset:
    """A recipe under a name, its first revision. Raises Invalid (kind, name, an entry of the recipe) and
    Conflict (the name is taken)."""
    if kind not in DatasetKind.values:
        raise Invalid(_("Choose one of %(known)s.") % {"known": ", ".join(DatasetKind.values)}, field="kind")
    name = check_name(name)
    if not 0 < len(name) <= 120:
        raise Invalid("Give it a name of at most 120 characters.", field="name")
    checked = checked_recipe(project, kind, recipe)
    try:
        with transaction.atomic():
            dataset = Dataset.objects.create(
                project=project, kind=kind, name=name, recipe=checked.to_json(), created_by=acting_user
            )
    except IntegrityError as error:
        raise Conflict(
            _("There is a dataset “%(name)s” already.") % {"name": name},
            field="name",
            hint="Choose another name.",
        ) from error
    RecipeRevision.objects.create(
        dataset=dataset,
        number=1,
        recipe=dataset.recipe,
        created_by=acting_user,
        created_at=dataset.created_at,
    )
    record_event(
        action="dataset.created",
        actor=acting_user,
        obj=dataset,
        project=project,
        kind=kind,
        name=name,
        recipe_sha256=recipe_digest(dataset.recipe),
    )
    return dataset


@transaction.atomic
def change_recipe(
    *,
    dataset: Dataset,
    recipe: Mapping[str, Any],
    acting_user,
    note: str = "",
    after: int | None = None,
) -> Dataset:
    """The next versions follow the new recipe, which is the next revision; those there are keep theirs. What
    comes out the same as the newest is none.

    `after`: the revision that whoever asks has seen. Raises Invalid (an entry, the note), Conflict
    (there is a newer one, and it says something else: a form sent twice is one change).
    """
    new = checked_recipe(dataset.project, dataset.kind, recipe).to_json()
    note = clean_text(note, "note").strip()[:LONGEST_NOTE]
    Dataset.objects.select_for_update(no_key=True).get(pk=dataset.pk)  # one person at a time
    newest = newest_revision(dataset)
    number, old = (newest.number, newest.recipe) if newest is not None else (0, dataset.recipe)
    dataset.recipe = old
    if old == new:
        return dataset
    if after is not None and after != number:
        raise Conflict(
            _("The recipe was changed meanwhile: its newest revision is %(number)s.") % {"number": number},
            code="recipe_changed",
            field="after",
            hint=_("Look at that one, then change it again."),
        )
    revision = RecipeRevision.objects.create(
        dataset=dataset,
        number=number + 1,
        recipe=new,
        note=note,
        created_by=acting_user,
    )
    dataset.recipe = new
    dataset.save(update_fields=["recipe"])
    record_event(
        action="dataset.recipe_changed",
        actor=acting_user,
        obj=dataset,
        project=dataset.project,
        old=old,
        new=new,
        revision=revision.number,
        recipe_sha256=recipe_digest(new),
    )
    return dataset


def newest_revision(dataset: Dataset) -> RecipeRevision | None:
    return dataset.revisions.order_by("-number").first()


def recipe_digest(recipe: Mapping[str, Any]) -> str:
    """SHA-256 of a recipe in canonical form."""
    return hashlib.sha256(canonical_line(dict(recipe))).hexdigest()


def verify_recipes() -> Iterator[tuple[str, list[str]]]:
    """For `manage.py verify`, by dataset: is each revision what the audit trail says of it?"""
    for dataset in Dataset.objects.select_related("project").order_by("pk"):
        told = dict(_told_of(dataset))
        problems = []
        revisions = {each.number: each.recipe for each in dataset.revisions.order_by("number")}
        for number, recipe in revisions.items():
            if number in told and recipe_digest(recipe) != told[number]:
                problems.append(f"revision {number} of its recipe was changed")
        problems += [
            f"revision {number} of its recipe was removed"
            for number in sorted(told.keys() - revisions.keys())
        ]
        if revisions and dataset.recipe != revisions[max(revisions)]:
            problems.append("its recipe is not the newest revision's")
        yield f"{dataset.project.slug}: {dataset}", problems


def _told_of(dataset: Dataset) -> Iterator[tuple[int, str]]:
    """(number, digest) of each revision that the trail tells of; rows from before there were some do not."""
    rows = AuditEvent.objects.filter(
        object_type="dataset",
        object_id=str(dataset.pk),
        action__in=("dataset.created", "dataset.recipe_changed"),
    )
    for data in rows.order_by("pk").values_list("data", flat=True):
        if "recipe_sha256" in data:
            yield data.get("revision", 1), data["recipe_sha256"]

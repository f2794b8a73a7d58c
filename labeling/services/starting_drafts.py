"""Starting from a model's draft: which one a task offers, and what an answer made of it is worth."""

from __future__ import annotations

from django.db.models import OuterRef, Subquery

from annotate.errors import Invalid
from labeling.models import Batch, Completion, CompletionOrigin


def offer_drafts(batch: Batch) -> int:
    """Inside the making of a batch: each task offers the newest model's answer to its prompt; how many do.

    Chosen once and stored, so that everybody at the task starts alike and the lineage of what comes of it is
    known. Raises Invalid where no prompt of the batch has one.
    """
    drafts = Completion.objects.filter(prompt=OuterRef("prompt")).exclude(text="")
    newest = drafts.exclude(origin=CompletionOrigin.PERSON).order_by("-pk").values("pk")[:1]
    tasks = batch.tasks.annotate(draft=Subquery(newest)).exclude(draft=None)
    count = tasks.count()
    if count == 0:
        raise Invalid(
            "No prompt of this batch has a model's answer to start from.",
            field="starts_from_draft",
            hint="Sample completions for these prompts first, or let people start from an empty page.",
        )
    batch.tasks.update(starting_draft=Subquery(newest))
    batch.starts_from_draft = True
    batch.save(update_fields=["starts_from_draft"])
    return count

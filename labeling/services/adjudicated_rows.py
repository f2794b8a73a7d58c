"""Comparison rows with the settled order in place of people's rankings, where a recipe asks for it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from labeling.formats import ranks_from_tiers
from labeling.formats.canonical import comparison_row
from labeling.models import Adjudication, Project, Submission

from .prompts import chunked

if TYPE_CHECKING:
    from .selected_rows import Selected

FETCH = 500
REPLACED = "replaced by the settled order of its task"


def with_settled_orders(rows: Iterable[Selected], project: Project) -> Iterator[Selected]:
    """The same rows; of a task with a standing adjudication only its oldest ranking, with that order.

    Its source names the adjudication and no longer an annotator, guideline or review: the order is none of
    theirs. Margins and scores go, since nobody gave any for it. Memory stays flat but for the ids of settled
    tasks.
    """
    done: set[int] = set()
    for chunk in chunked(rows, FETCH):
        tasks = dict(
            Submission.objects.filter(
                pk__in=[each.member_id for each in chunk], project=project, task__isnull=False
            ).values_list("pk", "task_id")
        )
        standing = Adjudication.objects.filter(task__in=set(tasks.values()), superseded_at=None)
        settled = {each.task_id: each for each in standing.select_related("by")}
        for each in chunk:
            adjudication = settled.get(tasks.get(each.member_id, 0))
            if adjudication is None or each.row is None:
                yield each
            elif adjudication.task_id in done:
                yield dataclasses.replace(each, row=None, left_out=REPLACED)
            else:
                done.add(adjudication.task_id)
                yield _settled(each, adjudication)


def _settled(selected: Selected, adjudication: Adjudication) -> Selected:
    row = selected.present_row
    place = {int(completion["id"]): index for index, completion in enumerate(row["completions"])}
    if sum(map(len, adjudication.tiers)) < 2:
        return dataclasses.replace(selected, row=None, left_out="fewer than two completions ranked")
    tiers = [[place[pk] for pk in tier] for tier in adjudication.tiers]
    source = row["source"] | {
        "annotator": None,
        "guideline_version": None,
        "review": None,
        "adjudication": adjudication.pk,
        "adjudicated_by": adjudication.by.pseudonym,
    }
    settled = comparison_row(
        id=row["id"],
        prompt_id=row["prompt_id"],
        messages=row["messages"],
        completions=row["completions"],
        ranks=ranks_from_tiers(tiers, len(place)),
        source=source,
    )
    return dataclasses.replace(selected, row=settled)

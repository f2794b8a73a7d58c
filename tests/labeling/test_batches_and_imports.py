"""What a file brought in already judged does not wait to be judged again."""

from __future__ import annotations

import io
import json

import pytest

from labeling.models import Completion, TaskKind
from labeling.services import batches, imports

pytestmark = pytest.mark.django_db


def bring_in(cast, kind: str, *rows: dict) -> None:
    file = io.BytesIO("".join(json.dumps(row) + "\n" for row in rows).encode())
    record = imports.start_import(
        project=cast.project, kind=kind, file=file, filename="rows.jsonl", acting_user=cast.admin
    )
    imports.raise_if_failed(record)


def test_completions_imported_with_their_ranking_do_not_wait_to_be_ranked(cast):
    bring_in(cast, "comparisons", {"prompt": "Judged?", "chosen": "Yes.", "rejected": "No."})
    bring_in(
        cast,
        "completions",
        {"prompt": "Judged too?", "completions": ["A", "B"], "ranks": [1, 2]},
        {"prompt": "Waits?", "completions": ["C", "D"]},
    )
    sets = list(batches.completion_sets_for(project=cast.project, size=4))
    texts = [set(Completion.objects.filter(pk__in=ids).values_list("text", flat=True)) for _, ids in sets]
    assert texts == [{"C", "D"}]
    assert batches.waiting_for_batches(project=cast.project)[TaskKind.RANKING] == 2


def test_completions_of_another_file_for_a_judged_prompt_wait(cast):
    bring_in(cast, "comparisons", {"prompt": "Judged?", "chosen": "Yes.", "rejected": "No."})
    bring_in(cast, "completions", {"prompt": "Judged?", "completions": ["New", "Newer"]})
    ((_, ids),) = batches.completion_sets_for(project=cast.project, size=4)
    assert set(Completion.objects.filter(pk__in=ids).values_list("text", flat=True)) == {"New", "Newer"}


def test_prompts_imported_with_their_demonstration_do_not_wait_for_one(cast):
    bring_in(cast, "demonstrations", {"prompt": "Answered?", "completion": "Yes."})
    bring_in(cast, "prompts", {"prompt": "Open?"})
    rows = batches.prompts_without_task(project=cast.project, kind=TaskKind.DEMONSTRATION)
    assert "Open?" in rows.values_list("preview", flat=True)
    assert "Answered?" not in rows.values_list("preview", flat=True)

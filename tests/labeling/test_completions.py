"""Completions handed back by training: once each, of this project only."""

from __future__ import annotations

import uuid

import pytest

from annotate.errors import Invalid
from labeling.models import AuditEvent, Completion, CompletionOrigin
from labeling.services.completions import record_completions
from tests.factories import make_prompt


def row(prompt, key: str, text: str = "Yes.", **fields) -> dict:
    return {"prompt_id": prompt.pk, "text": text, "generator": "sft-1", "source_key": key, **fields}


def test_the_ids_are_in_the_order_of_the_rows(cast):
    prompt = make_prompt(cast.project)
    ids = record_completions(project=cast.project, rows=[row(prompt, key, key) for key in "bca"])
    texts = Completion.objects.in_bulk(ids)
    assert [texts[pk].text for pk in ids] == ["b", "c", "a"]


def test_the_same_sample_again_is_the_same_completion(cast):
    prompt = make_prompt(cast.project)
    first = record_completions(project=cast.project, rows=[row(prompt, "a"), row(prompt, "b")])
    again = record_completions(project=cast.project, rows=[row(prompt, "b"), row(prompt, "c")])
    assert again[0] == first[1]
    assert Completion.objects.count() == 3


def test_a_sample_of_a_checkpoint_says_so(cast):
    key = uuid.uuid4()
    rows = [row(make_prompt(cast.project), "a", checkpoint_key=key, sampling={"temperature": 0.7})]
    [pk] = record_completions(project=cast.project, rows=rows)
    completion = Completion.objects.get(pk=pk)
    assert (completion.origin, completion.checkpoint_key) == (CompletionOrigin.MODEL, key)
    assert completion.sampling == {"temperature": 0.7}


def test_a_nul_that_a_model_wrote_is_replaced(cast):
    [pk] = record_completions(project=cast.project, rows=[row(make_prompt(cast.project), "a", "a\0b")])
    assert Completion.objects.get(pk=pk).text == "a\ufffdb"


def test_a_prompt_of_another_project_is_refused_and_nothing_is_stored(cast):
    foreign = make_prompt(cast.other_project)
    with pytest.raises(Invalid, match=f"Prompt {foreign.pk} is not in this project"):
        record_completions(
            project=cast.project, rows=[row(make_prompt(cast.project), "a"), row(foreign, "b")]
        )
    assert not Completion.objects.exists()


@pytest.mark.parametrize("key", ["", None, "x" * 121])
def test_a_row_needs_a_usable_source_key(cast, key):
    with pytest.raises(Invalid) as raised:
        record_completions(project=cast.project, rows=[row(make_prompt(cast.project), key)])
    assert raised.value.field == "source_key"


def test_recording_is_audited_once_and_only_when_something_is_new(cast):
    prompt = make_prompt(cast.project)
    for _ in range(2):
        record_completions(project=cast.project, rows=[row(prompt, "a")], acting_user=cast.admin)
    event = AuditEvent.objects.get(action="completions.recorded")
    assert event.data["added"] == 1

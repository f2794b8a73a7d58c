"""Prompts, as leads see them."""

from __future__ import annotations

import pytest

from annotate.errors import Conflict
from labeling.models import AssignmentStatus
from labeling.services.batches import create_demonstration_batch
from labeling.services.prompts import archive_prompt, preview_of, restore_prompt
from tests.factories import make_completions, make_prompt

from .judgments import make_demonstration
from .test_dataset_freeze import make_version


@pytest.fixture
def lead(client, cast):
    client.force_login(cast.lead)
    return client


def url(cast, rest: str = "") -> str:
    return f"/projects/{cast.project.slug}/prompts/{rest}"


def test_the_list_searches_and_filters(lead, cast):
    make_prompt(cast.project, "What is a fjord?", category="geography")
    make_prompt(cast.project, "What is a fugue?", category="music")
    page = lead.get(url(cast), {"q": "FJORD", "category": "geography"}).content.decode()
    assert "fjord" in page
    assert "fugue" not in page


def test_archived_prompts_are_shown_only_when_asked_for(lead, cast):
    prompt = make_prompt(cast.project, "An old question?")
    lead.post(url(cast, f"{prompt.pk}/change/"), {"change": "archive"})
    assert "An old question?" not in lead.get(url(cast)).content.decode()
    assert "An old question?" in lead.get(url(cast), {"state": "archived"}).content.decode()
    lead.post(url(cast, f"{prompt.pk}/change/"), {"change": "restore"})
    assert "An old question?" in lead.get(url(cast)).content.decode()


def test_the_number_of_queries_does_not_grow_with_the_prompts(lead, cast, django_assert_max_num_queries):
    for _ in range(30):
        make_completions(make_prompt(cast.project), 3)
    with django_assert_max_num_queries(12):
        lead.get(url(cast))


def test_a_prompt_shows_completions_with_their_model_judgments_and_versions(lead, cast):
    submission = make_demonstration(cast.project, cast.annotator)
    make_completions(submission.prompt, 1, generator="gpt-tiny")
    version = make_version(cast, name="Golden set")
    page = lead.get(url(cast, f"{submission.prompt_id}/")).content.decode()
    for expected in ("gpt-tiny", cast.annotator.name, str(version)):
        assert expected in page


def test_text_of_prompts_and_models_is_never_markup(lead, cast):
    prompt = make_prompt(cast.project, "<script>alert(1)</script>", metadata={"<i>": "<img src=x>"})
    make_completions(prompt, ["<script>alert(2)</script>"])
    for page in (lead.get(url(cast)), lead.get(url(cast, f"{prompt.pk}/"))):
        text = page.content.decode()
        assert "<script>alert" not in text
        assert "<img src=x" not in text


@pytest.mark.parametrize(("who", "status"), [("annotator", 403), ("outsider", 404)])
def test_annotators_do_not_see_prompts_nor_which_model_wrote_what(client, cast, who, status):
    prompt = make_prompt(cast.project)
    client.force_login(getattr(cast, who))
    assert client.get(url(cast)).status_code == status
    assert client.get(url(cast, f"{prompt.pk}/")).status_code == status
    assert client.post(url(cast, f"{prompt.pk}/change/"), {"change": "archive"}).status_code == status


def test_a_foreign_prompt_is_not_found(lead, cast):
    assert lead.get(url(cast, f"{make_prompt(cast.other_project).pk}/")).status_code == 404


def test_a_prompt_in_work_is_not_archived(cast):
    prompt = make_prompt(cast.project)
    batch = create_demonstration_batch(
        project=cast.project, name="b", prompts=[prompt], acting_user=cast.lead
    )
    batch.assignments.update(status=AssignmentStatus.RETURNED, annotator=cast.annotator)
    with pytest.raises(Conflict, match="working on this prompt"):
        archive_prompt(prompt=prompt, acting_user=cast.lead)


def test_archiving_twice_is_one_event(cast):
    prompt = make_prompt(cast.project)
    archive_prompt(prompt=prompt, acting_user=cast.lead)
    archive_prompt(prompt=prompt, acting_user=cast.lead)
    assert cast.project.audit_events.filter(action="prompt.archived").count() == 1
    assert restore_prompt(prompt=prompt, acting_user=cast.lead).archived_at is None


def test_a_preview_is_the_last_user_turn_on_one_line():
    messages = [
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": "answer"},
        {"role": "user", "content": "second\n\n  line " + "x" * 400},
    ]
    assert preview_of(messages).startswith("second line xxx")
    assert len(preview_of(messages)) == 300

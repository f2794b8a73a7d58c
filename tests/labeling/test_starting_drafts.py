"""Starting from a model's draft: offered, edited, shown as a difference, and a pair for comparison
datasets.
"""

from __future__ import annotations

import pytest
from django.urls import reverse

from annotate.errors import Invalid
from labeling.models import Demonstration
from labeling.services.answer_checks import UnconfirmedWarnings
from labeling.services.batches import create_demonstration_batch
from labeling.services.datasets import create_dataset, freeze_dataset, open_split
from labeling.services.lineage import versions_containing
from labeling.services.projects import update_settings
from labeling.services.reviews import accept_submission
from labeling.services.span_notes import add_note
from labeling.worksheet import as_json, open_worksheet
from tests.factories import make_completions, make_prompt

from .work import claim, submit

pytestmark = pytest.mark.django_db
DRAFT = "Paris is in Frence."
MENDED = "Paris is in France."
ALL_TRAIN = {"train": 1, "validation": 0, "test": 0}


@pytest.fixture
def drafts(cast):
    """Two prompts; the first has two answers of models, of which the newer is DRAFT."""
    first, second = make_prompt(cast.project, "Where is Paris?"), make_prompt(cast.project)
    make_completions(first, ["Nowhere.", DRAFT], generator="tiny-sft")
    return make_batch(cast, [first, second])


def make_batch(cast, prompts, **policy):
    return create_demonstration_batch(
        project=cast.project,
        name="drafts",
        prompts=prompts,
        acting_user=cast.admin,
        starts_from_draft=True,
        **{"review_rate": 1, **policy},
    )


def freeze(cast, kind, **recipe):
    dataset = create_dataset(
        project=cast.project,
        kind=kind,
        name=f"{kind} {recipe}",
        acting_user=cast.admin,
        recipe={"fractions": ALL_TRAIN, **recipe},
    )
    return freeze_dataset(dataset=dataset, acting_user=cast.admin)


def test_a_task_offers_the_newest_answer_of_a_model_where_there_is_one(cast, drafts):
    texts = [task.starting_draft and task.starting_draft.text for task in drafts.tasks.order_by("pk")]
    assert texts == [DRAFT, None]
    assignment = claim(cast.annotator, cast.project)
    sheet = open_worksheet(assignment=assignment, user=cast.annotator, project=cast.project)
    assert sheet.fields == {"text": DRAFT}
    shown = as_json(sheet)
    assert shown["starting_draft"] == DRAFT
    assert "tiny-sft" not in str(shown)


def test_a_batch_without_any_draft_is_refused(cast):
    with pytest.raises(Invalid) as caught:
        make_batch(cast, [make_prompt(cast.project)])
    assert caught.value.field == "starts_from_draft"


def test_an_untouched_draft_is_no_answer(cast, drafts):
    assignment = claim(cast.annotator, cast.project)
    with pytest.raises(Invalid) as caught:
        submit(assignment, cast.annotator, text=f"{DRAFT}\n", confirmed_warnings=["untouched_draft"])
    assert caught.value.code == "refused_by_check"
    update_settings(project=cast.project, values={"check_untouched_draft": "warn"}, acting_user=cast.admin)
    assignment.project.refresh_from_db()
    with pytest.raises(UnconfirmedWarnings):
        submit(assignment, cast.annotator, text=DRAFT)
    stored = submit(assignment, cast.annotator, text=DRAFT, confirmed_warnings=["untouched_draft"])
    assert stored.current.warnings[0]["check"] == "untouched_draft"


def test_the_reviewer_sees_what_was_changed_in_the_draft(cast, drafts, client):
    submission = submit(claim(cast.annotator, cast.project), cast.annotator, text=MENDED)
    assert submission.current.started_from.text == DRAFT
    client.force_login(cast.lead)
    page = client.get(reverse("labeling:review_submission", args=[cast.project.slug, submission.pk]))
    assert "<del>Frence</del><ins>France</ins>" in page.content.decode()


def test_an_edited_draft_is_a_pair_only_where_a_comparison_dataset_asks_for_it(cast, drafts):
    submission = submit(claim(cast.annotator, cast.project), cast.annotator, text=MENDED)
    accept_submission(submission=submission, revision=1, reviewer=cast.lead)
    with pytest.raises(Invalid):
        freeze(cast, "comparison")
    version = freeze(cast, "comparison", sources=["edits"])
    [row] = open_split(version=version, split="train")
    assert row["edited_draft"] is True
    assert [each["text"] for each in row["completions"]] == [DRAFT, MENDED]
    assert row["ranks"] == [2, 1]
    assert row["source"]["judgment"] == submission.pk
    assert versions_containing(submission=submission) == [version]
    assert freeze(cast, "sft").row_counts["train"] == 1


def test_a_pair_of_an_unchanged_draft_is_left_out(cast, drafts):
    update_settings(project=cast.project, values={"check_untouched_draft": "warn"}, acting_user=cast.admin)
    assignment = claim(cast.annotator, cast.project)
    submission = submit(assignment, cast.annotator, text=DRAFT, confirmed_warnings=["untouched_draft"])
    accept_submission(submission=submission, revision=1, reviewer=cast.lead)
    version = freeze(cast, "comparison", sources=["edits"])
    assert version.status == "failed"
    assert Demonstration.objects.get().started_from is not None


def test_notes_on_stretches_go_with_the_row_and_a_row_without_them_is_as_ever(cast, drafts):
    first = submit(claim(cast.annotator, cast.project), cast.annotator, text=MENDED)
    second = submit(claim(cast.annotator, cast.project), cast.annotator, text="Second answer.")
    add_note(submission=first, author=cast.lead, start=12, end=18, comment="Well mended")
    for submission in (first, second):
        accept_submission(submission=submission, revision=1, reviewer=cast.lead)
    rows = {row["id"]: row for row in open_split(version=freeze(cast, "sft"), split="train")}
    assert rows[str(first.pk)]["notes"] == [
        {
            "start": 12,
            "end": 18,
            "quote": "France",
            "comment": "Well mended",
            "author": cast.lead.pseudonym,
            "by": "reviewer",
        }
    ]
    assert "notes" not in rows[str(second.pk)]


def test_the_form_and_the_api_make_such_a_batch(cast, client, api_client_of):
    prompts = [make_prompt(cast.project) for _ in range(2)]
    for prompt in prompts:
        make_completions(prompt, [DRAFT])
    body = {"name": "By API", "kind": "demonstration", "limit": 1, "starts_from_draft": True}
    answer = api_client_of(cast.lead).post(f"/api/projects/{cast.project.slug}/batches/", body, format="json")
    assert (answer.status_code, answer.json()["starts_from_draft"]) == (201, True)
    client.force_login(cast.lead)
    form = body | {
        "name": "By form",
        "completions_per_task": 4,
        "overlap": 1,
        "review_rate": 0.5,
        "priority": 0,
    }
    answer = client.post(reverse("labeling:batch_new", args=[cast.project.slug]), form)
    assert answer.status_code == 302
    assert cast.project.batches.get(name="By form").starts_from_draft

"""What no recipe can hold is refused by name, wherever it comes from, and breaks no page."""

from __future__ import annotations

import json

import pytest

from labeling.services.datasets import create_dataset
from tests.factories import make_prompt

HALF = "\ud800"  # of a surrogate pair: JSON writes it, UTF-8 does not
REFUSED = {
    "salt": [{"salt": "a\0"}, {"salt": HALF}],
    "categories": [{"categories": ["\0"]}, {"categories": [HALF]}],
    "include_fields": [{"include_fields": [HALF]}],
    "blocked_words": [{"filters": {"blocked_words": [HALF]}}],
    "weights": [{"filters": {"weights": {"category": {HALF: 0.5}}}}],
    "category_most": [{"filters": {"category_most": 10**30}}],
    "least_characters": [{"filters": {"least_characters": 10**400}}],
    "least_score": [{"filters": {"least_score": 10**400}}],
    "personal_data": [{"filters": {"personal_data": []}}],
    "fractions": [{"fractions": {"train": 10**400}}],
    "rankings": [{"rankings": []}, {"rankings": {}}],
}


@pytest.mark.parametrize(("field", "recipe"), [(name, each) for name in REFUSED for each in REFUSED[name]])
def test_the_api_names_what_cannot_be_stored(cast, admin, field, recipe):
    dataset = create_dataset(project=cast.project, kind="sft", name="Mine", acting_user=cast.admin)
    here = f"/api/projects/{cast.project.slug}/datasets/"
    made = {"kind": "sft", "name": "Other", "recipe": recipe}
    for method, address, asked in (
        ("post", f"{here}count/", {"kind": "sft", "recipe": recipe}),
        ("post", here, made),
        ("patch", f"{here}{dataset.pk}/", {"recipe": recipe}),
    ):
        answer = getattr(admin, method)(address, json.dumps(asked), content_type="application/json")
        assert answer.status_code in (400, 422), (method, address, answer.content)
        assert field in json.dumps(answer.json())
    assert cast.project.datasets.count() == 1


@pytest.mark.parametrize("changed", [{"least_characters": "9" * 400}, {"submitted_until": "9999-12-31"}])
def test_pages_live_through_the_largest_numbers_and_the_last_day(cast, admin, changed):
    dataset = create_dataset(project=cast.project, kind="sft", name="Mine", acting_user=cast.admin)
    here = f"/projects/{cast.project.slug}/datasets/"
    sent = {
        "name": "Other", "kind": "sft", "sources": ["people"], "decisions": ["accepted"],
        "train": "80", "validation": "10", "test": "10", "after": "1", **changed,
    }  # fmt: skip
    status = 302 if "submitted_until" in changed else 422
    assert admin.get(f"{here}count/", sent | {"dataset": dataset.pk}).status_code == 200
    assert admin.get(f"{here}count/", sent).status_code == 200
    assert admin.post(f"{here}new/", sent).status_code == status
    assert admin.post(f"{here}{dataset.pk}/recipe/", sent).status_code == status
    assert admin.get(f"{here}{dataset.pk}/").status_code == 200


def test_notes_that_no_database_holds_are_refused(cast, admin):
    make_prompt(cast.project)
    dataset = create_dataset(project=cast.project, kind="prompts", name="Mine", acting_user=cast.admin)
    here = f"/projects/{cast.project.slug}/datasets/{dataset.pk}/"
    sent = {"sources": ["people"], "train": "80", "validation": "10", "test": "10", "after": "1"}
    answer = admin.post(f"{here}recipe/", sent | {"revision_note": "why\0"})
    assert (answer.status_code, b"NUL" in answer.content) == (422, True)
    answer = admin.post(f"{here}freeze/", {"note": "first\0"})
    assert (answer.status_code, b"NUL" in answer.content) == (422, True)
    assert (dataset.revisions.count(), dataset.versions.count()) == (1, 0)

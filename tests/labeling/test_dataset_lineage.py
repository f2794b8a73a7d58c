"""From a judgment forward to the versions that hold it, and from a version to what used it."""

from __future__ import annotations

import pytest

from labeling.services import dataset_files, lineage
from labeling.services.datasets import freeze_dataset

from .judgments import make_demonstration, make_ranking
from .test_dataset_freeze import make_version


@pytest.mark.parametrize("chosen", [0, 7, 14])
def test_a_judgment_knows_the_versions_that_hold_it(cast, chosen):
    """Also the first and the last in the file."""
    submissions = [make_demonstration(cast.project, cast.annotator) for _ in range(15)]
    version = make_version(cast)
    assert lineage.versions_containing(submission=submissions[chosen]) == [version]


def test_one_that_came_later_is_in_none(cast):
    make_demonstration(cast.project, cast.annotator)
    make_version(cast)
    late = make_demonstration(cast.project, cast.annotator)
    assert lineage.versions_containing(submission=late) == []


def test_a_number_between_two_members_is_no_member(cast):
    make_demonstration(cast.project, cast.annotator, pk=1_000_000)
    between = make_demonstration(cast.project, cast.annotator, "left out", pk=1_000_001, status="returned")
    make_demonstration(cast.project, cast.annotator, pk=1_000_002)
    version = make_version(cast)
    assert list(dataset_files.members(version)) == [1_000_000, 1_000_002]
    assert lineage.versions_containing(submission=between) == []


def test_a_ranking_is_not_looked_for_among_demonstrations(cast):
    """Their numbers share one sequence, but a kind is a kind."""
    make_demonstration(cast.project, cast.annotator)
    ranking = make_ranking(cast.project, cast.annotator)
    make_version(cast, "sft", "a")
    version = make_version(cast, "comparison", "b")
    assert lineage.versions_containing(submission=ranking) == [version]


def test_missing_files_do_not_break_a_page_that_lists_versions(cast):
    submission = make_demonstration(cast.project, cast.annotator)
    version = make_version(cast)
    folder = dataset_files.folder_of(version)
    folder.rename(folder.with_name(f"moved-{folder.name}"))
    assert lineage.versions_containing(submission=submission) == []


def test_another_app_says_what_it_made_from_a_version(cast, monkeypatch):
    make_demonstration(cast.project, cast.annotator)
    version = make_version(cast)
    monkeypatch.setattr(lineage, "_providers", {})
    lineage.register_usage("runs", lambda asked: [lineage.Usage("Run", f"of {asked.number}", "/runs/1/")])
    assert [usage.name for usage in lineage.usages_of(version)] == ["of 1"]


def test_the_api_tells_of_one_submission_which_versions_hold_it(cast, api_client_of):
    """To those who may see datasets; a list does without, as each version costs a look into a file."""
    submission = make_demonstration(cast.project, cast.annotator)
    version = make_version(cast)
    freeze_dataset(dataset=version.dataset, acting_user=cast.admin, force=True)
    late = make_demonstration(cast.project, cast.annotator)
    lead, url = api_client_of(cast.lead), f"/api/projects/{cast.project.slug}/submissions/"
    told = lead.get(f"{url}{submission.pk}/").json()
    assert [(each["id"], each["number"]) for each in told["versions"]][-1] == (str(version.public_id), 1)
    assert [each["number"] for each in told["versions"]] == [2, 1]
    assert [lead.get(each["path"]).json()["id"] for each in told["versions"]] == [
        each["id"] for each in told["versions"]
    ]
    assert lead.get(told["lineage"]).json()["id"] == submission.pk
    assert lead.get(f"{url}{late.pk}/").json()["versions"] == []
    own = api_client_of(cast.annotator).get(f"{url}{submission.pk}/").json()
    assert not {"versions", "lineage"} & own.keys()
    assert all("versions" not in row for row in lead.get(url).json()["results"])

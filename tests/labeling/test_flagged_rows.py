"""Rows that are flagged for personal data are frozen, whatever their kind, and come from where they came
from."""

from __future__ import annotations

import pytest

from labeling.formats import SPLITS
from labeling.models import DatasetKind, DatasetVersionStatus
from labeling.preparation import unit_of_row
from labeling.services import datasets, preparations
from labeling.services.dataset_cards import card_of
from tests.factories import make_completions, make_prompt

from .judgments import make_demonstration, make_ranking
from .test_dataset_freeze import make_version


@pytest.fixture
def filled(cast):
    """Two prompts, one with an address in it, each with everything that a dataset may hold."""
    for text in ("Write to ada@example.org, will you?", "Which way?"):
        prompt = make_prompt(cast.project, text)
        completions = make_completions(prompt, 2)
        make_ranking(cast.project, cast.annotator, [[0], [1]], prompt=prompt, completions=completions)
        make_demonstration(cast.project, cast.annotator, "Left.", prompt=prompt)
    return cast


def rows_of(version):
    return [row for split in SPLITS for row in datasets.open_split(version=version, split=split)]


@pytest.mark.parametrize("kind", DatasetKind.values)
def test_a_row_of_every_kind_is_flagged(filled, kind):
    version = make_version(filled, kind, filters={"personal_data": "flag"})
    assert (version.status, version.error) == (DatasetVersionStatus.READY, "")
    rows = rows_of(version)
    assert len(rows) == 2 and version.manifest["changed"] == {"personal data: flag": 1}
    [flagged] = [row for row in rows if "ada@" in row["messages"][0]["content"]]
    [other] = [row for row in rows if row is not flagged]
    place = flagged["source"] if "source" in other else flagged
    assert place["personal_data"] == ["email"]
    assert flagged.keys() - {"personal_data"} == other.keys()
    assert "personal data: flag" in card_of(version=version)


@pytest.mark.parametrize("kind", DatasetKind.values)
def test_a_flag_does_not_change_where_a_row_comes_from(filled, kind):
    plain, flagged = (
        make_version(filled, kind, name, filters=filters)
        for name, filters in (("plain", {}), ("flagged", {"personal_data": "flag"}))
    )
    for one, other in zip(rows_of(plain), rows_of(flagged), strict=True):
        assert unit_of_row(kind, one, source="import 3") == unit_of_row(kind, other, source="import 3")
    sources = [
        preparations.ask_for_report(subject=version, acting_user=filled.admin).report["coverage"]["sources"]
        for version in (plain, flagged)
    ]
    assert sources[0] == sources[1]

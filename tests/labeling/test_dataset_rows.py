"""What a recipe selects, and what its rows look like."""

from __future__ import annotations

import io
import json

import pytest

from annotate.errors import Invalid
from labeling.models import SubmissionStatus
from labeling.services import datasets, imports
from labeling.services.prompts import archive_prompt
from labeling.services.recipes import Recipe
from tests.factories import make_completions, make_prompt, publish_guideline

from .judgments import make_demonstration, make_ranking


def freeze(cast, kind: str, name: str = "set", **recipe):
    recipe.setdefault("fractions", {"train": 1})
    dataset = datasets.create_dataset(
        project=cast.project, kind=kind, name=name, recipe=recipe, acting_user=cast.admin
    )
    return datasets.freeze_dataset(dataset=dataset, acting_user=cast.admin)


def rows_of(version, split: str = "train") -> list[dict]:
    return list(datasets.open_split(version=version, split=split))


def answers(version) -> set[str]:
    return {row["messages"][-1]["content"] for row in rows_of(version)}


def test_a_demonstration_row_carries_its_lineage(cast):
    guideline = publish_guideline(cast.project)
    submission = make_demonstration(
        cast.project,
        cast.annotator,
        "Yes.",
        decision="accepted",
        reviewer=cast.lead,
        guideline_version=guideline,
    )
    row = rows_of(freeze(cast, "sft"))[0]
    assert row["messages"][-1] == {"role": "assistant", "content": "Yes."}
    assert row["prompt_id"] == str(submission.prompt_id)
    assert row["source"] == {
        "judgment": submission.pk,
        "revision": 1,
        "annotator": cast.annotator.pseudonym,
        "guideline_version": guideline.number,
        "review": "accepted",
        "import": None,
        "batch": submission.task.batch_id,
    }


def test_people_are_named_by_pseudonym_only(cast):
    make_demonstration(cast.project, cast.annotator, decision="fixed", reviewer=cast.lead)
    version = freeze(cast, "sft")
    data = datasets.split_path(version=version, split="train").read_text() + json.dumps(version.manifest)
    for person in (cast.annotator, cast.lead, cast.admin):
        for name in (person.username, person.email, person.display_name):
            assert name not in data


def test_only_accepted_work_gets_in(cast):
    make_demonstration(cast.project, cast.annotator, "in")
    for status in (SubmissionStatus.AWAITING_REVIEW, SubmissionStatus.RETURNED, SubmissionStatus.REJECTED):
        make_demonstration(cast.project, cast.annotator, str(status), status=status)
    assert answers(freeze(cast, "sft")) == {"in"}


def test_a_fix_replaces_what_was_written_first(cast):
    submission = make_demonstration(
        cast.project, cast.annotator, "first", decision="fixed", reviewer=cast.lead
    )
    submission.demonstrations.update(is_current=False)
    submission.demonstrations.create(text="fixed", revision=2, author=cast.lead)
    assert answers(freeze(cast, "sft")) == {"fixed"}


def test_work_of_another_project_stays_out(cast):
    make_demonstration(cast.project, cast.annotator, "ours")
    make_demonstration(cast.other_project, cast.outsider, "theirs")
    assert answers(freeze(cast, "sft")) == {"ours"}


@pytest.mark.parametrize(
    ("decisions", "expected"),
    [
        (["accepted"], {"reviewed", "imported"}),
        (["fixed", "unreviewed"], {"fixed", "unreviewed", "imported"}),
    ],
)
def test_decisions_choose_among_peoples_work(cast, decisions, expected):
    make_demonstration(cast.project, cast.annotator, "reviewed", decision="accepted", reviewer=cast.lead)
    make_demonstration(cast.project, cast.annotator, "fixed", decision="fixed", reviewer=cast.lead)
    make_demonstration(cast.project, cast.annotator, "unreviewed")
    _import_demonstration(cast, "imported")
    assert answers(freeze(cast, "sft", decisions=decisions)) == expected


@pytest.mark.parametrize(("source", "expected"), [("people", {"ours"}), ("imports", {"imported"})])
def test_sources_choose_people_or_imports(cast, source, expected):
    make_demonstration(cast.project, cast.annotator, "ours")
    _import_demonstration(cast, "imported")
    assert answers(freeze(cast, "sft", sources=[source])) == expected


def _import_demonstration(cast, text: str):
    line = json.dumps({"prompt": f"Say {text}", "completion": text}).encode()
    return imports.start_import(
        project=cast.project, kind="demonstrations", file=io.BytesIO(line), filename="x.jsonl",
        acting_user=cast.admin,
    )  # fmt: skip


def test_leaving_out_a_person_keeps_imports(cast):
    make_demonstration(cast.project, cast.annotator, "anna")
    make_demonstration(cast.project, cast.peer, "petra")
    _import_demonstration(cast, "imported")
    version = freeze(cast, "sft", exclude_annotators=[cast.annotator.pseudonym])
    assert answers(version) == {"petra", "imported"}


def test_batch_category_import_and_guideline_version_restrict(cast):
    guideline = publish_guideline(cast.project)
    one = make_demonstration(cast.project, cast.annotator, "one", guideline_version=guideline)
    two = make_demonstration(
        cast.project, cast.annotator, "two", prompt=make_prompt(cast.project, category="maths")
    )
    record = _import_demonstration(cast, "three")
    assert two.prompt.category == "maths"
    assert answers(freeze(cast, "sft", "a", batches=[one.task.batch_id])) == {"one"}
    assert answers(freeze(cast, "sft", "b", categories=["maths"])) == {"two"}
    assert answers(freeze(cast, "sft", "c", imports=[record.pk])) == {"three"}
    assert answers(freeze(cast, "sft", "d", guideline_versions=[guideline.pk])) == {"one"}


def test_the_last_day_is_included(cast):
    submission = make_demonstration(cast.project, cast.annotator, "late in the day")
    submission.created_at = submission.created_at.replace(hour=23, minute=59, second=59)
    submission.save()
    day = submission.created_at.date()
    inside = freeze(cast, "sft", "a", submitted_from=day.isoformat(), submitted_until=day.isoformat())
    assert answers(inside) == {"late in the day"}
    with pytest.raises(Invalid, match="no accepted demonstration"):
        freeze(cast, "sft", "b", submitted_from=day.replace(year=day.year + 1).isoformat())


def test_a_ranking_is_one_row_in_the_order_of_ids_not_as_shown(cast):
    prompt = make_prompt(cast.project)
    completions = make_completions(prompt, ["a", "b", "c", "d"])
    make_ranking(
        cast.project, cast.annotator, [[2], [0, 1]], prompt=prompt, completions=completions, unrankable=(3,),
        margins=("clearly",),
    )  # fmt: skip
    row = rows_of(freeze(cast, "comparison"))[0]
    assert [completion["text"] for completion in row["completions"]] == ["a", "b", "c", "d"]
    assert row["ranks"] == [2, 2, 1, None]
    assert row["margins"] == [pytest.approx(2 / 3)]


def test_a_ranking_of_fewer_than_two_is_left_out_and_counted(cast):
    make_ranking(cast.project, cast.annotator)
    make_ranking(cast.project, cast.annotator, [[0]], unrankable=(1, 2))
    version = freeze(cast, "comparison")
    assert len(rows_of(version)) == 1
    assert version.manifest["left_out"] == {"fewer than two completions ranked": 1}


def test_work_that_ranks_nothing_is_counted_by_its_reason(cast):
    make_ranking(cast.project, cast.annotator)
    for reason in ("wrong_language", "wrong_language", "unsafe"):
        submission = make_ranking(cast.project, cast.annotator)
        ids = submission.current.presented_order
        why = {str(pk): {"reason": reason, "note": ""} for pk in ids}
        submission.rankings.update(tiers=[], unrankable=ids, unrankable_reasons=why)
    version = freeze(cast, "comparison")
    assert version.manifest["left_out"] == {
        "none can be ranked: wrong_language": 2,
        "none can be ranked: unsafe": 1,
    }


def test_archived_prompts_get_into_no_prompts_dataset(cast):
    kept = make_prompt(cast.project)
    archive_prompt(prompt=make_prompt(cast.project), acting_user=cast.lead)
    assert [row["id"] for row in rows_of(freeze(cast, "prompts"))] == [str(kept.pk)]


def test_statistics_count_what_is_inside(cast):
    prompt = make_prompt(cast.project, category="maths")
    make_ranking(cast.project, cast.annotator, [[0], [1, 2]], prompt=prompt)
    make_ranking(cast.project, cast.peer, prompt=prompt, completions=list(prompt.completions.all()))
    statistics = freeze(cast, "comparison").manifest["statistics"]
    assert statistics["prompts"] == 1
    assert statistics["pairs"] == {"train": 2 + 3}
    assert statistics["completions_per_row"] == {"3": 2}
    assert statistics["categories"]["train"] == {"maths": 2}
    assert statistics["lineage"]["annotators"] == {cast.annotator.pseudonym: 1, cast.peer.pseudonym: 1}


@pytest.mark.parametrize(
    ("recipe", "field"),
    [
        ({"fractions": {"train": 0.5}}, "fractions"),
        ({"fractions": {"train": 1, "holdout": 0}}, "fractions"),
        ({"fractions": {"train": float("nan")}}, "fractions"),
        ({"fractions": {"train": True}}, "fractions"),
        ({"fractions": [1]}, "fractions"),
        ({"sources": ["aliens"]}, "sources"),
        ({"sources": []}, "sources"),
        ({"decisions": "accepted"}, "decisions"),
        ({"batches": ["1"]}, "batches"),
        ({"submitted_from": "yesterday"}, "submitted_from"),
        ({"submitted_from": "2026-02-02", "submitted_until": "2026-02-01"}, "submitted_until"),
        ({"salt": 7}, "salt"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_recipe_that_makes_no_sense_is_refused_by_name(recipe, field):
    with pytest.raises(Invalid) as raised:
        Recipe.from_json(recipe)
    assert raised.value.field == field


def test_equal_choices_are_equal_recipes():
    assert (
        Recipe.from_json({"batches": [3, 1, 3]}).to_json() == Recipe.from_json({"batches": [1, 3]}).to_json()
    )


def test_a_recipe_survives_json():
    recipe = Recipe.from_json({"batches": [3], "fractions": {"train": 1}})
    assert Recipe.from_json(json.loads(json.dumps(recipe.to_json()))) == recipe


def test_why_a_completion_could_not_be_ranked_is_exported_by_its_id(cast):
    from labeling.formats import EXPORT_FORMATS

    prompt = make_prompt(cast.project)
    completions = make_completions(prompt, ["a", "b", "c"])
    submission = make_ranking(
        cast.project, cast.annotator, [[0], [1]], prompt=prompt, completions=completions, unrankable=(2,)
    )
    why = {str(completions[2].pk): {"reason": "unsafe", "note": ""}}
    submission.rankings.update(unrankable_reasons=why)
    make_ranking(cast.project, cast.peer)
    rows = rows_of(freeze(cast, "comparison"))
    [with_reason] = [row for row in rows if row["ranks"] == [1, 2, None]]
    assert with_reason["unrankable_reasons"] == why
    assert all("unrankable_reasons" not in row for row in rows if row is not with_reason)
    [exported] = EXPORT_FORMATS["kwise"].encode(with_reason)
    assert exported["unrankable_reasons"] == why


def test_rows_hold_scores_where_the_recipe_asks_for_them(cast):
    """In the order of the completions; without the flag the bytes are what they were."""
    submission = make_ranking(cast.project, cast.annotator, [[1], [0, 2]])
    ranking = submission.rankings.get()
    first, second = sorted(pk for tier in ranking.tiers for pk in tier)[:2]
    submission.rankings.update(scores={str(second): 7, str(first): 3})
    make_ranking(cast.project, cast.peer)  # who gave none
    plain, scored = freeze(cast, "comparison"), freeze(cast, "comparison", "scored", include_scores=True)
    assert all("scores" not in row for row in rows_of(plain))
    found = {row["id"]: row.get("scores") for row in rows_of(scored)}
    assert found.pop(str(submission.pk)) == [3, 7, None]
    assert list(found.values()) == [None]
    assert "include_scores" not in plain.recipe and scored.recipe["include_scores"] is True


def test_with_scores_or_without_is_yes_or_no():
    with pytest.raises(Invalid) as refused:
        Recipe.from_json({"include_scores": "yes"})
    assert refused.value.field == "include_scores"

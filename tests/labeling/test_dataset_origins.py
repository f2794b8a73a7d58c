"""Files and licences stay with a row when people work on imported prompts and completions."""

from __future__ import annotations

import io
import json
import zipfile

import pytest
from django.core.management import call_command

from annotate.errors import Invalid
from labeling.formats import SPLITS
from labeling.models import (
    AuditEvent,
    Completion,
    DatasetVersion,
    Demonstration,
    ImportRecord,
    Prompt,
    Ranking,
)
from labeling.services import dataset_exports, datasets
from labeling.services.dataset_cards import card_of
from labeling.services.dataset_rebuild import rebuild_without
from labeling.services.dataset_rows import select
from labeling.services.recipes import Recipe
from tests.factories import make_prompt

from .judgments import make_demonstration, make_ranking
from .test_dataset_freeze import make_version

NC = "CC BY-NC 4.0"


@pytest.fixture
def bring_in(cast, tmp_path):
    def bring(name: str, kind: str, rows: list[dict], licence: str = "") -> ImportRecord:
        path = tmp_path / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        said = ["--licence", licence] if licence else []
        call_command(
            "import_data", "--project", cast.project.slug, "--as", kind, *said, str(path),
            stdout=io.StringIO(),
        )  # fmt: skip
        return cast.project.imports.get(filename=name)

    return bring


def card(version) -> str:
    return card_of(version=DatasetVersion.objects.get(pk=version.pk))


def rows_of(version) -> list[dict]:
    return [row for split in SPLITS for row in datasets.open_split(version=version, split=split)]


@pytest.fixture
def answered(cast, bring_in):
    """Two imported prompts and one of the project's own, each answered by a person."""
    record = bring_in("asked.jsonl", "prompts", [{"prompt": "Why is the sky blue?"}, {"prompt": "Why?"}], NC)
    for prompt in Prompt.objects.order_by("pk"):
        make_demonstration(cast.project, cast.annotator, prompt=prompt)
    make_demonstration(cast.project, cast.annotator, prompt=make_prompt(cast.project))
    return record


def test_answers_to_imported_prompts_name_their_file_and_licence(cast, answered):
    version = make_version(cast)
    assert {row["source"]["import"] for row in rows_of(version)} == {None}  # the bytes stay as they were
    line = f"- 2 rows with prompts (2) from the file asked.jsonl (CC BY-NC 4.0; SHA-256 `{answered.sha256}`)"
    assert line in card(version).splitlines()
    assert "were imported" not in card(version)  # the judgments were not
    assert version.facts["rows_of_files"] == {"any": 2, "without_licence": 0}


def test_a_version_is_rebuilt_without_the_file_of_its_prompts(cast, answered):
    version = make_version(cast)
    made = rebuild_without(version=version, what="import", which=str(answered.pk), acting_user=cast.admin)
    assert (made.row_count, made.note) == (1, "v1 without asked.jsonl")
    assert made.facts["sources"] == []
    with pytest.raises(Invalid, match="Nothing in"):  # once more would be the same version
        rebuild_without(version=made, what="import", which=str(answered.pk), acting_user=cast.admin)


def test_a_recipe_selects_what_was_made_of_a_file(cast, answered):
    assert make_version(cast, name="only", imports=[answered.pk]).row_count == 2
    assert make_version(cast, name="not", exclude_imports=[answered.pk]).row_count == 1


def test_the_page_offers_to_leave_the_file_out(cast, answered, client):
    version = make_version(cast)
    client.force_login(cast.admin)
    path = f"/projects/{cast.project.slug}/datasets/{version.dataset_id}/versions/1/"
    made_of = client.get(path).content.decode().split("Made of")[1]
    assert "asked.jsonl" in made_of and f'value="{answered.pk}"' in made_of
    assert client.post(f"{path}rebuild/", {"what": "import", "which": answered.pk}).status_code == 302
    assert DatasetVersion.objects.latest("pk").row_count == 1


def test_a_version_of_prompts_says_where_they_come_from(cast, answered):
    version = make_version(cast, "prompts")
    assert (
        f"- 2 rows with prompts (2) from the file asked.jsonl (CC BY-NC 4.0; SHA-256 `{answered.sha256}`)"
        in card(version).split("## Where it comes from")[1]
    )
    made = rebuild_without(version=version, what="import", which=str(answered.pk), acting_user=cast.admin)
    assert (version.row_count, made.row_count) == (3, 1)


ANSWERS = [
    {"prompt": "Why?", "completions": [{"text": "So."}, {"text": "Because."}]},
    {"prompt": "How?", "completions": [{"text": "Thus."}, {"text": "Somehow."}]},
]


def rank(cast, *prompts):
    for prompt in prompts:
        make_ranking(
            cast.project, cast.annotator, prompt=prompt, completions=list(prompt.completions.order_by("pk"))
        )


def test_rankings_of_imported_completions(cast, bring_in):
    """The prompts came with an earlier file, so that the later one is known by its completions alone."""
    asked = bring_in("asked.jsonl", "prompts", [{"prompt": "Why?"}, {"prompt": "How?"}], NC)
    given = bring_in("given.jsonl", "completions", ANSWERS)
    rank(cast, *Prompt.objects.all())
    make_ranking(cast.project, cast.annotator)
    version = make_version(cast, "comparison")
    lines = card(version).splitlines()
    of_given = f"(**no licence stated**; SHA-256 `{given.sha256}`)"
    assert f"- 2 rows with completions (2) from the file given.jsonl {of_given}" in lines
    assert "- 2 rows come from files without a stated licence." in lines
    for record in (asked, given):
        made = rebuild_without(version=version, what="import", which=str(record.pk), acting_user=cast.admin)
        assert made.row_count == 1
        only = make_version(cast, "comparison", f"only {record.pk}", imports=[record.pk])
        assert only.row_count == 2


def test_imported_rankings_of_completions_that_an_earlier_file_brought(cast, bring_in):
    given = bring_in("given.jsonl", "completions", ANSWERS)
    ranked = bring_in("ranked.jsonl", "comparisons", [{**row, "ranks": [1, 2]} for row in ANSWERS])
    assert set(Completion.objects.values_list("import_record", flat=True)) == {given.pk}
    bring_in("other.jsonl", "comparisons", [
        {"prompt": "What?", "completions": [{"text": "This."}, {"text": "That."}], "ranks": [1, 2]}
    ])  # fmt: skip
    version = make_version(cast, "comparison")
    [first, *_] = version.facts["sources"]
    assert (first["import"], first["rows"], first["judgments"], first["completions"]) == (given.pk, 2, 0, 2)
    for record in (given, ranked):
        made = rebuild_without(version=version, what="import", which=str(record.pk), acting_user=cast.admin)
        assert made.row_count == 1


@pytest.mark.parametrize("kind", ["sft", "comparison"])
def test_answers_made_of_an_imported_draft(cast, bring_in, kind):
    """An edited answer is a work on the draft, as a demonstration and as a pair."""
    bring_in("asked.jsonl", "prompts", [{"prompt": "Why?"}, {"prompt": "How?"}])
    given = bring_in("given.jsonl", "completions", ANSWERS)
    for prompt in Prompt.objects.all():
        submission = make_demonstration(cast.project, cast.annotator, "Because I say so.", prompt=prompt)
        if prompt.preview == "Why?":
            draft = prompt.completions.order_by("pk").first()
            Demonstration.objects.filter(submission=submission).update(started_from=draft)
    recipe = {"sources": ["people", "edits"]} if kind == "comparison" else {}
    version = make_version(cast, kind, **recipe)
    [_, source] = version.facts["sources"] if kind == "sft" else [None, version.facts["sources"][-1]]
    assert (source["import"], source["rows"], source["completions"]) == (given.pk, 1, 1)
    left = Recipe.from_json({**recipe, "exclude_imports": [given.pk]})
    assert select(cast.project, "sft", left).count() == 1


def test_a_version_from_before_files_were_counted_can_be_rebuilt(cast, answered):
    version = make_version(cast)
    DatasetVersion.objects.filter(pk=version.pk).update(facts={"sources": []})
    version.refresh_from_db()
    assert "asked.jsonl" not in card(version)
    with pytest.raises(Invalid, match="Nothing in"):
        rebuild_without(version=version, what="import", which="9" * 30, acting_user=cast.admin)
    made = rebuild_without(version=version, what="import", which=str(answered.pk), acting_user=cast.admin)
    assert made.row_count == 1


def test_the_order_of_an_imported_ranking_is_kept_where_its_completions_are_looked_up(cast, bring_in):
    bring_in("ranked.jsonl", "comparisons", [{**row, "ranks": [1, 2]} for row in ANSWERS])
    shown = {pk for order in Ranking.objects.values_list("presented_order", flat=True) for pk in order}
    assert shown == set(Completion.objects.values_list("pk", flat=True))


@pytest.mark.parametrize(
    "licences, own_prompt, lines",
    [
        ((NC, NC), False, ["license: cc-by-nc-4.0"]),
        ((NC, "MIT"), False, ["license: other"]),
        ((NC, ""), False, ["license: other"]),
        ((NC, NC), True, ["license: other"]),  # the project's own row is under no file's licence
        (("Ask us: nicely",) * 2, False, ["license: other", 'license_name: "Ask us: nicely"']),
    ],
)
def test_the_front_matter_of_a_parquet_folder_states_the_licence(cast, bring_in, licences, own_prompt, lines):
    for number, licence in enumerate(licences):
        bring_in(f"{number}.jsonl", "prompts", [{"prompt": f"Why {number}?"}], licence)
    if own_prompt:
        make_prompt(cast.project)
    version = make_version(cast, "prompts")
    export = dataset_exports.prepare_export(version=version, format="parquet", acting_user=cast.admin)
    with zipfile.ZipFile(dataset_exports.open_export(export=export)) as archive:
        readme = archive.read("README.md").decode()
    assert [line for line in readme.splitlines() if line.startswith("license")] == lines


# --- Licences that are changed afterwards -----------------------------------------------------------------
def test_a_licence_changed_afterwards_is_said_beside_the_one_of_then(cast, admin, answered):
    version = make_version(cast, fractions={"train": 1})
    sha256, facts = version.sha256, version.facts
    url = f"/projects/{cast.project.slug}/imports/{answered.pk}/"
    assert f'value="{NC}"' in admin.get(url).content.decode()
    assert admin.post(f"{url}licence/", {"licence": " MIT "}).status_code == 302
    assert f"({NC} when it was frozen, MIT now; SHA-256" in card(version)
    version.refresh_from_db()
    assert (version.sha256, version.facts) == (sha256, facts)
    assert "when it was frozen" not in card_of(version=version, as_frozen=True)
    later = make_version(cast, name="later", fractions={"train": 1})
    assert "(MIT; SHA-256" in card(later)  # frozen afterwards
    event = AuditEvent.objects.get(action="import.licence_changed")
    assert (event.actor, event.data) == (cast.admin, {"old": NC, "new": "MIT"})
    admin.post(f"{url}licence/", {"licence": "MIT"})
    assert AuditEvent.objects.filter(action="import.licence_changed").count() == 1


def test_a_licence_taken_away_is_said(cast, admin, answered):
    version = make_version(cast, fractions={"train": 1})
    url = f"/api/projects/{cast.project.slug}/imports/{answered.pk}/"
    answer = admin.patch(url, {"licence": ""}, content_type="application/json")
    assert (answer.status_code, answer.json()["licence"]) == (200, "")
    assert f"({NC} when it was frozen, **none stated** now;" in card(version)
    long = admin.patch(url, {"licence": "x" * 121}, content_type="application/json")
    assert long.status_code == 422


def test_only_who_may_import_changes_a_licence(cast, client, answered):
    for who, status in (("lead", 403), ("annotator", 403), ("outsider", 404)):
        client.force_login(getattr(cast, who))
        page = client.post(f"/projects/{cast.project.slug}/imports/{answered.pk}/licence/", {"licence": "x"})
        url = f"/api/projects/{cast.project.slug}/imports/{answered.pk}/"
        api = client.patch(url, {"licence": "x"}, content_type="application/json")
        assert (page.status_code, api.status_code) == (status, status)
    answered.refresh_from_db()
    assert answered.licence == NC

"""Datasets of completions without an order: what is in them, and that they come back."""

from __future__ import annotations

import io
import uuid

import pytest
from django.core.management import call_command

from annotate.errors import Invalid
from labeling.formats import SPLITS, formats_for, group_completions, read_file
from labeling.formats.parquet_out import write_shards
from labeling.models import Completion, CompletionOrigin, DatasetVersion, Prompt
from labeling.services import datasets, imports, verification
from labeling.services.dataset_cards import card_of
from labeling.services.gold import mark_gold
from labeling.services.lineage import versions_with_prompt
from labeling.services.prompts import archive_prompt
from labeling.services.recipes import Recipe
from labeling.services.selection_counts import preview_counts
from tests.factories import make_completions, make_prompt

from .judgments import make_demonstration, make_ranking
from .test_dataset_freeze import make_version
from .test_dataset_pages import RECIPE, url, version_url

RUN, CHECKPOINT = uuid.UUID(int=7), uuid.UUID(int=8)


@pytest.fixture
def filled(cast):
    """A prompt with two samples and a person's answer, one whose completions were ranked, one without."""
    asked = make_prompt(cast.project, "Which way?", category="law")
    for text, top_p in (("Left.", 1.0), ("=Right", 0.5)):
        Completion.objects.create(
            project=cast.project, prompt=asked, text=text, origin=CompletionOrigin.MODEL, generator="sft-1",
            checkpoint_key=CHECKPOINT, run_key=RUN, sampling={"top_p": top_p, "seed": 3},
        )  # fmt: skip
    Completion.objects.create(
        project=cast.project, prompt=asked, text="Ask.", origin=CompletionOrigin.PERSON, author=cast.annotator
    )
    Completion.objects.create(project=cast.project, prompt=asked, text=" \n", origin=CompletionOrigin.MODEL)
    make_ranking(cast.project, cast.annotator)
    make_prompt(cast.project, "Nobody answered this.")
    return cast


def frozen(cast, name="completions", kind="completions", **recipe) -> DatasetVersion:
    return make_version(cast, kind, name, fractions={"train": 1}, **recipe)


def rows_of(version):
    return [row for split in SPLITS for row in datasets.open_split(version=version, split=split)]


def test_a_row_is_a_prompt_with_all_its_completions_and_where_they_come_from(filled):
    version = frozen(filled)
    asked = Prompt.objects.get(category="law")
    [row] = [row for row in rows_of(version) if row["id"] == str(asked.pk)]
    assert row["messages"] == asked.messages and "ranks" not in row
    first, second, third = row["completions"]
    lineage = {"origin": "model", "checkpoint": str(CHECKPOINT), "run": str(RUN)}
    assert first == {
        "id": first["id"], "text": "Left.", "generator": "sft-1", "sampling": {"top_p": 1, "seed": 3},
        "source": lineage,
    }  # fmt: skip
    assert (second["text"], second["sampling"]["top_p"]) == ("=Right", 0.5)
    assert third["source"] == {"origin": "person", "annotator": filled.annotator.pseudonym}
    assert version.row_count == 2  # the ranked one too, and no prompt without completions
    assert version.manifest["left_out"] == {"a completion without text": 1}
    assert version.manifest["statistics"]["completions_per_row"] == {"3": 2}
    assert "Completions of one prompt" in card_of(version=version)
    assert versions_with_prompt(prompt=asked) == [version]


def test_it_is_rebuilt_to_the_same_bytes_and_verified(filled):
    first = frozen(filled)
    again = datasets.freeze_dataset(dataset=first.dataset, acting_user=filled.admin, force=True)
    assert (again.number, again.sha256) == (2, first.sha256)
    assert verification.verify_version(version=again) == []


def test_a_prompt_is_on_the_side_on_which_its_demonstrations_are(filled):
    for prompt in Prompt.objects.filter(completions__isnull=False).distinct():
        make_demonstration(filled.project, filled.annotator, prompt=prompt)
    sides = []
    for version in (make_version(filled, "completions", "a"), make_version(filled, "sft", "b")):
        rows = {s: datasets.open_split(version=version, split=s) for s in SPLITS}
        sides.append({row["prompt_id"]: side for side, held in rows.items() for row in held})
    assert sides[0] == sides[1]


@pytest.mark.parametrize(
    ("recipe", "rows"), [({"categories": ["law"]}, 1), ({"sources": ["imports"]}, 1), ({}, 2)]
)
def test_a_recipe_selects_completions(filled, recipe, rows):
    Completion.objects.filter(generator="tiny-sft").update(import_record=imported(filled))
    version = frozen(filled, **recipe)
    counts = preview_counts(filled.project, "completions", Recipe.from_json(recipe))
    assert (version.row_count, counts["rows"], counts["prompts"]) == (rows, rows, rows)
    if not recipe:
        assert counts["by_source"] == {"people": 1, "imports": 1}


def test_archived_prompts_stay_out_and_nothing_is_a_sentence(filled):
    for prompt in Prompt.objects.filter(completions__isnull=False).distinct():
        archive_prompt(prompt=prompt, acting_user=filled.admin)
    with pytest.raises(Invalid, match="no completion"):
        frozen(filled)


def imported(cast):
    return imports.start_import(
        project=cast.project, kind="prompts", file=io.BytesIO(b'{"prompt": "x"}\n'), filename="p.jsonl",
        acting_user=cast.admin,
    )  # fmt: skip


def told(records):
    return [
        (list(each.messages), [(c.text, c.generator) for c in each.completions])
        for each in group_completions(records)
    ]


@pytest.mark.parametrize("format", ["canonical", "completions", "model_outputs", "completions_csv"])
def test_what_is_exported_comes_back(filled, format):
    make_completions(make_prompt(filled.project, "Ünï 👩‍🚀 ‮bidi‬"), ["a\r\nb", "\ufeffx", 'quo"te, and'])
    version = frozen(filled)
    data = b"".join(datasets.export_version(version=version, format=format))
    name = "x.csv" if format.endswith("csv") else "x.jsonl"
    records = list(read_file(io.BytesIO(data), filename=name, kind="completions"))
    held = [
        (row["messages"], [(c["text"], c["generator"]) for c in row["completions"]])
        for row in rows_of(version)
    ]
    assert told(records) == held


def test_parquet_of_it_comes_back_whatever_the_settings(filled, tmp_path):
    for sampling in ({"top_p": "high"}, {"seed": None, "stop": ["a"]}, {}):
        Completion.objects.create(
            project=filled.project, prompt=make_prompt(filled.project), text="x", sampling=sampling,
            origin=CompletionOrigin.MODEL,
        )  # fmt: skip
    rows = rows_of(frozen(filled, include_fields=["category"]))
    [shard] = write_shards(lambda: iter(rows), tmp_path, "train")
    records = list(read_file(shard, kind="completions"))
    assert told(records) == [
        (r["messages"], [(c["text"], c["generator"]) for c in r["completions"]]) for r in rows
    ]
    assert [each.category for each in records] == [row.get("fields", {}).get("category", "") for row in rows]


def test_prompts_alone_come_out_as_lines_and_messages(filled):
    version = frozen(filled, categories=["law"])
    assert {each.name for each in formats_for("completions")} >= {"asked_prompts", "asked_prompts_text"}
    assert b"".join(datasets.export_version(version=version, format="asked_prompts_text")) == b"Which way?\n"
    data = b"".join(datasets.export_version(version=version, format="asked_prompts"))
    [record] = read_file(io.BytesIO(data), filename="x.jsonl", kind="prompts")
    assert record.messages[0]["content"] == "Which way?"


def test_the_command_freezes_exports_and_imports_it_again(filled, tmp_path):
    slug, out = filled.project.slug, tmp_path / "answers.jsonl"
    call_command("freeze_dataset", "--project", slug, "--as", "completions", "--name", "Answers")
    version = DatasetVersion.objects.get()
    assert version.dataset.kind == "completions"
    call_command("export_dataset", str(version.public_id), "--format", "completions", "--out", str(out))
    other = filled.other_project
    call_command("import_data", "--project", other.slug, "--as", "completions", str(out))
    texts = Completion.objects.filter(project=other).values_list("text", flat=True)
    sent = Completion.objects.filter(project=filled.project).exclude(text=" \n")
    assert sorted(texts) == sorted(sent.values_list("text", flat=True))


def test_the_page_offers_the_kind_and_shows_completions_without_ranks(admin, filled):
    form = admin.get(url(filled, "new/"), {"kind": "completions"}).content.decode()
    assert "Completions without an order" in form and "no run learns from them" in form
    made = admin.post(url(filled, "new/"), {"name": "Mine", "kind": "completions", **RECIPE})
    admin.post(f"{made['Location']}freeze/", {"note": ""})
    version = DatasetVersion.objects.get()
    split = next(split for split in SPLITS if version.row_counts[split])
    page = admin.get(version_url(filled, version), {"split": split}).content.decode()
    assert "sft-1" in page or "tiny-sft" in page
    assert "unrankable" not in page and ">rank" not in page


def test_the_api_freezes_it(api_client_of, filled):
    client = api_client_of(filled.admin)
    base = f"/api/projects/{filled.project.slug}/datasets/"
    made = client.post(base, {"kind": "completions", "name": "Answers"}, format="json")
    assert made.status_code == 201
    version = client.post(f"{base}{made.json()['id']}/versions/", {}, format="json").json()
    assert (version["kind"], sum(version["row_counts"].values())) == ("completions", 2)


def test_filters_of_texts_reach_completions(filled):
    version = frozen(filled, filters={"blocked_words": ["ask"]})
    assert version.row_count == 1
    masked = Completion.objects.filter(text="Ask.").update(text="Ask ada@example.org.")
    assert masked
    rows = rows_of(frozen(filled, name="masked", filters={"personal_data": "mask"}))
    assert "Ask [email]." in [each["text"] for row in rows for each in row["completions"]]


@pytest.fixture
def mixed(cast):
    """Prompts by name: what each has of completions is in `MIXED`; the last one is archived."""
    record = imported(cast)
    for name, completions in MIXED.items():
        prompt = make_prompt(cast.project, name, category="law" if "file" in name else "tea")
        for number, (origin, text) in enumerate(completions):
            Completion.objects.create(
                project=cast.project, prompt=prompt, text=text and f"{text} {number}", origin=origin,
                import_record=record if origin == "imported" else None, generator="x",
                author=cast.annotator if origin == "person" else None,
            )  # fmt: skip
        if "retired" in name:
            archive_prompt(prompt=prompt, acting_user=cast.admin)
    make_ranking(cast.project, cast.annotator)
    task = make_ranking(cast.project, cast.annotator).task
    mark_gold(task=task, tiers=[list(task.completions.values_list("pk", flat=True))], acting_user=cast.lead)
    Completion.objects.filter(text="").update(text=BLANK)
    return cast


BLANK = " \n\t\u00a0\u3000\x1f"
MIXED: dict[str, list[tuple[str, str]]] = {
    "sampled": [("model", "a"), ("model", "b")],
    "human": [("person", "c")],
    "file": [("imported", "d"), ("imported", "e")],
    "file and sampled": [("imported", "f"), ("model", "g"), ("person", "h")],
    "blank file, sampled": [("imported", ""), ("model", "i")],
    "file, blank sample": [("imported", "j"), ("model", "")],
    "nothing": [("model", ""), ("imported", "")],
    "never": [],
    "retired file": [("imported", "k"), ("model", "l")],
}


@pytest.mark.parametrize(
    "recipe",
    [
        {},
        {"sources": ["people"]},
        {"sources": ["imports"]},
        {"categories": ["law"]},
        {"categories": ["law"], "sources": ["people"]},
        {"exclude_annotators": ["annotator"]},
    ],
)
def test_the_form_counts_by_source_what_a_version_then_holds(mixed, recipe):
    if "exclude_annotators" in recipe:
        recipe = {"exclude_annotators": [mixed.annotator.pseudonym]}
    version = frozen(mixed, **recipe)
    counts = preview_counts(mixed.project, "completions", Recipe.from_json(version.recipe))
    held = rows_of(version)
    of_files = [row for row in held if any("import" in each["source"] for each in row["completions"])]
    assert held
    assert (counts["rows"], counts["prompts"]) == (len(held), len(held))
    assert counts["by_source"] == {"people": len(held) - len(of_files), "imports": len(of_files)}


@pytest.mark.parametrize("kind", ["completions", "prompts"])
def test_a_weight_by_source_knows_what_came_from_files(mixed, kind):
    Prompt.objects.filter(pk__in=Completion.objects.exclude(import_record=None).values("prompt")).update(
        import_record=imported(mixed)
    )
    whole = frozen(mixed, "all", kind=kind, filters={})
    people = frozen(mixed, "people", kind=kind, filters={"weights": {"source": {"imports": 0}}})
    files = frozen(mixed, "files", kind=kind, filters={"weights": {"source": {"people": 0}}})
    of = [{row["messages"][0]["content"] for row in rows_of(version)} for version in (whole, people, files)]
    assert of[0] == of[1] | of[2] and not of[1] & of[2]
    assert {"sampled", "human"} <= of[1] and {"file", "file and sampled"} <= of[2]
    counts = preview_counts(mixed.project, kind, Recipe.from_json({}).resolved_for(mixed.project))
    assert counts["by_source"] == {"people": len(of[1]), "imports": len(of[2])}


@pytest.mark.parametrize(
    ("filters", "kept", "left_out"),
    [
        ({"least_score": 4}, {"Good?", "None?"}, {"scored under 4": 1}),
        ({"most_score": 3}, {"Bad?", "None?"}, {"scored over 3": 1}),
        ({"least_score": 4, "scored_only": True}, {"Good?"}, {"scored under 4": 1, "without a score": 1}),
    ],
)
def test_a_row_is_scored_as_the_file_of_its_completions_scored_the_best(cast, filters, kept, left_out):
    """Whatever the file of the prompt says of the prompt."""
    record = imported(cast)
    for question, scores in (("Good?", (2, 5)), ("Bad?", (1, 3)), ("None?", ())):
        prompt = make_prompt(cast.project, question, metadata={"score": 5 if question == "Bad?" else 3})
        texts = [f"answer {place}" for place in range(2)]
        for completion, score in zip(make_completions(prompt, texts), scores, strict=False):
            completion.import_record, completion.sampling = record, {"score": score}
            completion.save()
        Completion.objects.filter(prompt=prompt, import_record=None).update(sampling={"score": 4.5})
    version = frozen(cast, filters=filters)
    assert {row["messages"][0]["content"] for row in rows_of(version)} == kept
    assert version.manifest["left_out"] == left_out

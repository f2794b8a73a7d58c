"""Lineage as a page and over the API: back to the source, forward to what was made, and from row to row."""

from __future__ import annotations

import pytest
from django.utils import timezone

from annotate.errors import NotFound
from labeling.formats import SPLITS
from labeling.lineage_page import lineage_of
from labeling.models import ImportRecord, TaskKind
from labeling.services import dataset_browse, dataset_files, datasets
from labeling.services.adjudications import adjudicate_task
from labeling.services.written_prompts import WRITTEN
from tests.factories import make_completions, make_prompt, publish_guideline
from training.models import Checkpoint, CheckpointKind, RunInput, RunInputRole, TrainingRun

from .judgments import make_demonstration, make_ranking
from .test_dataset_freeze import fill, make_version

COUNTED = "Judgments of it, of its prompts or of its completions:"


def make_import(cast, **fields):
    values = {"kind": "prompts", "filename": "asked.jsonl", "size_bytes": 1, "licence": "CC BY 4.0",
              "sha256": "a" * 64, "status": "succeeded", "created_by": cast.admin}  # fmt: skip
    return ImportRecord.objects.create(project=cast.project, **(values | fields))


def make_run(cast, version, **fields):
    run = TrainingRun.objects.create(
        project=cast.project, number=7, stage="sft", status="succeeded", finished_at=timezone.now(), **fields
    )
    RunInput.objects.create(run=run, role=RunInputRole.TRAIN_DATA, dataset_version=version)
    return Checkpoint.objects.create(
        run=run, project=cast.project, kind=CheckpointKind.CAUSAL_LM, step=9, directory="x", is_final=True,
        manifest_sha256="0" * 64,
    )  # fmt: skip


@pytest.fixture
def chain(cast):
    """An imported prompt, answered under a guideline, fixed by a reviewer, frozen, trained on."""
    record = make_import(cast)
    guideline = publish_guideline(cast.project, TaskKind.DEMONSTRATION)
    prompt = make_prompt(cast.project, "Why is the sky blue?", import_record=record, category="physics")
    submission = make_demonstration(
        cast.project, cast.annotator, prompt=prompt, guideline_version=guideline, decision="fixed",
        reviewer=cast.lead,
    )  # fmt: skip
    fill(cast, 5)
    version = make_version(cast)
    return submission, record, version, make_run(cast, version)


def test_a_judgment_leads_back_to_its_source_and_forward_to_the_checkpoint(cast, chain):
    submission, record, version, checkpoint = chain
    found = lineage_of(cast.project, "judgment", submission.pk)
    assert [step.kind for step in found.back] == ["person", "review", "guideline", "prompt", "import"]
    person, review, guideline, prompt, source = found.back
    assert person.title == f"Written by {cast.annotator.pseudonym}"
    assert review.title == f"Fixed by {cast.lead.pseudonym}"
    assert guideline.title == "Under guideline version 1"
    assert (prompt.text, prompt.facts["Category"]) == ("Why is the sky blue?", "physics")
    assert (source.title, source.facts["Licence"]) == ("asked.jsonl", "CC BY 4.0")
    [held] = found.forward
    assert (held.title, held.facts["SHA-256"]) == (str(version), version.sha256)
    assert [step.title for step in held.steps] == [str(checkpoint.run), str(checkpoint)]
    names = {cast.annotator.display_name, cast.lead.display_name, cast.admin.display_name}
    assert not any(name in str(found.back) for name in names)


def test_a_ranking_names_each_completion_with_its_place_and_its_model(cast):
    prompt = make_prompt(cast.project, metadata={WRITTEN: True}, created_by=cast.annotator)
    first, second = make_completions(prompt, 2)
    checkpoint = make_run(cast, make_version_of_one(cast))
    second.checkpoint_key = checkpoint.pk
    second.save()
    submission = make_ranking(cast.project, cast.peer, [[1], [0]], prompt=prompt, completions=[first, second])
    found = lineage_of(cast.project, "judgment", submission.pk)
    assert [step.kind for step in found.back] == [
        "person", "review", "completion", "completion", "prompt", "person"
    ]  # fmt: skip
    best, worst = found.back[2:4]
    assert (best.text, best.facts["Place"], best.role) == (second.text, "1", "admin")
    assert str(checkpoint.pk) in best.path
    assert (worst.text, worst.facts["Place"], worst.role) == (first.text, "2", "lead")
    assert found.back[1].title == "Not reviewed by anybody"
    assert found.back[-1].title == f"Written with its answer by {cast.annotator.pseudonym}"
    assert found.forward == []


def make_version_of_one(cast):
    make_demonstration(cast.project, cast.annotator)
    return make_version(cast, name="one")


def test_a_prompt_leads_forward_through_each_of_its_judgments(cast, chain):
    submission, _record, version, checkpoint = chain
    asked = make_version(cast, "prompts", "asked")
    found = lineage_of(cast.project, "prompt", submission.prompt_id)
    assert [step.title for step in found.back] == ["asked.jsonl"]
    judgment, prompts = found.forward
    assert judgment.path.endswith(f"/submissions/{submission.pk}/lineage/")
    assert [step.title for step in judgment.steps] == [str(version)]
    assert (prompts.title, f"?row={submission.prompt_id}#rows" in prompts.path) == (str(asked), True)


@pytest.mark.parametrize("few", [0, 1_000])
def test_an_import_counts_its_rows_in_each_version(cast, chain, few, monkeypatch):
    monkeypatch.setattr(dataset_files, "FEW_IDS", few)  # one by one, and all at once
    submission, record, version, _checkpoint = chain
    imported = make_demonstration(cast.project, cast.peer, prompt=submission.prompt)
    imported.import_record = record
    imported.save()
    later = make_version(cast, name="later")
    asked = make_version(cast, "prompts", "asked")
    found = lineage_of(cast.project, "import", record.pk)
    rows = {step.title: step.facts["Rows of it"] for step in found.forward if step.kind == "version"}
    assert rows == {str(version): "1", str(later): "2", str(asked): "1"}
    assert "Judgments of it, of its prompts or of its completions: 2" in [
        step.title for step in found.forward
    ]


def test_judgments_of_an_imports_completions_are_counted_too(cast):
    record = make_import(cast, kind="completions")
    prompt = make_prompt(cast.project)
    completions = make_completions(prompt, 2)
    completions[0].import_record = record
    completions[0].save()
    make_ranking(cast.project, cast.annotator, prompt=prompt, completions=completions)
    make_ranking(cast.project, cast.annotator)  # of others
    edited = make_demonstration(cast.project, cast.peer)
    edited.demonstrations.update(started_from=completions[0])
    version = make_version(cast, "comparison")
    found = lineage_of(cast.project, "import", record.pk)
    assert "Judgments of it, of its prompts or of its completions: 2" in [
        step.title for step in found.forward
    ]
    [held] = [step for step in found.forward if step.kind == "version"]
    assert (held.title, held.facts["Rows of it"]) == (str(version), "1")


def test_completions_of_an_import_to_prompts_that_were_there_are_counted_in_versions_of_completions(cast):
    record = make_import(cast, kind="completions")
    completions = make_completions(make_prompt(cast.project), 2)
    completions[0].import_record = record
    completions[0].save()
    make_completions(make_prompt(cast.project), 2)  # of others
    version = make_version(cast, "completions")
    [held] = [
        step for step in lineage_of(cast.project, "import", record.pk).forward if step.kind == "version"
    ]
    assert (held.title, held.facts["Rows of it"]) == (str(version), "1")


def test_what_is_of_another_project_is_not_there(cast, chain):
    submission, record, _version, _checkpoint = chain
    for kind, pk in (("judgment", submission.pk), ("prompt", submission.prompt_id), ("import", record.pk)):
        with pytest.raises(NotFound):
            lineage_of(cast.other_project, kind, pk)
    with pytest.raises(NotFound):
        lineage_of(cast.project, "run", 1)


def test_every_row_is_found_by_its_id(cast):
    fill(cast, 30)
    for kind, name in (("sft", "a"), ("comparison", "b"), ("prompts", "c")):
        if kind == "comparison":
            for _ in range(4):
                make_ranking(cast.project, cast.annotator)
        version = make_version(cast, kind, name, fractions={"train": 0.6, "validation": 0.4})
        for split in SPLITS:
            for number, row in enumerate(datasets.open_split(version=version, split=split), start=1):
                assert dataset_browse.find_row(version=version, row_id=row["id"]) == (split, number)
        assert dataset_browse.find_row(version=version, row_id="no such") is None


def test_pages_lead_from_row_to_lineage_and_back(client, cast, chain):
    submission, record, version, checkpoint = chain
    slug = cast.project.slug
    client.force_login(cast.lead)
    page = f"/projects/{slug}/datasets/{version.dataset_id}/versions/{version.number}/"
    split, number = dataset_browse.find_row(version=version, row_id=str(submission.pk))
    shown = client.get(page, {"row": submission.pk}).content.decode()
    lineage = f"/projects/{slug}/submissions/{submission.pk}/lineage/"
    assert f'href="{lineage}"' in shown
    assert shown.count('<details class="card" open>') == 1
    told = client.get(lineage).content.decode()
    assert f'href="{page}?row={submission.pk}#rows"' in told
    assert f'href="/projects/{slug}/imports/{record.pk}/lineage/"' in told
    assert "/checkpoints/" not in told and str(checkpoint) in told  # which a lead may not open
    client.force_login(cast.admin)
    assert f"/checkpoints/{checkpoint.pk}/" in client.get(lineage).content.decode()
    for where, link in (
        (f"submissions/{submission.pk}/", lineage),
        (f"tasks/{submission.task_id}/", f"/projects/{slug}/prompts/{submission.prompt_id}/lineage/"),
        (f"prompts/{submission.prompt_id}/", f"/projects/{slug}/prompts/{submission.prompt_id}/lineage/"),
        (f"imports/{record.pk}/", f"/projects/{slug}/imports/{record.pk}/lineage/"),
        (f"checkpoints/{checkpoint.pk}/", f"{page}#rows"),
    ):
        assert f'href="{link}"' in client.get(f"/projects/{slug}/{where}").content.decode(), where
    client.force_login(cast.annotator)
    assert client.get(lineage).status_code == 403


def test_the_api_tells_both_ways(client, cast, chain):
    submission, record, version, checkpoint = chain
    client.force_login(cast.lead)
    base = f"/api/projects/{cast.project.slug}"
    found = client.get(f"{base}/submissions/{submission.pk}/lineage/").json()
    assert [step["kind"] for step in found["back"]] == ["person", "review", "guideline", "prompt", "import"]
    assert [step["title"] for step in found["forward"][0]["steps"]] == [str(checkpoint.run), str(checkpoint)]
    assert client.get(f"{base}/prompts/{submission.prompt_id}/lineage/").json()["back"][0]["facts"]["Licence"]
    assert client.get(f"{base}/imports/{record.pk}/lineage/").json()["title"] == "asked.jsonl"
    assert client.get(f"{base}/imports/{record.pk + 999}/lineage/").status_code == 404


def test_a_settled_order_keeps_the_lineage_of_the_task_it_stands_for(cast):
    submission = make_ranking(cast.project, cast.annotator)
    ids = [tier[0] for tier in submission.rankings.get().tiers]
    adjudicate_task(task=submission.task, by=cast.lead, tiers=[[pk] for pk in reversed(ids)], note="Clear.")
    version = make_version(cast, "comparison", rankings="adjudicated", fractions={"train": 1.0})
    [row] = datasets.open_split(version=version, split="train")
    found = lineage_of(cast.project, "judgment", int(row["id"]))
    settled = [step for step in found.back if step.kind == "review" and "settled" in step.title]
    assert [step.title for step in settled] == [f"Order settled by {cast.lead.pseudonym}"]

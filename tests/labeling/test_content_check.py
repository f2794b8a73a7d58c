"""Prompts, imported completions, and files that were changed behind the site's back show in `verify`."""

from __future__ import annotations

import hashlib
import importlib
import io
import json
import uuid
from types import SimpleNamespace

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db import connection

from labeling.models import Completion, ImportRecord, Prompt
from labeling.services import content_check, dataset_exports
from labeling.services.completions import record_completions
from labeling.services.import_files import stored_path
from labeling.services.imports import start_import
from labeling.services.written_prompts import blank_prompt
from tests.factories import make_completions, make_prompt

from .judgments import make_demonstration
from .test_dataset_freeze import make_version

pytestmark = [pytest.mark.django_db, pytest.mark.database]
ROWS = [
    {"prompt": "Which way?", "completions": ["Left.", "Left.", "Right."]},
    {"prompt": "And then?", "completions": ["On.", "Back."]},
]


@pytest.fixture
def imported(cast) -> ImportRecord:
    data = "\n".join(json.dumps(row) for row in ROWS).encode()
    record = start_import(
        project=cast.project,
        kind="completions",
        file=io.BytesIO(data),
        filename="a.jsonl",
        acting_user=cast.admin,
    )
    assert Completion.objects.count() == 5  # two of them alike
    return record


def verified() -> str:
    out = io.StringIO()
    try:
        call_command("verify", stdout=out)
    except CommandError as error:
        return f"{out.getvalue()}{error}"
    return ""


def test_what_nobody_touched_is_as_it_was_made(cast, imported):
    blank_prompt(cast.project)
    make_prompt(cast.project, text="Größe?  \u2028 x")
    assert verified() == ""


def test_a_changed_prompt_is_named(cast, imported):
    prompt = Prompt.objects.order_by("pk").last()
    Prompt.objects.filter(pk=prompt.pk).update(messages=[{"role": "user", "content": "Another?"}])
    assert f"number {prompt.pk} was changed: its digest is another's" in verified()
    Prompt.objects.filter(pk=prompt.pk).update(messages={"role": 7})
    assert f"number {prompt.pk} was changed" in verified()


def test_a_changed_completion_of_a_file_is_named(cast, imported):
    completion = Completion.objects.get(text="Back.")
    Completion.objects.filter(pk=completion.pk).update(text="Back!")
    assert f"BAD  completion {cast.project.slug}: imported completions" in verified()
    assert f"number {completion.pk} was changed" in verified()


def sampled(cast) -> Completion:
    row = {
        "prompt_id": make_prompt(cast.project).pk, "text": "Sampled.", "generator": "ours",
        "source_key": "run:1:0", "checkpoint_key": uuid.uuid4(), "run_key": uuid.uuid4(), "sampling": {},
    }  # fmt: skip
    [pk] = record_completions(project=cast.project, rows=[row])
    return Completion.objects.get(pk=pk)


def test_a_changed_completion_of_a_model_is_named(cast):
    completion, other = sampled(cast), make_completions(make_prompt(cast.project), 1)[0]
    assert completion.content_sha256 == hashlib.sha256(b"Sampled.").hexdigest()
    assert verified() == ""
    Completion.objects.filter(pk=completion.pk).update(text="Tampered.")
    assert f"BAD  completion {cast.project.slug}: completions" in verified()
    assert f"number {completion.pk} was changed" in verified()
    assert f"number {other.pk}" not in verified()
    Completion.objects.filter(pk=completion.pk).update(text="Sampled.", content_sha256="")
    assert f"number {completion.pk} was changed" in verified()  # nobody's digest is gone of itself


def test_a_completion_handed_in_under_a_key_of_ones_own_is_no_problem(cast):
    row = {"prompt_id": make_prompt(cast.project).pk, "text": "Mine.", "source_key": "my-model:17:0"}
    record_completions(project=cast.project, rows=[row])
    assert verified() == ""


def test_completions_from_before_there_were_digests_get_theirs_batch_by_batch(cast, monkeypatch):
    migration = importlib.import_module("labeling.migrations.0029_digests_of_completions_that_there_are")
    made = make_completions(make_prompt(cast.project), 5)
    Completion.objects.exclude(pk=made[0].pk).update(content_sha256="")
    monkeypatch.setattr(migration, "CHUNK", 2)
    migration.fill(apps, SimpleNamespace(connection=connection))
    assert [Completion.objects.get(pk=each.pk).content_sha256 for each in made] == [
        hashlib.sha256(each.text.encode()).hexdigest() for each in made
    ]


def test_of_many_the_first_are_named_and_the_others_counted(cast):
    for number in range(9):
        Prompt.objects.filter(pk=make_prompt(cast.project, text=f"{number}?").pk).update(digest=f"{number}")
    [(_, problems)] = [
        each for each in content_check.verify_prompts() if each[0].startswith(cast.project.slug)
    ]
    assert (len(problems), problems[-1]) == (6, "and 4 more")


def test_bytes_changed_in_the_file_of_an_import(cast, imported):
    path = stored_path(imported.sha256)
    path.write_bytes(path.read_bytes() + b"\n")
    assert "BAD  import file a.jsonl" in verified()


def test_bytes_changed_in_a_prepared_file(cast):
    make_demonstration(cast.project, cast.annotator, "Yes.")
    export = dataset_exports.prepare_export(
        version=make_version(cast), format="messages", acting_user=cast.admin
    )
    assert "prepared file" not in verified()  # though no audit row tells of a judgment made by a test
    path = dataset_exports.existing_path(export)
    path.write_bytes(path.read_bytes().replace(b"Yes", b"Yet"))
    assert f"BAD  prepared file {path.name}" in verified()
    path.unlink()
    assert "prepared file" not in verified()

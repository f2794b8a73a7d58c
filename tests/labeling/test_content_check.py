"""Prompts, imported completions, and files that were changed behind the site's back show in `verify`."""

from __future__ import annotations

import io
import json

import pytest
from django.core.management import CommandError, call_command

from labeling.models import Completion, ImportRecord, Prompt
from labeling.services import content_check, dataset_exports
from labeling.services.import_files import stored_path
from labeling.services.imports import start_import
from labeling.services.written_prompts import blank_prompt
from tests.factories import make_prompt

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

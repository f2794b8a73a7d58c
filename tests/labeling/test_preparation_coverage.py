"""What a version is made of, as plots beside its preparation report: each of them, with its numbers."""

from __future__ import annotations

import io
import json
import re

import pytest

from labeling.models import Completion, ImportRecord
from labeling.services import imports, preparations
from tests.factories import make_prompt

from .judgments import make_demonstration
from .test_dataset_freeze import make_version


def test_each_plot_has_its_bars(cast, client):
    for person, category, language in (
        (cast.annotator, "tea", "en"), (cast.annotator, "law", "en"), (cast.peer, "tea", "de"),
    ):  # fmt: skip
        prompt = make_prompt(cast.project, category=category, language=language)
        make_demonstration(cast.project, person, "A fine answer.", prompt=prompt)
    row = {"prompt": "From a file?", "completion": "Yes, " * 20, "category": "law", "language": "en"}
    imports.start_import(
        project=cast.project, kind="demonstrations", filename="a.jsonl", acting_user=cast.admin,
        file=io.BytesIO(json.dumps(row).encode() + b"\n"),
    )  # fmt: skip
    version = make_version(cast)
    report = preparations.ask_for_report(subject=version, acting_user=cast.admin).report
    people = {cast.annotator.pseudonym: 2, cast.peer.pseudonym: 1}
    assert report["coverage"]["categories"] == {"law": 2, "tea": 2}
    assert report["coverage"]["languages"] == {"en": 3, "de": 1}
    assert report["coverage"]["annotators"] == people
    record = ImportRecord.objects.get()
    assert report["coverage"]["sources"] == {"people": 3, f"import {record.pk}": 1}
    assert sum(report["coverage"]["lengths"].values()) == 4 and len(report["coverage"]["lengths"]) == 2
    client.force_login(cast.lead)
    base = f"/projects/{cast.project.slug}/datasets/{version.dataset_id}/versions/1"
    page = client.get(f"{base}/preparation/").content.decode()
    for title in ("Categories", "Languages", "Sources", "People"):
        assert f"<h2>{title}</h2>" in page
    for name in ("law", "tea", "en", "de", "people", f"import {record.pk}: a.jsonl", *people):
        assert re.search(rf">\s*{name}\s*<", page), name
    assert page.count('id="lengths') and "characters, up to" in page


@pytest.mark.parametrize("kind", ["prompts", "completions"])
def test_versions_that_nobody_judged_have_sources_too(cast, kind):
    rows = [{"instruction": f"{n}?", "output": "Yes.", "generator": "gpt"} for n in range(2)]
    imports.start_import(
        project=cast.project, kind="completions", filename="a.jsonl", acting_user=cast.admin,
        file=io.BytesIO(b"".join(json.dumps(row).encode() + b"\n" for row in rows)),
    )  # fmt: skip
    prompt = make_prompt(cast.project, "Made here?")
    Completion.objects.create(project=cast.project, prompt=prompt, text="No.", generator="sft-1")
    version = make_version(cast, kind)
    report = preparations.ask_for_report(subject=version, acting_user=cast.admin).report
    assert report["coverage"]["sources"] == {f"import {ImportRecord.objects.get().pk}": 2, "people": 1}

"""Upload, look, confirm, watch: in the browser's words."""

from __future__ import annotations

import io

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from labeling.models import ImportRecord, ImportStatus, Prompt, Ranking
from labeling.services import imports
from labeling.services.import_preview import FIELD_GROUPS, MAPPABLE_FIELDS


def url(cast, rest: str = "") -> str:
    return f"/projects/{cast.project.slug}/imports/{rest}"


def upload(client, cast, *files: tuple[str, bytes], kind: str = "prompts"):
    data = {"kind": kind, "files": [SimpleUploadedFile(name, content) for name, content in files]}
    return client.post(url(cast, "new/"), data)


def test_an_upload_shows_the_first_rows_and_stores_none(admin, cast):
    answer = upload(admin, cast, ("x.jsonl", b'{"prompt": "What <b>is</b> it?"}\n'))
    page = admin.get(answer["Location"]).content.decode()
    assert "What &lt;b&gt;is&lt;/b&gt; it?" in page
    assert not Prompt.objects.exists()


def test_confirming_brings_it_in(admin, cast):
    upload(admin, cast, ("x.jsonl", b'{"prompt": "One?"}\n'))
    record = ImportRecord.objects.get()
    answer = admin.post(url(cast, f"{record.pk}/confirm/"), {"kind": "prompts"}, follow=True)
    assert answer.status_code == 200
    assert Prompt.objects.get().preview == "One?"


def test_kind_and_mapping_chosen_on_the_preview_are_used(admin, cast):
    upload(admin, cast, ("x.csv", b"q,good,bad\nOne?,Yes.,No.\n"))
    record = ImportRecord.objects.get()
    choices = {"kind": "comparisons", "map-prompt": "q", "map-chosen": "good", "map-rejected": "bad"}
    preview = admin.get(url(cast, f"{record.pk}/"), choices, headers={"HX-Request": "true"}).content.decode()
    assert "rank 1" in preview
    assert "<html" not in preview
    admin.post(url(cast, f"{record.pk}/confirm/"), choices)
    assert Ranking.objects.count() == 1


def test_odd_columns_are_shown_with_their_first_rows_beside_the_mapping(admin, cast):
    rows = b"".join(b"Wer <b>%d</b>?,Gut %d,Schlecht %d\n" % (n, n, n) for n in range(5))
    answer = upload(admin, cast, ("x.csv", b"Frage,Besser,Schlechter\n" + rows), kind="comparisons")
    page = admin.get(answer["Location"]).content.decode()
    columns = page.split("<details open>")[1].split("</details>")[0]  # without a click
    assert "The file&#x27;s first rows" in columns or "The file's first rows" in columns
    for said in ("Frage", "Wer &lt;b&gt;0&lt;/b&gt;?", "Besser", "Gut 2", "Schlecht 2"):
        assert said in columns
    assert "Gut 3" not in columns
    legends = [each.split("</legend>")[0] for each in columns.split("<legend>")[1:]]
    assert legends == ["The prompt", "The answers", "Which is better", "About the row"]
    assert "<option>Frage</option>" in columns


def test_of_many_columns_a_name_is_typed_and_found(admin, cast):
    names = [f"column {n}" for n in range(30)]
    upload(admin, cast, ("x.csv", (",".join(names) + "\n" + ",".join("abc" for _ in names)).encode()))
    record = ImportRecord.objects.get()
    choices = {"kind": "prompts", "map-prompt": "column 7"}
    page = admin.get(url(cast, f"{record.pk}/"), choices, headers={"HX-Request": "true"}).content.decode()
    assert page.count('<option value="column 7">') == 1  # one list for all fields
    assert 'name="map-prompt" value="column 7" list="columns"' in page
    assert "The first rows, as they would be stored" in page


def test_every_field_that_can_be_mapped_is_in_one_group():
    grouped = [name for _, names in FIELD_GROUPS for name in names]
    assert len(grouped) == len(set(grouped))
    assert {name for names in MAPPABLE_FIELDS.values() for name in names} == set(grouped)


def test_a_file_that_cannot_be_read_that_way_says_why_on_the_preview(admin, cast):
    answer = upload(admin, cast, ("x.jsonl", b'{"prompt": "One?"}\n'), kind="demonstrations")
    page = admin.get(answer["Location"]).content.decode()
    assert "x.jsonl, row 1, field completion: missing" in page


def test_several_files_are_confirmed_together(admin, cast):
    files = [(f"{n}.jsonl", f'{{"prompt": "{n}?"}}\n'.encode()) for n in range(3)]
    answer = upload(admin, cast, *files)
    first, others = answer["Location"].split("?with=")
    admin.post(f"{first}confirm/", {"kind": "prompts", "with": others})
    assert set(ImportRecord.objects.values_list("status", flat=True)) == {ImportStatus.SUCCEEDED}
    assert Prompt.objects.count() == 3


def test_a_file_of_another_project_is_not_confirmed_along(admin, cast):
    foreign = imports.upload_file(
        project=cast.other_project, kind="prompts", file=io.BytesIO(b'{"prompt": "x"}'), filename="f.jsonl",
        acting_user=cast.outsider,
    )  # fmt: skip
    answer = upload(admin, cast, ("x.jsonl", b'{"prompt": "One?"}\n'))
    admin.post(f"{answer['Location']}confirm/", {"kind": "prompts", "with": str(foreign.pk)})
    foreign.refresh_from_db()
    assert foreign.status == ImportStatus.UPLOADED


def test_a_failure_is_shown_with_its_row(admin, cast):
    content = b'{"prompt": "One?"}\n' * 9 + b'{"prompt": ""}\n'
    upload(admin, cast, ("x.jsonl", content))
    record = ImportRecord.objects.get()
    page = admin.post(url(cast, f"{record.pk}/confirm/"), {"kind": "prompts"}, follow=True).content.decode()
    assert "Nothing was stored." in page
    assert "x.jsonl, row 10, field prompt: empty" in page


def test_progress_refreshes_the_page_when_it_is_over(admin, cast, monkeypatch):
    monkeypatch.setattr(imports, "INLINE_BYTES", 1)
    monkeypatch.setattr("labeling.services.background.take_up_if_nobody_does", lambda row: None)
    upload(admin, cast, ("x.jsonl", b'{"prompt": "One?"}\n'))
    record = ImportRecord.objects.get()
    admin.post(url(cast, f"{record.pk}/confirm/"), {"kind": "prompts"})
    waiting = admin.get(url(cast, f"{record.pk}/progress/"))
    assert "HX-Refresh" not in waiting
    imports.run_import(import_record=record)
    assert admin.get(url(cast, f"{record.pk}/progress/"))["HX-Refresh"] == "true"


def test_an_empty_upload_is_refused_next_to_the_field(admin, cast):
    answer = upload(admin, cast, ("x.jsonl", b""))
    assert answer.status_code == 422
    assert "nothing to import: the file is empty." in answer.content.decode()


def test_discarding_forgets_the_file(admin, cast):
    upload(admin, cast, ("x.jsonl", b'{"prompt": "One?"}\n'))
    admin.post(url(cast, f"{ImportRecord.objects.get().pk}/discard/"))
    assert not ImportRecord.objects.exists()


@pytest.mark.parametrize(("who", "status"), [("lead", 403), ("annotator", 403), ("outsider", 404)])
def test_imports_are_for_admins_of_the_project(client, cast, who, status):
    client.force_login(getattr(cast, who))
    assert client.get(url(cast)).status_code == status
    assert upload(client, cast, ("x.jsonl", b"{}")).status_code == status
    assert not ImportRecord.objects.exists()


def test_the_list_finds_by_name_and_status(admin, cast):
    upload(admin, cast, ("apples.jsonl", b'{"prompt": "a"}'), ("pears.jsonl", b'{"prompt": "b"}'))
    page = admin.get(url(cast), {"q": "pear", "status": "uploaded"}).content.decode()
    assert "pears.jsonl" in page
    assert "apples.jsonl" not in page

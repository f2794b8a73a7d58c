"""Preparation of imports and versions: looked through, decided, carried out, counted."""

from __future__ import annotations

import gzip
import io
import json
import re

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from annotate.errors import Conflict, Invalid
from labeling.models import AuditEvent, Demonstration, ImportRecord, Preparation, PreparationStatus, Prompt
from labeling.services import background, datasets, imports, preparations
from tests.factories import make_prompt

from .judgments import make_demonstration, make_ranking
from .test_dataset_freeze import make_version


def lines(*rows):
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def row(prompt, completion):
    return {"prompt": prompt, "completion": completion}


ROWS = lines(
    row("One?", "Yes."), row("One?", "Yes."), row("Two?", "Write to ada@example.org."), row("Three?", "...")
)


@pytest.fixture
def upload(cast):
    return imports.upload_file(
        project=cast.project,
        kind="demonstrations",
        file=io.BytesIO(ROWS),
        filename="x.jsonl",
        acting_user=cast.admin,
    )


def found(preparation):
    return {each["key"]: each for each in preparation.report["findings"]}


def decide(cast, subject, finding, decision, fix=""):
    return preparations.decide(
        subject=subject, finding=finding, decision=decision, fix=fix, acting_user=cast.admin
    )


def ask(cast, subject, **more):
    return preparations.ask_for_report(subject=subject, acting_user=cast.admin, **more)


def bring_in(cast, record, **more):
    imports.confirm_import(import_record=record, acting_user=cast.admin, **more)
    return imports.run_import(import_record=record)


def answers():
    return list(Demonstration.objects.order_by("pk").values_list("text", flat=True))


def test_looking_stores_a_report_and_nothing_else(cast, upload):
    preparation = ask(cast, upload)
    assert preparation.status == PreparationStatus.READY
    assert found(preparation).keys() >= {"exact_duplicates", "personal_data", "empty_answers"}
    assert found(preparation)["exact_duplicates"]["rows"][0]["row"] == 2
    assert not Demonstration.objects.exists()


def test_applied_fixes_are_part_of_the_import_and_counted(cast, upload):
    ask(cast, upload)
    decide(cast, upload, "exact_duplicates", "apply", "drop_exact_duplicates")
    decide(cast, upload, "personal_data", "apply", "mask_personal_data")
    decide(cast, upload, "empty_answers", "ignore")
    record = bring_in(cast, upload)
    assert answers() == ["Yes.", "Write to [email].", "..."]
    assert (record.rows_read, record.rows_added, record.rows_left_out) == (4, 3, 1)
    preparation = Preparation.objects.get()
    assert preparation.counts == {"drop_exact_duplicates": 1, "mask_personal_data": 1}
    assert preparation.ignored == ["empty_answers"]
    event = AuditEvent.objects.get(action="import.succeeded")
    assert event.data["fixes"] == preparation.counts


def test_a_decision_taken_back_changes_nothing(cast, upload):
    ask(cast, upload)
    decide(cast, upload, "exact_duplicates", "apply", "drop_exact_duplicates")
    decide(cast, upload, "exact_duplicates", "open")
    decide(cast, upload, "personal_data", "apply", "drop_personal_data")
    decide(cast, upload, "personal_data", "apply", "mask_personal_data")
    assert Preparation.objects.get().fixes == ["mask_personal_data"]


def test_fixes_count_rows_as_they_are_read_when_faulty_ones_are_left_out(cast):
    faulty = b'{"prompt": 7}\n' + ROWS + b'{"prompt": "Four?"}\n'
    record = imports.upload_file(
        project=cast.project,
        kind="demonstrations",
        file=io.BytesIO(faulty),
        filename="x.jsonl",
        acting_user=cast.admin,
    )
    assert found(ask(cast, record))["unreadable"]["count"] == 2
    decide(cast, record, "empty_answers", "apply", "drop_empty_answers")
    record = bring_in(cast, record, leave_out_faulty_rows=True)
    assert (record.rows_read, record.rows_left_out, len(record.faults)) == (6, 3, 2)
    assert answers() == ["Yes.", "Write to ada@example.org."]


def test_a_file_of_which_nothing_is_left_stores_nothing_and_says_so(cast):
    record = imports.upload_file(
        project=cast.project,
        kind="demonstrations",
        file=io.BytesIO(lines(row("One?", "..."))),
        filename="x.jsonl",
        acting_user=cast.admin,
    )
    ask(cast, record)
    decide(cast, record, "empty_answers", "apply", "drop_empty_answers")
    assert "the chosen fixes leave no row" in bring_in(cast, record).error["message"]


def test_what_a_dry_run_said_of_other_fixes_is_forgotten(cast, upload):
    ask(cast, upload)
    record = bring_in(cast, upload, dry_run=True)
    assert record.report["added"] == 3
    seen_before = ImportRecord.objects.get(pk=upload.pk)
    decide(cast, record, "exact_duplicates", "ignore")
    record.refresh_from_db()
    assert record.report is not None  # nothing that is carried out changed
    decide(cast, record, "empty_answers", "apply", "drop_empty_answers")
    record.refresh_from_db()
    assert record.report is None
    bring_in(cast, record)
    with pytest.raises(Conflict):  # read as open, brought in meanwhile
        decide(cast, seen_before, "exact_duplicates", "apply", "drop_exact_duplicates")


def test_evaluation_imports_are_held_against_the_rows(cast, upload):
    other = imports.start_import(
        project=cast.project,
        kind="prompts",
        file=io.BytesIO(lines({"prompt": "one?"})),
        filename="eval.jsonl",
        acting_user=cast.admin,
    )
    report = found(ask(cast, upload, evaluation=[other.pk]))
    assert report["leakage"]["count"] == 2
    with pytest.raises(Invalid):
        ask(cast, upload, evaluation=[upload.pk])


def test_a_file_that_cannot_be_read_fails_with_its_sentence(cast):
    record = imports.upload_file(
        project=cast.project,
        kind="demonstrations",
        file=io.BytesIO(b'{"prompt": "One?"}\n'),
        filename="x.jsonl",
        acting_user=cast.admin,
    )
    preparation = ask(cast, record)
    assert preparation.status == PreparationStatus.FAILED
    assert "missing" in preparation.error


def test_a_large_file_waits_for_a_worker_and_the_sweep_takes_it_up(cast, upload, monkeypatch):
    monkeypatch.setattr(preparations, "INLINE_BYTES", 1)
    assert ask(cast, upload).status == PreparationStatus.WAITING
    background.sweep()
    assert Preparation.objects.get().status == PreparationStatus.READY


def test_so_does_a_small_file_that_unpacks_to_a_large_one(cast, monkeypatch):
    rows = b'{"prompt": "One?", "completion": "Yes."}\n' * 200
    record = imports.upload_file(
        project=cast.project,
        kind="demonstrations",
        file=io.BytesIO(gzip.compress(rows)),
        filename="x.jsonl.gz",
        acting_user=cast.admin,
    )
    monkeypatch.setattr(preparations, "INLINE_BYTES", len(rows) - 1)
    assert ask(cast, record).status == PreparationStatus.WAITING


def test_what_is_confirmed_is_not_decided_about_any_more(cast, upload):
    ask(cast, upload)
    bring_in(cast, upload)
    upload.refresh_from_db()
    with pytest.raises(Conflict):
        decide(cast, upload, "exact_duplicates", "ignore")


@pytest.mark.parametrize(
    "finding, decision, fix",
    [
        ("nonsense", "ignore", ""),
        ("exact_duplicates", "nonsense", ""),
        ("exact_duplicates", "apply", "mask_personal_data"),
    ],
)
def test_only_what_the_report_offers_can_be_decided(cast, upload, finding, decision, fix):
    ask(cast, upload)
    with pytest.raises(Invalid):
        decide(cast, upload, finding, decision, fix)


def test_fixes_of_a_version_go_into_the_recipe_of_the_next(cast):
    for text in ("A fine answer.", "A fine answer.", "Write to ada@example.org."):
        make_demonstration(cast.project, cast.annotator, text, prompt=make_prompt(cast.project))
    version = make_version(cast)
    assert found(ask(cast, version)).keys() >= {"personal_data"}
    decide(cast, version, "personal_data", "apply", "mask_personal_data")
    version.dataset.refresh_from_db()
    again = datasets.freeze_dataset(dataset=version.dataset, acting_user=cast.admin)
    assert again.recipe["filters"] == {"fixes": ["mask_personal_data"]}
    assert again.manifest["changed"] == {"preparation: mask_personal_data": 1}
    rows = [
        each
        for split in ("train", "validation", "test")
        for each in datasets.open_split(version=again, split=split)
    ]
    assert "Write to [email]." in {each["messages"][-1]["content"] for each in rows}
    assert version.row_count == again.row_count


def test_a_comparison_version_is_looked_through(cast):
    make_ranking(cast.project, cast.annotator)
    assert ask(cast, make_version(cast, "comparison")).report["rows"] == 1


def url(cast, record):
    return f"/projects/{cast.project.slug}/imports/{record.pk}/preparation/"


def test_the_page_from_the_preview_to_the_import(admin, cast, upload):
    asked = admin.post(url(cast, upload), {"kind": "demonstrations"})
    page = admin.get(asked["Location"]).content.decode()
    assert "Rows that are there already" in page
    assert "ada@example.org" in page
    choice = {"finding": "exact_duplicates", "choice": "apply:drop_exact_duplicates"}
    answer = admin.post(f"{url(cast, upload)}decide/", choice, follow=True).content.decode()
    assert "Keep the first of each" in answer
    detail = f"/projects/{cast.project.slug}/imports/{upload.pk}/"
    assert "When the file is brought in:" in admin.get(detail).content.decode()
    admin.post(f"{detail}confirm/", {"kind": "demonstrations"})
    assert "Keep the first of each: 1 row" in admin.get(detail).content.decode()


def test_texts_of_a_file_are_text_on_the_page(admin, cast):
    file = SimpleUploadedFile("x.jsonl", lines(*[row("<b>One</b>?", "Yes.")] * 2))
    admin.post(f"/projects/{cast.project.slug}/imports/new/", {"kind": "demonstrations", "files": [file]})
    record = ImportRecord.objects.get()
    admin.post(url(cast, record), {"kind": "demonstrations"})
    page = admin.get(url(cast, record)).content.decode()
    assert "&lt;b&gt;One&lt;/b&gt;" in page
    assert "<b>One" not in page


def test_a_lead_sees_the_report_on_a_version_and_decides_nothing(client, cast):
    client.force_login(cast.lead)
    lead = client
    make_demonstration(cast.project, cast.annotator, "A fine answer.")
    version = make_version(cast)
    address = f"/projects/{cast.project.slug}/datasets/{version.dataset_id}/versions/1/preparation/"
    assert lead.post(address).status_code == 302
    assert "Too few rows" in lead.get(address).content.decode()
    assert lead.post(f"{address}decide/", {"finding": "too_few_rows", "choice": "ignore"}).status_code == 403


def api(cast, rest):
    return f"/api/projects/{cast.project.slug}/{rest}"


def test_a_program_holds_a_file_back_looks_decides_and_confirms(admin, cast):
    file = SimpleUploadedFile("x.jsonl", ROWS)
    held = admin.post(api(cast, "imports/"), {"file": file, "kind": "demonstrations", "dry_run": "true"})
    assert held.json()["status"] == "uploaded"
    here = api(cast, f"imports/{held.json()['id']}/")
    assert admin.get(f"{here}preparation/").json()["status"] == "chosen"
    report = admin.post(f"{here}preparation/", {}, content_type="application/json").json()
    assert {each["key"]: each["decision"] for each in report["findings"]}["exact_duplicates"] == "open"
    decision = {"finding": "exact_duplicates", "decision": "apply", "fix": "drop_exact_duplicates"}
    admin.post(f"{here}preparation/decisions/", decision, content_type="application/json")
    done = admin.post(f"{here}confirm/", {}, content_type="application/json").json()
    assert (done["status"], done["rows_added"], done["rows_left_out"]) == ("succeeded", 3, 1)
    assert admin.get(f"{here}preparation/").json()["counts"] == {"drop_exact_duplicates": 1}


def test_fixes_named_with_the_upload_are_carried_out(admin, cast):
    file = SimpleUploadedFile("x.jsonl", ROWS)
    fixes = "drop_exact_duplicates, drop_empty_answers"
    data = {"file": file, "kind": "demonstrations", "fixes": fixes}
    assert admin.post(api(cast, "imports/"), data).json()["rows_added"] == 2
    wrong = {"file": SimpleUploadedFile("y.jsonl", ROWS), "kind": "demonstrations", "fixes": "nonsense"}
    assert admin.post(api(cast, "imports/"), wrong).status_code == 422
    assert ImportRecord.objects.count() == 1


def test_a_good_row_is_not_left_out_as_the_double_of_a_refused_one(cast):
    """The first of three equal rows is refused for its label: the second is taken, the third dropped."""
    twice = row("Which river?", "The Rhine, as everybody knows who has been there once.")
    record = imports.upload_file(
        project=cast.project, kind="demonstrations", filename="doubles.jsonl", acting_user=cast.admin,
        file=io.BytesIO(lines({**twice, "category": "x" * 81}, twice, twice, row("Other?", "Yes, it is."))),
    )  # fmt: skip
    ask(cast, record)
    decide(cast, record, "exact_duplicates", "apply", "drop_exact_duplicates")
    done = bring_in(cast, record, leave_out_faulty_rows=True)
    assert (done.rows_added, done.rows_left_out, done.rows_read) == (2, 2, 4)
    assert [fault["row"] for fault in done.faults] == [1]
    assert sorted(answers()) == ["The Rhine, as everybody knows who has been there once.", "Yes, it is."]


def test_a_mask_reaches_the_other_fields_of_a_file(cast):
    rows = [{**row(f"Who {n}?", "Ask ada@example.org, please."), "from": "bob@example.org"} for n in range(3)]
    record = imports.upload_file(
        project=cast.project, kind="demonstrations", filename="rows.jsonl", acting_user=cast.admin,
        file=io.BytesIO(lines(*rows)),
    )  # fmt: skip
    ask(cast, record)
    decide(cast, record, "personal_data", "apply", "mask_personal_data")
    bring_in(cast, record)
    stored = list(Prompt.objects.values_list("metadata", flat=True))
    assert len(stored) == 3
    assert "example.org" not in str([stored, answers()])


def test_a_gap_is_one_click_from_a_batch_that_fills_it(client, cast):
    for category, language, count in (("tea", "en", 40), ("law & order", "de", 2)):
        for _ in range(count):
            prompt = make_prompt(cast.project, category=category, language=language)
            make_demonstration(cast.project, cast.annotator, prompt=prompt)
    version = make_version(cast)
    ask(cast, version)
    client.force_login(cast.lead)
    base = f"/projects/{cast.project.slug}"
    page = client.get(f"{base}/datasets/{version.dataset_id}/versions/1/preparation/").content.decode()
    # Half of an even share of 42 rows is 10, and two there are.
    found = re.search(r'href="([^"]*batches/new/[^"]*)">Have 8 more written', page)
    form = client.get(found[1].replace("&amp;", "&")).content.decode()
    assert '<option value="law &amp; order" selected>' in form and 'value="8"' in form
    assert re.search(r'name="writes_prompt"[^>]*checked', form)


def test_clusters_are_browsed_page_by_page(client, cast):
    rows = [row(f"What comes after the number {n} in this list?", "The next.") for n in range(23)]
    record = imports.upload_file(
        project=cast.project, kind="demonstrations", file=io.BytesIO(lines(*rows, *rows)),
        filename="twice.jsonl", acting_user=cast.admin,
    )  # fmt: skip
    ask(cast, record)
    client.force_login(cast.admin)
    page = f"/projects/{cast.project.slug}/imports/{record.pk}/preparation/"
    seen = []
    address = page
    for _ in range(3):
        shown = client.get(address).content.decode()
        cluster = shown[shown.index('id="exact_duplicates-groups"') :]
        cluster = cluster[: cluster.index("</details>")]
        seen.append({int(number) for number in re.findall(r"the number (\d+) in", cluster)})
        following = re.search(r'rel="next" href="([^"]+)"', cluster)
        address = following[1] if following else ""
    assert [len(each) for each in seen] == [10, 10, 3]
    assert set.union(*seen) == set(range(23)) and not address
    assert "21–23 of 23" in cluster
    assert re.search(r'id="exact_duplicates-groups" open', shown)
    assert client.get(page, {"exact_duplicates": "x"}).status_code == 200

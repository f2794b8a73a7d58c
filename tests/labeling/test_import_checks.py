"""A dry run says what an import would do and stores nothing; every faulty row can be taken away as CSV."""

from __future__ import annotations

import csv
import io
import json

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse

from labeling.models import (
    Completion,
    Demonstration,
    ImportRecord,
    ImportStatus,
    Prompt,
    Ranking,
    Submission,
)
from labeling.services import import_faults, imports

from .test_import_services import bring_in, lines

GOOD = {"prompt": "One?", "output": "Yes."}
KINDS = {
    "prompts": lines({"prompt": "a"}, {"prompt": "b"}, {"prompt": "a"}),
    "demonstrations": lines(GOOD, {"prompt": "One?", "output": "No."}, GOOD),
    "comparisons": lines(
        {"prompt": "a", "chosen": "1", "rejected": "2"},
        {"prompt": "a", "chosen": "2", "rejected": "1"},
        {"prompt": "a", "chosen": "1", "rejected": "2"},
    ),
    "completions": lines(
        {"prompt": "a", "completions": ["1", "2"]},
        {"prompt": "a", "completions": ["2", "3"]},
        {"prompt": "a", "completions": ["1", "3"]},
    ),
}


def stored() -> list[int]:
    return [model.objects.count() for model in (Prompt, Completion, Submission, Demonstration, Ranking)]


def read_csv(record) -> list[list[str]]:
    return list(csv.reader(io.StringIO(b"".join(import_faults.faults_as_csv(record)).decode())))


@pytest.mark.parametrize("kind", KINDS)
def test_a_dry_run_counts_as_the_import_does_and_stores_nothing(cast, kind):
    before = stored()
    dry = bring_in(cast, kind, KINDS[kind], dry_run=True)
    assert (dry.status, stored()) == (ImportStatus.UPLOADED, before)
    real = bring_in(cast, kind, KINDS[kind])
    assert dry.report["rows"] == real.rows_read == 3
    assert (dry.report["added"], dry.report["already_there"]) == (real.rows_added, real.rows_already_there)
    assert 0 < real.rows_added < 3
    again = bring_in(cast, kind, KINDS[kind], dry_run=True)
    assert (again.report["added"], again.report["already_there"]) == (0, 3)


def test_a_dry_run_finds_all_faults_and_can_be_confirmed_afterwards(cast):
    data = lines(GOOD, {"prompt": "Two?"}, {"output": "x"}, {"prompt": "Four?", "output": "Yes."})
    record = bring_in(cast, "demonstrations", data, dry_run=True)
    assert [(fault["row"], fault["field"]) for fault in record.faults] == [(2, "completion"), (3, "prompt")]
    assert (record.report["rows"], record.report["added"], record.report["left_out"]) == (4, 2, 2)
    imports.confirm_import(import_record=record, acting_user=cast.admin, leave_out_faulty_rows=True)
    imports.run_import(import_record=record)
    assert (record.status, record.rows_added, record.rows_left_out) == (ImportStatus.SUCCEEDED, 2, 2)
    assert record.report is None


def test_a_dry_run_of_a_file_that_cannot_be_read_fails_as_its_import_would(cast):
    record = bring_in(cast, "prompts", b'[{"prompt": "a"}, {"prompt"', filename="cut.json", dry_run=True)
    assert (record.status, "ends early" in record.error["message"]) == (ImportStatus.FAILED, True)
    assert not record.is_dry_run


def test_every_faulty_row_is_in_the_csv_beyond_those_on_the_page(cast):
    rows = [{"prompt": f"p{n}", "output": ""} for n in range(300)]
    record = bring_in(cast, "demonstrations", lines(GOOD, *rows), leave_out_faulty_rows=True)
    assert (len(record.faults), record.rows_left_out) == (import_faults.FAULTS_KEPT, 300)
    listed = read_csv(record)
    assert listed[0] == ["row", "field", "message"]
    assert [row[0] for row in listed[1:]] == [str(n) for n in range(2, 302)]
    assert listed[300][1:] == ["output", f"rows.jsonl, row 301, field output: empty. {HINT}"]


HINT = "Write the text, or leave the row out."


def test_the_list_is_bounded(cast, monkeypatch):
    monkeypatch.setattr(import_faults, "MOST_LISTED", 5)
    rows = [{"prompt": f"p{n}", "output": ""} for n in range(9)]
    record = bring_in(cast, "demonstrations", lines(GOOD, *rows), leave_out_faulty_rows=True)
    assert (len(read_csv(record)), record.rows_left_out) == (6, 9)


def test_cells_of_the_list_are_no_formulas(cast):
    data = lines(GOOD, {"prompt": "x", "completion": "y", "=cmd()": 1})
    name = "=HYPERLINK(1).jsonl"
    record = bring_in(cast, "demonstrations", data + lines({"prompt": "p"}), filename=name, dry_run=True)
    assert read_csv(record)[1][2].startswith("'=HYPERLINK")


def test_a_refused_file_lists_the_fault_that_it_was_refused_for(cast):
    record = bring_in(cast, "demonstrations", lines(GOOD, {"prompt": "Two?"}))
    assert record.status == ImportStatus.FAILED
    assert [row[:2] for row in read_csv(record)] == [["row", "field"], ["2", "completion"]]


def test_a_later_run_without_faults_leaves_no_old_list_behind(cast):
    record = bring_in(cast, "demonstrations", lines(GOOD, {"prompt": "Two?"}), dry_run=True)
    assert import_faults.path_of(record).exists()
    imports.confirm_import(import_record=record, acting_user=cast.admin, kind="prompts")
    imports.run_import(import_record=record)
    assert (record.status, import_faults.path_of(record).exists()) == (ImportStatus.SUCCEEDED, False)


def test_discarding_takes_the_list_along(cast, django_capture_on_commit_callbacks):
    record = bring_in(cast, "demonstrations", lines(GOOD, {"prompt": "Two?"}), dry_run=True)
    path = import_faults.path_of(record)
    with django_capture_on_commit_callbacks(execute=True):
        imports.discard_import(import_record=record, acting_user=cast.admin)
    assert not path.exists()


# --- Edges ------------------------------------------------------------------------------------------------
def test_over_the_api_a_file_is_checked_confirmed_and_its_faults_taken(cast, client):
    client.force_login(cast.admin)
    url = reverse("api_imports", args=[cast.project.slug])
    file = io.BytesIO(lines(GOOD, {"prompt": "Two?"}))
    file.name = "rows.jsonl"
    sent = {"file": file, "kind": "demonstrations", "licence": "CC0", "dry_run": "true"}
    checked = client.post(url, sent)
    body = checked.json()
    assert (checked.status_code, body["status"], body["report"]["added"]) == (200, "uploaded", 1)
    assert (body["licence"], body["created_by"]) == ("CC0", cast.admin.username)
    faults = client.get(f"{url}{body['id']}/faults/")
    assert b"2,completion," in faults.getvalue()
    refused = client.post(f"{url}{body['id']}/confirm/", {}, "application/json")
    assert (refused.status_code, refused.json()["error"]["field"]) == (422, "completion")
    done = client.post(f"{url}{body['id']}/confirm/", {"leave_out_faulty_rows": True}, "application/json")
    assert (done.status_code, done.json()["rows_added"]) == (201, 1)
    again = client.post(f"{url}{body['id']}/confirm/", {}, "application/json")
    assert again.status_code == 409


def test_on_the_page_a_file_is_checked_and_then_imported(cast, client):
    client.force_login(cast.admin)
    record = imports.upload_file(
        project=cast.project, kind="demonstrations", file=io.BytesIO(lines(GOOD, {"prompt": "Two?"})),
        filename="rows.jsonl", acting_user=cast.admin, licence="MIT",
    )  # fmt: skip
    args = [cast.project.slug, record.pk]
    form = {"kind": "demonstrations", "format": "", "leave_out_faulty_rows": "1"}
    page = client.post(reverse("labeling:import_confirm", args=args), {**form, "dry_run": "1"}, follow=True)
    text = page.content.decode()
    assert "The whole file, checked" in text
    assert "All of them as CSV" in text
    assert "MIT" in text
    assert not Submission.objects.exists()
    listed = client.get(reverse("labeling:import_faults", args=args))
    assert (listed["Content-Type"], b"2,completion" in listed.getvalue()) == ("text/csv; charset=utf-8", True)
    client.post(reverse("labeling:import_confirm", args=args), form)
    assert Submission.objects.count() == 1


def test_the_command_checks_a_file_and_keeps_nothing(cast, tmp_path, capsys):
    path, listed = tmp_path / "rows.jsonl", tmp_path / "faults.csv"
    path.write_bytes(lines(GOOD, {"prompt": "Two?"}))
    options = {"project": cast.project.slug, "kind": "demonstrations", "dry_run": True, "faults_to": listed}
    call_command("import_data", str(path), **options)
    said = capsys.readouterr().out
    assert "2 rows read as jsonl, 1 would be added, 0 there already, 1 faulty; nothing was stored" in said
    assert (ImportRecord.objects.count(), Submission.objects.count()) == (0, 0)
    assert b"2,completion," in listed.read_bytes()
    with pytest.raises(CommandError, match="one file"):
        call_command("import_data", str(path), str(path), **options)


def test_the_same_file_adds_nothing_by_page_api_and_command(cast, client, tmp_path):
    client.force_login(cast.admin)
    data = lines(GOOD, {"prompt": "Two?", "output": "No."})
    slug = cast.project.slug
    added = []

    def latest() -> int:
        record = ImportRecord.objects.latest("pk")
        assert (record.status, record.rows_read) == (ImportStatus.SUCCEEDED, 2)
        return record.rows_added

    def file():
        stream = io.BytesIO(data)
        stream.name = "rows.jsonl"
        return stream

    def by_page():
        page = client.post(
            reverse("labeling:import_new", args=[slug]),
            {"kind": "demonstrations", "files": file(), "licence": "CC0"},
        )
        client.post(f"{page['Location']}confirm/", {"kind": "demonstrations"})

    def by_api():
        client.post(reverse("api_imports", args=[slug]), {"file": file(), "kind": "demonstrations"})

    def by_command():
        (tmp_path / "rows.jsonl").write_bytes(data)
        call_command("import_data", str(tmp_path / "rows.jsonl"), project=slug, kind="demonstrations")

    for way in (by_page, by_api, by_command, by_page):
        way()
        added.append(latest())
    assert added == [2, 0, 0, 0]


def test_scores_are_kept_with_their_completions(cast):
    rows = [
        {"prompt": "p", "completion": text, "label": label} for text, label in (("a", True), ("b", False))
    ]
    record = bring_in(cast, "completions", lines(*rows, {"prompt": "q", "completion": "c", "label": True}))
    assert record.status == ImportStatus.SUCCEEDED, record.error
    assert dict(Completion.objects.values_list("text", "sampling")) == {
        "a": {"score": 1.0}, "b": {"score": 0.0}, "c": {"score": 1.0},
    }  # fmt: skip
    (ranking,) = Ranking.objects.all()
    assert [[Completion.objects.get(pk=key).text for key in tier] for tier in ranking.tiers] == [["a"], ["b"]]


def test_a_tree_comes_in_through_the_service_and_again_adds_nothing(cast):
    reply = {"role": "assistant", "replies": []}
    tree = {
        "message_tree_id": "t",
        "prompt": {
            "text": "Q", "role": "prompter",
            "replies": [{**reply, "text": "bad", "rank": 1}, {**reply, "text": "good", "rank": 0}],
        },
    }  # fmt: skip
    data = json.dumps(tree).encode() + b"\n"
    assert bring_in(cast, "comparisons", data).rows_added == 1
    assert bring_in(cast, "comparisons", data).rows_added == 0


@pytest.mark.parametrize("name", ["\\ud800", "\\u0000", "n" * 500_000], ids=["surrogate", "NUL", "long"])
def test_a_name_that_no_list_can_hold_is_a_fault_like_another(cast, name):
    """Such a row once broke the import, or put megabytes into its record for each faulty row."""
    row = f'{{"prompt": "One?", "{name}": 1, "{name}": 2}}\n'
    data = (row + '{"prompt": "Two?"}\n').encode()
    record = imports.start_import(
        project=cast.project,
        kind="prompts",
        file=io.BytesIO(data),
        filename="odd.jsonl",
        acting_user=cast.admin,
        leave_out_faulty_rows=True,
    )
    record.refresh_from_db()
    assert (record.status, record.rows_added, record.rows_left_out) == ("succeeded", 1, 1)
    [fault] = record.faults
    assert fault["row"] == 1 and "given twice" in fault["message"] and len(str(fault)) < 1_000
    assert "given twice" in read_csv(record)[1][2]

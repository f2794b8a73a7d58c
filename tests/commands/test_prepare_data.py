"""prepare_data, as somebody types it. No database is touched: none of these tests may use one."""

from __future__ import annotations

import io
import json

import pytest
from django.core.management import CommandError, call_command

from labeling.formats import read_file


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command("prepare_data", *map(str, arguments), stdout=out)
    return out.getvalue()


def write(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def pair(prompt, completion, **more):
    return {"prompt": prompt, "completion": completion, **more}


@pytest.fixture
def demonstrations(tmp_path):
    rows = [pair("One?", "Yes."), pair("One?", "Yes."), pair("Two?", "ada@example.org", category="mail")]
    return write(tmp_path / "rows.jsonl", *rows, pair("Three?", "..."))


def test_findings_are_said_with_counts_rows_and_fixes(demonstrations):
    said = run(demonstrations)
    assert "4 demonstrations" in said
    assert "Rows that are there already: 1" in said
    assert "row 2: One? ⟶ Yes." in said
    assert "--apply drop_exact_duplicates  Keep the first of each (1 of 4 rows)" in said


def test_the_fixed_file_is_written_and_all_that_is_missing_is_counted(demonstrations, tmp_path):
    out = tmp_path / "fixed.jsonl"
    fixes = [
        "--apply",
        "drop_exact_duplicates",
        "--apply",
        "mask_personal_data",
        "--apply",
        "drop_empty_answers",
    ]
    said = run(demonstrations, *fixes, "--out", out)
    for line in (
        "2 rows written",
        "drop_exact_duplicates: 1",
        "drop_empty_answers: 1",
        "mask_personal_data: 1",
    ):
        assert line in said
    records = list(read_file(out, kind="demonstrations"))
    assert [record.text for record in records] == ["Yes.", "[email]"]
    assert records[1].category == "mail"


def test_all_takes_the_first_fix_of_each_error_and_warning(demonstrations, tmp_path):
    found = json.loads(run(demonstrations, "--apply", "all", "--out", tmp_path / "out.jsonl", "--json"))
    assert found["written"]["left_out"] == {"drop_exact_duplicates": 1, "drop_empty_answers": 1}
    assert found["written"]["rows"] == 2


def test_comparisons_come_back_as_they_were(tmp_path):
    row = {"prompt": "One?", "chosen": "Yes.", "rejected": "No."}
    path = write(tmp_path / "pairs.jsonl", row, {**row, "prompt": "Two?"})
    out = tmp_path / "out.jsonl"
    run(path, "--out", out)
    before, after = (list(read_file(each, kind="comparisons")) for each in (path, out))
    assert [(r.messages, r.completions, r.ranks) for r in before] == [
        (r.messages, r.completions, r.ranks) for r in after
    ]


def test_the_context_and_the_evaluation_prompts_are_held_against_the_rows(demonstrations, tmp_path):
    held_out = write(tmp_path / "eval.jsonl", {"prompt": "two?"})
    found = json.loads(run(demonstrations, "--against", held_out, "--context", "4", "--json"))
    counts = {each["key"]: each["count"] for each in found["findings"]}
    assert counts["leakage"] == 1
    assert counts["over_long"] == 1


def test_faulty_rows_stop_the_writing_unless_they_may_be_left_out(tmp_path):
    path = write(tmp_path / "rows.jsonl", pair("One?", "Yes."), pair(7, "No."))
    out = tmp_path / "out.jsonl"
    assert "Rows that cannot be read: 1" in run(path)
    with pytest.raises(CommandError, match="row 2"):
        run(path, "--out", out)
    assert not out.exists()
    assert "cannot be read: 1" in run(path, "--out", out, "--leave-out-faulty")


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (["--apply", "all"], "Name the file to write with --out"),
        (["--map", "nonsense"], "--map takes FIELD=COLUMN"),
        (["--tokenizer", "nowhere"], "no tokenizer.json that can be read"),
    ],
)
def test_what_cannot_be_done_is_said(demonstrations, arguments, sentence):
    with pytest.raises(CommandError, match=sentence):
        run(demonstrations, *arguments)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(CommandError, match="nowhere.jsonl"):
        run(tmp_path / "nowhere.jsonl")


def test_a_mask_reaches_the_other_columns_of_a_row(tmp_path):
    """As it does in an import, and as many fixes say so: a row is changed if only such a column is."""
    path = write(
        tmp_path / "rows.jsonl",
        pair("One?", "ada@example.org", email="person0@example.org", seen={"by": ["bob@example.org", 3]}),
        pair("Two?", "Yes."),
    )
    out = tmp_path / "out.jsonl"
    run(path, "--apply", "mask_personal_data", "--out", out)
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert rows[0] == {
        "prompt": "One?",
        "completion": "[email]",
        "email": "[email]",
        "seen": {"by": ["[email]", 3]},
    }
    assert rows[1] == {"prompt": "Two?", "completion": "Yes."}

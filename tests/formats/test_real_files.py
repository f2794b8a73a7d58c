"""Every real file of the shared data folder is imported as what it is, or refused with a sentence saying why.

The tests over that folder are there only where the folder is: nothing is skipped where it is not.
"""

from __future__ import annotations

import json

import pytest

from labeling.formats import DEFAULT_LIMITS, FormatError, detect, read_file
from labeling.formats.strict_json import parse_json

from .making import jsonl
from .real_files import CASES, FOLDER, Case, case_of, data_files, json_suite, malformed_files

FILES = data_files()
GROUPED = ("kwise/", "reward_pointwise/", "multiturn/open_assistant", "pairwise/llama_factory/kto",
           "demonstrations/stanford_alpaca/seed_tasks", "blocklists/", "awkward/blns/blns.txt")  # fmt: skip

# Legal JSON that is refused all the same, as docs/formats.md says: it loses or breaks something on its way.
REFUSED_THOUGH_LEGAL = {
    "y_object_duplicated_key.json",
    "y_object_duplicated_key_and_value.json",
    "y_object_escaped_null_in_key.json",
    "y_string_null_escape.json",
}


def check(path, case: Case, rows: int | None = None) -> None:
    """The file gives the records of its case; where rows are at fault it is refused, and gives the others
    when they may be left out."""
    options = {"kind": case.kind, "columns": case.columns or None, "format": case.format}
    faults: list[FormatError] = []
    if not case.refusal:
        count = sum(1 for _ in read_file(path, **options))
        assert count and case.records in (None, count)
    else:
        with pytest.raises(FormatError) as refused:
            list(read_file(path, **options))
        assert case.refusal in str(refused.value)
        assert path.name in str(refused.value)
        if case.records is None:
            return
        count = sum(1 for _ in read_file(path, on_fault=faults.append, **options))
        assert (count, len(faults)) == (case.records, case.left_out)
        assert all(fault.row and str(fault) for fault in faults)
    if rows is not None:
        assert count + len(faults) == rows


def test_a_case_is_checked_against_a_file_of_our_own(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(jsonl({"prompt": "a", "output": "b"}, {"prompt": "c", "output": ""}))
    check(path, Case("*", "demonstrations", 1, 1, "row 2, field output: empty"), 2)
    with pytest.raises(AssertionError):
        check(path, Case("*", "demonstrations", 2, 0, "row 2, field output: empty"))


if FILES:
    ROWS = {entry["path"]: entry["rows"] for entry in json.loads((FOLDER / "manifest.json").read_bytes())}

    @pytest.mark.parametrize("path", FILES)
    def test_a_real_file_is_imported_as_what_it_is(path):
        case = case_of(path)
        assert case is not None, f"{path} has no case: say what becomes of it"
        rows = None if path.startswith(GROUPED) else ROWS[path]
        check(FOLDER / path, case, rows)

    @pytest.mark.parametrize("path", [path for path in FILES if case_of(path) and not case_of(path).columns])
    def test_a_real_file_is_told_by_its_content(path):
        case = case_of(path)
        if case.refusal and case.records is None:
            return  # there is nothing right to detect
        seen = detect(FOLDER / path)
        assert seen.kinds[0] == case.kind or path in NOT_THE_FIRST_GUESS

    # What a person has to choose, because the fields alone say something else first.
    NOT_THE_FIRST_GUESS = {
        path
        for path in FILES
        if path.startswith(
            ("safety/xstest/model_completions", "kwise/llmzoo", "kwise/gsm8k", "kwise/ukpconvarg1")
        )
    }

    def test_every_case_has_a_file():
        used = {case_of(path) and case_of(path).pattern for path in FILES}
        assert {case.pattern for case in CASES} == used

    MALFORMED = malformed_files()

    @pytest.mark.parametrize("file", MALFORMED, ids=lambda file: file.name)
    def test_a_malformed_file_has_the_outcome_that_is_expected(file):
        """As the folder's own table has it: REFUSE with the row, ACCEPT with the number, or either."""
        try:
            count = sum(1 for _ in read_file(FOLDER / "malformed" / file.name, kind=file.kind))
        except FormatError as error:
            assert file.refused
            if file.row is not None:
                assert error.row == file.row
                assert file.field in (None, error.field)
        else:
            assert count == file.accepted

    def test_the_table_of_malformed_files_is_whole():
        names = {path.name for path in (FOLDER / "malformed").iterdir()} - {"README.md"}
        assert {file.name for file in MALFORMED} == names
        assert sum(file.row is not None for file in MALFORMED) > 20  # the table is understood

    TABLES = sorted((FOLDER / "awkward" / "csv_spectrum" / "csvs").glob("*.csv"))

    @pytest.mark.parametrize("path", TABLES, ids=lambda path: path.name)
    def test_a_table_is_parsed_as_csv_spectrum_has_it(path):
        expected = json.loads((path.parents[1] / "json" / f"{path.stem}.json").read_bytes())
        assert expected and list(detect(path, kind="prompts").sample_rows) == expected

    @pytest.mark.parametrize("path", json_suite(), ids=lambda path: path.name)
    def test_json_is_read_as_the_json_test_suite_has_it(path):
        must_be_read = path.name.startswith("y_") and path.name not in REFUSED_THOUGH_LEGAL
        must_be_refused = path.name.startswith("n_") or path.name in REFUSED_THOUGH_LEGAL
        try:
            parse_json(path.read_bytes(), limits=DEFAULT_LIMITS)
        except FormatError:
            assert not must_be_read
        else:
            assert not must_be_refused

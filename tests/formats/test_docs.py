"""docs/formats.md says what the code does: its formats, its limits, its example rows, its message."""

import json
import re
from pathlib import Path

from labeling.format_words import LOSS_WORDS
from labeling.formats import DATASET_KINDS, DEFAULT_LIMITS, EXPORT_FORMATS, FORMATS
from labeling.formats.losses import LOSSES
from labeling.formats.shapes import SHAPES

DOC = (Path(__file__).parents[2] / "docs" / "formats.md").read_text(encoding="utf-8")


def section(title):
    return DOC.split(f"## {title}\n")[1].split("\n## ")[0]


def names_in_first_cells(text):
    cells = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    return [name for cell in cells for name in re.findall(r"`([a-z_]+)`", cell)]


def test_every_format_that_is_read_is_listed():
    assert names_in_first_cells(section("Reading").split("### Fields")[0]) == list(FORMATS)


def test_every_export_format_is_listed_with_its_kinds():
    table = section("Writing").split("### What does not come back")[0]
    assert sorted(names_in_first_cells(table)) == sorted(EXPORT_FORMATS)
    for line in table.splitlines():
        if line.startswith("| `"):
            kinds = line.split("|")[2].strip()
            for name in names_in_first_cells(line):
                assert EXPORT_FORMATS[name].kinds == ((kinds,) if kinds != "all" else DATASET_KINDS)


def test_what_does_not_come_back_is_said_of_each_format():
    """In the words of the pages, in English."""
    said = {}
    for line in section("Writing").split("### What does not come back")[1].splitlines():
        if line.startswith("| `"):
            names, lost = (cell.strip() for cell in line.strip("|").split("|"))
            said |= dict.fromkeys(re.findall(r"`([a-z_]+)`", names), lost)
    assert said == {
        name: "; ".join(str(LOSS_WORDS[key]) for key in lost) or "nothing is lost"
        for name, lost in LOSSES.items()
    }


def test_every_field_that_is_read_is_named():
    named = set(re.findall(r"[a-z_0-9]+", section("Reading")))
    required = {name for shape in SHAPES for group in shape.required for name in group}
    prefixes = ("response_", "completion_", "answer_")
    assert {n for n in required if n not in named and not n.startswith(prefixes)} == set()


def test_the_limits_are_those_of_the_code():
    limits = section("Reading").split("### Limits")[1]
    for number in (
        f"{DEFAULT_LIMITS.max_file_bytes:,} bytes",
        f"rows of a file | {DEFAULT_LIMITS.max_rows:,} |",
        f"{DEFAULT_LIMITS.max_line_bytes // 2**20} MiB",
        f"{DEFAULT_LIMITS.max_text_characters:,} characters",
        f"{DEFAULT_LIMITS.max_depth} levels",
        f"{DEFAULT_LIMITS.max_columns:,} |",
        f"{DEFAULT_LIMITS.max_messages:,} |",
        f"{DEFAULT_LIMITS.min_ranked} to {DEFAULT_LIMITS.max_ranked}",
        f"{DEFAULT_LIMITS.max_completions} (",
        f"{DEFAULT_LIMITS.max_grouped_characters:,} characters",
    ):
        assert number in limits


def test_the_example_rows_are_json_with_the_keys_of_real_rows():
    rows = [
        json.loads(line)
        for line in section("Dataset rows").split("```json\n")[1].split("```")[0].splitlines()
    ]
    assert [sorted(row) for row in rows] == [
        ["id", "messages", "prompt_id", "source"],
        ["completions", "id", "margins", "messages", "prompt_id", "ranks", "source"],
        ["id", "messages", "prompt_id"],
        ["completions", "id", "messages", "prompt_id"],
    ]

"""Cells that a spreadsheet would run are neutralised; JSON lines keep every byte."""

import csv
import io
import json

import pytest

from labeling.formats import export_lines, neutralise, read_file, sft_row

FORMULAS = [
    "=1+1",
    "+1",
    "-2+3",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "＝1",
    "＋1",
    "－1",
    "＠x",
    "  =1",
    '=cmd|"/C calc"!A0',
]


def lines(text, format):
    row = sft_row(id="d", prompt_id="p", messages=[{"role": "user", "content": text}], answer="a", source={})
    return list(export_lines([row], format))


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_gets_an_apostrophe_in_a_table(text):
    table = b"".join(lines(text, "prompt_response_csv")).decode()
    rows = list(csv.reader(io.StringIO(table, newline="")))
    assert rows == [["system", "prompt", "response", "neutralised"], ["", "'" + text, "a", "prompt"]]


@pytest.mark.parametrize("text", [*FORMULAS, "'=1", "plain"])
@pytest.mark.parametrize("format", ["prompt_response_csv", "prompt_response_tsv"])
def test_reading_takes_our_apostrophe_away_again(text, format):
    data = b"".join(lines(text, format))
    if data.count(b"\n") == 1:  # tabs and line breaks have no place in a table with tabs
        return
    [record] = read_file(io.BytesIO(data), filename=f"x.{format[-3:]}", kind="demonstrations")
    assert record.messages[0]["content"] == text and "neutralised" not in record.metadata


@pytest.mark.parametrize(
    "data",
    [
        "prompt,response\n'=1,a\n",
        "prompt,response,neutralised\n'=1,a,\n",
        "prompt,response,neutralised\n'=1,a,no\n",
        "prompt,response,neutralised\n'=1,a,response\n",
    ],
)
def test_an_apostrophe_that_somebody_wrote_stays(data):
    [record] = read_file(io.BytesIO(data.encode()), filename="x.csv", kind="demonstrations")
    assert record.messages[0]["content"] == "'=1"


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_stays_itself_in_json_lines(text):
    (line,) = lines(text, "prompt_response")
    assert json.loads(line)["prompt"] == text


@pytest.mark.parametrize("text", ["plain", "1+1=2", "'quoted", "a\n=1", '"=1'])
def test_other_text_is_left_alone(text):
    assert neutralise(text) == text

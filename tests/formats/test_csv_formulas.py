"""Cells that a spreadsheet would run are neutralised; JSON lines keep every byte."""

import csv
import io
import json

import pytest

from labeling.formats import export_lines, neutralise, sft_row

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
    assert rows == [["system", "prompt", "response"], ["", "'" + text, "a"]]


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_stays_itself_in_json_lines(text):
    (line,) = lines(text, "prompt_response")
    assert json.loads(line)["prompt"] == text


@pytest.mark.parametrize("text", ["plain", "1+1=2", "'quoted", "a\n=1", '"=1'])
def test_other_text_is_left_alone(text):
    assert neutralise(text) == text

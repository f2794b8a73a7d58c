"""One sign for "no value": an em dash that stands alone. An en dash in sentences and in ranges."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.architecture.source import ROOT, python_files, tree
from tests.architecture.test_safe_code import SCRIPTS, TEMPLATES

NOTHING, IN_SENTENCES = "—", "–"
# What stands for a value alone: a text in quotation marks, or all that lies between two tags.
ALONE = (
    re.compile(r"(?P<quote>[\"'`])\s*(?P<dash>[–—])\s*(?P=quote)"),
    re.compile(r"[>}](?P<dash>[–—])(?=[<{])"),
    re.compile(r">\s*(?P<dash>[–—])\s*(?=<)"),
)
# Right after a value it is a range's; so it is where a script joins two ends.
RANGE = re.compile(r"}}–|{% widthratio [^%]*%}–(?={% widthratio)|\.join\(\"–\"\)")
SPEAKS_OF_DASHES = {"labeling/preparation/texts.py", "training/rlhf/export/check.py"}


def wrong_dashes(source: str) -> list[str]:
    """What a template or a script has of the wrong dash, with what stands around it."""
    text = re.sub(r"{#.*?#}|{%\s*comment.*?endcomment\s*%}", "", source, flags=re.S)
    alone = {match.start("dash") for pattern in ALONE for match in pattern.finditer(text)}
    alone -= {match.start() + match[0].index(IN_SENTENCES) for match in RANGE.finditer(text)}
    return [
        text[max(0, at - 30) : at + 20]
        for at, sign in enumerate(text)
        if (sign == IN_SENTENCES and at in alone) or (sign == NOTHING and at not in alone)
    ]


def wrong_dashes_of_code(source: ast.Module) -> list[str]:
    """The same of texts in Python; what is put together from pieces is a sentence or a range."""
    pieces = {
        id(each) for node in ast.walk(source) if isinstance(node, ast.JoinedStr) for each in node.values
    }
    wrong = []
    for node in ast.walk(source):
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
            continue
        is_alone = node.value.strip() in (NOTHING, IN_SENTENCES) and id(node) not in pieces
        if IN_SENTENCES in node.value if is_alone else re.search(f'{NOTHING}(?!")', node.value):
            wrong.append(f"line {node.lineno}: {node.value[:40]}")
    return wrong


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", [*TEMPLATES, *SCRIPTS], ids=name_of)
def test_no_value_is_one_sign_on_pages(path):
    assert not wrong_dashes(path.read_text()), "no value is “—” alone; elsewhere write “–”"


@pytest.mark.parametrize("path", python_files(), ids=name_of)
def test_no_value_is_one_sign_in_what_code_says(path):
    assert name_of(path) in SPEAKS_OF_DASHES or not wrong_dashes_of_code(tree(path))


@pytest.mark.parametrize(
    ("text", "is_wrong"),
    [
        ('{{ name|default:"–" }}', True),
        ('{{ name|default:"—" }}', False),
        ("<td>{% if x %}{{ x }}{% else %}–{% endif %}</td>", True),
        ("<td>{% if x %}{{ x }}{% else %}—{% endif %}</td>", False),
        ('{ return value ?? "–"; }', True),
        ("{{ first }}–{{ last }} of 9", False),
        ("{{ lowest }}–{% if most %}{{ most }}{% else %}9{% endif %}", False),
        ('[first, last].join("–")', False),
        ("{{ low|percent }} – {{ high|percent }}", False),
        ("{% widthratio low 1 100 %}–{% widthratio high 1 100 %}", False),
        ("{% if note %} – {{ note }}{% endif %}", False),
        ("{% if note %} — {{ note }}{% endif %}", True),
        ("press 1–9, and then — perhaps — 0", True),
        ("<td> – </td>", True),
        ("{# a comment — of ours #}", False),
    ],
)
def test_the_wrong_dash_is_seen(text, is_wrong):
    assert bool(wrong_dashes(text)) == is_wrong


def test_the_wrong_dash_is_seen_in_code():
    found = [
        wrong_dashes_of_code(ast.parse(line)) for line in ('"–"', '"a — b"', '"—"', 'f"{a}–{b}"', '"1–9"')
    ]
    assert [bool(each) for each in found] == [True, True, False, False, False]

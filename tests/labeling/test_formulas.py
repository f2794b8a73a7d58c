"""Formulas in Markdown become MathML; nothing of them is trusted, and money stays money."""

from __future__ import annotations

import time

import pytest

from labeling.formulas import LONGEST, MOST, to_mathml
from labeling.templatetags.ui import render_markdown, word_count
from tests.security.test_markdown import parsed


@pytest.mark.parametrize(
    "text",
    [
        "$e^{i\\pi}+1=0$",
        "\\(e^{i\\pi}+1=0\\)",
        "$$\ne^{i\\pi}+1=0\n$$",
        "\\[\ne^{i\\pi}+1=0\n\\]",
        "so $$e^{i\\pi}+1=0$$ holds",
        "- a list\n  \\[ e^{i\\pi}+1=0 \\]",
        "> $e^{i\\pi}+1=0$",
    ],
)
def test_each_kind_of_delimiter_is_understood(text):
    html = render_markdown(text)
    assert "<msup><mi>e</mi><mrow><mi>i</mi><mi>π</mi></mrow></msup><mo>+</mo><mn>1</mn>" in html
    assert "$" not in html and "\\" not in html


def test_a_formula_on_lines_of_its_own_is_set_apart():
    assert 'display="block"' in render_markdown("\\[\nx = 1\n\\]")
    assert 'display="inline"' in render_markdown("so \\(x\\) is")


def test_lines_of_a_formula_that_look_like_markdown_stay_part_of_it():
    tags, _ = parsed(render_markdown("$$\nx\n= 1\n- 2\n# 3\n$$\n\nafter"))
    assert "math" in tags and not tags & {"h2", "ul", "li"}


@pytest.mark.parametrize(
    "text",
    ["It costs $5 or $10.", "$HOME/$USER", "A$ and B$ too", "\\$x\\$", "`$x$`", "$ x $", "$5-$10", "$$"],
)
def test_money_and_variables_are_no_formulas(text):
    assert "<math" not in render_markdown(text)


def test_what_cannot_be_read_stays_visible_as_it_was_written():
    assert "<code>\\(\\frac{\\)</code>" in render_markdown("\\(\\frac{\\)")
    assert "<code>$\\notacommand{</code>" not in render_markdown("plain")
    assert to_mathml("{" * 1_900, False) == ""


@pytest.mark.parametrize(
    "tex",
    [
        "\\text{<script>alert(1)</script>}",
        "\\text{&lt;img src=x onerror=alert(1)&gt;}",
        "\\href{javascript:alert(1)}{x}",
        '\\color{red" onclick="alert(1)}{x}',
        "\\class{btn}{x}",
        "\\style{display:none}{x}",
        "\\cssId{main}{x}",
        "\\mathrm{</math><script>alert(1)</script>}",
    ],
)
def test_nothing_in_a_formula_runs_or_reaches_the_page(tex):
    for text in (f"${tex}$", f"\\[{tex}\\]"):
        tags, attributes = parsed(render_markdown(text))
        assert not tags & {"script", "img", "a", "style", "svg", "iframe"}
        names = {name for _, name, _ in attributes}
        assert not names & {"href", "src", "style", "class", "id"} and not any(
            n.startswith("on") for n in names
        )


def test_words_in_a_formula_are_kept_as_words():
    assert "<mtext>a&lt;b&nbsp;&amp;&nbsp;c</mtext>" in render_markdown("$\\text{a<b & c}$")


def test_a_text_full_of_formulas_is_bounded():
    html = render_markdown(" ".join(f"$x_{{{n}}}$" for n in range(MOST + 5)))
    assert html.count("<math") == MOST and html.count("<code>$x_") == 5
    assert to_mathml("x+" * LONGEST, False) == ""


@pytest.mark.serial
@pytest.mark.parametrize(
    "text", ["$" * 100_000, "$a " * 100_000, "\\(" * 100_000, "$$\n" * 30_000, "\\[\n\n" * 30_000]
)
def test_it_survives_many_signs_that_begin_nothing(text):
    begun = time.process_time()
    render_markdown(text)
    assert time.process_time() - begun < 5


def test_sections_have_the_ids_that_the_contents_link_to():
    from labeling.sections import sections_of
    from labeling.templatetags.ui import guideline_markdown

    text = "# One\n\n##\n\n## Two `x`\n\n```\n# no heading\n```\n\nThree\n-----\n"
    html = guideline_markdown(text)
    assert [(each.title, each.anchor) for each in sections_of(text)] == [
        ("One", "section-1"),
        ("Two x", "section-3"),
        ("Three", "section-4"),
    ]
    assert (
        '<h2 id="section-1">One</h2>' in html
        and '<h3 id="section-3">' in html
        and '<h3 id="section-4">' in html
    )
    assert "id=" not in render_markdown(text)


@pytest.mark.parametrize(
    ("text", "count"),
    [("", 0), ("It's well-known: 2 words", 4), ("你好，世界", 4), ("مرحبا بالعالم", 2), ("日本語 text", 4)],
)
def test_words_are_counted_in_scripts_without_blanks_too(text, count):
    assert word_count(text) == count

"""Markdown of people and models never becomes more than harmless markup."""

from __future__ import annotations

import pytest

from labeling.templatetags.ui import render_markdown

ATTACKS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==)",
    "[x](vbscript:msgbox(1))",
    "[x](&#106;avascript:alert(1))",
    "<javascript:alert(1)>",
    '[x](https://a.example "onmouseover=alert(1)" onclick=alert(1))',
    '<a href="https://a.example" onclick="alert(1)">x</a>',
    "<style>*{display:none}</style>",
    '<form action="https://a.example"><input name=password></form>',
    "<iframe src=https://a.example></iframe>",
    "```html\n<script>alert(1)</script>\n```",
    "| a |\n|---|\n| <script>alert(1)</script> |",
    "[a]: javascript:alert(1)\n\n[a]",
    "<!-- --!><script>alert(1)</script>",
    "<math><mtext></p><script>alert(1)</script>",
]


def parsed(html: str) -> tuple[set[str], list[tuple[str, str, str]]]:
    """The tags of a piece of HTML, and its attributes as (tag, name, value), as a parser sees them."""
    from html.parser import HTMLParser

    tags: set[str] = set()
    attributes: list[tuple[str, str, str]] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag, attrs):
            tags.add(tag)
            attributes.extend((tag, name, value or "") for name, value in attrs)

    Reader().feed(html)
    return tags, attributes


@pytest.mark.parametrize("attack", ATTACKS)
def test_it_leaves_nothing_that_runs_or_loads(attack):
    tags, attributes = parsed(render_markdown(attack))
    assert not tags & {"script", "img", "svg", "style", "form", "input", "iframe", "math", "object", "base"}
    assert not [
        name for _, name, _ in attributes if name.startswith("on") or name in {"style", "src", "id", "class"}
    ]
    addresses = [value for _, name, value in attributes if name == "href"]
    assert all(address.startswith(("http://", "https://", "mailto:")) for address in addresses)


def test_it_shows_typed_markup_as_text():
    assert "&lt;b&gt;bold&lt;/b&gt;" in render_markdown("<b>bold</b>")


def test_it_renders_what_guidelines_need():
    html = render_markdown(
        "## Rule\n\n1. **one**\n2. `two`\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n> quoted ~~not~~"
    )
    tags, _ = parsed(html)
    assert {"h3", "ol", "li", "strong", "code", "table", "th", "td", "blockquote", "s"} <= tags


def test_a_texts_headings_begin_below_the_pages_own():
    tags, _ = parsed(render_markdown("# One\n\n###### Six"))
    assert {"h2", "h6"} <= tags
    assert "h1" not in tags


def test_it_marks_links_so_that_they_tell_nothing_and_reach_nothing():
    _, attributes = parsed(render_markdown("[more](https://example.org/a?b=1&c=2)"))
    assert ("a", "href", "https://example.org/a?b=1&c=2") in attributes
    assert ("a", "rel", "noopener nofollow") in attributes


def test_it_keeps_an_image_as_its_words():
    html = render_markdown("![a tracking pixel](https://spy.example/p.gif)")
    assert "img" not in parsed(html)[0]
    assert "a tracking pixel" in html


def test_it_takes_none_and_emptiness():
    from labeling.templatetags.ui import markdown

    assert markdown(None) == "" and markdown("") == ""


def test_it_survives_a_megabyte_of_nesting():
    html = render_markdown(">" * 20_000 + "deep " + "*" * 200_000 + "[" * 50_000)
    assert "<script" not in html

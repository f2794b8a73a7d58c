"""The sections of a Markdown text, for a table of contents: titles with the ids that the page gives them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from markdown_it import MarkdownIt

TITLE_CHARACTERS = 120


@dataclass(frozen=True)
class Section:
    """A heading. `anchor` is its id where the text is shown by the filter `guideline_markdown`."""

    level: int  # 1 is the text's first heading level
    title: str
    anchor: str


@lru_cache(maxsize=64)
def sections_of(markdown: str) -> tuple[Section, ...]:
    """Every heading with words, in order. Numbered as the renderer numbers them, empty ones included."""
    tokens = MarkdownIt("commonmark", {"html": False}).enable(["table"]).parse(markdown)
    sections, number = [], 0
    for index, token in enumerate(tokens):
        if token.type != "heading_open":
            continue
        number += 1
        words = "".join(
            each.content if each.type in ("text", "code_inline") else " " if each.type == "softbreak" else ""
            for each in tokens[index + 1].children or ()
        ).strip()
        if words:
            level = int(token.tag[1])
            sections.append(Section(level, words[:TITLE_CHARACTERS], f"section-{number}"))
    return tuple(sections)

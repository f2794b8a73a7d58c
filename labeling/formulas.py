"""TeX formulas in Markdown: `$…$`, `\\(…\\)`, `$$…$$` and `\\[…\\]` become MathML, which browsers draw.

Nothing of a formula is trusted: its tree is copied element by element from an allow-list, every word escaped
(the converter's own text form is not), and what cannot be read, is too long or comes too often stays visible
as its source. No Django here.
"""

from __future__ import annotations

import html
import re
from functools import lru_cache
from xml.etree.ElementTree import Element

from latex2mathml import exceptions as tex_errors
from latex2mathml.converter import convert_to_element
from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline

LONGEST = 2_000  # characters of one formula
MOST = 200  # formulas of one text
MOST_ATTEMPTS = 2_000  # signs in one text that might begin a formula; later ones are just signs

MATH_TAGS = {
    "math", "menclose", "mfrac", "mi", "mmultiscripts", "mn", "mo", "mover", "mpadded", "mphantom",
    "mprescripts", "mroot", "mrow", "ms", "mspace", "msqrt", "mstyle", "msub", "msubsup", "msup", "mtable",
    "mtd", "mtext", "mtr", "munder", "munderover", "none",
}  # fmt: skip
_LOOKS = {
    "accent", "accentunder", "columnalign", "columnlines", "columnspacing", "depth", "displaystyle", "fence",
    "form", "height", "largeop", "linethickness", "lspace", "mathvariant", "maxsize", "minsize",
    "movablelimits", "notation", "rowalign", "rowlines", "rowspacing", "rspace", "scriptlevel", "separator",
    "stretchy", "symmetric", "voffset", "width",
}  # fmt: skip
MATH_ATTRIBUTES = {**dict.fromkeys(MATH_TAGS, _LOOKS), "math": {"display"}}
_PLAIN_VALUE = re.compile(r"[A-Za-z0-9.%+ -]{1,40}")

# What the converter raises for TeX that it cannot read; the source is shown then.
UNREADABLE: tuple[type[Exception], ...] = (
    *(each for each in vars(tex_errors).values() if isinstance(each, type) and issubclass(each, Exception)),
    StopIteration,
    RecursionError,
    LookupError,
    ValueError,
)
# Environments that the converter knows by their other name.
_ALIASES = (("{aligned}", "{align*}"), ("{gathered}", "{gather*}"), ("{dcases}", "{cases}"))
_DELIMITERS = {"$$": ("$$", True), "\\[": ("\\]", True), "\\(": ("\\)", False), "$": ("$", False)}


def add_formulas(parser: MarkdownIt) -> None:
    """Teach a Markdown parser the four kinds of delimiters."""
    parser.inline.ruler.before("escape", "formula", _inline_rule)
    parser.block.ruler.before(
        "fence", "formula_block", _block_rule, {"alt": ["paragraph", "reference", "blockquote", "list"]}
    )
    parser.add_render_rule("formula", _render)


@lru_cache(maxsize=2_048)
def to_mathml(tex: str, is_block: bool) -> str:
    """The formula as MathML, or "" where it cannot be read."""
    if len(tex) > LONGEST or not tex.strip():
        return ""
    for name, known in _ALIASES:
        tex = tex.replace(name, known)
    try:
        root = convert_to_element(tex, display="block" if is_block else "inline")
        return _serialised(root)
    except UNREADABLE:
        return ""


def _serialised(element: Element) -> str:
    """The element and what it holds as text; raises ValueError for what is not on the list."""
    if element.tag not in MATH_TAGS or (element.tag == "mtext" and len(element)):
        raise ValueError(element.tag)  # elements inside words: what makes links of formulas
    allowed = MATH_ATTRIBUTES[element.tag]
    attributes = "".join(
        f' {name}="{value}"'
        for name, value in element.attrib.items()
        if name in allowed and _PLAIN_VALUE.fullmatch(value)
    )
    # The converter writes symbols as entities; everything else is what a person typed.
    inside = html.escape(html.unescape(element.text or ""), quote=False)
    return f"<{element.tag}{attributes}>{inside}{''.join(map(_serialised, element))}</{element.tag}>"


# --- Rules of the parser ------------------------------------------------------------------------------------
def _inline_rule(state: StateInline, silent: bool) -> bool:
    start = state.pos
    opening = next((mark for mark in _DELIMITERS if state.src.startswith(mark, start)), None)
    if opening is None or not _may_try(state.env):
        return False
    closing, is_block = _DELIMITERS[opening]
    begin = start + len(opening)
    end = _end_of_dollars(state.src, begin) if opening == "$" else _end(state.src, begin, closing)
    if end < 0 or end > state.posMax or not state.src[begin:end].strip():
        return False
    if not silent:
        _push(state, state.src[begin:end], state.src[start : end + len(closing)], is_block)
    state.pos = end + len(closing)
    return True


def _end(source: str, begin: int, closing: str) -> int:
    return source.find(closing, begin, begin + LONGEST)


def _end_of_dollars(source: str, begin: int) -> int:
    """Pandoc's rule, and a stricter one, so that "$5 or $10" and "$HOME/$USER" are no formulas."""
    if begin >= len(source) or source[begin].isspace() or (begin > 1 and source[begin - 2].isalnum()):
        return -1
    end = source.find("$", begin, begin + LONGEST)
    while end > 0 and source[end - 1] == "\\":
        end = source.find("$", end + 1, begin + LONGEST)
    after = source[end + 1 : end + 2]
    is_closed = end > begin and not source[end - 1].isspace() and not after.isalnum() and after != "$"
    return end if is_closed and "`" not in source[begin:end] else -1


def _block_rule(state: StateBlock, startLine: int, endLine: int, silent: bool) -> bool:  # noqa: N803 - the parser's names
    """`$$` or `\\[` at the start of a line, up to its closing mark at the end of one."""
    if state.is_code_block(startLine):
        return False
    begin = state.bMarks[startLine] + state.tShift[startLine]
    opening = state.src[begin : begin + 2]
    if opening not in ("$$", "\\[") or not _may_try(state.env):
        return False
    closing, _ = _DELIMITERS[opening]
    end = _end(state.src, begin + 2, closing)
    if end < 0 or not state.src[begin + 2 : end].strip():
        return False
    last = startLine
    while last + 1 < endLine and state.eMarks[last] < end:
        last += 1
    if state.eMarks[last] < end or state.src[end + 2 : state.eMarks[last]].strip():
        return False  # words follow on the same line: an inline formula of a paragraph
    if any(state.sCount[line] < state.blkIndent for line in range(startLine, last + 1)):
        return False
    if silent:
        return True
    lines = state.getLines(startLine, last + 1, state.blkIndent, False).strip()
    state.line = last + 1
    _push(state, lines[2:-2], lines, True)
    return True


def _may_try(env) -> bool:
    env["formula_attempts"] = env.get("formula_attempts", 0) + 1
    return env["formula_attempts"] <= MOST_ATTEMPTS


def _push(state: StateInline | StateBlock, tex: str, source: str, is_block: bool) -> None:
    state.env["formulas"] = state.env.get("formulas", 0) + 1
    token = state.push("formula", "math", 0)
    token.block = isinstance(state, StateBlock)
    token.content = tex if state.env["formulas"] <= MOST else ""
    token.markup = source
    token.meta = {"is_block": is_block}


def _render(self, tokens, index, options, env) -> str:
    token = tokens[index]
    mathml = to_mathml(token.content, token.meta["is_block"])
    shown = mathml or f"<code>{html.escape(token.markup)}</code>"
    return f"<p>{shown}</p>\n" if token.block else shown

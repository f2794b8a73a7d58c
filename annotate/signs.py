"""Characters that nobody sees: refused in names, shown in texts, kept from turning the words around them.

A name stands within our own sentences, so whatever reorders text is refused there (`annotate.names`). A text
of a person or a model is kept, to the character; where it is shown each such character carries a mark
(`with_signs`), drawn by the style sheet alone: it is neither in what is copied nor in what offsets count.
"""

from __future__ import annotations

import re
import unicodedata

from django.utils.html import escape, format_html
from django.utils.safestring import SafeString, mark_safe

# What turns text around: embeddings, overrides, isolates and their ends.
DIRECTIONS = {
    0x202A: "LRE", 0x202B: "RLE", 0x202C: "PDF", 0x202D: "LRO", 0x202E: "RLO",
    0x2066: "LRI", 0x2067: "RLI", 0x2068: "FSI", 0x2069: "PDI",
}  # fmt: skip
MARKS_OF_DIRECTION = {0x200E: "LRM", 0x200F: "RLM", 0x061C: "ALM"}
JOINERS = {0x200C: "ZWNJ", 0x200D: "ZWJ"}
WITHOUT_WIDTH = {
    0x200B: "ZWSP", 0x2060: "WJ", 0xFEFF: "BOM", 0x180E: "MVS", 0x2061: "FA", 0x2062: "IT", 0x2063: "IS",
    0x2064: "IP", 0x115F: "HCF", 0x1160: "HJF", 0x3164: "HF", 0xFFA0: "HHF", 0x2028: "LSEP", 0x2029: "PSEP",
}  # fmt: skip
SHORT = DIRECTIONS | MARKS_OF_DIRECTION | JOINERS | WITHOUT_WIDTH
FLAG = "\U0001f3f4[\U000e0020-\U000e007f]+"  # a flag of a region is written with tags
CONTROLS = r"\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"
SIGN = re.compile(
    f"{FLAG}|[{CONTROLS}{''.join(map(chr, SHORT))}\u206a-\u206f\U000e0001\U000e0020-\U000e007f]"
)
IN_NO_NAME = re.compile(rf"[\x00-\x1f\x7f-\x9f\u2028\u2029{''.join(map(chr, DIRECTIONS))}]")
TAGS = re.compile(r"""(<(?:"[^"]*"|'[^']*'|[^'">])*>)""")
# After these a joiner does its work: scripts whose letters join, and pictures made of several.
JOINED = re.compile("[\u0590-\u109f\u1780-\u18af\u1a00-\u1cff\u2190-\u2bff\ua800-\uabff\ufb1d-\ufeff"
                    "\U00010a00-\U00011fff\U0001e900-\U0001e95f\U0001f000-\U0001faff]")  # fmt: skip


def sign_no_name_has(name: str) -> str:
    """The first character that breaks the line, controls something or turns text around, as it is called
    ("RLO", "U+0007"); "" for none."""
    found = IN_NO_NAME.search(name)
    return _said(found[0]) if found else ""


def isolated(text: str) -> str:
    """A name for the middle of a sentence in plain text: between FSI and PDI where it is of a script that is
    written from right to left or turns text around; else as it is."""
    if _runs_leftwards(text) or IN_NO_NAME.search(text):
        return f"\u2068{text}\u2069"
    return text


def with_signs(text: str) -> SafeString:
    """The text, escaped, in which every character that nobody sees carries a mark."""
    return _marked(text, text, escaped=False)


def with_signs_in_html(html: str) -> SafeString:
    """The same for sanitised HTML: its texts, never what is inside a tag."""
    if SIGN.search(html) is None:
        return mark_safe(html)  # noqa: S308 - sanitised by the caller
    pieces = TAGS.split(html)
    pieces[::2] = [_marked(piece, html, escaped=True) for piece in pieces[::2]]
    return mark_safe("".join(pieces))  # noqa: S308 - the same pieces, and marks made by format_html


def _marked(piece: str, whole: str, *, escaped: bool) -> SafeString:
    parts: list[str] = []
    done = 0
    leftwards: bool | None = None
    for found in SIGN.finditer(piece):
        code = ord(found[0][0])
        if len(found[0]) > 1:
            continue  # a flag
        if code in MARKS_OF_DIRECTION:
            leftwards = _runs_leftwards(whole) if leftwards is None else leftwards
            if leftwards:
                continue  # it does its work
        if code in JOINERS and found.start() and JOINED.match(piece[found.start() - 1]):
            continue
        before = piece[done : found.start()]
        parts += [before if escaped else escape(before), _mark(found[0])]
        done = found.end()
    rest = piece[done:]
    return mark_safe("".join([*parts, rest if escaped else escape(rest)]))  # noqa: S308 - escaped above


def _mark(sign: str) -> SafeString:
    name = unicodedata.name(sign, _said(sign)).lower()
    return format_html('<span class="sign" data-sign="{}" title="{}">{}</span>', _said(sign), name, sign)


def _said(sign: str) -> str:
    """RLO, TAG a, U+0007."""
    code = ord(sign)
    if 0xE0020 <= code < 0xE007F:
        return f"TAG {chr(code - 0xE0000)}"
    return SHORT.get(code, f"U+{code:04X}")


def _runs_leftwards(text: str) -> bool:
    return any(unicodedata.bidirectional(character) in ("R", "AL") for character in text)

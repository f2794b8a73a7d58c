"""A Stack Exchange dump (Posts.xml): questions with their answers and the votes on each.

The dump holds HTML. It is read here into plain text (paragraphs, lists, code, links), because people are to
read it; this is the one format whose texts are not kept character for character.
"""

from __future__ import annotations

from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any
from xml.parsers import expat

from .errors import FormatError
from .limits import Limits
from .sources import ByteSource

_QUESTION, _ANSWER = "1", "2"


def is_dump(head: bytes) -> bool:
    """Whether a file that begins with `head` is a dump: its first element is `posts`."""
    body = head.lstrip()
    if body.startswith(b"<?xml"):
        body = body.partition(b"?>")[2].lstrip()
    return body.startswith((b"<posts>", b"<posts "))


def read_posts(source: ByteSource, limits: Limits) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields (row element from 1, a question with its answers), the questions in their order:

        {"question": title and body, "id", "tags", "votes", "answers": [{"text", "score", "id", "selected"}]}

    Rows that are neither question nor answer (tag descriptions) and answers to questions that the file does
    not hold are no data. All texts are held in memory until the end, up to `limits.max_grouped_characters`.
    """
    reader = _PostReader(source, limits)
    for chunk in source.chunks():
        reader.feed(chunk)
    reader.feed(b"", is_final=True)
    answers: dict[str, list[dict[str, Any]]] = {}
    for parent, answer in reader.answers:
        answers.setdefault(parent, []).append(answer)
    for number, accepted, values in reader.questions:
        found = answers.get(values["id"], [])
        for answer in found:
            answer["selected"] = answer["id"] == accepted
        yield number, {**values, "answers": found}


class _PostReader:
    """expat with its dangers off: a document type, hence every entity of one's own, is refused."""

    def __init__(self, source: ByteSource, limits: Limits):
        self._source, self._limits = source, limits
        self._number = self._characters = self._since_element = 0
        self.questions: list[tuple[int, str, dict[str, Any]]] = []
        self.answers: list[tuple[str, dict[str, Any]]] = []
        self._parser = expat.ParserCreate("utf-8")
        self._parser.StartElementHandler = self._element
        self._parser.StartDoctypeDeclHandler = self._doctype

    def feed(self, chunk: bytes, is_final: bool = False) -> None:
        self._since_element += len(chunk)
        try:
            self._parser.Parse(chunk, is_final)
        except expat.ExpatError as error:
            reason = expat.ErrorString(error.code)
            problem = f"not XML at line {error.lineno}, column {error.offset + 1}: {reason}"
            raise FormatError(problem, file=self._source.filename) from error
        if self._since_element > 2 * self._limits.max_line_bytes:
            raise self._source.too_long(row=self._number + 1)

    def _doctype(self, *_):
        raise FormatError("the XML declares a document type, which is not read", file=self._source.filename)

    def _element(self, name: str, attributes: dict[str, str]) -> None:
        self._since_element = 0
        if name != "row":
            return
        self._number += 1
        if sum(map(len, attributes.values())) > self._limits.max_line_bytes:
            raise self._source.too_long(row=self._number)
        kind = attributes.get("PostTypeId")
        if kind not in (_QUESTION, _ANSWER):
            return
        body = html_to_text(attributes.get("Body", ""))
        self._characters += len(body) + 500  # what else a post keeps
        if self._characters > self._limits.max_grouped_characters:
            raise FormatError(
                f"more than {self._limits.max_grouped_characters:,} characters of posts",
                file=self._source.filename,
                hint="Import it in parts, each with all answers to its questions.",
            )
        if kind == _QUESTION:
            title = attributes.get("Title", "").strip()
            values = {
                "question": f"{title}\n\n{body}" if title and body else title or body,
                "id": attributes.get("Id", ""),
                "tags": attributes.get("Tags", ""),
                "votes": self._score(attributes),
            }
            self.questions.append((self._number, attributes.get("AcceptedAnswerId", ""), values))
        else:
            answer = {"text": body, "score": self._score(attributes), "id": attributes.get("Id", "")}
            self.answers.append((attributes.get("ParentId", ""), answer))

    def _score(self, attributes: dict[str, str]) -> int:
        text = attributes.get("Score", "")
        digits = text.removeprefix("-")
        if not (digits.isascii() and digits.isdigit() and len(digits) < 10):
            raise FormatError(
                "must be a whole number", file=self._source.filename, row=self._number, field="Score"
            )
        return int(text)


_BREAKS = {"p": "\n\n", "div": "\n\n", "pre": "\n\n", "blockquote": "\n\n", "ul": "\n\n", "ol": "\n\n",
           "li": "\n", "br": "\n", "hr": "\n\n", "tr": "\n",
           **{f"h{n}": "\n\n" for n in range(1, 7)}}  # fmt: skip


class _TextOf(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self._verbatim = 0
        self._links: list[str] = []

    def handle_starttag(self, tag, attrs):
        if tag in _BREAKS:
            self.pieces.append(_BREAKS[tag])
        if tag == "li":
            self.pieces.append("- ")
        elif tag == "pre":
            self._verbatim += 1
        elif tag == "a":
            self._links.append(dict(attrs).get("href") or "")

    def handle_endtag(self, tag):
        if tag == "pre":
            self._verbatim = max(0, self._verbatim - 1)
        elif tag == "a" and self._links:
            target = self._links.pop()
            if target.startswith(("http://", "https://")) and "".join(self.pieces[-1:]).strip() != target:
                self.pieces.append(f" ({target})")
        if tag in _BREAKS and tag not in ("br", "hr", "li"):
            self.pieces.append("\n\n")

    def handle_data(self, data):
        if not self._verbatim:
            lead, tail = data[:1].isspace(), data[-1:].isspace()
            data = f"{' ' * lead}{' '.join(data.split())}{' ' * tail}" if data.strip() else " "
        self.pieces.append(data)


def html_to_text(html: str) -> str:
    """The words of a post, a blank line between paragraphs, `- ` before list items, code as it is, the target
    of a link in brackets after it.

    >>> html_to_text("<p>Citra <em>hops</em>:</p><ul><li>fruity</li></ul>")
    'Citra hops:\\n\\n- fruity'
    """
    parser = _TextOf()
    parser.feed(html)
    parser.close()
    kept: list[str] = []
    for line in "".join(parser.pieces).split("\n"):
        line = line.rstrip()
        if line[:1] == " " and line[1:2] != " ":  # the blank before a word, not the indent of code
            line = line[1:]
        if line or (kept and kept[-1]):
            kept.append(line)
    return "\n".join(kept).strip()

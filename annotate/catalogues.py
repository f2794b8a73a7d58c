"""What the site says, collected for translators: from templates, Python and scripts, without GNU gettext.

Babel (requirements/dev.txt) reads and writes the catalogues; `manage.py catalogues` and a test call this.
Python texts are found in three forms: in `_()` and its kin, in the calls of the domain errors (message and
hint), and in `messages.success(request, …)`: the latter two are translated where they are shown.
"""

from __future__ import annotations

import ast
import io
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from django.conf import settings
from django.utils.translation.template import templatize

ROOT = Path(settings.BASE_DIR)
LOCALE = ROOT / "locale"
ROOMS = ("annotate", "labeling", "training")
ERRORS = {
    "DomainError", "Invalid", "Unauthorized", "Forbidden", "NotFound", "Conflict", "Gone", "Throttled",
    "Unavailable",
}  # fmt: skip
MARKS = {"_", "later", "gettext", "gettext_lazy", "gettext_noop"}
PLURALS = {"ngettext", "ngettext_lazy"}
# Rooms that know no Django: tables of texts, and which argument of a call is one. Pages translate them.
PLAIN_TABLES = {"labeling/checks": {"MESSAGES"}, "labeling/formats": {"FORMATS"}}
PLAIN_CALLS = {
    "labeling/checks": {"Finding": 3},
    "training/rlhf/config": {
        "integer": 3, "number": 3, "boolean": 1, "choice": 2, "text": 1, "path": 0, "paths": 0, "strings": 1,
        "ours": 0,
    },
}  # fmt: skip
NOTICES = {"success", "info", "warning", "error"}
TEMPLATE_WORDS = {"gettext": None, "ngettext": (1, 2), "pgettext": ((1, "c"), 2)}
SCRIPT_WORDS = {"say": None, "sayMany": (1, 2)}
UNDATED = datetime(2026, 1, 1, tzinfo=UTC)  # a catalogue that says nothing new stays as it is, to the byte
Message = tuple[str | tuple[str, ...], str, int]  # the text or (one, many), the file, the line


def template_messages() -> Iterator[Message]:
    for path in sorted((ROOT / "templates").rglob("*.html")):
        code = "\n".join(line.strip() for line in templatize(path.read_text()).splitlines())
        for line, text, _, _ in extract("python", io.BytesIO(code.encode()), keywords=TEMPLATE_WORDS):
            yield text, _name(path), line


def script_messages() -> Iterator[Message]:
    for path in sorted((ROOT / "static" / "js").glob("*.js")):
        for line, text, _, _ in extract("javascript", io.BytesIO(path.read_bytes()), keywords=SCRIPT_WORDS):
            yield text, _name(path), line


def python_messages() -> Iterator[Message]:
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call):
                    for text in _texts_of(node, PLAIN_CALLS.get(_name(path.parent), {})):
                        yield text, _name(path), node.lineno
                elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict):
                    tables = PLAIN_TABLES.get(_name(path.parent), set())
                    if getattr(node.targets[0], "id", "") in tables:
                        yield from (
                            (text, _name(path), node.lineno) for text in map(_text, node.value.values) if text
                        )


def _texts_of(call: ast.Call, plain: Mapping[str, int]) -> Iterator[str | tuple[str, ...]]:
    name: str = getattr(call.func, "id", "") or getattr(call.func, "attr", "")
    if name in PLURALS and len(call.args) > 1:
        one, many = _text(call.args[0]), _text(call.args[1])
        if one and many:
            yield one, many
        return
    texts: list[ast.expr] = []
    if name in MARKS or name in ERRORS:
        texts += call.args[:1]
    if name in ERRORS:
        texts += [each.value for each in call.keywords if each.arg == "hint"]
    if name in plain:
        texts += call.args[plain[name] :][:1]
    if name in NOTICES and getattr(getattr(call.func, "value", None), "id", "") == "messages":
        texts += call.args[1:2]
    for node in texts:
        yield from _alternatives(node)


def _alternatives(node: ast.expr) -> Iterator[str]:
    """A literal, or both sides of `a if x else b`. A text with values in it is no msgid."""
    if isinstance(node, ast.IfExp):
        yield from _alternatives(node.body)
        yield from _alternatives(node.orelse)
    elif text := _text(node):
        yield text


def _text(node: ast.expr) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def collected(domain: str) -> Catalog:
    """Every text of a domain (`django`: pages; `djangojs`: scripts) with the files that say it."""
    catalog = Catalog(project="annotate", charset="utf-8")
    found = [script_messages()] if domain == "djangojs" else [template_messages(), python_messages()]
    for messages in found:
        for text, file, _ in messages:
            # Without line numbers: a catalogue should not change because a line above a text did.
            flags = ["python-format"] if "%(" in str(text) else []
            catalog.add(text, locations=[(file, None)], flags=flags)  # type: ignore[list-item]
    return catalog


def po_path(language: str, domain: str) -> Path:
    return LOCALE / language / "LC_MESSAGES" / f"{domain}.po"


def read(language: str, domain: str) -> Catalog:
    with po_path(language, domain).open("rb") as file:
        return read_po(file, locale=language, domain=domain)


def compiled(catalog: Catalog) -> bytes:
    target = io.BytesIO()
    write_mo(target, catalog)
    return target.getvalue()


def update(language: str, domain: str) -> Catalog:
    """Bring a language's catalogue up to date with the texts, write it, and compile it."""
    path = po_path(language, domain)
    path.parent.mkdir(parents=True, exist_ok=True)
    catalog = Catalog(locale=language, domain=domain, project="annotate")
    if path.exists():
        catalog = read(language, domain)
    catalog.update(collected(domain), no_fuzzy_matching=True, update_header_comment=False)
    catalog.obsolete.clear()
    catalog.creation_date = catalog.revision_date = UNDATED
    with path.open("wb") as file:
        write_po(file, catalog, sort_output=True, width=110, ignore_obsolete=True)
    path.with_suffix(".mo").write_bytes(compiled(catalog))
    return catalog

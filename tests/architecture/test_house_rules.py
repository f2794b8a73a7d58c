"""Proportion and honesty: sizes of files and functions, no promises in comments, no swallowed errors."""

import ast
import re

import pytest

from tests.architecture.source import ROOT, python_files, tree

LONGEST_FILE = 420
LONGEST_FUNCTION = 65
FILES = python_files("annotate", "labeling", "training")
TESTS = python_files("tests")


def name_of(path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", [path for path in FILES if "migrations" not in path.parts], ids=name_of)
def test_files_and_functions_stay_small(path):
    lines = len(path.read_text().splitlines())
    assert lines <= LONGEST_FILE, f"{lines} lines: split it by noun"
    long = [
        f"{node.name}: {node.end_lineno - node.lineno + 1} lines"
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno - node.lineno + 1 > LONGEST_FUNCTION
    ]
    assert not long


@pytest.mark.parametrize("path", [*FILES, *TESTS], ids=name_of)
def test_no_promises_and_no_paths_of_one_machine(path):
    if path.name in ("test_house_rules.py", "test_safe_code.py"):
        return
    text = path.read_text()
    assert not re.search(r"\b(TODO|FIXME|XXX|HACK)\b", text)
    assert not re.search(r"[\"' (](/root/|/home/[a-z])", text)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_no_exception_is_swallowed(path):
    """`except Exception: pass` hides bugs; a named exception with a plain `pass` needs a reason beside it."""
    swallowed = []
    lines = path.read_text().splitlines()
    for node in ast.walk(tree(path)):
        if not isinstance(node, ast.ExceptHandler):
            continue
        broad = node.type is None or ast.unparse(node.type) in ("Exception", "BaseException")
        only_pass = len(node.body) == 1 and isinstance(node.body[0], ast.Pass)
        explained = "#" in "".join(lines[node.lineno - 1 : node.body[0].lineno])
        if only_pass and (broad or not explained):
            swallowed.append(node.lineno)
    assert not swallowed


@pytest.mark.parametrize("path", [path for path in TESTS if path.name.startswith("test_")], ids=name_of)
def test_tests_can_fail(path):
    """A test function without any assertion, raises-block or check helper proves nothing."""
    weak = []
    for node in ast.walk(tree(path)):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or not node.name.startswith("test_"):
            continue
        source = ast.unparse(node)
        if not re.search(r"\bassert|raises\(|expect\(|wait_for|fail\(|assert_|check", source):
            weak.append(node.name)
    assert not weak


# Calls whose first argument, or first two, are looked up in a catalogue.
MARKS = {"_": 1, "gettext": 1, "gettext_lazy": 1, "gettext_noop": 1, "later": 1}
MARKS |= {"ngettext": 2, "ngettext_lazy": 2, "pgettext": 2, "pgettext_lazy": 2, "npgettext": 3}


def built_texts(source: ast.Module) -> list[int]:
    """Lines where a text is put together before it is looked up: no catalogue has it."""
    built = []
    for node in ast.walk(source):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "id", None) or getattr(node.func, "attr", "")
        for text in node.args[: MARKS.get(name, 0)]:
            is_format = isinstance(text, ast.Call) and getattr(text.func, "attr", "") in ("format", "join")
            if isinstance(text, ast.JoinedStr | ast.BinOp) or is_format:
                built.append(node.lineno)
    return built


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_texts_are_looked_up_whole_and_filled_afterwards(path):
    assert not built_texts(tree(path)), "write _('… %(name)s …') % {'name': name}"


def test_a_text_that_is_built_first_is_seen():
    wrong = ["_(f'{n} rows')", "gettext('a' + b)", "ngettext('row', f'{n} rows', n)", "later('a %s' % b)"]
    assert [bool(built_texts(ast.parse(line))) for line in wrong] == [True] * 4
    assert not built_texts(ast.parse("_('%(n)s rows') % {'n': n}; ngettext('a', 'b', n + 1)"))


@pytest.mark.parametrize("path", sorted((ROOT / "static/js").glob("*.js")), ids=name_of)
def test_scripts_say_whole_texts_too(path):
    assert not re.findall(r"\bsay(?:Many)?\(\s*(?:`|\"[^\"]*\"\s*\+|[^)\"`]*,\s*`)", path.read_text())


def translates_by_another_name(module: ast.Module) -> list[str]:
    """Functions that give `_` a value and look a text up by it: the text is then what the value is asked."""
    found = []
    for function in ast.walk(module):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        inner = {
            id(node)
            for each in ast.walk(function)
            if isinstance(each, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp | ast.Lambda)
            for node in ast.walk(each)
        }
        names = [node for node in ast.walk(function) if isinstance(node, ast.Name) and node.id == "_"]
        is_set = any(isinstance(node.ctx, ast.Store) and id(node) not in inner for node in names)
        called = {node.func for node in ast.walk(function) if isinstance(node, ast.Call)}
        if is_set and any(node in called for node in names):
            found.append(function.name)
    return found


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_nothing_takes_the_name_that_texts_are_looked_up_by(path):
    assert not translates_by_another_name(tree(path))


def test_a_taken_name_is_seen():
    taken = 'def f(name):\n    a, _, b = name.partition("/")\n    raise Invalid(_("No %s.") % b)\n'
    assert translates_by_another_name(ast.parse(taken)) == ["f"]
    apart = 'def f(names):\n    return [_("No.") for _ in ()] or _("None.")\n'
    assert not translates_by_another_name(ast.parse(apart))

"""House rules about safety, checked on every file: text is data, and nothing is unpickled or shelled out."""

import ast
import re

import pytest

from tests.architecture.source import ROOT, is_in, module_name, python_files, tree

TEMPLATES = sorted(
    path
    for folder in ("templates", "annotate", "labeling", "training")
    for path in (ROOT / folder).rglob("*.html")
)
SCRIPTS = sorted((ROOT / "static" / "js").rglob("*.js")) if (ROOT / "static" / "js").is_dir() else []
# Marks signs in escaped text and in what the Markdown filter has sanitised: test_signs, test_markdown.
MARKS_SAFE = ("annotate.signs",)

INLINE = [
    (re.compile(r"<script(?![^>]*\bsrc=)(?![^>]*type=[\"']?application/json)[^>]*>", re.I), "inline script"),
    (re.compile(r"<style\b", re.I), "inline style element"),
    (re.compile(r"<[^>]*\sstyle\s*=", re.I), "style attribute"),
    (re.compile(r"<[^>]*\son[a-z]+\s*=\s*[\"']", re.I), "event handler attribute"),
    (re.compile(r"<[^>]*\shx-on[:\-]", re.I), "hx-on needs eval"),
    (re.compile(r"\|\s*safe(seq)?\b"), "|safe"),
    (re.compile(r"{%\s*autoescape\s+off"), "autoescape off"),
    (re.compile(r"(href|src|action)\s*=\s*[\"']\s*javascript:", re.I), "javascript: address"),
    (re.compile(r"(href|src)\s*=\s*[\"']\s*(https?:)?//(?!www\.w3\.org)", re.I), "a file from elsewhere"),
]
UNSAFE_SCRIPT = (
    r"\.innerHTML\s*\+?=(?!=)|\.outerHTML\s*=(?!=)|insertAdjacentHTML|document\.write|\beval\(|new Function\("
)
FORBIDDEN_IMPORTS = ("pickle", "cPickle", "dill", "shelve", "marshal", "joblib")
FORBIDDEN_CALLS = {"eval", "exec"}


def name_of(path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", TEMPLATES, ids=name_of)
def test_templates_hold_nothing_the_content_security_policy_forbids(path):
    text = re.sub(r"{#.*?#}|{%\s*comment.*?endcomment\s*%}", "", path.read_text(), flags=re.S)
    found = [f"{what}: {match[0][:80]}" for pattern, what in INLINE for match in pattern.finditer(text)]
    if "a file from elsewhere" in str(found):
        # Links for people may leave the site; loaded files may not.
        found = [entry for entry in found if not entry.startswith("a file from elsewhere: href")]
    assert not found


@pytest.mark.parametrize("path", SCRIPTS, ids=name_of)
def test_scripts_put_no_data_into_html(path):
    text = re.sub(r"//[^\n]*|/\*.*?\*/", "", path.read_text(), flags=re.S)
    assert not re.search(UNSAFE_SCRIPT, text)


def calls(path):
    return [node for node in ast.walk(tree(path)) if isinstance(node, ast.Call)]


def call_name(node: ast.Call) -> str:
    return ast.unparse(node.func)


@pytest.mark.parametrize("path", python_files(), ids=name_of)
def test_code_unpickles_shells_out_and_evaluates_nothing(path):
    bad = []
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            bad += [alias.name for alias in node.names if is_in(alias.name, *FORBIDDEN_IMPORTS)]
        elif isinstance(node, ast.ImportFrom) and node.module and is_in(node.module, *FORBIDDEN_IMPORTS):
            bad.append(node.module)
    for node in calls(path):
        name = call_name(node)
        if name in FORBIDDEN_CALLS or name in ("torch.load", "os.system", "os.popen"):
            bad.append(f"{name}() line {node.lineno}")
        for keyword in node.keywords:
            value = getattr(keyword.value, "value", None)
            if keyword.arg == "shell" and value is not False:
                bad.append(f"shell= line {node.lineno}")
            if keyword.arg in ("trust_remote_code", "allow_pickle") and value is not False:
                bad.append(f"{keyword.arg}= line {node.lineno}")
    assert not bad


@pytest.mark.parametrize("path", python_files(), ids=name_of)
def test_only_one_place_marks_text_as_safe(path):
    if is_in(module_name(path), *MARKS_SAFE):
        return
    assert not [
        node.lineno for node in calls(path) if call_name(node).split(".")[-1] in ("mark_safe", "SafeString")
    ]

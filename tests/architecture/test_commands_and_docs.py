"""What the docs tell people to type exists, and what exists is told."""

import re
import subprocess

import pytest
from django.core.management import get_commands

from tests.architecture.source import ROOT, python_files

DOCS = [path for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))] if path.exists()]
DEV = (ROOT / "dev").read_text()


def dev_commands() -> set[str]:
    body = DEV[DEV.rindex("case $command in") :]
    names = re.findall(r"^    ([a-z]+)(?: \| [-a-z |]+)?\) ", body, flags=re.M)
    return set(names)


def test_dev_help_lists_every_subcommand():
    result = subprocess.run([ROOT / "dev", "help"], capture_output=True, text=True, timeout=20)
    assert result.returncode == 0
    listed = set(re.findall(r"^  ([a-z]+)  ", result.stdout, flags=re.M))
    assert listed == dev_commands()


def test_dev_has_the_commands_people_rely_on():
    assert {"demo", "run", "test", "check", "bench"} <= dev_commands()


def test_dev_refuses_an_unknown_subcommand():
    result = subprocess.run([ROOT / "dev", "frobnicate"], capture_output=True, text=True, timeout=20)
    assert result.returncode != 0
    assert "frobnicate" in result.stderr


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_every_command_in_the_docs_exists(path):
    text = path.read_text()
    missing = [f"./dev {name}" for name in re.findall(r"\./dev ([a-z]+)", text) if name not in dev_commands()]
    known = set(get_commands())
    missing += [
        f"manage.py {name}" for name in re.findall(r"manage\.py ([a-z_]+)", text) if name not in known
    ]
    assert not missing


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_links_between_docs_lead_somewhere(path):
    broken = []
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", path.read_text()):
        elsewhere = "://" in target or target.startswith(("mailto:", "/"))
        if not elsewhere and not (path.parent / target).exists():
            broken.append(target)
    assert not broken


def test_every_setting_from_the_environment_is_in_the_example_file():
    example = (ROOT / ".env.example").read_text()
    names = set()
    for path in python_files("annotate"):
        text = path.read_text()
        names |= set(re.findall(r"\benv(?:\.[a-z_]+)?\(\s*\"([A-Z_]+)\"", text))
        names |= set(re.findall(r"environ(?:\.get\(|\[)\s*\"([A-Z_]+)\"", text))
    internal = {"DJANGO_SETTINGS_MODULE", "COLLECT_STATIC", "SECRET_KEY_FALLBACKS"}
    assert not sorted(
        name for name in names - internal if not re.search(rf"^# ?{name}=|^{name}=", example, re.M)
    )

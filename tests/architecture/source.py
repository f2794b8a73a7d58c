"""Reading our own source: modules, the imports each makes (relative ones resolved), and where."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("annotate", "labeling", "training")


@dataclass(frozen=True)
class Import:
    module: str  # who imports
    target: str  # what, as a dotted name; for `from a import b` both a and a.b are reported
    path: str
    line: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line} imports {self.target}"


def python_files(*folders: str) -> list[Path]:
    return sorted(
        path
        for folder in folders or ROOMS
        for path in (ROOT / folder).rglob("*.py")
        if "__pycache__" not in path.parts
    )


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def imports_of(path: Path) -> list[Import]:
    """Every import of a file, those inside functions too; names under TYPE_CHECKING count as well."""
    name = module_name(path)
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found = []
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = package.split(".")
                anchor = parts[: len(parts) - (node.level - 1)]
                base = ".".join([*anchor, *filter(None, [node.module])])
            targets = [f"{base}.{alias.name}" for alias in node.names]
        else:
            continue
        found += [Import(name, target, str(path.relative_to(ROOT)), node.lineno) for target in targets]
    return found


def all_imports(*folders: str) -> list[Import]:
    return [found for path in python_files(*folders) for found in imports_of(path)]


def is_in(name: str, *places: str) -> bool:
    """True where the dotted name is one of the places or below one of them."""
    return any(name == place or name.startswith(place + ".") for place in places)

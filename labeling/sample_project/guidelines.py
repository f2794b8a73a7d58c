"""The two guidelines a contractor reads, as Markdown."""

from __future__ import annotations

from pathlib import Path

_FOLDER = Path(__file__).parent


def guideline_markdown(task_kind: str) -> str:
    """The guideline for `task_kind`, "demonstration" or "ranking"; ValueError for any other kind."""
    if task_kind not in ("demonstration", "ranking"):
        raise ValueError(f"There is no guideline for {task_kind!r}: ask for 'demonstration' or 'ranking'.")
    return (_FOLDER / f"guideline_{task_kind}.md").read_text(encoding="utf-8")

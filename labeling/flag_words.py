"""Read side: every flag that a project's forms ever asked for, with its newest label.

Numbers over a project's whole life count flags of all versions; a single piece of work shows the labels of
its own.
"""

from __future__ import annotations

from dataclasses import dataclass

from .models import Choice, FormVersion, Project


@dataclass(frozen=True)
class FlagsOfProject:
    completion: tuple[Choice, ...]
    prompt: tuple[Choice, ...]


def flags_of(project: Project) -> FlagsOfProject:
    """Of all published versions of all layouts, oldest flag first. One query."""
    completion: dict[str, Choice] = {}
    prompt: dict[str, Choice] = {}
    for version in FormVersion.objects.filter(form__project=project).order_by("published_at", "pk"):
        completion |= {flag.key: flag for flag in version.definition.completion_flags}
        prompt |= {flag.key: flag for flag in version.definition.prompt_flags}
    return FlagsOfProject(tuple(completion.values()), tuple(prompt.values()))

"""The sample project as rows: opened once, with its guidelines published and its prompts in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import transaction

from labeling.models import Project, TaskKind
from labeling.sample_project import NAME, SLUG, guideline_markdown, prompts

from .guidelines import publish_version, save_draft
from .projects import create_project
from .prompts import record_prompts

DESCRIPTION = (
    "A small project to try everything on: everyday questions, answered in one or two kind sentences."
)
COMPLETION_FLAGS = [
    {"key": "did_not_follow_instruction", "label": "Does not answer the question"},
    {"key": "too_long", "label": "More than two sentences"},
    {"key": "not_polite", "label": "No kind word"},
    {"key": "not_finished", "label": "Does not end properly"},
    {"key": "repetitive", "label": "Repeats itself"},
]
SETTINGS: dict[str, Any] = {
    "return_reasons": COMPLETION_FLAGS,
    "default_overlap": 1,
    "completions_per_task": 4,
    "new_person_reviews": 1,
    "demonstration_review_rate": 0.2,
    "ranking_review_rate": 0.05,
    # Five flags on each of four weak completions: nearly every ranking of a tiny model carries one.
    "review_flagged": False,
    "response_max_characters": 600,
}
FORMS = {"ranking": {"completion_flags": COMPLETION_FLAGS}}


@dataclass(frozen=True)
class _PromptRow:
    """What record_prompts reads."""

    messages: list[dict[str, str]]
    category: str
    metadata: dict[str, Any]
    language: str = "en"


@transaction.atomic
def create_sample_project(*, acting_user, seed: int = 0) -> Project:
    """The sample project, made now or found as it is. Raises Forbidden unless the person is site staff."""
    found = Project.objects.filter(slug=SLUG).first()
    if found is not None:
        return found
    project = create_project(
        name=NAME,
        slug=SLUG,
        description=DESCRIPTION,
        settings=SETTINGS,
        forms=FORMS,
        acting_user=acting_user,
    )
    for kind in TaskKind.values:
        save_draft(
            project=project, kind=kind, markdown=guideline_markdown(kind), revision=0, acting_user=acting_user
        )
        publish_version(project=project, kind=kind, change_summary="First version.", acting_user=acting_user)
    rows = (
        _PromptRow(messages=list(prompt.messages), category=prompt.category, metadata={"key": prompt.key})
        for prompt in prompts(seed)
    )
    record_prompts(project=project, records=rows, acting_user=acting_user)
    return project

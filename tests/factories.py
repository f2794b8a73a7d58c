"""Rows for tests, made through the services where there is one, so that tests start from lawful states."""

from __future__ import annotations

import itertools

from annotate.accounts.models import User
from labeling.formats import prompt_digest
from labeling.models import Batch, Completion, CompletionOrigin, FormVersion, Project, Prompt, TaskKind
from labeling.services import forms as form_service
from labeling.services.batches import create_demonstration_batch, create_ranking_batch
from labeling.services.guidelines import acknowledge_version, publish_version, save_draft
from labeling.services.projects import create_project

_numbers = itertools.count(1)


def make_user(name: str = "", **fields) -> User:
    name = name or f"person{next(_numbers)}"
    user = User(username=name, email=f"{name}@example.com", display_name=name.title(), **fields)
    # A fast hash of its own: tests sign in with force_login, browser tests set a real password.
    user.set_unusable_password()
    user.save()
    return user


def make_project(name: str = "", acting_user: User | None = None, **settings) -> Project:
    acting_user = acting_user or make_user(is_staff=True)
    # Tests rank in the order shown, which differs between people: whoever tests disagreement asks for it.
    settings = {"low_agreement_below": 0, **settings}
    return create_project(
        name=name or f"Project {next(_numbers)}", acting_user=acting_user, settings=settings
    )


def make_prompt(project: Project, text: str = "", **fields) -> Prompt:
    messages = fields.pop("messages", None) or [
        {"role": "user", "content": text or f"Question {next(_numbers)}?"}
    ]
    preview = next(m["content"] for m in reversed(messages) if m["role"] == "user")[:300]
    return Prompt.objects.create(
        project=project, messages=messages, digest=prompt_digest(messages), preview=preview, **fields
    )


def make_completions(
    prompt: Prompt, texts: list[str] | int = 4, generator: str = "tiny-sft"
) -> list[Completion]:
    if isinstance(texts, int):
        texts = [f"Answer {next(_numbers)}." for _ in range(texts)]
    return [
        Completion.objects.create(
            project=prompt.project,
            prompt=prompt,
            text=text,
            origin=CompletionOrigin.IMPORTED,
            generator=generator,
        )
        for text in texts
    ]


def make_demonstration_batch(project: Project, tasks: int = 3, **policy) -> Batch:
    """Nothing of it is sampled for review unless `policy` says so: a test must not go one way or the other by
    the numbers that the rows happen to have."""
    policy.setdefault("review_rate", 0.0)
    prompts = [make_prompt(project) for _ in range(tasks)]
    return create_demonstration_batch(
        project=project,
        name=f"Demonstrations {next(_numbers)}",
        prompts=prompts,
        acting_user=project.created_by,
        **policy,
    )


def make_ranking_batch(project: Project, tasks: int = 3, k: int = 4, **policy) -> Batch:
    """As of demonstrations: nothing is sampled for review by itself."""
    policy.setdefault("review_rate", 0.0)
    sets = []
    for _ in range(tasks):
        prompt = make_prompt(project)
        sets.append((prompt.pk, [completion.pk for completion in make_completions(prompt, k)]))
    return create_ranking_batch(
        project=project,
        name=f"Rankings {next(_numbers)}",
        completion_sets=sets,
        acting_user=project.created_by,
        **policy,
    )


def publish_guideline(project: Project, kind: str = TaskKind.DEMONSTRATION, markdown: str = "", readers=()):
    """Publish a guideline version and let `readers` acknowledge it."""
    guideline = project.guidelines.get(kind=kind)
    save_draft(
        project=project,
        kind=kind,
        markdown=markdown or f"# Guideline {next(_numbers)}\n\nBe helpful.",
        revision=guideline.draft_revision,
        acting_user=project.created_by,
    )
    version = publish_version(project=project, kind=kind, acting_user=project.created_by)
    for reader in readers:
        acknowledge_version(version=version, user=reader)
    return version


def publish_form(project: Project, layout: str = "ranking", **changes) -> FormVersion:
    """Publish a version of a form that differs from the one in force by `changes`."""
    form = project.forms.get(layout=layout)
    form_service.save_draft(
        project=project,
        layout=layout,
        definition={**form.current.definition_json, **changes},
        revision=form.draft_revision,
        acting_user=project.created_by,
    )
    return form_service.publish_version(project=project, layout=layout, acting_user=project.created_by)


def question(key: str, type: str = "yes_no", **fields) -> dict:
    """A question of a form's definition."""
    return {"key": key, "label": key.replace("_", " ").capitalize() + "?", "type": type, **fields}

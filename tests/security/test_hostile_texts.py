"""Markup in every text of the database, a megabyte in every field of the work: shown as text, or refused by
name, with nothing changed.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.apps import apps
from django.db import models
from django.test import Client
from django.urls import reverse

from annotate.accounts.models import User
from labeling.models import FormVersion, Prompt, Submission
from labeling.services.projects import update_settings
from tests.factories import make_demonstration_batch, make_ranking_batch
from tests.labeling.work import claim, ranking_of

from .routes import PUBLIC, all_routes
from .test_routes import values_for
from .world import build_world

pytestmark = [pytest.mark.django_db]

MARKUP = '"><script>alert(1)</script>'
# Texts that the site itself writes and reads: keys, addresses, hashes, names of files.
WRITTEN_BY_THE_SITE = {
    "slug", "username", "email", "password", "pseudonym", "timezone", "path", "directory", "language",
    "code", "url", "secret_sealed", "page", "query", "event", "action", "object_type", "object_id", "layout",
    "idempotency_key", "handout_reason", "token_sha256", "file_path", "kind", "stage", "role", "format",
    "manifest_sha256", "prompt_language", "stored_name", "sha256", "work", "currency",
}  # fmt: skip
BIG = "x" * 2**20


def poison() -> set[str]:
    """MARKUP in every text column that people can fill; which these are."""
    found = set()
    for model in [*apps.get_app_config("labeling").get_models(), User]:
        if not model._meta.managed or model._meta.proxy:
            continue
        changes: dict[str, Any] = {}
        for field in model._meta.concrete_fields:
            is_text = isinstance(field, models.CharField | models.TextField) and not field.choices
            fits = field.max_length is None or field.max_length >= len(MARKUP)
            if is_text and fits and not field.unique and not is_the_sites(field.name):
                changes[field.name] = MARKUP
        if changes:
            models.QuerySet(model).update(**changes)  # past the rows that refuse to be changed
            found |= {f"{model.__name__}.{name}" for name in changes}
    Prompt.objects.update(messages=[{"role": "user", "content": MARKUP}])
    for version in FormVersion.objects.all():
        text = json.dumps(version.definition_json)
        for label in ("Harmful advice", "Unclear", "worst", "best"):
            text = text.replace(json.dumps(label), json.dumps(MARKUP))
        FormVersion.objects.filter(pk=version.pk).update(definition_json=json.loads(text))
    return found


def is_the_sites(name: str) -> bool:
    return name in WRITTEN_BY_THE_SITE or name.endswith(("sha256", "signature", "digest", "_key", "_path"))


@pytest.fixture
def world(cast):
    return build_world(cast.project, admin=cast.admin, annotator=cast.annotator, reviewer=cast.lead)


def test_markup_in_every_text_is_text_on_every_page(cast, world):
    poisoned = poison()
    for known in (
        "Project.name",
        "Demonstration.text",
        "Completion.text",
        "Comment.text",
        "User.display_name",
        "GuidelineVersion.markdown",
        "Batch.name",
        "Review.note",
        "SpanNote.comment",
        "Appeal.text",
    ):
        assert known in poisoned
    seen, wrong = 0, []
    for who in ("admin", "annotator"):
        client = Client(raise_request_exception=False)
        client.force_login(getattr(cast, who))
        for route in all_routes():
            policy = dict(route.policies).get("get")
            if policy in (None, PUBLIC) or (route.parameters and not route.is_of_a_project):
                continue
            answer = client.get(route.url(values_for(route, world)))
            if answer.status_code >= 500:
                wrong.append(f"{who} {route.name}: {answer.status_code}")
            if answer.streaming or "html" not in answer.headers.get("Content-Type", ""):
                continue
            html = answer.content.decode()
            seen += "alert(1)" in html
            if "<script>alert" in html:
                wrong.append(f"{who} {route.name}: {html[html.index('<script>alert') - 80 :][:160]}")
    assert wrong == []
    assert seen > 60


@pytest.fixture
def api(cast, api_client_of):
    client = api_client_of(cast.annotator)

    def ask(method: str, path: str, body: dict) -> tuple[int, dict]:
        address = f"/api/projects/{cast.project.slug}/{path}"
        answer = getattr(client, method)(address, body, format="json")
        return answer.status_code, answer.json().get("error", {})

    return ask


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("submit/", {"text": BIG}, "text"),
        ("submit/", {"text": "Paris.", "notes": [{"start": 0, "end": 1, "comment": BIG}]}, "notes"),
        ("skip/", {"reason": "other", "note": BIG}, "note"),
        ("comments/", {"text": BIG}, "text"),
    ],
)
def test_a_megabyte_is_refused_by_its_field_and_nothing_is_stored(cast, api, path, body, field):
    make_demonstration_batch(cast.project, tasks=1)
    assignment = claim(cast.annotator, cast.project)
    fields = {"fence": assignment.fence, "idempotency_key": "k"} if path == "submit/" else {}
    draft = assignment.task.drafts.get()
    status, error = api("post", f"assignments/{assignment.pk}/{path}", {**fields, **body})
    assert status in (413, 422)
    assert error["field"].startswith(field)
    assignment.refresh_from_db()
    assert (assignment.status, Submission.objects.count()) == ("leased", 0)
    assert assignment.task.drafts.get().body == draft.body
    assert not assignment.task.comment_threads.exists()


def test_a_megabyte_that_cannot_be_submitted_is_kept_as_a_draft(cast, api):
    make_demonstration_batch(cast.project, tasks=1)
    assignment = claim(cast.annotator, cast.project)
    revision = assignment.task.drafts.get().revision
    status, _ = api(
        "put", f"assignments/{assignment.pk}/draft/", {"revision": revision, "fields": {"text": BIG}}
    )
    assert (status, assignment.task.drafts.get().body["text"]) == (200, BIG)
    client = Client()
    client.force_login(cast.annotator)
    page = client.get(reverse("labeling:work_task", args=[cast.project.slug, assignment.pk]))
    assert (page.status_code, BIG in page.content.decode()) == (200, True)


def test_a_megabyte_of_why_is_refused(cast, api):
    make_ranking_batch(cast.project, tasks=1, k=2)
    assignment = claim(cast.annotator, cast.project)
    client = Client()
    client.force_login(cast.annotator)
    ranking = ranking_of(assignment, cast.annotator)
    names = {each.completion_id: each.completion.public_id for each in assignment.task.task_completions.all()}
    body = {
        "fence": assignment.fence,
        "idempotency_key": "k",
        "tiers": [[str(names[pk]) for pk in tier] for tier in ranking["tiers"]],
        "scores": {str(names[int(pk)]): score for pk, score in ranking["scores"].items()},
        "touched": [str(name) for name in names.values()],
        "rationale": BIG,
    }
    status, error = api("post", f"assignments/{assignment.pk}/submit/", body)
    assert (status, error["field"], Submission.objects.count()) == (422, "rationale", 0)


def test_an_answer_as_long_as_a_project_allows_is_stored_whole_and_every_page_shows_it(cast, api):
    update_settings(
        project=cast.project, values={"response_max_characters": 1_000_000}, acting_user=cast.admin
    )
    make_demonstration_batch(cast.project, tasks=1, review_rate=1)
    assignment = claim(cast.annotator, cast.project)
    text = ("word *and* `code` <b> | a | b |\n" * 40_000)[:1_000_000]
    body = {"fence": assignment.fence, "idempotency_key": "k", "text": text}
    status, error = api("post", f"assignments/{assignment.pk}/submit/", body)
    assert (status, error) == (201, {})
    submission = Submission.objects.get()
    assert submission.current.text == text.strip() or submission.current.text == text
    client = Client()
    client.force_login(cast.lead)
    for name in ("submission_detail", "review_submission"):
        page = client.get(reverse(f"labeling:{name}", args=[cast.project.slug, submission.pk]))
        assert page.status_code == 200
        assert "<b> |" not in page.content.decode()


def test_what_a_form_does_not_ask_for_is_not_taken_from_a_page(cast):
    make_demonstration_batch(cast.project, tasks=1, review_rate=1)
    assignment = claim(cast.annotator, cast.project)
    client = Client()
    client.force_login(cast.annotator)
    sent = {
        "fence": assignment.fence, "idempotency_key": "k", "text": "Paris.", "status": "accepted",
        "annotator": cast.peer.pk, "revision": 9, "origin": "fix", "decided_at": "2020-01-01",
        "guideline_version": 7, "is_current": "", "task": 1, "review_reason": "",
    }  # fmt: skip
    client.post(reverse("labeling:work_submit", args=[cast.project.slug, assignment.pk]), sent)
    submission = Submission.objects.get()
    assert (submission.status, submission.annotator, submission.decided_at) == (
        "awaiting_review", cast.annotator, None
    )  # fmt: skip
    assert (submission.current.revision, submission.current.origin) == (1, "original")

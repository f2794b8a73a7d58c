"""Jumping anywhere: the list holds what this person may see and nothing else."""

from __future__ import annotations

from contextlib import contextmanager

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.factories import make_demonstration_batch, publish_guideline
from tests.labeling.work import without_transaction_control

pytestmark = pytest.mark.django_db


@pytest.fixture
def jump(client):
    def ask(user, query="", project=""):
        client.force_login(user)
        answer = client.get("/jump/", {"q": query, "project": project})
        assert answer.status_code == 200
        return answer.json()["targets"]

    return ask


def titles(targets, group):
    return [target["title"] for target in targets if target["group"] == group]


def test_each_role_gets_its_pages_and_every_address_opens(cast, jump, client):
    expected = {"annotator": "My work", "lead": "Review", "admin": "Settings"}
    forbidden = {"annotator": "Review", "lead": "Settings", "admin": None}
    for role, title in expected.items():
        person = getattr(cast, role)
        targets = jump(person, project=cast.project.slug)
        assert title in titles(targets, "Pages") and forbidden[role] not in titles(targets, "Pages")
        for target in targets:
            assert client.get(target["url"]).status_code in (200, 302), target


def test_people_outside_learn_nothing_of_a_project(cast, jump):
    make_demonstration_batch(cast.project, tasks=1)
    targets = jump(cast.outsider, project=cast.project.slug)
    assert titles(targets, "Projects") == ["Elsewhere"]
    assert {target["group"] for target in targets} == {"Projects", "Site"}


def test_batches_are_for_leads_and_found_by_every_word(cast, jump):
    batch = make_demonstration_batch(cast.project, tasks=1)
    batch.name = "Spring, second wave"
    batch.save()
    assert titles(jump(cast.lead, "second SPRING", cast.project.slug), "Batches") == ["Spring, second wave"]
    assert titles(jump(cast.lead, "second autumn", cast.project.slug), "Batches") == []
    assert titles(jump(cast.annotator, "spring", cast.project.slug), "Batches") == []


def test_sections_of_the_guideline_in_force_lead_to_their_place(cast, jump, client):
    publish_guideline(cast.project, "ranking", "# Old\n\n## Honesty")
    publish_guideline(cast.project, "ranking", "# Ranking\n\n## Be honest\n\nAlways.")
    [target] = [
        each for each in jump(cast.annotator, "hones", cast.project.slug) if "section" in each["group"]
    ]
    assert target["title"] == "Be honest"
    address, anchor = target["url"].split("#")
    assert f'id="{anchor}"' in client.get(address).content.decode()


def test_it_stays_a_few_queries(cast, jump, client):
    for number in range(3):
        publish_guideline(cast.project, "ranking", f"# One\n\n## Edition {number}")
    client.force_login(cast.admin)
    with CaptureQueriesContext(connection) as captured:
        client.get("/jump/", {"q": "e", "project": cast.project.slug})
    assert len(without_transaction_control(captured.captured_queries)) <= 8


def test_pages_are_listed_and_found_in_the_readers_language_and_in_english(cast, jump):
    words = {"Pages": "Seiten", "Overview": "Überblick", "home project dashboard": "Start Übersicht Projekt"}
    with words_are(words):
        [found] = jump(cast.annotator, "übersicht", cast.project.slug)
        assert (found["group"], found["title"]) == ("Seiten", "Überblick")
        assert found in jump(cast.annotator, "dashboard", cast.project.slug)
        assert found in jump(cast.annotator, "overview", cast.project.slug)


@contextmanager
def words_are(words: dict[str, str]):
    """As if the catalogue of the reader's language had these."""
    from labeling import jumping

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jumping, "gettext", lambda text: words.get(text, text))
        yield

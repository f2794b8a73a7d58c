"""What projects' settings said becomes version 1 of their forms, and people's work is pinned to it."""

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from labeling.models import Assignment, Project, Ranking
from tests.factories import make_ranking_batch

from .work import claim, do_next

pytestmark = pytest.mark.django_db(transaction=True)
BEFORE = [("labeling", "0001_initial")]


def migrate(target):
    executor = MigrationExecutor(connection)
    executor.migrate(target)
    return executor.loader.project_state(target).apps


def migrate_to_the_newest():
    executor = MigrationExecutor(connection)
    executor.migrate(executor.loader.graph.leaf_nodes())


@pytest.fixture
def at_the_newest():
    yield
    migrate_to_the_newest()


def test_settings_become_forms_and_back(cast, at_the_newest):
    make_ranking_batch(cast.project, tasks=2, k=2, review_rate=0)
    do_next(cast.annotator, cast.project)
    claim(cast.annotator, cast.project)
    old = migrate(BEFORE)
    project = old.get_model("labeling", "Project").objects.get(pk=cast.project.pk)
    assert project.settings_json["require_scores"] is True  # back to where it was
    flag = {"key": "Odd One", "label": "Odd\nindeed"}
    project.settings_json |= {
        "require_scores": False,
        "ask_margins": True,
        "require_rationale": True,
        "allow_ties": False,
        "completion_flags": [flag, flag],
    }
    project.save()
    migrate_to_the_newest()
    project = Project.objects.get(pk=cast.project.pk)
    assert project.settings.new_person_reviews == 0  # what did not move stays, and is understood
    form = project.forms.get(layout="ranking").current
    definition = form.definition
    assert (definition.scores, definition.rationale) == ("offered", "required")
    assert (definition.ask_margins, definition.allow_ties) == (True, False)
    assert [(each.key, each.label) for each in definition.completion_flags] == [("Odd One", "Oddindeed")]
    pairwise = project.forms.get(layout="pairwise").current.definition
    assert (pairwise.scores, pairwise.allow_ties) == ("hidden", False)
    assert Ranking.objects.get().form_version == form
    in_hand = Assignment.objects.get(status="leased")
    assert in_hand.form_version == form
    assert in_hand.task.drafts.get().form_version == form
    assert in_hand.batch.layout == "ranking"

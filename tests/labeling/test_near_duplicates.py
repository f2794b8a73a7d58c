"""Near duplicates of a project's answers: an index that comes and goes with the check, and tells on
nobody.
"""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from labeling.checks import band_keys
from labeling.models import AnswerBand, AnswerIndex
from labeling.services.answer_checks import UnconfirmedWarnings
from labeling.services.answer_index import build_index, nearest_answer
from labeling.services.assignments import lease_assignment
from labeling.services.projects import update_settings
from labeling.services.reviews import return_submission
from tests.factories import make_demonstration_batch

from .judgments import make_demonstration
from .work import claim, submit

pytestmark = pytest.mark.django_db
TEXT = (
    "Otters live along rivers and coasts, eat fish and crabs, and sleep holding hands "
    "so that they do not drift."
)
NEARLY = TEXT.replace("drift", "float")


@pytest.fixture
def indexed(cast):
    update_settings(project=cast.project, values={"check_near_duplicate": "warn"}, acting_user=cast.admin)
    return cast.project


def test_an_answer_nearly_the_same_as_a_peers_is_warned_of_without_telling_whose(cast, indexed, client):
    make_demonstration_batch(indexed, tasks=2, overlap=1, review_rate=1)
    peers = submit(claim(cast.peer, indexed), cast.peer, text=TEXT)
    mine = claim(cast.annotator, indexed)
    with pytest.raises(UnconfirmedWarnings) as caught:
        submit(mine, cast.annotator, text=NEARLY)
    said = str(caught.value.as_dict())
    assert "float" not in said and "Petra" not in said and f"{peers.pk}'" not in said
    submission = submit(mine, cast.annotator, text=NEARLY, confirmed_warnings=["near_duplicate"])
    assert submission.current.warnings[0]["other"] == peers.pk
    detail = reverse("labeling:submission_detail", args=[indexed.slug, submission.pk])
    link = reverse("labeling:submission_detail", args=[indexed.slug, peers.pk])
    client.force_login(cast.annotator)
    assert link not in client.get(detail).content.decode()
    client.force_login(cast.lead)
    assert link in client.get(detail).content.decode()


def test_ones_own_revision_is_no_duplicate_of_itself(cast, indexed):
    make_demonstration_batch(indexed, tasks=1, review_rate=1)
    submission = submit(claim(cast.annotator, indexed), cast.annotator, text=TEXT)
    return_submission(submission=submission, revision=1, reviewer=cast.lead, note="More.")
    again = lease_assignment(assignment=submission.assignment, user=cast.annotator)
    assert submit(again, cast.annotator, text=NEARLY).current.warnings == []
    stored = set(AnswerBand.objects.filter(submission=submission).values_list("key", flat=True))
    assert stored == set(band_keys(NEARLY))


def test_another_text_is_none(cast, indexed):
    make_demonstration(indexed, cast.peer, TEXT)
    build_index(indexed.pk)
    assert (
        nearest_answer(project=indexed, text="Badgers dig setts in woods and hedges and come out at night.")
        is None
    )


def test_the_share_is_the_projects_to_set(cast, indexed):
    other = make_demonstration(indexed, cast.peer, TEXT)
    build_index(indexed.pk)
    assert nearest_answer(project=indexed, text=NEARLY) == other.pk
    update_settings(project=indexed, values={"near_duplicate_share": 1.0}, acting_user=cast.admin)
    assert nearest_answer(project=indexed, text=NEARLY) is None


def test_switching_on_indexes_what_is_there_once_and_off_forgets_it(cast):
    project = cast.project
    made = [make_demonstration(project, cast.peer, f"{TEXT} Number {number}.") for number in range(3)]
    assert not AnswerBand.objects.exists()
    update_settings(project=project, values={"check_near_duplicate": "refuse"}, acting_user=cast.admin)
    assert AnswerIndex.objects.get(project=project).complete_at is None
    assert build_index(project.pk) == 3
    assert AnswerIndex.objects.get(project=project).complete_at is not None
    assert AnswerBand.objects.count() == 3 * len(band_keys(TEXT))
    assert build_index(project.pk) == 0
    assert AnswerBand.objects.filter(submission=made[0]).count() == len(band_keys(TEXT))
    update_settings(project=project, values={"check_near_duplicate": "off"}, acting_user=cast.admin)
    assert not AnswerBand.objects.exists() and not AnswerIndex.objects.exists()


def test_a_sweep_builds_an_index_that_nobody_was_rung_for(cast, indexed):
    from labeling.services.background import sweep

    make_demonstration(indexed, cast.peer, TEXT)
    assert sweep() == 1
    assert AnswerBand.objects.exists()


def test_the_look_up_is_two_queries_by_index_and_capped(cast, indexed):
    make_demonstration(indexed, cast.peer, TEXT)
    build_index(indexed.pk)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        nearest_answer(project=indexed, text=NEARLY)
    assert len(queries) == 2
    assert "LIMIT 2000" in queries[0]["sql"]


def test_answers_of_another_project_do_not_count(cast, indexed):
    make_demonstration(cast.other_project, cast.outsider, TEXT)
    update_settings(
        project=cast.other_project, values={"check_near_duplicate": "warn"}, acting_user=cast.outsider
    )
    build_index(cast.other_project.pk)
    assert nearest_answer(project=indexed, text=TEXT) is None

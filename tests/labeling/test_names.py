"""Names that stand within our own sentences: no service takes one that turns those around."""

from __future__ import annotations

import pytest

from annotate.accounts.services import create_api_token, create_user, update_profile
from annotate.errors import Invalid
from labeling.models import Notification
from labeling.services.batches import create_demonstration_batch
from labeling.services.datasets import create_dataset
from labeling.services.guidelines import acknowledge_version
from labeling.services.projects import create_project, update_project
from labeling.services.saved_views import save_view
from labeling.services.written_prompts import check_category
from tests.factories import make_prompt, publish_guideline
from training.services.presets import save_preset
from training.services.runs import create_run

pytestmark = pytest.mark.django_db
BAD = "Good\u202emoc"


def profile(cast):
    update_profile(user=cast.annotator, display_name=BAD, timezone="UTC", theme="system")


def view(cast):
    membership = cast.project.memberships.get(user=cast.lead)
    save_view(
        project=cast.project, membership=membership, acting_user=cast.lead, page="people", name=BAD, query=""
    )


WRITES = {
    "project": lambda cast: create_project(name=BAD, acting_user=cast.admin),
    "project renamed": lambda cast: update_project(
        project=cast.project, name=BAD, description="", acting_user=cast.admin
    ),
    "batch": lambda cast: create_demonstration_batch(
        project=cast.project, name=BAD, prompts=[make_prompt(cast.project)], acting_user=cast.admin
    ),
    "account": lambda cast: create_user(
        username="eve", email="eve@example.org", password=None, display_name=BAD
    ),
    "profile": profile,
    "token": lambda cast: create_api_token(user=cast.annotator, name=BAD),
    "dataset": lambda cast: create_dataset(
        project=cast.project, kind="sft", name=BAD, acting_user=cast.admin
    ),
    "view": view,
    "category": lambda cast: check_category(BAD),
    "preset": lambda cast: save_preset(
        project=cast.project, stage="sft", name=BAD, values={}, acting_user=cast.admin
    ),
    "run": lambda cast: create_run(
        project=cast.project, stage="sft", name=BAD, inputs={}, hyperparameters={}, acting_user=cast.admin
    ),
}


@pytest.mark.parametrize("what", WRITES)
def test_it_is_refused_for_a(what, cast):
    with pytest.raises(Invalid, match="RLO"):
        WRITES[what](cast)


def test_a_page_says_so_next_to_the_field(cast, client):
    client.force_login(cast.admin)
    answer = client.post("/projects/new/", {"name": BAD})
    assert answer.status_code == 422
    assert "There is an invisible character in it (RLO)" in answer.content.decode()


def test_a_name_from_right_to_left_stands_apart_in_what_people_are_told(cast):
    update_project(project=cast.project, name="שלום", description="", acting_user=cast.admin)
    version = publish_guideline(cast.project)
    acknowledge_version(version=version, user=cast.annotator)
    told = Notification.objects.filter(user=cast.annotator).latest("pk")
    assert told.text.startswith("\u2068שלום\u2069: ")

"""From a judgment forward: the dataset version's page names the runs that read it."""

import pytest

from labeling.services.datasets import create_dataset, freeze_dataset
from labeling.services.lineage import usages_of
from tests.factories import make_prompt
from training.models import RunInput, RunInputRole, TrainingRun

pytestmark = pytest.mark.django_db


@pytest.fixture
def version(cast):
    make_prompt(cast.project)
    dataset = create_dataset(project=cast.project, kind="prompts", name="Ours", acting_user=cast.admin)
    return freeze_dataset(dataset=dataset, acting_user=cast.admin)


@pytest.fixture
def run(cast, version):
    run = TrainingRun.objects.create(
        project=cast.project, number=3, stage="ppo", name="Better", status="queued"
    )
    RunInput.objects.create(run=run, role=RunInputRole.PROMPTS, dataset_version=version)
    return run


def test_a_version_knows_the_runs_that_read_it(cast, version, run):
    [usage] = usages_of(version)
    assert (usage.kind, usage.name, usage.status) == ("PPO", "Better", "queued")
    assert usage.path == f"/projects/{cast.project.slug}/runs/3/"


def test_its_page_links_there_for_those_who_may_follow(cast, version, run, client):
    page = f"/projects/{cast.project.slug}/datasets/{version.dataset.pk}/versions/1/"
    client.force_login(cast.admin)
    assert f'href="/projects/{cast.project.slug}/runs/3/"' in client.get(page).content.decode()
    client.force_login(cast.lead)
    seen = client.get(page).content.decode()
    assert "Better" in seen
    assert "/runs/3/" not in seen

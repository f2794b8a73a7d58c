"""A freeze asked for twice is one version; one that has nothing new says which version has it already."""

from __future__ import annotations

import io
import json

import pytest
from django.core.management import call_command
from django.test import Client

from annotate.errors import Invalid
from labeling.models import AuditEvent, DatasetVersionStatus, Notification
from labeling.services import dataset_files, datasets
from labeling.services.dataset_rebuild import rebuild_without
from labeling.services.freeze_requests import standing
from tests.factories import make_user

from .judgments import make_demonstration

pytestmark = [pytest.mark.django_db, pytest.mark.database]


@pytest.fixture
def dataset(cast):
    for number in range(3):
        make_demonstration(cast.project, cast.annotator, f"Answer {number}.")
    make_demonstration(cast.project, cast.peer, "Another answer.")
    return datasets.create_dataset(
        project=cast.project, kind="sft", name="set", recipe={}, acting_user=cast.admin
    )


@pytest.fixture
def client(cast) -> Client:
    client = Client()
    client.force_login(cast.admin)
    return client


def freeze(dataset, **fields):
    return datasets.freeze_dataset(dataset=dataset, acting_user=dataset.created_by, **fields)


def test_the_same_key_twice_is_one_version(dataset):
    first = freeze(dataset, idempotency_key="k", note="one")
    assert freeze(dataset, idempotency_key="k", note="one") == first
    assert dataset.versions.count() == 1
    with pytest.raises(Invalid) as caught:
        freeze(dataset, idempotency_key="k", note="two")
    assert caught.value.code == "idempotency_key_reused"
    with pytest.raises(Invalid, match="idempotency key"):
        freeze(dataset, idempotency_key="k" * 81)


def test_a_key_is_of_one_person_and_one_dataset(cast, dataset):
    first = freeze(dataset, idempotency_key="k")
    other = datasets.create_dataset(
        project=cast.project, kind="sft", name="other", recipe={}, acting_user=cast.admin
    )
    assert freeze(other, idempotency_key="k").status == DatasetVersionStatus.READY
    theirs = datasets.freeze_dataset(
        dataset=dataset, acting_user=make_user(), idempotency_key="k", force=True
    )
    assert theirs.pk != first.pk


def test_the_same_rows_without_a_key_are_no_second_version(cast, dataset):
    first = freeze(dataset)
    second = freeze(dataset, note="again")
    assert (second.status, second.same_as) == (DatasetVersionStatus.UNCHANGED, first)
    assert standing(second) == first and not dataset_files.folder_of(second).exists()
    assert list(dataset.versions.made()) == [first]
    event = AuditEvent.objects.get(action="dataset.unchanged")
    assert event.data["same_as"] == first.number
    make_demonstration(cast.project, cast.annotator, "More.")
    assert freeze(dataset).status == DatasetVersionStatus.READY


def test_forced_it_is_a_version_of_its_own(dataset):
    first, second = freeze(dataset), freeze(dataset, force=True)
    assert second.status == DatasetVersionStatus.READY and second.sha256 == first.sha256


def test_built_in_the_background_its_owner_is_told_of_the_older_one(cast, dataset):
    first = freeze(dataset)
    second = freeze(dataset, in_background=True)
    datasets.build_version(version=second, in_background=True)
    second.refresh_from_db()
    assert second.same_as == first
    line = Notification.objects.get(kind="dataset.frozen")
    assert "the very same rows" in line.text and line.path.endswith("/versions/1/")


def test_a_rebuild_without_somebody_twice_is_one_version(cast, dataset):
    first = freeze(dataset)
    ask = {"version": first, "what": "annotator", "which": cast.peer.pseudonym, "acting_user": cast.admin}
    made = rebuild_without(**ask, idempotency_key="r")
    assert rebuild_without(**ask, idempotency_key="r") == made
    assert standing(rebuild_without(**ask)) == made


def test_the_page_sent_twice_is_one_version_and_a_new_page_says_what_has_it(cast, dataset, client):
    url = f"/projects/{cast.project.slug}/datasets/{dataset.pk}/"
    once = client.get(url).context["once"]
    answers = [client.post(f"{url}freeze/", {"once": once}).url for _ in range(2)]
    assert answers == [f"{url}versions/1/"] * 2 and dataset.versions.count() == 1
    again = client.get(url).context["once"]
    assert again != once
    answer = client.post(f"{url}freeze/", {"once": again}, follow=True)
    assert answer.request["PATH_INFO"] == f"{url}versions/1/"
    assert "v1 has the very same rows" in answer.content.decode()
    forced = client.post(f"{url}freeze/", {"once": client.get(url).context["once"], "force": "1"})
    assert forced.url == f"{url}versions/3/"
    assert [each.number for each in client.get(url).context["versions"]] == [3, 1]


def test_by_the_api(cast, dataset, client):
    url = f"/api/projects/{cast.project.slug}/datasets/{dataset.pk}/versions/"

    def post(key: str = "", **body):
        headers = {"Idempotency-Key": key} if key else {}
        return client.post(url, json.dumps(body), content_type="application/json", headers=headers)

    first, retried, in_body = post("k"), post("k"), post(idempotency_key="k")
    assert [each.status_code for each in (first, retried, in_body)] == [201, 201, 201]
    assert first.json() == retried.json() == in_body.json()
    reused = post("k", note="other")
    assert reused.status_code == 422 and reused.json()["error"]["code"] == "idempotency_key_reused"
    twin = post()
    assert twin.status_code == 200 and twin.json()["id"] == first.json()["id"]
    assert client.get(f"{url}2/").json()["same_as"] == 1
    forced = post(force=True)
    assert forced.status_code == 201 and forced.json()["sha256"] == first.json()["sha256"]


def test_by_the_command(cast, dataset):
    def run(*options: str) -> dict:
        out = io.StringIO()
        call_command(
            "freeze_dataset", "--project", cast.project.slug, "--name", "set", "--json", *options, stdout=out
        )
        return json.loads(out.getvalue())

    assert [(run()["number"], run()["is_new"]), run("--force")["is_new"]] == [(1, False), True]

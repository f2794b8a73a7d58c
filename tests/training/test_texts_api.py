"""Texts to pretrain on, over the API."""

from __future__ import annotations

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from labeling.models import AuditEvent
from training.services.locations import texts_directory

pytestmark = pytest.mark.django_db


@pytest.fixture
def address(cast, data_dir):
    return f"/api/projects/{cast.project.slug}/texts/"


def upload(client, address, name, content):
    return client.post(address, {"file": SimpleUploadedFile(name, content)}, format="multipart")


def test_a_text_is_uploaded_once_and_listed(api_client_of, cast, address):
    client = api_client_of(cast.admin)
    assert client.get(address).json() == []
    for _ in range(2):  # a program that repeats itself adds nothing
        answer = upload(client, address, "tales.txt", "Es war einmal …".encode())
        assert (answer.status_code, answer.json()) == (201, {"name": "tales.txt", "size_bytes": 17})
    assert client.get(address).json() == [{"name": "tales.txt", "size_bytes": 17}]
    assert (texts_directory(cast.project) / "tales.txt").read_bytes() == "Es war einmal …".encode()
    assert AuditEvent.objects.filter(action="text.uploaded").count() == 1


@pytest.mark.parametrize(
    ("name", "content", "status", "field"),
    [
        ("tales.txt", b"Other words.", 409, "file"),
        ("empty.txt", b"", 422, "file"),
        ("latin.txt", b"\xe4", 422, "file"),
        ("nul.txt", b"a\x00b", 422, "file"),
        ("tales.exe", b"MZ", 422, "text_files"),
    ],
)
def test_what_is_no_such_text_is_refused_with_its_field(
    api_client_of, cast, address, name, content, status, field
):
    client = api_client_of(cast.admin)
    upload(client, address, "tales.txt", b"Once upon a time.")
    answer = upload(client, address, name, content)
    assert answer.status_code == status, answer.json()
    assert answer.json()["error"]["field"] == field
    assert [text["name"] for text in client.get(address).json()] == ["tales.txt"]


def test_texts_are_for_those_who_see_and_launch_runs(api_client_of, cast, address):
    for person, status in ((cast.lead, 403), (cast.annotator, 403), (cast.outsider, 404)):
        client = api_client_of(person)
        assert client.get(address).status_code == status
        assert upload(client, address, "tales.txt", b"Once.").status_code == status
    assert not texts_directory(cast.project).exists()

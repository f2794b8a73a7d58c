"""The data rooms over the API, as a program uses them."""

from __future__ import annotations

import json

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from labeling.models import Completion, DatasetVersion, ImportRecord, Prompt
from labeling.services import dataset_browse, datasets, imports
from tests.factories import make_completions, make_prompt

from .judgments import make_demonstration
from .test_dataset_freeze import make_version


@pytest.fixture
def program(cast, api_client_of):
    return api_client_of(cast.admin)


def url(cast, rest: str) -> str:
    return f"/api/projects/{cast.project.slug}/{rest}"


def send_file(client, cast, content: bytes, **fields):
    file = SimpleUploadedFile("rows.jsonl", content)
    return client.post(url(cast, "imports/"), {"file": file, **fields}, format="multipart")


def test_from_a_file_to_a_download(program, cast):
    rows = b"".join(b'{"prompt": "%d?", "completion": "Yes %d."}\n' % (n, n) for n in range(3))
    imported = send_file(program, cast, rows, kind="demonstrations", licence="CC0")
    assert (imported.status_code, imported.json()["rows_added"]) == (201, 3)
    made = program.post(
        url(cast, "datasets/"), {"kind": "sft", "name": "Mine", "recipe": {"fractions": {"train": 1}}}
    )
    assert made.status_code == 201
    versions = url(cast, f"datasets/{made.json()['id']}/versions/")
    frozen = program.post(versions, {"note": "first"})
    assert (frozen.status_code, frozen.json()["row_counts"]["train"]) == (201, 3)
    shown = program.get(f"{versions}1/").json()
    assert shown["manifest"]["rows"]["train"] == 3
    page = program.get(f"{versions}1/rows/", {"page_size": 2}).json()
    assert (page["count"], page["next"], len(page["results"])) == (3, 2, 2)
    answer = program.get(f"{versions}1/download/", {"format": "prompt_completion"})
    lines = [json.loads(line) for line in b"".join(answer.streaming_content).splitlines()]
    assert {line["completion"] for line in lines} == {"Yes 0.", "Yes 1.", "Yes 2."}
    assert program.post(f"{versions}1/verify/").json() == {"problems": []}


def test_a_faulty_file_is_answered_with_row_and_field(program, cast):
    answer = send_file(program, cast, b'{"prompt": "One?"}\n{"prompt": ""}\n', kind="prompts")
    error = answer.json()["error"]
    assert answer.status_code == 422
    assert error["message"] == "rows.jsonl, row 2, field prompt: empty."
    assert error["details"] == [{"field": "prompt", "row": 2, "message": error["message"]}]
    assert not Prompt.objects.exists()


def test_a_large_file_is_accepted_and_can_be_asked_about(program, cast, monkeypatch):
    monkeypatch.setattr(imports, "INLINE_BYTES", 1)
    monkeypatch.setattr("labeling.services.background.take_up_if_nobody_does", lambda row: None)
    answer = send_file(program, cast, b'{"prompt": "One?"}\n', kind="prompts")
    assert (answer.status_code, answer.json()["status"]) == (202, "waiting")
    record = ImportRecord.objects.get(pk=answer.json()["id"])
    imports.run_import(import_record=record)
    assert program.get(url(cast, f"imports/{record.pk}/")).json()["status"] == "succeeded"


def test_columns_are_mapped_by_a_json_field(program, cast):
    mapping = json.dumps({"prompt": "q"})
    answer = send_file(program, cast, b'{"q": "One?"}\n', kind="prompts", column_mapping=mapping)
    assert answer.status_code == 201, answer.json()
    wrong = send_file(program, cast, b'{"q": "Two?"}\n', kind="prompts", column_mapping="{q")
    assert (wrong.status_code, wrong.json()["error"]["field"]) == (422, "column_mapping")


def test_prompts_are_added_once_listed_filtered_and_archived(program, cast):
    body = {
        "prompts": [
            {"messages": [{"role": "user", "content": " One? "}], "category": "a"},
            {"messages": [{"role": "user", "content": "Two?"}]},
        ]
    }
    assert program.post(url(cast, "prompts/"), body).json() == {"added": 2, "already_there": 0}
    assert program.post(url(cast, "prompts/"), body).json() == {"added": 0, "already_there": 2}
    listed = program.get(url(cast, "prompts/"), {"category": "a"}).json()
    assert [row["messages"][0]["content"] for row in listed["results"]] == [" One? "]
    pk = listed["results"][0]["id"]
    assert program.patch(url(cast, f"prompts/{pk}/"), {"archived": True}).json()["archived_at"]
    assert program.get(url(cast, "prompts/"), {"archived": "true"}).json()["count"] == 1
    assert program.get(url(cast, "prompts/"), {"archived": "false"}).json()["count"] == 1


@pytest.mark.parametrize(
    ("messages", "problem"),
    [
        ([{"role": "assistant", "content": "Hi"}], "no user turn"),
        (
            [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes"}],
            "ends with the assistant",
        ),
        ([{"role": "user", "content": "a\0b"}], "ull characters"),
        ([{"role": "robot", "content": "Hi"}], "not a valid choice"),
        ([], ""),
    ],
)
def test_a_prompt_that_is_none_is_refused(program, cast, messages, problem):
    answer = program.post(url(cast, "prompts/"), {"prompts": [{"messages": messages}]})
    assert answer.status_code == 422
    assert problem in json.dumps(answer.json())
    assert not Prompt.objects.exists()


def test_completions_are_handed_in_once(program, cast):
    prompt = make_prompt(cast.project)
    row = {"prompt_id": prompt.pk, "text": "Yes.", "generator": "m", "source_key": "m:1"}
    first = program.post(url(cast, "completions/"), {"completions": [row]}).json()
    again = program.post(url(cast, "completions/"), {"completions": [row]}).json()
    assert first == again
    assert Completion.objects.count() == 1
    foreign = {**row, "prompt_id": make_prompt(cast.other_project).pk, "source_key": "m:2"}
    answer = program.post(url(cast, "completions/"), {"completions": [foreign]})
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, "prompt_id")


def test_completions_are_filtered_by_prompt_and_generator(program, cast):
    prompt = make_prompt(cast.project)
    make_completions(prompt, 2, generator="a")
    make_completions(make_prompt(cast.project), 2, generator="b")
    assert program.get(url(cast, "completions/"), {"prompt_id": prompt.pk}).json()["count"] == 2
    assert program.get(url(cast, "completions/"), {"generator": "b"}).json()["count"] == 2


def test_a_recipe_is_counted_without_storing_anything(program, cast):
    make_demonstration(cast.project, cast.annotator)
    body = {"kind": "sft", "recipe": {"sources": ["people"]}}
    counts = program.post(url(cast, "datasets/count/"), body).json()
    by_source = {"people": 1, "imports": 0}
    assert counts == {"rows": 1, "prompts": 1, "not_selected": {}, "by_source": by_source}
    assert not DatasetVersion.objects.exists()


def test_an_unknown_entry_of_a_recipe_is_named(program, cast):
    body = {"kind": "sft", "name": "Mine", "recipe": {"colour": "red"}}
    answer = program.post(url(cast, "datasets/"), body)
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, "colour")


def test_all_rows_are_counted_where_nothing_is_looked_for(program, cast, monkeypatch):
    for number in range(5):
        make_demonstration(cast.project, cast.annotator, f"Answer {number}.")
    version = make_version(cast, fractions={"train": 1})
    monkeypatch.setattr(dataset_browse, "MOST_MATCHES", 2)
    rows = url(cast, f"datasets/{version.dataset_id}/versions/1/rows/")
    last = program.get(rows, {"page": 3, "page_size": 2}).json()
    assert (last["count"], last["next"], len(last["results"])) == (5, None, 1)
    assert program.get(rows, {"q": "answer"}).json()["count"] == 2


def test_rows_beyond_the_last_page_are_none(program, cast):
    make_demonstration(cast.project, cast.annotator)
    version = make_version(cast, fractions={"train": 1})
    rows = url(cast, f"datasets/{version.dataset_id}/versions/1/rows/")
    assert program.get(rows, {"page": 9}).json()["results"] == []
    assert program.get(rows, {"split": "holdout"}).status_code == 422


@pytest.mark.parametrize("who", ["lead", "annotator", "outsider"])
def test_who_may_not_import_freeze_or_download(cast, api_client_of, who):
    make_demonstration(cast.project, cast.annotator)
    version = make_version(cast)
    client = api_client_of(getattr(cast, who))
    expected = 404 if who == "outsider" else 403
    versions = url(cast, f"datasets/{version.dataset_id}/versions/")
    assert send_file(client, cast, b"{}", kind="prompts").status_code == expected
    assert client.post(versions).status_code == expected
    assert client.get(f"{versions}1/download/").status_code == expected
    assert client.get(url(cast, "prompts/")).status_code == (200 if who == "lead" else expected)


def test_a_dataset_of_another_project_is_not_found(program, cast):
    dataset = datasets.create_dataset(
        project=cast.other_project, kind="prompts", name="theirs", recipe={}, acting_user=cast.outsider
    )
    make_prompt(cast.other_project)
    datasets.freeze_dataset(dataset=dataset, acting_user=cast.outsider)
    for rest in (
        f"datasets/{dataset.pk}/",
        f"datasets/{dataset.pk}/versions/",
        f"datasets/{dataset.pk}/versions/1/",
    ):
        assert program.get(url(cast, rest)).status_code == 404

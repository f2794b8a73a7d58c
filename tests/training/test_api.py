"""The learning rooms over REST, with a token, as a program uses them."""

from __future__ import annotations

import io
import tarfile

import pytest

from labeling.models import Completion, CompletionScore
from tests.factories import make_completions, make_prompt
from training.api.runs import Runs
from training.models import FollowUpStatus, Preset, RunInput, RunInputRole, RunStatus, TrainingRun
from training.services.runs import CHANGES
from training.views.runs import SAID

from .conftest import make_sft_run

pytestmark = [pytest.mark.django_db, pytest.mark.database]


@pytest.fixture
def api(cast, api_client_of, data_dir):
    return api_client_of(cast.admin)


@pytest.fixture
def base(cast) -> str:
    return f"/api/projects/{cast.project.slug}"


def test_stages_tell_every_hyperparameter_with_bounds_and_source(api):
    stages = {stage["stage"]: stage for stage in api.get("/api/training/stages/").json()}
    assert set(stages) == {"pretrain", "sft", "reward", "ppo", "sample", "evaluate", "score", "export"}
    rate = next(field for field in stages["sft"]["hyperparameters"] if field["name"] == "learning_rate")
    assert (rate["minimum"], rate["maximum"]) == (1e-9, 1.0)
    assert "instructgpt" in stages["ppo"]["presets"]
    assert [spec["role"] for spec in stages["ppo"]["inputs"]] == ["prompts", "model", "reward_model"]


def test_a_run_is_started_by_names_and_by_ids(api, base, sft_version, checkpoint):
    for data, model in [
        ("sft data@v1", f"run:{checkpoint.run.number}"),
        (str(sft_version.public_id), str(checkpoint.pk)),
    ]:
        body = {"stage": "sft", "preset": "tiny-demo", "inputs": {"train_data": data, "model": model}}
        answer = api.post(f"{base}/runs/", body)
        assert answer.status_code == 201, answer.json()
        run = answer.json()
        assert run["status"] == "queued"
        assert run["inputs"][0]["dataset_version"]["name"] == "sft data@v1"
        assert api.get(f"{base}/runs/{run['id']}/").json()["hyperparameters"]["epochs"] == 3


def test_a_wrong_hyperparameter_is_refused_in_the_one_shape(api, base, sft_version, checkpoint):
    body = {
        "stage": "sft",
        "hyperparameters": {"learning_rate": 5},
        "inputs": {"train_data": "sft data@v1", "model": str(checkpoint.pk)},
    }
    answer = api.post(f"{base}/runs/", body)
    assert answer.status_code == 422
    error = answer.json()["error"]
    assert (error["code"], error["field"]) == ("bad_hyperparameters", "learning_rate")
    assert "from 1e-09 to 1" in error["message"]


def test_a_reference_to_nothing_is_refused_by_its_role(api, base):
    answer = api.post(f"{base}/runs/", {"stage": "sft", "inputs": {"train_data": "none@v3"}})
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, "train_data")


def test_runs_are_listed_filtered_and_paged(api, base, cast, sft_version, checkpoint):
    make_sft_run(cast, sft_version)
    page = api.get(f"{base}/runs/", {"status": "queued"}).json()
    assert (page["count"], page["results"][0]["stage"]) == (1, "sft")
    assert api.get(f"{base}/runs/", {"status": "dancing"}).status_code == 422


def test_a_run_is_cancelled_and_resumed(api, base, cast, sft_version):
    run = make_sft_run(cast, sft_version)
    assert api.post(f"{base}/runs/{run.pk}/cancel/").json()["status"] == "cancelled"
    assert api.post(f"{base}/runs/{run.pk}/cancel/").status_code == 409
    assert api.post(f"{base}/runs/{run.pk}/resume/").json()["status"] == "queued"
    assert api.post(f"{base}/runs/{run.pk}/retry/").status_code == 409


def test_what_should_have_followed_a_run_is_tried_again(api, base, cast, sft_version):
    run = make_sft_run(cast, sft_version)
    refused = api.post(f"{base}/runs/{run.pk}/retry_follow_up/")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "follow_up_status")
    TrainingRun.objects.filter(pk=run.pk).update(
        status=RunStatus.SUCCEEDED, follow_up_status=FollowUpStatus.FAILED, follow_up_message="It was full."
    )
    answer = api.post(f"{base}/runs/{run.pk}/retry_follow_up/").json()
    assert (answer["follow_up_status"], answer["follow_up_message"]) == ("waiting", "")


def test_every_change_that_a_page_of_a_run_offers_is_a_call(cast):
    routes = {route.url_path for route in Runs.get_extra_actions()}
    assert set(CHANGES) == set(SAID) and set(CHANGES) <= routes


def test_a_checkpoint_tells_what_was_made_with_it(
    api, base, cast, checkpoint, reward_checkpoint, sft_version
):
    run = make_sft_run(cast, sft_version)
    RunInput.objects.create(run=run, role=RunInputRole.MODEL, checkpoint=checkpoint)
    answers = make_completions(make_prompt(cast.project), 3)
    Completion.objects.update(checkpoint_key=checkpoint.pk)
    CompletionScore.objects.create(completion=answers[0], scorer_key=reward_checkpoint.pk, score=1.0)
    told = api.get(f"{base}/checkpoints/{checkpoint.pk}/descendants/").json()
    assert told["runs"] == [
        {"role": "model", "run": str(run.pk), "number": run.number, "name": run.name, "stage": "sft",
         "status": "queued"}
    ]  # fmt: skip
    assert (told["completions"], told["scores"]) == (3, 0)
    assert api.get(f"{base}/checkpoints/{reward_checkpoint.pk}/descendants/").json() == {
        "runs": [], "completions": 0, "scores": 1
    }  # fmt: skip


def test_events_are_read_by_cursor(api, base, cast, sft_version):
    run = make_sft_run(cast, sft_version)
    message = api.get(f"{base}/runs/{run.pk}/events/", {"since": 0}).json()
    assert [event["data"]["state"] for event in message["events"]] == ["queued"]
    assert api.get(f"{base}/runs/{run.pk}/events/", {"since": message["cursor"]}).json()["events"] == []
    assert api.get(f"{base}/runs/{run.pk}/events/", {"since": "x"}).status_code == 422


def test_a_checkpoint_is_downloaded_as_an_archive_that_holds_the_model(api, base, cast, checkpoint):
    answer = api.get(f"{base}/checkpoints/{checkpoint.pk}/download/")
    with tarfile.open(fileobj=io.BytesIO(b"".join(answer.streaming_content))) as archive:
        contents = {
            each.name.split("/")[-1]: archive.extractfile(each).read() for each in archive.getmembers()
        }
    assert set(contents) == {"model.safetensors", "config.json"}, "no optimizer state unless asked for"
    assert contents["model.safetensors"] == b"weights"
    assert cast.project.audit_events.filter(action="checkpoint.downloaded").count() == 1


def test_a_damaged_checkpoint_is_not_given_away(api, base, checkpoint, data_dir):
    (data_dir / checkpoint.directory / "model.safetensors").write_bytes(b"WEIGHTS")
    answer = api.get(f"{base}/checkpoints/{checkpoint.pk}/download/")
    assert answer.status_code == 409
    assert "model.safetensors does not match" in answer.json()["error"]["message"]
    assert str(data_dir) not in answer.json()["error"]["message"]


def test_a_checkpoint_is_pinned_and_unpinned(api, base, checkpoint):
    assert api.post(f"{base}/checkpoints/{checkpoint.pk}/pin/").json()["is_pinned"] is True
    assert api.get(f"{base}/checkpoints/", {"is_pinned": True}).json()["count"] == 1
    assert api.post(f"{base}/checkpoints/{checkpoint.pk}/unpin/").json()["is_pinned"] is False


def test_one_call_samples_completions_for_a_ranking_batch(api, base, checkpoint, prompts_version):
    body = {
        "checkpoints": [f"run:{checkpoint.run.number}"],
        "prompts_version": "prompts data@v1",
        "completions_per_prompt": 4,
        "hyperparameters": {"top_p": 0.9},
        "ranking_batch": {"size": 4, "overlap": 3},
    }
    answer = api.post(f"{base}/sample/", body)
    assert answer.status_code == 201, answer.json()
    run = TrainingRun.objects.get(pk=answer.json()["id"])
    assert (run.hyperparameters["top_p"], run.follow_up["ranking_batch"]["overlap"]) == (0.9, 3)
    body["hyperparameters"] = {"temperature": 2}
    assert api.post(f"{base}/sample/", body).status_code == 422


def test_presets_are_kept_listed_and_deleted(api, base):
    made = api.post(f"{base}/presets/", {"stage": "sft", "name": "mine", "values": {"epochs": 4}})
    assert made.status_code == 201, made.json()
    assert api.post(f"{base}/presets/", {"stage": "sft", "name": "mine", "values": {}}).status_code == 409
    assert (
        api.post(f"{base}/presets/", {"stage": "sft", "name": "tiny-demo", "values": {}}).status_code == 409
    )
    assert api.get(f"{base}/presets/", {"stage": "sft"}).json()["count"] == 1
    assert api.delete(f"{base}/presets/{made.json()['id']}/").status_code == 204
    assert not Preset.objects.exists()


def test_a_round_is_begun_looked_at_and_ended(api, base, checkpoint):
    plan = {"checkpoint": str(checkpoint.pk), "ranking_prompts": 5, "by_hand": ["sft_dataset"]}
    made = api.post(f"{base}/rounds/", {"plan": plan})
    assert made.status_code == 201, made.json()
    advanced = api.post(f"{base}/rounds/1/advance/").json()
    assert {step["kind"]: step["status"] for step in advanced["steps"]}["sft_dataset"] == "ready"
    started = api.post(f"{base}/rounds/1/steps/sft_dataset/start/").json()
    assert {step["kind"]: step["status"] for step in started["steps"]}["sft_dataset"] == "failed"
    assert api.post(f"{base}/rounds/1/cancel/").json()["status"] == "cancelled"
    assert api.post(f"{base}/rounds/", {"plan": {"ranking_prompts": -1}}).status_code == 422


@pytest.mark.parametrize("person", ["lead", "annotator"])
def test_other_roles_are_refused(api_client_of, base, cast, sft_version, checkpoint, person):
    run = make_sft_run(cast, sft_version)
    client = api_client_of(getattr(cast, person))
    for path in (
        "runs/",
        "checkpoints/",
        "presets/",
        "rounds/",
        f"runs/{run.pk}/",
        f"checkpoints/{checkpoint.pk}/download/",
        f"checkpoints/{checkpoint.pk}/descendants/",
    ):
        assert client.get(f"{base}/{path}").status_code == 403, path
    changes = [f"runs/{run.pk}/{change}/" for change in CHANGES]
    for path in ("runs/", "sample/", "presets/", "rounds/", *changes):
        assert client.post(f"{base}/{path}", {}).status_code == 403, path


def test_an_outsider_finds_nothing(api_client_of, base, cast, sft_version, checkpoint):
    run = make_sft_run(cast, sft_version)
    client = api_client_of(cast.outsider)
    own = f"/api/projects/{cast.other_project.slug}"
    for path in (f"{base}/runs/", f"{own}/runs/{run.pk}/", f"{own}/checkpoints/{checkpoint.pk}/download/"):
        assert client.get(path).status_code == 404, path
    assert client.post(f"{own}/runs/{run.pk}/cancel/").status_code == 404

"""The page that shows which tokens are learnt: the library's own answer, for a version and a model."""

from __future__ import annotations

import json

import pytest
from django.urls import reverse

from tests.training.conftest import make_checkpoint, make_letters_model, make_version
from training.services import preview_jobs, token_preview

pytestmark = pytest.mark.django_db


@pytest.fixture
def base_folder(data_dir):
    return make_letters_model(data_dir / "models" / "letters")


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """The answer is waited for, however long the tokenizer's process takes."""
    monkeypatch.setattr(preview_jobs, "WAIT_SECONDS", 100.0)


@pytest.fixture
def shown(client, cast, data_dir):
    def get(status: int = 200, **query) -> str:
        client.force_login(cast.admin)
        response = client.get(reverse("training:token_preview", args=[cast.project.slug]), query)
        assert response.status_code == status, response.content.decode()[-3000:]
        return response.content.decode()

    return get


def test_the_page_marks_the_response_and_its_stop_token(shown, sft_version, base_folder):
    text = shown(train_data=sft_version.pk, base_model="letters", rows=1)
    learnt = text.split('<h2 id="tokens-title">')[1].split("<article")[1].split('<mark class="learnt">')
    assert len(learnt) == 2  # one stretch of learnt tokens in the one row that is shown
    assert learnt[1].split("</mark>")[0].count('class="token') == len("It is 1.") + 1
    assert "&lt;end&gt;" in learnt[1].split("</mark>")[0]
    assert "4 measured" in text
    assert f"?stage=sft&amp;train_data={sft_version.pk}" in text


def test_an_encoder_is_named(shown, sft_version, base_folder):
    assert "has an encoder" not in shown(train_data=sft_version.pk, base_model="letters", rows=1)
    config = base_folder / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"is_encoder_decoder": True}))
    text = shown(train_data=sft_version.pk, base_model="letters", rows=1)
    assert "has an encoder, which reads the prompt" in text and '<mark class="learnt">' in text


def test_of_comparisons_the_places_where_scores_are_read_are_marked(shown, comparison_version, base_folder):
    text = shown(train_data=comparison_version.pk, base_model="letters", rows=1)
    row = text.split('<h2 id="tokens-title">')[1].split("<article")[1]
    assert row.count('<mark class="learnt">') == 3
    assert "the score is read here" in text


def test_a_limit_leaves_rows_out_and_names_them(shown, sft_version, base_folder):
    text = shown(train_data=sft_version.pk, base_model="letters", maximum_length=20)
    assert "A run would be refused: 4 rows cannot train." in text
    assert "Row 1" in text and "no response token is left within the 20 allowed" in text


def test_rows_keep_their_numbers_where_only_some_are_measured(cast, data_dir, base_folder, monkeypatch):
    from tests.training.conftest import demonstration

    monkeypatch.setattr(token_preview, "MEASURED_ROWS", 3)
    version = make_version(cast.project, "sft", {"train": [demonstration(number) for number in range(9)]})
    found = token_preview.preview_tokens(
        version=version, split="train", base_model="letters", maximum_length=128, rows=3
    )
    assert (found["rows"], found["measured"]) == (9, 3)
    assert [sample["row"] for sample in found["samples"]] == [1, 4, 7]


def test_what_cannot_be_read_is_said_in_one_sentence_without_our_paths(shown, cast, sft_version, data_dir):
    checkpoint = make_checkpoint(cast.project, user=cast.admin)
    text = shown(422, train_data=sft_version.pk, model=str(checkpoint.pk))
    assert "has no tokenizer" in text
    assert str(data_dir) not in text and "Traceback" not in text


def test_a_preview_that_takes_too_long_is_ended(cast, sft_version, base_folder, monkeypatch, settings):
    import sys

    from annotate.errors import Invalid

    settings.TRAINER_COMMAND = [sys.executable, "-c", "import time; time.sleep(60)"]
    monkeypatch.setattr(token_preview, "PATIENCE_SECONDS", 0.3)
    with pytest.raises(Invalid, match="not answered after"):
        token_preview.preview_tokens(
            version=sft_version, split="train", base_model="letters", maximum_length=128, rows=3
        )


def test_a_model_is_needed_and_only_one(shown, cast, sft_version, base_folder):
    checkpoint = make_checkpoint(cast.project, user=cast.admin)
    assert "<h1>" in shown(train_data=sft_version.pk)
    both = {"model": str(checkpoint.pk), "base_model": "letters"}
    assert "Choose a checkpoint or a base model." in shown(422, train_data=sft_version.pk, **both)
    assert "Choose a checkpoint or a base model." in shown(422, train_data=sft_version.pk, model="")


def test_leads_see_no_link_and_admins_do(client, cast, sft_version):
    address = reverse("labeling:dataset_version", args=[cast.project.slug, sft_version.dataset_id, 1])
    target = reverse("training:token_preview", args=[cast.project.slug]) + f"?train_data={sft_version.pk}"
    sft_version.manifest = {"statistics": {"lengths": {}, "categories": {}}, "files": {}, "left_out": {}}
    for split in ("train", "validation", "test"):
        sft_version.manifest["statistics"]["lengths"][split] = {}
        sft_version.manifest["statistics"]["categories"][split] = {}
        sft_version.manifest["files"][f"{split}.jsonl"] = {"sha256": "0"}
    recipe = {"fractions": {"train": 1, "validation": 0, "test": 0}}
    from labeling.services.recipes import Recipe

    sft_version.recipe = Recipe.from_json(recipe).resolved_for(cast.project).to_json()
    sft_version.save()
    for person, shown in ((cast.admin, True), (cast.lead, False)):
        client.force_login(person)
        assert (target in client.get(address).content.decode()) is shown


def test_the_form_of_a_run_leads_there(client, cast, data_dir):
    client.force_login(cast.admin)
    target = reverse("training:token_preview", args=[cast.project.slug])
    new = reverse("training:run_new", args=[cast.project.slug])
    assert target in client.get(new, {"stage": "sft"}).content.decode()
    assert target not in client.get(new, {"stage": "ppo"}).content.decode()


def test_the_style_of_gpt3_is_shown_and_taken_over_into_the_form_of_a_run(shown, sft_version, base_folder):
    chosen = {"template": "gpt3", "separator": r"\n##\n", "stop_sequence": " ."}
    text = shown(train_data=sft_version.pk, base_model="letters", rows=1, **chosen)
    learnt = text.split('<h2 id="tokens-title">')[1].split("<article")[1].split('<mark class="learnt">')[1]
    # Letters are tokens here: a space, the answer, the stop sequence, and the stop token.
    assert learnt.split("</mark>")[0].count('class="token') == len(" It is 1. .") + 1
    for part in ("hp_template=gpt3", "hp_separator=%5Cn%23%23%5Cn", "hp_stop_sequence=%20."):
        assert part in text


def test_the_form_of_a_run_keeps_the_space_before_a_stop_sequence(client, cast, sft_version, checkpoint):
    from training.models import TrainingRun

    client.force_login(cast.admin)
    address = reverse("training:run_new", args=[cast.project.slug]) + "?stage=sft"
    page = client.get(address + "&hp_template=gpt3&hp_stop_sequence=%20STOP").content.decode()
    assert '<option value="gpt3" selected>' in page and "\n STOP</textarea>" in page
    given = {"train_data": sft_version.pk, "model": str(checkpoint.pk), "hp_template": "gpt3"}
    given |= {"after_completions": "4", "after_temperature": "1.0", "after_split": "train"}
    answer = client.post(address, {**given, "hp_stop_sequence": " STOP", "hp_separator": "{{"})
    assert answer.status_code == 422 and "without braces" in answer.content.decode()
    answer = client.post(address, {**given, "hp_stop_sequence": " STOP", "hp_separator": r"\n##\n"})
    assert answer.status_code == 302, answer.content.decode()[-2000:]
    kept = TrainingRun.objects.get(stage="sft", status="queued").hyperparameters
    assert (kept["template"], kept["separator"], kept["stop_sequence"]) == ("gpt3", r"\n##\n", " STOP")

"""Every page of the learning rooms, empty and full, with a pinned number of queries."""

from __future__ import annotations

import pytest
from django.urls import reverse

from tests.training.conftest import make_checkpoint, make_sft_run
from training.models import Preset, Round, RoundStatus, TrainingRun
from training.services.event_log import append_event
from training.services.rounds import create_round

pytestmark = pytest.mark.django_db


@pytest.fixture
def shown(client, cast, data_dir):
    """Get a page as the admin; its text. Anything but 200 fails."""
    client.force_login(cast.admin)

    def get(name: str, *args, query: str = "", status: int = 200) -> str:
        response = client.get(reverse(f"training:{name}", args=[cast.project.slug, *args]) + query)
        assert response.status_code == status, response.content[:500]
        return response.content.decode()

    return get


@pytest.mark.parametrize(
    "name", ["runs", "run_new", "run_compare", "presets", "checkpoints", "sample_new", "rounds", "round_new"]
)
def test_an_empty_project_has_every_page(shown, name):
    assert "<h1>" in shown(name)


@pytest.mark.parametrize("page_and_query", [("runs", "?q=²"), ("run_compare", "?run=²&run=③")])
def test_digits_that_are_no_number_find_nothing(shown, page_and_query):
    name, query = page_and_query
    assert "<h1>" in shown(name, query=query)


@pytest.mark.parametrize("stage", ["pretrain", "sft", "reward", "ppo", "evaluate", "score", "export"])
def test_the_form_of_each_stage_has_every_hyperparameter_with_its_bounds(shown, stage):
    from training.services.hyperparameters import fields_of

    text = shown("run_new", query=f"?stage={stage}")
    for spec in fields_of(stage):
        assert f'name="hp_{spec.name}"' in text


FOREMOST = {
    "pretrain": ["learning_rate", "epochs", "maximum_steps", "batch_size"],
    "sft": ["learning_rate", "epochs", "maximum_steps", "batch_size"],
    "reward": ["learning_rate", "epochs", "maximum_steps", "batch_size"],
    "ppo": ["learning_rate", "value_learning_rate", "steps", "batch_size"],
}


@pytest.mark.parametrize("stage", FOREMOST)
def test_what_one_changes_most_is_in_no_fold_and_the_rest_is(shown, stage):
    from training.services.hyperparameters import fields_of

    text = shown("run_new", query=f"?stage={stage}").split('<form class="form stack-l"')[1]
    seen, folded = text.split('<details class="card">', 1)  # a fold that is closed
    for spec in fields_of(stage):
        assert text.count(f'name="hp_{spec.name}"') == 1
        assert (f'name="hp_{spec.name}"' in seen) == (spec.name in FOREMOST[stage])
    places = [seen.index(f'name="hp_{name}"') for name in FOREMOST[stage]]
    assert places == sorted(places)
    assert "<details" not in seen and '<details class="card" open' not in folded


def test_a_fold_with_an_error_in_it_is_open(client, cast, data_dir):
    client.force_login(cast.admin)
    address = reverse("training:run_new", args=[cast.project.slug]) + "?stage=sft"
    text = client.post(address, {"hp_weight_decay": "7"}).content.decode()
    fold = text.rsplit('name="hp_weight_decay"', 1)[0].rsplit("<details", 1)[1]
    assert fold.startswith(' class="card" open')


def test_a_preset_fills_the_form_in(shown):
    assert (
        'value="16"'
        in shown("run_new", query="?stage=sft&preset=instructgpt").split('name="hp_epochs"')[1][:40]
    )


def test_the_page_of_a_run_shows_curves_log_inputs_and_results(shown, cast, sft_version):
    run = make_sft_run(cast, sft_version, name="My run")
    append_event(run.pk, type="metrics", step=1, data={"train_loss": 2.5})
    append_event(run.pk, type="log", data={"message": "<b>not bold</b>"})
    text = shown("run_detail", run.number)
    assert "My run" in text
    assert '"train_loss"' in text
    assert "&lt;b&gt;not bold&lt;/b&gt;" in text
    assert str(sft_version) in text


def test_the_list_of_runs_costs_the_same_number_of_queries_however_long(
    shown, cast, sft_version, django_assert_max_num_queries
):
    for _ in range(3):
        make_sft_run(cast, sft_version)
    with django_assert_max_num_queries(12):
        shown("runs")


def test_runs_are_filtered_and_searched(shown, cast, sft_version):
    make_sft_run(cast, sft_version, name="needle")
    make_sft_run(cast, sft_version, name="haystack")
    assert "haystack" not in shown("runs", query="?q=needle")
    assert "Nothing matches" in shown("runs", query="?stage=ppo")


def test_posting_the_form_starts_a_run(client, cast, sft_version, checkpoint):
    client.force_login(cast.admin)
    address = reverse("training:run_new", args=[cast.project.slug]) + "?stage=sft"
    data = {
        "train_data": sft_version.pk,
        "model": str(checkpoint.pk),
        "hp_epochs": "3",
        "hp_learning_rate": "0.0002",
    }
    data |= {"after_completions": "4", "after_temperature": "1.0", "after_split": "train"}
    response = client.post(address, data)
    run = TrainingRun.objects.get(stage="sft", status="queued")
    assert response.status_code == 302
    assert run.hyperparameters["epochs"] == 3
    assert run.hyperparameters["learning_rate"] == 0.0002
    assert run.inputs.count() == 2


def test_a_wrong_hyperparameter_is_refused_beside_its_field_with_its_bounds(
    client, cast, sft_version, checkpoint
):
    client.force_login(cast.admin)
    address = reverse("training:run_new", args=[cast.project.slug]) + "?stage=ppo"
    response = client.post(
        address, {"hp_minibatch_size": "48", "hp_batch_size": "64", "hp_learning_rate": "7"}
    )
    assert response.status_code == 422
    assert "less than or equal to 1" in response.content.decode()
    assert not TrainingRun.objects.filter(stage="ppo").exists()


def test_hyperparameters_are_kept_as_a_preset(client, cast, sft_version, checkpoint):
    client.force_login(cast.admin)
    address = reverse("training:run_new", args=[cast.project.slug]) + "?stage=sft"
    data = {"train_data": sft_version.pk, "model": str(checkpoint.pk), "hp_epochs": "7", "keep": "1"}
    data |= {"preset_name": "long", "after_completions": "4", "after_temperature": "1.0"}
    assert client.post(address, data).status_code == 302
    assert Preset.objects.get(name="long").values["epochs"] == 7


def test_runs_are_compared_by_curves_and_by_what_differs(shown, cast, sft_version):
    first = make_sft_run(cast, sft_version)
    second = make_sft_run(cast, sft_version, hyperparameters={"epochs": 9})
    for run in (first, second):
        append_event(run.pk, type="metrics", step=1, data={"train_loss": 2.5})
    text = shown("run_compare", query=f"?run={first.number}&run={second.number}")
    assert "run_1" in text and "run_2" in text
    assert "epochs" in text and "learning_rate" not in text.split("What differs")[1]


def test_a_checkpoint_shows_the_way_back_and_forward(shown, cast, sft_version, checkpoint):
    from labeling.services.completions import record_completions
    from tests.factories import make_prompt

    prompt = make_prompt(cast.project)
    row = {
        "prompt_id": prompt.pk,
        "text": "Hi.",
        "generator": "x",
        "checkpoint_key": checkpoint.pk,
        "source_key": "k",
    }
    record_completions(project=cast.project, rows=[row])
    text = shown("checkpoint_detail", checkpoint.pk)
    assert "1 completion was sampled" in text
    assert str(checkpoint.run) in text


def test_a_round_shows_the_loop_with_the_state_of_each_step(shown, cast, checkpoint):
    round = create_round(
        project=cast.project,
        plan={"checkpoint": str(checkpoint.pk), "by_hand": ["sft_dataset"]},
        acting_user=cast.admin,
    )
    text = shown("round_detail", round.number)
    assert text.count('class="loop-node"') == 10
    assert Round.objects.count() == 1
    assert "Round 1" in shown("rounds")


def test_a_run_of_another_project_does_not_exist_here(client, cast, sft_version):
    run = make_sft_run(cast, sft_version)
    client.force_login(cast.outsider)
    assert client.get(reverse("training:run_detail", args=[cast.project.slug, run.number])).status_code == 404
    assert (
        client.get(reverse("training:run_detail", args=[cast.other_project.slug, run.number])).status_code
        == 404
    )


@pytest.mark.parametrize("person", ["lead", "annotator"])
def test_only_admins_see_the_learning_rooms(client, cast, data_dir, person):
    client.force_login(getattr(cast, person))
    for name in (
        "runs",
        "run_new",
        "checkpoints",
        "rounds",
        "presets",
        "sample_new",
        "run_compare",
        "round_new",
    ):
        assert client.get(reverse(f"training:{name}", args=[cast.project.slug])).status_code == 403, name


def test_a_text_is_uploaded_and_can_be_chosen(client, cast, data_dir):
    from django.core.files.uploadedfile import SimpleUploadedFile

    client.force_login(cast.admin)
    address = reverse("training:text_upload", args=[cast.project.slug])
    assert (
        client.post(address, {"file": SimpleUploadedFile("a.txt", b"Once upon a time.")}).status_code == 302
    )
    form = client.get(
        reverse("training:run_new", args=[cast.project.slug]) + "?stage=pretrain"
    ).content.decode()
    assert 'value="a.txt"' in form
    again = client.post(address, {"file": SimpleUploadedFile("a.txt", b"Something else.")})
    assert again.status_code == 422
    bad = client.post(address, {"file": SimpleUploadedFile("b.txt", b"\xff\xfe\x00")})
    assert "not UTF-8" in bad.content.decode()


def test_sampling_from_the_page_makes_a_run_with_a_ranking_batch_to_follow(
    client, cast, prompts_version, checkpoint
):
    client.force_login(cast.admin)
    data = {"checkpoints": [str(checkpoint.pk)], "prompts_version": prompts_version.pk, "split": "train"}
    data |= {
        "completions_per_prompt": 3,
        "temperature": 1,
        "top_p": 1,
        "max_new_tokens": 20,
        "make_batch": "on",
    }
    data |= {"size": 3, "overlap": 2, "review_rate": 0.5, "batch_name": "Rank me"}
    response = client.post(reverse("training:sample_new", args=[cast.project.slug]), data)
    assert response.status_code == 302, response.content.decode()[:2000]
    run = TrainingRun.objects.get(stage="sample")
    assert run.follow_up["ranking_batch"] == {
        "name": "Rank me",
        "size": 3,
        "layout": "ranking",
        "overlap": 2,
        "priority": 0,
        "review_rate": 0.5,
    }


def test_a_removed_checkpoint_still_has_its_page(shown, cast, data_dir):
    from django.utils import timezone

    gone = make_checkpoint(cast.project, removed_at=timezone.now())
    assert "were removed" in shown("checkpoint_detail", gone.pk)
    shown("checkpoint_download", gone.pk, status=410)


def test_comparing_nothing_asks_to_choose_and_draws_nothing(shown, cast, sft_version):
    make_sft_run(cast, sft_version)
    page = shown("run_compare")
    assert "Choose two or more runs" in page
    assert "data-chart" not in page


@pytest.mark.parametrize(
    ("name", "words", "way"),
    [
        ("run_compare", "No runs yet", "runs/new/"),
        ("sample_new", "There is no language model yet", "runs/new/?stage=sft"),
        (
            "round_new",
            "A round starts from a language model, and there is none yet",
            "runs/new/?stage=pretrain",
        ),
        ("continuation_new", "There is no checkpoint to go on from yet", "runs/new/?stage=sft"),
        ("token_preview", "No dataset is frozen yet", "datasets/"),
        ("checkpoints", "Launch the first run", "runs/new/"),
    ],
)
def test_a_page_that_lacks_what_it_needs_says_what_comes_first(shown, name, words, way):
    page = shown(name)
    assert words in page.replace("&#x27;", "'")
    assert way in page.split("<main")[1]


@pytest.mark.parametrize(
    "name", ["run_compare", "sample_new", "round_new", "continuation_new", "token_preview"]
)
def test_a_page_that_has_what_it_needs_warns_of_nothing(shown, cast, sft_version, checkpoint, name):
    assert "notice-warning" not in shown(name)
    assert "No runs yet" not in shown(name)


def test_checkpoints_to_sample_are_boxes_to_tick(shown, checkpoint):
    page = shown("sample_new", query=f"?checkpoint={checkpoint.pk}")
    box = page.split(f'name="checkpoints" value="{checkpoint.pk}"')[1].split(">")[0]
    assert "checked" in box


def test_a_round_that_is_done_leads_to_the_next(shown, cast, checkpoint):
    round = create_round(
        project=cast.project, plan={"checkpoint": str(checkpoint.pk)}, acting_user=cast.admin
    )
    assert "Plan the next round" not in shown("round_detail", round.number)
    Round.objects.filter(pk=round.pk).update(status=RoundStatus.DONE)
    assert "Plan the next round" in shown("round_detail", round.number)


@pytest.mark.parametrize(
    ("stage", "words", "way"),
    [
        ("sft", "no dataset of demonstrations is frozen yet", "datasets/new/?kind=sft"),
        ("sft", "there is no language model yet", "runs/new/?stage=pretrain"),
        ("reward", "no dataset of comparisons is frozen yet", "datasets/new/?kind=comparison"),
        ("ppo", "Prompts: no dataset is frozen yet", "datasets/new/?kind=prompts"),
        ("ppo", "there is no reward model yet", "runs/new/?stage=reward"),
        ("score", "there is no reward model yet", "runs/new/?stage=reward"),
    ],
)
def test_the_form_of_an_empty_project_says_what_comes_first(shown, stage, words, way):
    page = shown("run_new", query=f"?stage={stage}")
    assert words in page and way in page


def test_the_form_names_only_what_is_missing(shown, cast, sft_version, checkpoint):
    page = shown("run_new", query="?stage=sft")
    assert "frozen yet" not in page and "no language model yet" not in page


def test_a_preset_of_any_name_is_chosen_once_it_is_kept(client, cast, shown):
    name = "fast & small #2 + 50%"
    address = reverse("training:run_new", args=[cast.project.slug])
    data = {"hp_epochs": "7", "keep": "1", "preset_name": name}
    answer = client.post(f"{address}?stage=sft", data, follow=True)
    assert Preset.objects.get().name == name
    assert answer.context["form"].preset == name
    assert answer.context["form"]["hp_epochs"].value() == 7


@pytest.mark.parametrize("stage", ["pretrain", "sft", "reward", "ppo", "evaluate", "score", "export"])
def test_enter_in_a_field_does_what_the_button_that_starts_the_run_does(shown, stage):
    text = shown("run_new", query=f"?stage={stage}")
    form = text[text.index('<form class="form stack-l"') :]
    first = form[form.index("<button ") :].partition(">")[0]  # which Enter presses
    assert 'type="submit"' in first and "name=" not in first and "formnovalidate" not in first

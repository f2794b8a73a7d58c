"""Held-out reward over KL of PPO runs: which points, what is marked, on which pages, and as a file."""

from __future__ import annotations

import csv
import io
import json
import re

import pytest
from django.db import transaction
from django.urls import reverse

from tests.training.conftest import make_sft_run
from training.models import Checkpoint, RunInput, RunStatus, TrainingRun
from training.services.event_log import append_event, curves
from training.views.frontier import frontier, points_of

pytestmark = pytest.mark.django_db

MEASURED = {
    0: (0.0, 0.1),
    10: (4.0, 0.9),
    20: (9.5, 1.4),
    30: (8.0, 1.2),
    40: (21.0, 0.7),
}  # step: (KL, reward)


def ppo_run(cast, budget: float = 10.0, measured=None, best: int | None = 20, **fields) -> TrainingRun:
    """A succeeded PPO run with these evaluations; rows of rollouts between them have no held-out figures."""
    number = TrainingRun.objects.filter(project=cast.project).count() + 1
    values = {"kl_budget": budget, "seed": number}
    fields = {"status": RunStatus.SUCCEEDED, "name": f"=ppo {number}"} | fields
    run = TrainingRun.objects.create(
        project=cast.project, number=number, stage="ppo", hyperparameters=values, **fields
    )
    for step, (kl, reward) in (MEASURED if measured is None else measured).items():
        held_out = {"validation_reward": reward, "validation_kl": kl}
        with transaction.atomic():
            append_event(run.pk, type="metrics", step=step + 1, data={"reward_mean": 3.0, "kl": 2.0})
            append_event(run.pk, type="metrics", step=step, data=held_out)
    for step in (10, 20, 40):
        Checkpoint.objects.create(
            run=run, project=cast.project, kind="causal_lm", step=step, is_best=step == best
        )
    return run


@pytest.fixture
def shown(client, cast, data_dir):
    client.force_login(cast.admin)

    def get(name: str, *args, query: str = "") -> str:
        response = client.get(reverse(f"training:{name}", args=[cast.project.slug, *args]) + query)
        assert response.status_code == 200, response.content[:500]
        return response.content.decode()

    return get


def drawn(page: str) -> dict:
    return json.loads(re.search(r'id="plot-frontier-data"[^>]*>(.*?)</script>', page)[1])


def test_each_evaluation_is_a_point_with_its_budget_and_the_best_marked(cast):
    run = ppo_run(cast)
    points = points_of(run, curves(run))
    assert [(p.step, p.kl, p.reward) for p in points] == [(s, *m) for s, m in MEASURED.items()]
    assert [p.step for p in points if p.is_best] == [20]
    assert [p.step for p in points if not p.is_within] == [40]


def test_a_budget_of_zero_leaves_every_point_within(cast):
    run = ppo_run(cast, budget=0.0)
    assert all(p.is_within for p in points_of(run, curves(run)))
    assert frontier({run: curves(run)})["chart"]["marks"]["lines"] == []


def test_points_lie_by_kl_though_training_went_back_and_forth(cast):
    run = ppo_run(cast)
    chart = frontier({run: curves(run)})["chart"]
    assert chart["x"] == [0.0, 4.0, 8.0, 9.5, 21.0]
    assert chart["series"][0]["values"] == [0.1, 0.9, 1.2, 1.4, 0.7]
    assert chart["marks"]["lines"] == [{"x": 10.0, "name": "KL budget"}]
    assert chart["marks"]["rings"] == [{"x": 9.5, "y": 1.4, "series": 0, "name": "best"}]


def test_two_evaluations_at_one_kl_are_both_drawn(cast):
    run = ppo_run(cast, measured={0: (0.0, 0.1), 10: (0.0, 0.3)})
    chart = frontier({run: curves(run)})["chart"]
    assert chart["x"] == [0.0, 0.0] and chart["series"][0]["values"] == [0.1, 0.3]


def test_a_budget_far_beyond_every_point_is_told_and_not_drawn(cast):
    run = ppo_run(cast, budget=500.0)
    found = frontier({run: curves(run)})
    assert found["chart"]["marks"]["lines"] == [] and found["budgets"] == [(run, 500.0)]


def test_the_page_of_a_run_shows_plot_table_and_file(shown, cast):
    run = ppo_run(cast)
    page = shown("run_detail", run.number)
    assert drawn(page)["marks"]["rings"][0]["x"] == 9.5
    section = page.split('id="frontier-title"')[1].split("</section>")[0]
    assert section.count("<tr>") == 1 + len(MEASURED)
    assert section.count("over the budget") == 1 and section.count(">best<") == 1
    assert f"runs/frontier/?run={run.number}" in section
    assert 'data-keys="validation_reward"' in section and 'data-over="validation_kl"' in section


def test_a_run_without_points_says_what_would_come(shown, cast):
    over = ppo_run(cast, measured={}, best=None)
    assert "Nothing was measured on held-out prompts" in shown("run_detail", over.number)
    going = ppo_run(cast, measured={}, best=None, status=RunStatus.QUEUED)
    assert "The first point comes with the first evaluation" in shown("run_detail", going.number)


def test_other_stages_have_no_such_plot(shown, cast, sft_version):
    run = make_sft_run(cast, sft_version)
    assert "frontier-title" not in shown("run_detail", run.number)


def test_runs_compared_share_one_plot_with_a_best_each_and_the_budgets_they_have(shown, cast):
    first, second = ppo_run(cast), ppo_run(cast, budget=12.0, best=10)
    chart = drawn(shown("run_compare", query=f"?run={first.number}&run={second.number}"))
    assert [line["key"] for line in chart["series"]] == [f"run_{first.number}", f"run_{second.number}"]
    assert [sum(v is not None for v in line["values"]) for line in chart["series"]] == [5, 5]
    assert len(chart["x"]) == 10
    assert {(r["x"], r["series"]) for r in chart["marks"]["rings"]} == {(9.5, 0), (4.0, 1)}
    assert [line["name"] for line in chart["marks"]["lines"]] == [
        f"KL budget {first.number}",
        f"KL budget {second.number}",
    ]


def test_a_checkpoint_and_the_run_that_sampled_it_show_where_it_lies(shown, cast):
    run = ppo_run(cast)
    tried = run.checkpoints.get(step=10)
    rings = drawn(shown("checkpoint_detail", tried.pk))["marks"]["rings"]
    assert {(r["x"], r["name"]) for r in rings} == {(4.0, "this one"), (9.5, "best")}
    sample = TrainingRun.objects.create(
        project=cast.project, number=run.number + 1, stage="sample", status=RunStatus.SUCCEEDED
    )
    RunInput.objects.create(run=sample, role="sample_from", checkpoint=tried)
    assert drawn(shown("run_detail", sample.number))["marks"]["rings"] == rings


def test_the_file_has_a_line_an_evaluation_and_runs_no_formula(client, cast):
    run, other = ppo_run(cast), ppo_run(cast, budget=0.0, best=None)
    client.force_login(cast.admin)
    address = reverse("training:run_frontier", args=[cast.project.slug])
    answer = client.get(f"{address}?run={run.number}&run={other.number}")
    rows = list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode())))
    assert answer["Content-Type"].startswith("text/csv") and len(rows) == 10
    assert rows[2] == {
        "run": str(run.number),
        "name": f"'{run.name}",
        "step": "20",
        "validation_kl": "9.5",
        "validation_reward": "1.4",
        "kl_budget": "10",
        "within_budget": "yes",
        "best": "yes",
    }
    assert (rows[4]["within_budget"], rows[9]["within_budget"], rows[9]["kl_budget"]) == ("no", "yes", "")


def test_the_file_of_no_run_is_refused_in_words(client, cast):
    client.force_login(cast.admin)
    address = reverse("training:run_frontier", args=[cast.project.slug])
    assert client.get(address + "?run=99").status_code == 422

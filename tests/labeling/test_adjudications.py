"""A lead settles a ranking task's order, with why; datasets use it where their recipe says so."""

from __future__ import annotations

import itertools
import json

import pytest
from django.db import IntegrityError, transaction
from django.urls import reverse

from annotate.errors import Conflict, Forbidden, Invalid
from labeling.models import Adjudication, AuditEvent, QualityReport
from labeling.services.adjudications import adjudicate_task, propose_consensus
from labeling.services.dataset_rows import canonical_rows
from labeling.services.quality_reports import refresh_report
from labeling.services.recipes import Recipe
from labeling.services.reviews import accept_submission, reject_submission
from tests.factories import make_ranking_batch

from .ranked import rank as weak_order
from .test_ranking_signals import rank
from .work import claim


@pytest.fixture
def task(cast):
    """Ranked A > B > C by two people and C > B > A by a third."""
    batch = make_ranking_batch(cast.project, tasks=1, k=3, overlap=3, review_rate=0)
    rank(cast.annotator, cast.project)
    rank(cast.peer, cast.project)
    rank(cast.admin, cast.project, [2, 1, 0])
    return batch.tasks.get()


def completions(task):
    return list(task.task_completions.order_by("position").values_list("completion_id", flat=True))


def settle(task, by, order=None, **fields):
    a, b, c = completions(task)
    tiers = [[a], [b], [c]] if order is None else order
    return adjudicate_task(task=task, by=by, tiers=tiers, **{"note": "B invents a date.", **fields})


def test_the_proposal_is_what_most_say(task):
    proposal = propose_consensus(task)
    a, b, c = completions(task)
    assert (proposal.tiers, proposal.unrankable) == ([[a], [b], [c]], [])
    assert proposal.support == pytest.approx(2 / 3)
    assert len(proposal.rankings) == 3


def test_rejected_rankings_add_nothing_to_the_proposal(cast, task):
    for submission in task.submissions.exclude(annotator=cast.admin):
        reject_submission(submission=submission, revision=1, reviewer=cast.lead, note="No.", reopen=False)
    a, b, c = completions(task)
    assert propose_consensus(task).tiers == [[c], [b], [a]]


def test_it_is_stored_with_who_why_and_what_was_proposed(cast, task):
    a, b, c = completions(task)
    adjudication = settle(task, cast.lead, [[b, a], [c]])
    assert (adjudication.by, adjudication.note, adjudication.is_changed) == (
        cast.lead,
        "B invents a date.",
        True,
    )
    assert adjudication.proposal["tiers"] == [[a], [b], [c]]
    assert AuditEvent.objects.get(action="task.adjudicated").data["new"]["tiers"] == [[b, a], [c]]


def test_taking_the_proposal_as_it_is_is_not_a_change(cast, task):
    assert settle(task, cast.lead).is_changed is False


def test_those_who_ranked_are_told_and_their_rankings_stay(cast, task):
    before = [submission.current.tiers for submission in task.submissions.order_by("pk")]
    settle(task, cast.lead)
    assert [submission.current.tiers for submission in task.submissions.order_by("pk")] == before
    for person in (cast.annotator, cast.peer, cast.admin):
        assert person.notifications.filter(kind="task.adjudicated").count() == 1


def test_a_later_one_takes_its_place_and_both_stay_on_record(cast, task):
    first = settle(task, cast.lead)
    a, b, c = completions(task)
    second = settle(task, cast.lead, [[c], [b], [a]], replaces=first.pk)
    first.refresh_from_db()
    assert (first.superseded_at is not None, second.superseded_at) == (True, None)


def test_an_order_newer_than_the_one_looked_at_is_not_written_over(cast, task):
    settle(task, cast.lead)
    with pytest.raises(Conflict) as caught:
        settle(task, cast.lead)
    assert caught.value.code == "newer_adjudication"
    assert Adjudication.objects.count() == 1


def test_the_database_lets_one_stand(cast, task):
    first = settle(task, cast.lead)
    with pytest.raises(IntegrityError), transaction.atomic():
        Adjudication.objects.create(
            project=cast.project, task=task, tiers=first.tiers, method="schulze", note="Too.", by=cast.lead
        )


def test_nobody_settles_a_task_they_ranked(cast, task):
    with pytest.raises(Forbidden) as caught:
        settle(task, cast.admin)
    assert caught.value.code == "own_work"


def test_not_while_somebody_ranks_it(cast):
    batch = make_ranking_batch(cast.project, tasks=1, k=3, overlap=2, review_rate=0)
    rank(cast.annotator, cast.project)
    claim(cast.peer, cast.project)
    with pytest.raises(Conflict) as caught:
        settle(batch.tasks.get(), cast.lead)
    assert caught.value.code == "in_work"


def test_a_task_nobody_ranked_has_no_consensus(cast):
    batch = make_ranking_batch(cast.project, tasks=1)
    with pytest.raises(Conflict):
        propose_consensus(batch.tasks.get())


@pytest.mark.parametrize(
    "order",
    [[], [[0], [1]], [[0], [1], [2], [2]], [[0], [1], []], "no list", [[0], [1], ["2"]], [[0, 1, 2], 3]],
)
def test_an_order_of_other_than_exactly_its_completions_is_refused(cast, task, order):
    ids = completions(task)
    named = [
        [ids[each] if isinstance(each, int) else each for each in tier] if isinstance(tier, list) else tier
        for tier in order
    ]
    with pytest.raises(Invalid) as caught:
        settle(task, cast.lead, order if isinstance(order, str) else named)
    assert caught.value.field == "tiers"


def test_it_needs_a_note(cast, task):
    with pytest.raises(Invalid) as caught:
        settle(task, cast.lead, note=" ")
    assert caught.value.field == "note"


# --- Datasets ----------------------------------------------------------------------------------------------
def rows_of(cast, **recipe):
    selected = list(canonical_rows(cast.project, "comparison", Recipe(**recipe)))
    return [each.row for each in selected if each.row], [each.left_out for each in selected if not each.row]


def test_a_recipe_takes_the_settled_order_in_place_of_the_rankings(cast, task):
    a, b, c = completions(task)
    adjudication = settle(task, cast.lead, [[c], [a, b]])
    [row], left_out = rows_of(cast, rankings="adjudicated")
    assert dict(zip([int(each["id"]) for each in row["completions"]], row["ranks"], strict=True)) == {
        c: 1,
        a: 2,
        b: 2,
    }
    source = row["source"]
    assert (source["adjudication"], source["adjudicated_by"]) == (adjudication.pk, cast.lead.pseudonym)
    assert (source["annotator"], row["margins"]) == (None, None)
    assert left_out == ["replaced by the settled order of its task"] * 2


def test_without_the_choice_every_ranking_counts_as_before(cast, task):
    plain = rows_of(cast)
    settle(task, cast.lead)
    assert rows_of(cast) == plain
    assert len(plain[0]) == 3


def test_tasks_without_a_settled_order_keep_their_rankings(cast, task):
    make_ranking_batch(cast.project, tasks=1, k=3, overlap=1, review_rate=0)
    rank(cast.annotator, cast.project)
    settle(task, cast.lead)
    rows, _ = rows_of(cast, rankings="adjudicated")
    assert sorted("adjudication" in row["source"] for row in rows) == [False, True]


def test_a_replaced_order_is_not_used(cast, task):
    a, b, c = completions(task)
    first = settle(task, cast.lead)
    second = settle(task, cast.lead, [[c], [b], [a]], replaces=first.pk)
    [row], _ = rows_of(cast, rankings="adjudicated")
    assert row["source"]["adjudication"] == second.pk


def test_a_recipe_of_before_is_written_as_before():
    assert "rankings" not in Recipe().to_json()
    assert Recipe.from_json(Recipe(rankings="adjudicated").to_json()).rankings == "adjudicated"
    with pytest.raises(Invalid):
        Recipe(rankings="newest")


def test_renaming_the_completions_renames_the_proposal(cast):
    """Whichever position a completion has, the same rankings settle it the same way."""
    orders = []
    for positions in itertools.permutations(range(3)):
        batch = make_ranking_batch(cast.project, tasks=1, k=3, overlap=2, review_rate=0)
        for person in (cast.annotator, cast.peer):
            wanted = [0, 1, 2] if person is cast.annotator else [1, 0, 2]
            rank(person, cast.project, [positions[each] for each in wanted])
        task = batch.tasks.get()
        name = {completions(task)[positions[index]]: index for index in range(3)}
        orders.append([sorted(name[pk] for pk in tier) for tier in propose_consensus(task).tiers])
    assert {json.dumps(order) for order in orders} == {"[[0, 1], [2]]"}


def test_accepting_a_ranking_does_not_unsettle_it(cast, task):
    settle(task, cast.lead)
    accept_submission(submission=task.submissions.first(), revision=1, reviewer=cast.lead)
    assert Adjudication.objects.filter(superseded_at=None).count() == 1


# --- By each rule -------------------------------------------------------------------------------------------
def choose_rule(project, rule):
    project.settings_json = {**project.settings_json, "consensus_rule": rule}
    project.save()


def page_of(task):
    return reverse("labeling:adjudication", args=[task.project.slug, task.pk])


def ring_task(cast):
    """Three people whose majorities go in a circle."""
    batch = make_ranking_batch(cast.project, tasks=1, k=3, overlap=3, review_rate=0)
    rank(cast.annotator, cast.project)
    rank(cast.peer, cast.project, [1, 2, 0])
    rank(cast.admin, cast.project, [2, 0, 1])
    return batch.tasks.get()


@pytest.mark.parametrize("rule", ["schulze", "kemeny", "plackett_luce", "bradley_terry"])
def test_the_project_chooses_the_rule_that_proposes(task, rule):
    choose_rule(task.project, rule)
    proposal = propose_consensus(task)
    a, b, c = completions(task)
    assert (proposal.method, proposal.tiers) == (rule, [[a], [b], [c]])
    assert set(proposal.others) == {"schulze", "kemeny", "plackett_luce", "bradley_terry"} - {rule}


def test_a_lead_can_begin_from_another_rule_and_that_is_on_record(cast, task):
    adjudication = settle(task, cast.lead, rule="plackett_luce")
    assert (adjudication.method, adjudication.is_changed) == ("plackett_luce", False)
    assert set(adjudication.proposal["others"]) == {"schulze", "kemeny", "bradley_terry"}


def test_an_unknown_rule_is_refused(cast, task):
    with pytest.raises(Invalid) as error:
        settle(task, cast.lead, rule="coin")
    assert error.value.field == "rule"
    assert not Adjudication.objects.exists()


def test_reliability_comes_from_the_quality_report_and_turns_the_order(cast, task):
    rows = [(cast.annotator, 0.55), (cast.peer, 0.55), (cast.admin, 0.98)]
    people = [{"key": user.pk, "reliability": {"value": value}} for user, value in rows]
    QualityReport.objects.create(project=cast.project, body={"by": {"person": people}})
    a, b, c = completions(task)
    assert propose_consensus(task).tiers == [[a], [b], [c]]
    turned = propose_consensus(task, "plackett_luce")
    assert turned.tiers == [[c], [b], [a]]
    assert turned.reliability[str(cast.admin.pk)] == 0.98


def test_the_report_says_how_reliable_each_person_is(cast, task):
    rows = refresh_report(project=cast.project).body["by"]["person"]
    found = {row["key"]: row["reliability"] for row in rows}
    assert found[cast.annotator.pk]["value"] == found[cast.peer.pk]["value"] > found[cast.admin.pk]["value"]
    assert found[cast.admin.pk]["size"] == 3


def test_the_page_shows_every_rule_what_differs_and_circles(cast, client):
    task = ring_task(cast)
    client.force_login(cast.lead)
    page = client.get(page_of(task)).content.decode()
    for name in ("Schulze", "Kemeny", "Plackett–Luce", "Bradley–Terry"):
        assert name in page
    assert "Majorities go in a circle: A, B, C." in page
    assert "All rules say the same." in page
    assert "A = B = C" in page


def test_the_page_marks_where_rules_differ_and_begins_from_the_one_chosen(cast, client):
    batch = make_ranking_batch(cast.project, tasks=1, k=2, overlap=3, review_rate=0)
    for person, tied in ((cast.annotator, True), (cast.peer, True), (cast.admin, False)):
        weak_order(person, cast.project, [[0, 1]] if tied else [[0], [1]])
    client.force_login(cast.lead)
    url = page_of(batch.tasks.get())
    page = client.get(url).content.decode()
    assert "The rules do not all say the same." in page
    assert "<mark>A–B</mark>" in page
    assert 'name="rule" value="schulze"' in page
    chosen = client.get(url + "?rule=kemeny").content.decode()
    assert 'name="rule" value="kemeny"' in chosen
    assert "By Kemeny, the rankings add up to A = B" in chosen
    assert client.get(url + "?rule=coin").status_code == 200


def test_the_task_page_shows_what_the_rankings_add_up_to(cast, client, task):
    client.force_login(cast.lead)
    page = client.get(f"/projects/{cast.project.slug}/tasks/{task.pk}/").content.decode()
    assert "What the rankings add up to" in page
    assert "A &gt; B &gt; C" in page


def test_the_api_says_what_each_rule_says(cast, client):
    task = ring_task(cast)
    client.force_login(cast.lead)
    url = f"/api/projects/{cast.project.slug}/tasks/{task.pk}/consensus/"
    body = client.get(url).json()
    ids = {str(each.public_id) for each in task.completions.all()}
    assert [each["rule"] for each in body["rules"]] == ["schulze", "kemeny", "plackett_luce", "bradley_terry"]
    assert set(body["cycles"][0]) == ids
    assert set(body["rules"][2]["strengths"]) == ids
    assert body["rules"][1]["optima"] > 1
    assert {(pair["before"], pair["tied"], pair["after"]) for pair in body["pairs"]} <= {(2, 0, 1), (1, 0, 2)}
    assert client.get(url + "?rule=kemeny").json()["method"] == "kemeny"
    refused = client.get(url + "?rule=coin")
    assert (refused.status_code, refused.json()["error"]["field"]) == (422, "rule")

"""Gold: put among other work at its rate, told from it by nobody, scored at submit, kept out of datasets."""

from __future__ import annotations

import json
import re
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from annotate.errors import Conflict, Forbidden, Invalid
from labeling import handout_reasons, review_queues, task_reports
from labeling.models import AuditEvent, GoldResult, Submission, SubmissionStatus, Task
from labeling.people_report import figures_of
from labeling.services import turns
from labeling.services.assignments import claim_next, release_assignment
from labeling.services.batches import close_batch
from labeling.services.dataset_rows import select
from labeling.services.gold import mark_gold, retire_gold, score_demonstration
from labeling.services.projects import update_settings
from labeling.services.recipes import Recipe
from labeling.services.reviews import accept_submission, reject_submission, return_submission
from tests.factories import make_demonstration_batch, make_ranking_batch

from .work import claim, do_next, ranking_of, submit


def settings(cast, **values) -> None:
    update_settings(project=cast.project, values=values, acting_user=cast.admin)


@pytest.fixture
def rates(cast, monkeypatch):
    """Every hand-out is gold's turn, as long as ordinary work waits too; nothing goes to review by itself."""
    settings(cast, gold_rate=0.5, calibration_rate=0, new_person_reviews=0)
    monkeypatch.setattr(turns, "draw", lambda: 0.0)


def make_gold(cast, **answer) -> Task:
    """A ranking task whose known order is that of its completions; two ordinary ones wait beside it."""
    batch = make_ranking_batch(cast.project, tasks=3, k=3, review_rate=0)
    task = batch.tasks.last()
    ids = list(task.task_completions.values_list("completion_id", flat=True))
    mark_gold(task=task, tiers=[[pk] for pk in ids], acting_user=cast.lead, **answer)
    task.refresh_from_db()
    return task


def known(task) -> list[int]:
    return [pk for [pk] in task.gold_answer.tiers]


def rank(assignment, user, order, **fields) -> Submission:
    return submit(
        assignment, user, **{**ranking_of(assignment, user), "tiers": [[pk] for pk in order], **fields}
    )


def test_each_person_gets_it_once_in_a_slot_of_their_own(cast, rates):
    task = make_gold(cast)
    mine, theirs = claim(cast.annotator, cast.project), claim(cast.peer, cast.project)
    assert mine.task == theirs.task == task
    assert task.assignments.live().count() == 2 == Task.objects.get(pk=task.pk).overlap
    submit(mine, cast.annotator)
    assert claim(cast.annotator, cast.project).task_id != task.pk


def test_its_free_slots_leave_the_queue(cast):
    settings(cast, gold_rate=0)
    task = make_gold(cast)
    tasks = {claim(user, cast.project).task_id for user in (cast.annotator, cast.peer)}
    assert task.pk not in tasks
    assert claim_next(user=cast.lead, project=cast.project) is None


def test_it_does_not_come_alone(cast, rates):
    """When only gold is left nothing is handed out: it would be known for what it is."""
    make_gold(cast)
    close = Task.objects.filter(purpose="work").first().assignments
    close.model.objects.filter(purpose="work").update(status="void")
    assert claim_next(user=cast.annotator, project=cast.project) is None


def test_the_share_of_hand_outs_is_that_of_the_settings():
    from labeling.models import ProjectSettings

    config = ProjectSettings(gold_rate=0.1, calibration_rate=0.2, repeat_rate=0.05)
    drawn = [turns.purpose_of((number + 0.5) / 1000, config) for number in range(1000)]
    counts = {purpose: drawn.count(purpose) for purpose in set(drawn)}
    assert counts == {"gold": 100, "calibration": 200, "repeat": 50, "work": 650}


def test_draws_are_spread_and_not_foreseeable():
    drawn = [turns.draw() for _ in range(4000)]
    # A binomial count of 4000 at 1 in 4 is within 1000 ± 137 but once in a million.
    assert 863 <= sum(number < 0.25 for number in drawn) <= 1137
    assert len(set(drawn)) == 4000


@pytest.mark.parametrize(("order", "agreement", "passed"), [([0, 1, 2], 1, True), ([2, 1, 0], 0, False)])
def test_it_is_scored_when_it_is_submitted(cast, rates, order, agreement, passed):
    task = make_gold(cast)
    ids = known(task)
    submission = rank(claim(cast.annotator, cast.project), cast.annotator, [ids[index] for index in order])
    result = submission.gold_result
    assert (result.agreement, result.pairs, result.passed) == (agreement, 3, passed)
    expected = (
        (SubmissionStatus.ACCEPTED, "") if passed else (SubmissionStatus.AWAITING_REVIEW, "gold_missed")
    )
    assert (submission.status, submission.review_reason) == expected


def test_missed_gold_stays_out_of_review_where_the_project_says_so(cast, rates):
    settings(cast, review_missed_gold=False)
    task = make_gold(cast)
    submission = rank(claim(cast.annotator, cast.project), cast.annotator, known(task)[::-1])
    assert (submission.status, submission.gold_result.passed) == ("accepted", False)


def test_flags_count_where_the_lead_says_so(cast, rates):
    task = make_gold(cast, checks_flags=True)
    submission = rank(
        claim(cast.annotator, cast.project),
        cast.annotator,
        known(task),
        flags={known(task)[0]: ["harmful"]},
    )
    assert (submission.gold_result.flag_agreement, submission.gold_result.passed) == (0, False)


def test_a_persons_page_counts_what_they_did_on_gold(cast, rates):
    task = make_gold(cast)
    rank(claim(cast.annotator, cast.project), cast.annotator, known(task)[::-1])
    figures = task_reports.gold_figures(cast.project, cast.annotator)
    assert (figures["done"], figures["misses"], figures["mean_agreement"]) == (1, 1, 0)
    client = Client()
    client.force_login(cast.lead)
    member = cast.project.memberships.get(user=cast.annotator)
    page = client.get(reverse("labeling:person", args=[cast.project.slug, member.pk])).content.decode()
    missed = f"/projects/{cast.project.slug}/submissions/?person={cast.annotator.pk}&amp;known=missed"
    assert f'Missed</dt><dd><a href="{missed}">1</a></dd>' in page


def test_gold_on_the_people_page_leads_to_the_work_that_was_held_against_it(cast, rates, client):
    task = make_gold(cast)
    missed = rank(claim(cast.annotator, cast.project), cast.annotator, known(task)[::-1])
    do_next(cast.annotator, cast.project, "ranking")  # ordinary work
    passed = rank(claim(cast.peer, cast.project), cast.peer, known(task))
    client.force_login(cast.lead)
    root = f"/projects/{cast.project.slug}"
    page = client.get(f"{root}/people/").content.decode()
    assert f'<a href="{root}/submissions/?person={cast.annotator.pk}&amp;known=gold">0 / 1</a>' in page

    def found(query):
        return [row.pk for row in client.get(f"{root}/submissions/{query}").context["listing"].page]

    assert found(f"?person={cast.annotator.pk}&known=gold") == [missed.pk]
    assert sorted(found("?known=gold")) == sorted([missed.pk, passed.pk])
    assert (found("?known=missed"), found("?known=passed")) == ([missed.pk], [passed.pk])
    assert found("?known=repeat") == []


def test_the_filter_by_known_answers_does_not_tell_whose_gold_waits_for_its_score(cast, rates, client):
    task = make_gold(cast)
    submission = rank(claim(cast.annotator, cast.project), cast.annotator, known(task))
    GoldResult.objects.filter(submission=submission).update(passed=None)
    client.force_login(cast.lead)
    for choice in ("gold", "passed", "missed"):
        page = client.get(f"/projects/{cast.project.slug}/submissions/?known={choice}")
        assert page.context["listing"].page.paginator.count == 0


def test_gold_answers_go_into_no_dataset_unless_the_recipe_says_so(cast, rates):
    task = make_gold(cast)
    rank(claim(cast.annotator, cast.project), cast.annotator, known(task))
    assert select(cast.project, "comparison", Recipe()).count() == 0
    assert select(cast.project, "comparison", Recipe(include_gold=True)).count() == 1


def test_recipes_without_gold_are_written_as_before():
    assert "include_gold" not in Recipe().to_json()
    assert Recipe.from_json(Recipe(include_gold=True).to_json()).include_gold is True


def test_what_was_judged_before_it_became_gold_stays_a_judgment(cast):
    settings(cast, gold_rate=0, new_person_reviews=0)
    make_ranking_batch(cast.project, tasks=1, review_rate=0)
    task = do_next(cast.annotator, cast.project).task
    ids = list(task.task_completions.values_list("completion_id", flat=True))
    mark_gold(task=task, tiers=[[pk] for pk in ids], acting_user=cast.lead)
    assert select(cast.project, "comparison", Recipe()).count() == 1


def test_it_outlives_its_batch_and_ends_when_retired(cast, rates):
    task = make_gold(cast)
    close_batch(batch=task.batch, acting_user=cast.lead)
    make_ranking_batch(cast.project, tasks=1)
    assert claim(cast.annotator, cast.project).task == task
    retire_gold(task=task, acting_user=cast.lead)
    assert claim(cast.peer, cast.project).task != task
    assert AuditEvent.objects.filter(action__startswith="gold.").count() == 2


@pytest.mark.parametrize("tiers", [[], [[1]], [[999_999]]])
def test_a_known_answer_is_a_whole_ranking(cast, tiers):
    task = make_ranking_batch(cast.project, tasks=1).tasks.get()
    with pytest.raises(Invalid):
        mark_gold(task=task, tiers=tiers, acting_user=cast.lead)
    assert Task.objects.get(pk=task.pk).purpose == "work"


# --- Demonstrations ----------------------------------------------------------------------------------------
@pytest.fixture
def unscored(cast, rates):
    """Anna's answer to a gold demonstration whose least score is 5."""
    batch = make_demonstration_batch(cast.project, tasks=2, review_rate=0)
    task = batch.tasks.last()
    mark_gold(task=task, minimum_score=5, reference="Otters eat fish & crabs.", acting_user=cast.lead)
    return do_next(cast.annotator, cast.project, text="Otters eat <b>fish</b>.")


def queue(client, cast, query="?reason=gold_unscored"):
    client.force_login(cast.lead)
    return client.get(reverse("labeling:review_queue", args=[cast.project.slug]) + query)


def test_the_filter_by_person_does_not_tell_whose_unscored_gold_it_is(cast, client, unscored):
    assert scoring(unscored) in queue(client, cast).content.decode()
    for reason in ("", "gold_unscored"):
        page = queue(client, cast, f"?reason={reason}&person={cast.annotator.pk}").content.decode()
        assert scoring(unscored) not in page


def test_a_search_for_its_author_does_not_find_unscored_gold(cast, client, unscored):
    for reason in ("", "gold_unscored"):
        page = queue(client, cast, f"?reason={reason}&q={cast.annotator.name}").content.decode()
        assert scoring(unscored) not in page
        page = queue(client, cast, f"?reason={reason}&q={unscored.prompt.preview[:8]}").content.decode()
        assert scoring(unscored) in page
    score_demonstration(submission=unscored, score=1, acting_user=cast.lead)
    Submission.objects.filter(pk=unscored.pk).update(status="awaiting_review", review_reason="reopened")
    page = queue(client, cast, f"?q={cast.annotator.name}")
    assert [row.pk for row in page.context["listing"].page] == [unscored.pk]


def test_the_order_by_person_does_not_tell_whose_unscored_gold_it_is(cast, client, unscored):
    """It comes last, whoever wrote it, in the list and on the way through the list."""
    make_demonstration_batch(cast.project, tasks=2, overlap=2, review_rate=1)
    others = [do_next(who, cast.project) for who in (cast.peer, cast.annotator, cast.peer, cast.annotator)]
    Submission.objects.filter(pk__in=[each.pk for each in others]).update(
        status="awaiting_review", review_reason="sampled"
    )
    rows = list(queue(client, cast, "?sort=person").context["listing"].page)
    assert [row.annotator_id for row in rows[:-1]] == sorted(row.annotator_id for row in rows[:-1])
    assert (len(rows), rows[-1]) == (5, unscored)
    walked, at = [], None
    for _ in rows:
        pk = review_queues.next_after(
            project=cast.project, reviewer=cast.lead, chosen={"sort": "person"}, after=at
        )
        at = cast.project.submissions.get(pk=pk)
        walked.append(at)
    assert walked == rows
    assert "person" not in queue(client, cast).context["listing"].sorts
    assert "person" in queue(client, cast, "").context["listing"].sorts


def scoring(submission):
    return reverse("labeling:gold_score", args=[submission.project.slug, submission.pk])


def test_a_gold_demonstration_waits_for_a_score_and_is_missed_below_the_least(cast, unscored):
    assert (unscored.status, unscored.review_reason) == ("awaiting_review", "gold_unscored")
    assert list(task_reports.unscored(cast.project)) == [unscored.gold_result]
    with pytest.raises(Forbidden):
        score_demonstration(submission=unscored, score=4, acting_user=cast.annotator)
    result = score_demonstration(submission=unscored, score=4, acting_user=cast.lead)
    unscored.refresh_from_db()
    assert (result.passed, unscored.status, unscored.review_reason) == (
        False,
        "awaiting_review",
        "gold_missed",
    )
    assert score_demonstration(submission=unscored, score=5, acting_user=cast.lead).passed is True
    unscored.refresh_from_db()
    assert unscored.status == "accepted"


def test_a_score_that_reaches_the_least_accepts_it(cast, unscored):
    score_demonstration(submission=unscored, score=5, acting_user=cast.lead)
    unscored.refresh_from_db()
    assert unscored.status == "accepted" and unscored.decided_at is not None
    assert not task_reports.unscored(cast.project).exists()


@pytest.mark.parametrize("decide", [accept_submission, reject_submission, return_submission])
def test_it_is_not_decided_on_before_it_is_scored(cast, unscored, decide):
    note = {} if decide is accept_submission else {"note": "No."}
    with pytest.raises(Conflict) as refused:
        decide(submission=unscored, revision=1, reviewer=cast.lead, **note)
    assert refused.value.code == "score_first"
    unscored.refresh_from_db()
    assert unscored.status == "awaiting_review"


def test_all_that_wait_for_a_score_stand_in_one_queue_without_names(cast, client, unscored):
    page = queue(client, cast)
    assert [each.pk for each in page.context["listing"].page] == [unscored.pk]
    html = page.content.decode()
    assert "Gold, not yet scored" in html
    assert scoring(unscored) in html
    assert "Anna" not in html.split("<tbody>")[1].split("</tbody>")[0]
    assert 'name="decision"' not in html
    # It waits among all the rest as well, and leads to the same page from there.
    assert scoring(unscored) in queue(client, cast, "").content.decode()
    opened = client.get(reverse("labeling:review_submission", args=[cast.project.slug, unscored.pk]))
    assert (opened.status_code, opened.url) == (302, scoring(unscored))


def test_nobody_finds_their_own_answer_there(cast, unscored):
    unscored.annotator = cast.lead
    unscored.save()
    assert not review_queues.waiting(
        project=cast.project, reviewer=cast.lead, reason="gold_unscored"
    ).exists()
    counts = review_queues.counts_by_reason(project=cast.project, reviewer=cast.lead)
    assert counts["gold_unscored"] == 0


def test_the_answer_stands_beside_the_reference_and_a_score_leads_to_the_next(cast, client, unscored):
    second = do_next(cast.peer, cast.project)
    assert second.review_reason == "gold_unscored"
    client.force_login(cast.lead)
    html = client.get(scoring(unscored) + "?reason=gold_unscored").content.decode()
    assert "Otters eat fish &amp; crabs." in html
    assert "Otters eat" in html.split("The answer")[1] and "<b>fish</b>" not in html
    assert "Anna" not in html and "passed from 5 of 7 on" in html
    answer = client.post(scoring(unscored), {"score": "6", "reason": "gold_unscored"})
    assert (answer.status_code, answer.url) == (
        302,
        reverse("labeling:review_submission", args=[cast.project.slug, second.pk]) + "?reason=gold_unscored",
    )
    result = GoldResult.objects.get(submission=unscored)
    assert (result.score, result.scored_by, result.passed) == (6, cast.lead, True)


@pytest.mark.parametrize("score", ["", "0", "8", "x"])
def test_a_score_that_is_none_is_refused_on_the_page(cast, client, unscored, score):
    client.force_login(cast.lead)
    answer = client.post(scoring(unscored), {"score": score})
    assert answer.status_code == 422
    assert "A whole number from 1 to 7." in answer.content.decode()
    assert GoldResult.objects.get(submission=unscored).score is None


def test_work_that_nobody_scores_has_no_such_page(cast, client):
    make_demonstration_batch(cast.project, tasks=1)
    client.force_login(cast.lead)
    submission = do_next(cast.annotator, cast.project)
    for answer in (client.get(scoring(submission)), client.post(scoring(submission), {"score": "5"})):
        assert answer.status_code == 302
        assert answer.url == reverse("labeling:submission_detail", args=[cast.project.slug, submission.pk])
    assert not GoldResult.objects.exists()


def test_the_gold_figure_counts_what_a_lead_scored(cast, client, unscored):
    def row():
        [found] = figures_of(cast.project, [cast.project.memberships.get(user=cast.annotator)])
        return found.gold

    assert row() is None  # nobody has scored it yet
    score_demonstration(submission=unscored, score=3, acting_user=cast.lead)
    assert row() == (0, 1)
    score_demonstration(submission=unscored, score=7, acting_user=cast.lead)
    assert row() == (1, 1)
    client.force_login(cast.lead)
    people = reverse("labeling:people", args=[cast.project.slug])
    assert "1 / 1" in client.get(people).content.decode()
    assert "gold_passed" in client.get(people + "?format=csv").getvalue().decode("utf-8-sig").splitlines()[0]


def test_a_reference_is_of_a_demonstration_only(cast):
    task = make_ranking_batch(cast.project, tasks=1).tasks.get()
    ids = list(task.task_completions.values_list("completion_id", flat=True))
    with pytest.raises(Invalid) as refused:
        mark_gold(task=task, tiers=[[pk] for pk in ids], reference="A text.", acting_user=cast.lead)
    assert refused.value.field == "reference"


def test_its_author_cannot_tell_from_the_api_why_it_was_looked_at(cast, unscored, api_client_of):
    score_demonstration(submission=unscored, score=3, acting_user=cast.lead)
    accept_submission(submission=unscored, revision=1, reviewer=cast.lead)
    url = f"/api/projects/{cast.project.slug}/submissions/{unscored.pk}/"
    [mine] = api_client_of(cast.annotator).get(url).json()["reviews"]
    [theirs] = api_client_of(cast.lead).get(url).json()["reviews"]
    assert "queue_reason" not in mine
    assert theirs["queue_reason"] == "gold_missed"


def test_ordinary_work_is_not_scored(cast):
    make_demonstration_batch(cast.project, tasks=1)
    with pytest.raises(Conflict):
        score_demonstration(submission=do_next(cast.annotator, cast.project), score=4, acting_user=cast.lead)
    assert not GoldResult.objects.exists()


# --- Nobody can tell (promise 2) ---------------------------------------------------------------------------
def shape(value):
    """A JSON answer without its values: keys and types. Completions' own ids, as keys, are values too."""
    if isinstance(value, dict):
        return {"id" if len(key) == 36 else key: shape(each) for key, each in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return type(value).__name__


def test_the_api_answers_gold_and_ordinary_work_alike(cast, rates, api_client_of):
    settings(cast, review_missed_gold=False)  # missed, it looks like what was sampled for review
    task = make_gold(cast)
    client = api_client_of(cast.annotator)
    base = f"/api/projects/{cast.project.slug}"

    def one():
        work = client.post(f"{base}/assignments/next/", {}, format="json").json()
        ids = [each["id"] for each in work["completions"]]
        sent = {
            "fence": work["fence"],
            "tiers": [[each] for each in ids],
            "touched": ids,
            "scores": dict.fromkeys(ids, 4),
            "idempotency_key": str(work["id"]),
        }
        receipt = client.post(f"{base}/assignments/{work['id']}/submit/", sent, format="json").json()
        shown = client.get(f"{base}/submissions/{receipt['id']}/").json()
        return work, receipt, shown

    gold, ordinary = one(), one()
    assert Submission.objects.get(pk=gold[1]["id"]).task == task
    assert Submission.objects.get(pk=ordinary[1]["id"]).task != task
    for of_gold, of_ordinary in zip(gold, ordinary, strict=True):
        assert shape(of_gold) == shape(of_ordinary)
    for name in ("why", "fence", "kind", "status", "rules"):
        assert gold[0][name] == ordinary[0][name]
    said = json.dumps(gold).lower()
    assert not [word for word in ("gold", "known", "purpose", "screening", "calibration") if word in said]
    # Numbers that count things as they are made would tell; these do not.
    real = {task.pk, task.prompt_id}
    told = {gold[0]["task"], gold[0]["prompt"]["id"], gold[1]["task"], gold[2]["task"], gold[2]["prompt"]}
    assert not real & told
    assert min(told | {gold[0]["id"]}) > 10**6


def test_the_pages_show_gold_and_ordinary_work_alike(cast, rates):
    task = make_gold(cast)
    client = Client()
    client.force_login(cast.annotator)

    def page_of(assignment) -> str:
        page = client.get(reverse("labeling:work_task", args=[cast.project.slug, assignment.pk]))
        text = page.content.decode()
        # What differs from one ordinary task to the next as well.
        for pattern in (r"[0-9a-f]{8}-[0-9a-f-]{27}", r"\b\d{3,}\b", r"(Question|Answer) \d+", r"nonce-\S+"):
            text = re.sub(pattern, "·", text)
        return re.sub(r'value="[A-Za-z0-9]{60,}"|csrf\S+', "·", text)

    gold = claim(cast.annotator, cast.project)
    assert gold.task == task
    of_gold = page_of(gold)
    submit(gold, cast.annotator)
    ordinary = claim(cast.annotator, cast.project)
    assert ordinary.task != task
    assert [line for line in of_gold.splitlines() if "why" in line.lower()] == [
        line for line in page_of(ordinary).splitlines() if "why" in line.lower()
    ]
    tags = re.compile(r"<[a-z][^>]*?(?=[ >])|data-[a-z-]+|class=\"[^\"]*\"")
    assert tags.findall(of_gold) == tags.findall(page_of(ordinary))
    assert "gold" not in of_gold.lower()


def test_slots_are_not_numbered_in_the_order_they_are_made(cast):
    """Gold slots are made as people come: with counted numbers they would be the highest."""
    batch = make_demonstration_batch(cast.project, tasks=30)
    numbers = list(batch.assignments.order_by("task_id").values_list("pk", flat=True))
    assert numbers != sorted(numbers)
    assert all(0 < number < 2**53 for number in numbers)


def test_a_gold_slot_given_back_looks_like_any_other(cast, rates):
    task = make_gold(cast)
    held = claim(cast.annotator, cast.project)
    release_assignment(assignment=held, user=cast.annotator)
    again = claim(cast.peer, cast.project)
    assert (again.task, again.pk) == (task, held.pk)
    assert handout_reasons.explain(again) == handout_reasons.WHY_NEXT


# --- The drift check ---------------------------------------------------------------------------------------
def test_a_ranking_comes_again_after_some_days_as_a_task_of_its_own(cast, monkeypatch):
    settings(
        cast, gold_rate=0, calibration_rate=0, repeat_rate=0.5, repeat_after_days=14, new_person_reviews=0
    )
    monkeypatch.setattr(turns, "draw", lambda: 0.0)
    make_ranking_batch(cast.project, tasks=3, k=3, review_rate=0)
    first = do_next(cast.annotator, cast.project)
    second = claim(cast.annotator, cast.project)
    assert second.task.purpose == "work"  # too young to be repeated
    release_assignment(assignment=second, user=cast.annotator)
    Submission.objects.filter(pk=first.pk).update(created_at=timezone.now() - timedelta(days=15))
    repeat = claim(cast.annotator, cast.project)
    assert (repeat.task.purpose, repeat.task.repeat_of) == ("repeat", first.task)
    assert (
        repeat.presentation["why"] == "repeat" and handout_reasons.explain(repeat) == handout_reasons.WHY_NEXT
    )
    order = [pk for [pk] in first.current.tiers]
    again = rank(repeat, cast.annotator, [order[1], order[0], order[2]])
    assert (again.gold_result.agreement, again.gold_result.passed) == (pytest.approx(2 / 3), None)
    figures = task_reports.gold_figures(cast.project, cast.annotator)
    assert (figures["repeats"], figures["self_agreement"]) == (1, pytest.approx(2 / 3))
    # Once is enough, and it is no second judgment of the same.
    assert claim(cast.annotator, cast.project).task.purpose == "work"
    assert select(cast.project, "comparison", Recipe()).count() == 1


@pytest.mark.parametrize("query", ["?format=csv&reason=gold_unscored", "?format=csv"])
def test_the_file_names_no_author_of_what_waits_for_a_score(client, cast, unscored, query):
    text = queue(client, cast, query).getvalue().decode()
    assert str(unscored.pk) in text and cast.annotator.name not in text

"""Simulated people against the real site over HTTP."""

from __future__ import annotations

import time

import pytest
from django.core.management import CommandError, call_command

from labeling.models import Demonstration, Ranking, Review, Submission, SubmissionStatus, TaskKind
from labeling.sample_project import prompts as sample_prompts
from labeling.services.batches import create_demonstration_batch, create_ranking_batch
from labeling.services.projects import update_settings
from labeling.services.sample import create_sample_project
from labeling.services.simulated_people import ensure_simulated_people
from labeling.simulation import Crew, Lead, SiteClient, SiteRefusal, SiteUnreachable, Tally, Worker
from tests.factories import make_completions, make_prompt, make_user, publish_form, question

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def project(live_site):
    return create_sample_project(acting_user=make_user(is_staff=True))


def crew_for(site, project, *, annotators=3, limit=None, with_lead=True):
    people, lead = ensure_simulated_people(project=project, count=annotators, acting_user=project.created_by)
    tally = Tally(limit=limit)
    members = [Worker(SiteClient(site.url, each.token, project.slug), each.person, tally) for each in people]
    if with_lead:
        members.append(Lead(SiteClient(site.url, lead.token, project.slug), lead.person, tally))
    return Crew(members, patience=1.5), tally


def demonstrations(project, tasks, **policy):
    return create_demonstration_batch(
        project=project,
        name="Write",
        prompts=project.prompts.order_by("pk")[:tasks],
        acting_user=project.created_by,
        **policy,
    )


def rankings(project, tasks, **policy):
    sets = []
    for prompt in project.prompts.order_by("pk")[:tasks]:
        answers = ["Yes.", "It is so. Happy to help!", "No no no", "I do not know. Sorry!"]
        sets.append((prompt.pk, [completion.pk for completion in make_completions(prompt, answers)]))
    return create_ranking_batch(
        project=project, name="Rank", completion_sets=sets, acting_user=project.created_by, **policy
    )


def test_a_crew_writes_and_reviews_until_nothing_waits(live_site, project):
    batch = demonstrations(project, 6, overlap=2, review_rate=1.0)
    crew, tally = crew_for(live_site, project)
    crew.start().join()
    submissions = Submission.objects.filter(task__batch=batch)
    assert submissions.count() == batch.assignments.filter(status="submitted").count() >= 12
    assert not submissions.exclude(status__in=[SubmissionStatus.ACCEPTED, SubmissionStatus.REJECTED]).exists()
    assert Review.objects.count() == tally.done["reviewed"] >= 12


def test_a_crew_ranks_what_it_is_shown_and_each_person_in_their_own_way(live_site, project):
    batch = rankings(project, 5, overlap=3)
    crew, _ = crew_for(live_site, project, with_lead=False)
    crew.start().join()
    stored = Ranking.objects.filter(submission__task__batch=batch)
    assert stored.count() == 15
    assert all(sum(map(len, ranking.tiers)) == 4 and len(ranking.scores) == 4 for ranking in stored)
    assert len(
        {str(ranking.tiers) for ranking in stored if ranking.submission.task == stored[0].submission.task}
    )


def test_a_warning_never_stops_a_crew_and_the_reviewer_sees_that_it_was_read(live_site, project):
    warned = {"check_blocked_words": "warn", "blocked_words": ["the", "is", "a"], "check_length": "warn"}
    values = warned | {"response_min_characters": 400}
    update_settings(project=project, values=values, acting_user=project.created_by)
    batch = demonstrations(project, 3)
    crew, _ = crew_for(live_site, project, with_lead=False)
    crew.start().join()
    stored = Demonstration.objects.filter(submission__task__batch=batch)
    assert stored.count() == 3
    assert all("length" in {each["check"] for each in answer.warnings} for answer in stored)


AB = [{"key": "a", "label": "A"}, {"key": "b", "label": "B"}]
EVERY_KIND_OF_QUESTION = [
    question("safe", required=True),
    question("tone", "one_of", required=True, options=AB),
    question("why", "several_of", required=True, options=AB),
    question("note", "long_text", required=True),
    question("left_out", "short_text"),
    question("depth", "scale", per="completion", required=True),
]


@pytest.mark.parametrize(
    "rules",
    [
        {"ask_margins": True, "rationale": "required"},
        {"allow_ties": False, "ask_margins": True},
        {"ask_margins": True, "scale": {"lowest": 0, "highest": 3}, "questions": EVERY_KIND_OF_QUESTION},
    ],
)
def test_a_crew_answers_what_the_project_asks(live_site, project, rules):
    publish_form(project, **rules)
    batch = rankings(project, 4)
    crew, _ = crew_for(live_site, project, annotators=2, with_lead=False)
    crew.start().join()
    stored = Ranking.objects.filter(submission__task__batch=batch)
    assert stored.count() == 4
    assert all(len(ranking.margins) == len(ranking.tiers) - 1 for ranking in stored)
    if not rules.get("allow_ties", True):
        assert all(len(tier) == 1 for ranking in stored for tier in ranking.tiers)
    if "questions" in rules:
        assert all(set(ranking.answers["task"]) == {"safe", "tone", "why", "note"} for ranking in stored)
        assert all(len(ranking.answers["completions"]) == 4 for ranking in stored)
        assert all(0 <= score <= 3 for ranking in stored for score in ranking.scores.values())


def test_a_crew_compares_pairs(live_site, project):
    sets = []
    for prompt in project.prompts.order_by("pk")[:3]:
        answers = make_completions(prompt, ["No no no", "It is so. Happy to help!"])
        sets.append((prompt.pk, [completion.pk for completion in answers]))
    batch = create_ranking_batch(
        project=project,
        name="Compare",
        completion_sets=sets,
        layout="pairwise",
        acting_user=project.created_by,
    )
    crew, _ = crew_for(live_site, project, annotators=2, with_lead=False)
    crew.start().join()
    stored = Ranking.objects.filter(submission__task__batch=batch)
    assert stored.count() == 3
    assert all(len(ranking.margins) == len(ranking.tiers) - 1 for ranking in stored)
    assert all(ranking.scores == {} for ranking in stored)


def test_a_crew_stops_at_its_number_of_tasks(live_site, project):
    demonstrations(project, 10)
    crew, tally = crew_for(live_site, project, limit=4, with_lead=False)
    crew.start().join()
    assert Submission.objects.count() == tally.done["begun"] == 4


def test_people_skip_what_they_know_nothing_of_and_say_why(live_site, project):
    strange = make_prompt(project, "What did the council decide on Tuesday?")
    create_demonstration_batch(
        project=project, name="Strange", prompts=[strange], acting_user=project.created_by
    )
    crew, tally = crew_for(live_site, project, annotators=2, with_lead=False)
    crew.start().join()
    assert not Submission.objects.exists()
    assert tally.done["skipped"] == 2
    assert set(strange.tasks.get().skips.values_list("reason", flat=True)) == {"not_my_field"}


def test_an_error_of_one_member_stops_the_crew_and_is_raised(live_site, project):
    demonstrations(project, 3)
    client = SiteClient(live_site.url, "no-such-token", project.slug)
    person = ensure_simulated_people(project=project, count=1, acting_user=project.created_by)[0][0].person
    crew = Crew([Worker(client, person, Tally())], patience=5)
    with pytest.raises(SiteRefusal) as caught:
        crew.start().join()
    assert caught.value.status == 401


def test_a_site_that_is_away_is_named(monkeypatch):
    monkeypatch.setattr("labeling.simulation.client.PATIENCE", 0.6)
    with pytest.raises(SiteUnreachable, match="127.0.0.1:9/api/projects/x/assignments/next/"):
        SiteClient("http://127.0.0.1:9", "token", "x").post("assignments/next/")


def test_the_same_people_come_back_with_fresh_tokens(project):
    first, lead = ensure_simulated_people(project=project, count=2, acting_user=project.created_by)
    again, same_lead = ensure_simulated_people(project=project, count=2, acting_user=project.created_by)
    assert [each.user for each in first] == [each.user for each in again]
    assert lead.user == same_lead.user
    assert first[0].token != again[0].token


def test_the_sample_project_is_made_once_with_guidelines_and_prompts(project):
    assert create_sample_project(acting_user=project.created_by) == project
    assert project.prompts.count() == len(sample_prompts(0))
    assert all(project.guidelines.get(kind=kind).current.number == 1 for kind in TaskKind.values)


def test_the_command_plays_on_the_site_it_is_given(live_site, project, capsys):
    demonstrations(project, 3)
    call_command(
        "simulate", project=project.slug, annotators=2, site=live_site.url, patience=1.0, no_lead=True
    )
    assert "3 demonstrations, 0 rankings" in capsys.readouterr().out


def test_the_command_says_what_is_wrong(live_site, project):
    with pytest.raises(CommandError, match="no project"):
        call_command("simulate", project="nowhere", site=live_site.url)
    with pytest.raises(CommandError, match="between 1 and 64"):
        call_command("simulate", project=project.slug, annotators=0)
    with pytest.raises(CommandError, match="No site answers"):
        call_command("simulate", project=project.slug, site="http://127.0.0.1:9")


class Slow:
    """Hands in one piece, and takes longer for it than anybody is patient."""

    def __init__(self) -> None:
        self.handed_in = False

    def step(self) -> bool:
        if self.handed_in:
            return False
        time.sleep(1.2)
        self.handed_in = True
        return True


class Waiting:
    """Reviews what the slow one hands in."""

    def __init__(self, slow: Slow) -> None:
        self.slow, self.reviewed = slow, 0

    def step(self) -> bool:
        if not self.slow.handed_in or self.reviewed:
            return False
        self.reviewed += 1
        return True


@pytest.mark.django_db(transaction=False)
def test_nobody_goes_home_while_somebody_is_still_at_work():
    slow = Slow()
    lead = Waiting(slow)
    Crew([lead, slow], patience=0.3).start().join()
    assert lead.reviewed == 1

"""Skipped tasks: on to others, or to a lead, who releases, rewrites or closes them."""

from __future__ import annotations

import pytest

from annotate.errors import Conflict, Invalid
from labeling import task_reports
from labeling.models import Notification, Role, Task
from labeling.services.assignments import claim_next, skip_assignment
from labeling.services.projects import add_member, update_settings
from labeling.services.skips import close_skipped_task, release_task, rewrite_prompt
from tests.factories import make_demonstration_batch, make_ranking_batch, make_user

from .work import claim, do_next


def skip(cast, user, reason: str, note: str = "") -> Task:
    assignment = claim(user, cast.project)
    skip_assignment(assignment=assignment, user=user, reason=reason, note=note)
    return Task.objects.get(pk=assignment.task_id)


def waiting(cast) -> list[Task]:
    return list(task_reports.skipped_tasks(cast.project))


def test_not_my_field_goes_to_others_and_to_no_lead(cast):
    make_demonstration_batch(cast.project, tasks=1)
    task = skip(cast, cast.annotator, "not_my_field")
    assert waiting(cast) == []
    assert claim_next(user=cast.annotator, project=cast.project) is None
    assert claim(cast.peer, cast.project).task == task


def test_unclear_goes_to_the_lead_while_others_may_try(cast):
    make_demonstration_batch(cast.project, tasks=1)
    task = skip(cast, cast.annotator, "unclear")
    assert waiting(cast) == [task]
    assert claim(cast.peer, cast.project).task == task


@pytest.mark.parametrize("reason", ["unsafe", "personal_data"])
def test_unsafe_is_shown_to_nobody_else_before_a_lead_looked(cast, reason):
    make_demonstration_batch(cast.project, tasks=1, overlap=2)
    task = skip(cast, cast.annotator, reason)
    assert task.parked_at is not None and waiting(cast) == [task]
    assert claim_next(user=cast.peer, project=cast.project) is None
    assert Notification.objects.get(kind="task.parked").user == cast.lead


def test_too_many_skips_park_a_task(cast):
    update_settings(project=cast.project, values={"skips_until_parked": 2}, acting_user=cast.admin)
    make_demonstration_batch(cast.project, tasks=1)
    assert skip(cast, cast.annotator, "not_my_field").parked_at is None
    assert skip(cast, cast.peer, "not_my_field").parked_at is not None
    assert claim_next(user=cast.lead, project=cast.project) is None


def test_a_released_task_goes_to_those_who_have_not_skipped_it(cast):
    make_demonstration_batch(cast.project, tasks=1)
    task = skip(cast, cast.annotator, "unsafe")
    release_task(task=task, acting_user=cast.lead)
    assert waiting(cast) == []
    assert claim_next(user=cast.annotator, project=cast.project) is None
    assert claim(cast.peer, cast.project).task == task


def test_skips_before_a_decision_no_longer_count(cast):
    update_settings(project=cast.project, values={"skips_until_parked": 2}, acting_user=cast.admin)
    make_demonstration_batch(cast.project, tasks=1)
    newcomer = make_user("newcomer")
    add_member(project=cast.project, user=newcomer, role=Role.ANNOTATOR, acting_user=cast.admin)
    skip(cast, cast.annotator, "not_my_field")
    release_task(task=skip(cast, cast.peer, "not_my_field"), acting_user=cast.lead)
    assert skip(cast, newcomer, "not_my_field").parked_at is None


def test_a_closed_one_is_over(cast):
    make_demonstration_batch(cast.project, tasks=1)
    task = skip(cast, cast.annotator, "unsafe")
    close_skipped_task(task=task, acting_user=cast.lead)
    assert (Task.objects.get().status, waiting(cast)) == ("closed", [])
    with pytest.raises(Conflict):
        release_task(task=task, acting_user=cast.lead)


def test_a_rewritten_prompt_takes_the_place_of_the_old_one(cast):
    batch = make_demonstration_batch(cast.project, tasks=1, overlap=2)
    task = skip(cast, cast.annotator, "unclear")
    new = rewrite_prompt(task=task, messages=[{"role": "user", "content": "Clearer?"}], acting_user=cast.lead)
    task.refresh_from_db()
    assert task.status == "closed" and task.prompt.archived_at is not None
    assert (new.batch, new.overlap, new.prompt.preview) == (batch, 2, "Clearer?")
    # It is another task: who had skipped the old one gets it.
    assert claim(cast.annotator, cast.project).task == new


@pytest.mark.parametrize("text", ["", "   "])
def test_a_prompt_is_not_rewritten_to_nothing(cast, text):
    make_demonstration_batch(cast.project, tasks=1)
    task = skip(cast, cast.annotator, "unclear")
    with pytest.raises(Invalid):
        rewrite_prompt(task=task, messages=[{"role": "user", "content": text}], acting_user=cast.lead)
    with pytest.raises(Invalid):
        rewrite_prompt(task=task, messages=task.prompt.messages, acting_user=cast.lead)
    assert Task.objects.count() == 1


def test_the_prompt_of_a_ranking_is_not_rewritten(cast):
    make_ranking_batch(cast.project, tasks=1)
    task = skip(cast, cast.annotator, "unclear")
    with pytest.raises(Conflict):
        rewrite_prompt(task=task, messages=[{"role": "user", "content": "New?"}], acting_user=cast.lead)
    assert waiting(cast) == [task]


def test_reasons_are_counted_for_the_person(cast):
    make_demonstration_batch(cast.project, tasks=3)
    for reason in ("not_my_field", "unclear", "not_my_field"):
        skip(cast, cast.annotator, reason)
    counts = task_reports.skips_by_reason(cast.project, cast.annotator)
    assert [(row["reason"], row["count"]) for row in counts] == [("not_my_field", 2), ("unclear", 1)]


def test_nobody_skips_with_the_leads_reason(cast):
    make_demonstration_batch(cast.project, tasks=1)
    with pytest.raises(Invalid):
        skip(cast, cast.annotator, "withdrawn")
    do_next(cast.annotator, cast.project)
    assert waiting(cast) == []

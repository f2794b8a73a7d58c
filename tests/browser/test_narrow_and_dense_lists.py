"""Lists where there is little room: filters folded away on a phone, and no column out of sight at 1280 px."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import expect

from labeling.models import LedgerDay, Membership
from labeling.services.assignments import skip_assignment
from labeling.services.quality_reports import refresh_report
from tests.factories import make_demonstration_batch, make_ranking_batch
from tests.labeling.ranked import rank
from tests.labeling.work import claim, do_next
from tests.training.conftest import make_checkpoint

pytestmark = [pytest.mark.browser]
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 900}
OUT_OF_SIGHT = "() => [...document.querySelectorAll('.table-wrap')].map((e) => e.scrollWidth - e.clientWidth)"


@pytest.fixture
def busy(cast):
    """A project whose people have every number that the table shows."""
    make_ranking_batch(cast.project, tasks=2, k=3, overlap=2, review_rate=0)
    for user in (cast.annotator, cast.peer):
        rank(user, cast.project, [[0], [1], [2]])
        rank(user, cast.project, [[1], [0], [2]])
    make_demonstration_batch(cast.project, tasks=5, review_rate=1)
    do_next(cast.annotator, cast.project)
    for reason in ("unclear", "not_my_field", "unsafe"):
        slot = claim(cast.annotator, cast.project)
        skip_assignment(assignment=slot, user=cast.annotator, reason=reason, note="")
    today = timezone.now().date()
    for user, work in ((cast.annotator, "ranking"), (cast.peer, "ranking"), (cast.lead, "review")):
        for ago in range(1, 9):
            LedgerDay.objects.create(
                project=cast.project,
                user=user,
                day=today - timedelta(days=ago),
                work=work,
                seconds=9000,
                pieces=40,
            )
    Membership.objects.update(last_active_at=timezone.now() - timedelta(days=12, hours=5))
    refresh_report(project=cast.project)
    return cast.project


def address(name: str, project, *args) -> str:
    return reverse(name, args=[project.slug, *args])


def test_no_column_of_people_or_of_a_persons_work_is_out_of_sight(cast, busy, open_as):
    page = open_as(cast.admin, viewport=DESK)
    member = busy.memberships.get(user=cast.annotator)
    for url in (address("labeling:people", busy), address("labeling:person", busy, member.pk)):
        page.goto(url)
        assert set(page.evaluate(OUT_OF_SIGHT)) <= {0}, url
    expect(page.locator(".table .badge").first).to_be_in_viewport(ratio=1)


def test_no_column_of_the_checkpoints_is_out_of_sight(cast, open_as):
    checkpoint = make_checkpoint(cast.project, user=cast.admin, kind="reward_model", stage="reward")
    checkpoint.metrics = {"validation_loss": 0.51234, "validation_accuracy": 0.734}
    checkpoint.metrics |= {"validation_reward": -1.234, "validation_kl": 112.34}
    checkpoint.is_pinned = True
    checkpoint.save()
    page = open_as(cast.admin, viewport=DESK)
    page.goto(address("training:checkpoints", cast.project))
    assert page.evaluate(OUT_OF_SIGHT) == [0]


def test_on_a_phone_the_filters_open_by_a_button_that_counts_them_and_stay_open_while_one_chooses(
    cast, busy, open_as
):
    page = open_as(cast.lead, viewport=PHONE)
    page.goto(address("labeling:submissions", busy) + "?kind=ranking&status=accepted")
    toggle = page.get_by_role("button", name="Filters")
    expect(toggle).to_have_attribute("aria-expanded", "false")
    expect(toggle).to_contain_text("2")
    kind = page.locator("select[name='kind']")
    expect(kind).to_be_hidden()
    assert page.locator(".table").bounding_box()["y"] < PHONE["height"] / 2
    toggle.focus()
    page.keyboard.press("Enter")
    expect(kind).to_be_visible()
    page.select_option("select[name='status']", "")
    expect(page.get_by_role("button", name="Filters")).to_contain_text("1")
    expect(page.get_by_role("button", name="Filters")).to_have_attribute("aria-expanded", "true")
    expect(kind).to_be_visible()
    page.get_by_role("button", name="Filters").click()
    expect(kind).to_be_hidden()


def test_on_a_wide_screen_nothing_is_folded(cast, busy, open_as):
    page = open_as(cast.lead, viewport=DESK)
    page.goto(address("labeling:submissions", busy))
    expect(page.locator("select[name='kind']")).to_be_visible()
    expect(page.locator("[data-filters-toggle]")).to_be_hidden()

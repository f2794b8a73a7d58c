"""Lists where there is little room: filters folded away on a phone, and no column out of sight at 1280 px."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import expect

from labeling.models import DatasetVersion, LedgerDay, Membership
from labeling.services.assignments import skip_assignment
from labeling.services.quality_reports import refresh_report
from tests.factories import make_demonstration_batch, make_ranking_batch
from tests.labeling.ranked import rank
from tests.labeling.work import claim, do_next
from tests.security.world import build_world
from tests.training.conftest import make_checkpoint
from training.models import RoundStep

pytestmark = [pytest.mark.browser]
ALIGNED = "(cells) => cells.map((each) => getComputedStyle(each).textAlign)"
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


def test_numbers_of_people_end_at_the_right_as_they_do_elsewhere(cast, busy, open_as):
    page = open_as(cast.admin, viewport=DESK)
    page.goto(address("labeling:people", busy))
    for name in ("Gold", "Skipped", "Active time"):
        place = page.locator("thead th").all_inner_texts().index(name) + 1
        cells = page.locator(f"thead th:nth-child({place}), tbody td:nth-child({place})")
        assert cells.count() > 2
        assert set(cells.evaluate_all(ALIGNED)) == {"end"}, name


def test_no_column_beside_facts_is_out_of_sight(cast, open_as):
    """The table of a dataset's versions and that of a round's steps, in what a desk has left for them."""
    ids = build_world(cast.project, admin=cast.admin, annotator=cast.annotator, reviewer=cast.lead)
    counts = {"train": 123_456, "validation": 12_345, "test": 12_345}
    note = "After the second guideline: shorter answers"
    DatasetVersion.objects.update(row_counts=counts, sha256="ab12cd34" * 8, note=note)
    version = DatasetVersion.objects.get()
    RoundStep.objects.filter(kind="sft_dataset").update(status="done", dataset_version=version)
    RoundStep.objects.filter(kind="sft_run").update(status="failed", message="The memory was too small.")
    page = open_as(cast.admin, viewport=DESK)
    for url in (
        address("labeling:dataset_detail", cast.project, ids["datasets"]),
        address("training:round_detail", cast.project, 1),
    ):
        page.goto(url)
        assert page.evaluate(OUT_OF_SIGHT) == [0], url


def test_the_projects_name_takes_two_lines_of_the_top_bar_before_it_is_cut(cast, open_as):
    name = cast.project.name = "Tidy answers about animals"
    cast.project.save()
    page = open_as(cast.annotator, viewport=PHONE)
    page.goto(address("labeling:work", cast.project))
    shown = page.locator(".switcher-name")
    expect(shown).to_have_text(name)
    assert shown.evaluate("(e) => e.scrollHeight <= e.clientHeight && e.scrollWidth <= e.clientWidth")
    expect(page.get_by_title(name)).to_be_visible()
    bar = page.locator(".topbar").bounding_box()
    assert shown.bounding_box()["height"] < bar["height"]


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

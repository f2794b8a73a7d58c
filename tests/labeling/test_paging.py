"""Pages of long lists are those that the plain way gives, in whatever order, from whichever end."""

from __future__ import annotations

import pytest
from django.core.paginator import Paginator
from django.db.models import Count, F
from django.urls import reverse

from labeling import paging
from labeling.models import Submission
from labeling.paging import KeyPaginator
from tests.factories import make_completions, make_prompt

from .judgments import make_demonstration

ROWS, PER_PAGE = 23, 4


@pytest.fixture(autouse=True)
def _a_few_rows_are_many(monkeypatch):
    monkeypatch.setattr(paging, "LONG", 5)


@pytest.fixture
def submissions(cast):
    """Of every third nobody knows the agreement; many have the same."""
    for number in range(ROWS):
        made = make_demonstration(cast.project, cast.annotator if number % 2 else cast.peer)
        Submission.objects.filter(pk=made.pk).update(agreement=None if number % 3 else number % 4 / 4)
    return cast.project.submissions.select_related("prompt", "annotator")


@pytest.mark.parametrize(
    "order",
    [
        ["id"],
        ["-id"],
        ["agreement", "-id"],
        ["-agreement", "id"],
        [F("agreement").asc(nulls_last=True), "pk"],
        [F("agreement").desc(nulls_last=True), "pk"],
        ["prompt__preview", "id"],
    ],
)
def test_pages_are_those_of_the_plain_way(submissions, order):
    rows = submissions.order_by(*order)
    plain, quick = Paginator(rows, PER_PAGE), KeyPaginator(rows, PER_PAGE, submissions)
    assert quick.num_pages == plain.num_pages == 6
    for number in plain.page_range:
        assert list(quick.page(number)) == list(plain.page(number))


def test_annotations_and_joins_come_with_the_rows(submissions, django_assert_num_queries):
    rows = submissions.annotate(revisions=Count("demonstrations")).order_by("-revisions", "id")
    page = KeyPaginator(rows, PER_PAGE, rows).page(6)
    assert [each.revisions for each in page] == [1] * 3
    with django_assert_num_queries(0):
        assert all(each.prompt.preview and each.annotator.name for each in page)


def test_a_search_is_read_once_for_its_count_and_its_pages(submissions, django_assert_num_queries):
    found = submissions.filter(annotator__display_name="Anna").order_by("-agreement", "id")
    plain = Paginator(found, PER_PAGE)
    for number in (1, 2, 3):
        quick = KeyPaginator(found, PER_PAGE, submissions, is_searched=True)
        with django_assert_num_queries(2):
            page = quick.get_page(number)
        assert (list(page), quick.count) == (list(plain.page(number)), plain.count)


def test_a_search_that_finds_very_much_is_counted_apart(submissions, monkeypatch):
    monkeypatch.setattr(paging, "MOST_FOUND", 9)
    rows = submissions.order_by("-id")
    plain = Paginator(rows, PER_PAGE)
    for number in plain.page_range:
        quick = KeyPaginator(rows, PER_PAGE, submissions, is_searched=True)
        assert (list(quick.page(number)), quick.count) == (list(plain.page(number)), ROWS)


def test_a_search_counts_what_is_grouped_and_what_is_distinct(cast, submissions):
    make_completions(make_prompt(cast.project), 3)
    grouped = submissions.annotate(revisions=Count("demonstrations")).order_by("id")
    assert KeyPaginator(grouped, PER_PAGE, grouped, is_searched=True).count == ROWS
    prompts = cast.project.prompts.filter(completions__isnull=False).distinct().order_by("id")
    assert KeyPaginator(prompts, PER_PAGE, prompts, is_searched=True).count == 1
    nothing = submissions.none().order_by("id")
    quick = KeyPaginator(nothing, PER_PAGE, submissions, is_searched=True)
    assert (quick.count, list(quick.get_page("7"))) == (0, [])


def test_a_long_list_that_is_narrowed_is_counted_and_its_first_page_known(
    submissions, django_assert_num_queries
):
    rows = submissions.order_by("-agreement", "id")
    plain = Paginator(rows, PER_PAGE)
    for number, queries in ((1, 3), (2, 4), (6, 4)):
        with django_assert_num_queries(queries):
            found = list(KeyPaginator(rows, PER_PAGE, submissions, is_narrowed=True).page(number))
        assert found == list(plain.page(number))


def test_a_short_list_that_is_narrowed_is_read_by_its_keys(submissions, django_assert_num_queries):
    three = list(submissions.order_by("id")[:3])
    few = submissions.filter(pk__in=[row.pk for row in three]).order_by("id")
    quick = KeyPaginator(few, PER_PAGE, submissions, is_narrowed=True)
    with django_assert_num_queries(2):
        assert list(quick.get_page(1)) == three
    nothing = submissions.filter(pk=0).order_by("id")
    assert list(KeyPaginator(nothing, PER_PAGE, submissions, is_narrowed=True).get_page(3)) == []
    with django_assert_num_queries(2):
        list(KeyPaginator(few, PER_PAGE, submissions).get_page(1))


def test_a_search_across_a_join_shows_each_row_once(cast):
    for _ in range(8):
        make_completions(make_prompt(cast.project), 2)
    rows = cast.project.prompts.filter(completions__isnull=False).distinct().order_by("id")
    shown = [
        row
        for number in (1, 2)
        for row in KeyPaginator(rows, PER_PAGE, cast.project.prompts.all()).page(number)
    ]
    assert shown == list(cast.project.prompts.order_by("id"))


def test_a_deep_page_of_a_list_is_the_last_of_its_rows(client, cast, submissions):
    client.force_login(cast.lead)
    url = reverse("labeling:submissions", args=[cast.project.slug])
    Submission.objects.bulk_update(
        [Submission(pk=row.pk, active_seconds=n) for n, row in enumerate(submissions.order_by("id"))],
        ["active_seconds"],
    )
    oldest = submissions.earliest("id")
    page = client.get(url, {"sort": "slowest", "page": "999"}).content.decode()
    assert reverse("labeling:submission_detail", args=[cast.project.slug, oldest.pk]) in page

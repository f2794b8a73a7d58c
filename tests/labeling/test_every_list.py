"""Every list can be searched, filtered, sorted, kept as a view and taken along as CSV; the pages are found by
asking each address of the site, and what lacks one of these is named here with its reason.
"""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import pytest
from django.conf import settings
from django.urls import reverse

from labeling.bench_lists import listings_made
from labeling.models import SavedView, Webhook
from labeling.saved_views import LISTS, OF_ONE, OWN_LISTS, page_address
from tests.factories import make_demonstration_batch
from tests.security.routes import all_routes
from tests.security.test_routes import values_for
from tests.security.world import build_world

pytestmark = [pytest.mark.django_db, pytest.mark.database]

WITHOUT: dict[str, dict[str, str]] = {}
# Tables that are no lists of rows to look through, by the template that draws them.
TABLES_WITHOUT = {
    "_day_lines": "a line for each day of a period that is chosen beside it, with its own CSV",
    "payroll": "sums over a period, with a choice of person and work and its own CSV",
    "rates": "one line for each kind of work and person with a rate of their own, newest first",
    "_quality_agreement": "measures, by a cut that is chosen, with their own CSV",
    "_quality_ratings": "measures, one line for each question of the form",
    "_quality_flags": "measures, one line for each flag of the form",
    "_quality_meters": "measures, one line for each person, with their own CSV",
    "_review_rows": "the rows of the review list, whose page has the controls",
    "_rank_grid": "the answers to one task, side by side",
    "_settled_order": "the order of one task's completions",
    "_consensus": "the order of one task's completions by each rule",
    "_import_faults": "the first faults of one file; all of them as CSV",
    "_preparation": "findings about one file or version, one line for each check",
    "_preparation_groups": "findings about one file or version, group by group",
    "_guideline_items": "the items chosen for one draft",
    "work": "the kinds of work that wait, one line for each",
    "person": "the newest of a person's work and skips; each leads to its whole list",
    "project_detail": "the open batches of the overview; they lead to the list of batches",
    "prompt_detail": "all that belongs to one prompt",
    "task_detail": "the slots, skips and results of one task",
    "qualification": "the screening sets of a project, one line for each",
    "dataset_detail": "the versions of one dataset, numbered, newest first",
    "dataset_version": "counts of one version; its rows are searched in their own place",
    "guideline_versions": "the versions of one guideline, numbered, newest first",
    "form_versions": "the versions of one form, numbered, newest first",
    "profile": "one's own API tokens",
    "presets": "the presets of a project, by stage",
    "round_detail": "the ten steps of one round",
    "_frontier": "the evaluations of the runs of one plot, with their own CSV",
    "run_compare": "at most six runs side by side",
    "_compare_reports": "at most six runs side by side",
    "_compare_behaviour": "at most six runs side by side",
    "continuation": "one run against its like from the beginning",
    "_run_results": "results of one run",
    "_class_report": "results of one run",
    "_safety_report": "results of one run",
    "_export_report": "results of one export",
    "_dataset_sizes": "what each tokenizer makes of one version",
    "_reward_report": "results of one run",
    "_held_out": "results of one run",
    "_answers": "answers of one run's evaluation",
    "table": "the frame of allauth's tables",
    "gallery": "the page of the design system",
}


@pytest.fixture
def pages(cast, client):
    """{name of a route: (address, list, answer)} of every page with a list, as an admin sees it."""
    world = build_world(cast.project, admin=cast.admin, annotator=cast.annotator, reviewer=cast.lead)
    client.force_login(cast.admin)
    found = {}
    for route in all_routes():
        if route.is_api or not any(method == "get" for method, _ in route.policies):
            continue
        if not set(route.parameters) <= {"slug", "pk", "number", "kind", "layout"}:
            continue
        address = route.url(values_for(route, world))
        with listings_made() as seen:
            answer = client.get(address)
        if seen:
            found[route.name] = (address, seen[-1], answer)
    return found


def test_every_list_has_all_that_lists_have(pages, client):
    lacking, with_rows = {}, 0
    for name, (address, listing, answer) in pages.items():
        table = client.get(address, {"format": "csv"})
        is_csv = table.headers["Content-Type"].startswith("text/csv")
        has = {
            "search": listing.is_searchable,
            "filter": any(not each.is_hidden for each in listing.filters),
            "sort": len(listing.sorts) > 1,
            "view": listing.views is not None,
            "csv": is_csv,
        }
        missing = {each for each, is_there in has.items() if not is_there}
        if missing != set(WITHOUT.get(name, {})):
            lacking[name] = missing
        if listing.page.paginator.count:
            with_rows += 1
            text = answer.content.decode()
            assert 'class="filter-bar"' in text and 'id="listing-search"' in text, name
            if is_csv:
                head, *rows = csv.reader(io.StringIO(table.getvalue().decode()))
                assert rows and all(len(row) == len(head) for row in rows), name
    assert lacking == {}
    assert with_rows > len(pages) - 5  # few of them are empty in this world
    assert set(pages) == set(LISTS.values()) | set(OWN_LISTS.values())


def test_a_table_is_a_list_or_is_said_why_not():
    folder = Path(settings.BASE_DIR) / "templates"
    tables = {
        path.stem
        for path in folder.rglob("*.html")
        if re.search("<table", text := path.read_text()) and "listing_controls.html" not in text
    }
    assert tables == set(TABLES_WITHOUT)


def test_a_list_shown_in_answer_to_a_form_still_links_to_its_own_page(client, cast):
    client.force_login(cast.admin)
    hook = Webhook.objects.create(project=cast.project, url="https://192.0.2.1/", secret_sealed="")
    slug = cast.project.slug
    for name, args, form, home in [
        ("webhook_secret", [slug, hook.pk], {}, "webhook"),
        ("invite", [slug], {"email": "new@example.org", "role": "annotator"}, "people"),
        ("submissions_requeue", [slug], {"mode": "nothing"}, "submissions"),
    ]:
        answer = client.post(reverse(f"labeling:{name}", args=args), form)
        assert answer.context["listing"].path == reverse(f"labeling:{home}", args=args)


@pytest.mark.parametrize("page", sorted(OF_ONE))
def test_a_view_of_one_of_many_lists_leads_back_to_that_one(client, cast, page):
    client.force_login(cast.admin)
    hook = Webhook.objects.create(project=cast.project, url="https://192.0.2.1/", secret_sealed="")
    whose = {"tasks": make_demonstration_batch(cast.project, tasks=1), "deliveries": hook}
    of = whose.get(page, cast.project.memberships.get(user=cast.annotator)).pk
    address = page_address(project=cast.project, page=page, of=of)
    assert client.get(address).context["listing"].views.of == of
    form = {"page": page, "of": of, "name": "Mine", "query": "sort=newest", "is_default": "1"}
    answer = client.post(reverse("labeling:view_save", args=[cast.project.slug]), form)
    view = SavedView.objects.get(page=page)
    assert answer.url == f"{address}?sort=newest&view={view.pk}"
    assert client.get(address).url == answer.url  # it opens by itself
    cleared = client.post(
        reverse("labeling:view_default", args=[cast.project.slug, view.pk]), {"clear": "1", "of": of}
    )
    assert cleared.url == answer.url and client.get(address).status_code == 200
    gone = client.post(reverse("labeling:view_delete", args=[cast.project.slug, view.pk]), {"of": of})
    assert gone.url == f"{address}?view="

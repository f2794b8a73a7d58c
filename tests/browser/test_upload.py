"""Files go up in pieces with progress, and go on after the line was cut; the preview shows what was found."""

from __future__ import annotations

import os
import re

import pytest
from django.urls import reverse
from playwright.sync_api import expect

from labeling.models import ImportRecord, ImportStatus, ImportUpload
from tests.browser.axe import violations
from tests.browser.widths import reaching_over

pytestmark = [pytest.mark.browser]

MARK = '{"prompt": "p%d", "completion": "%s", "label": %s}\n'
THUMBS = "".join(MARK % (n // 2, ("good", "bad")[n % 2], ("true", "false")[n % 2]) for n in range(10)) + (
    '{"prompt": "q", "completion": "", "label": true}\n'
)


def new_page(cast, open_as, **options):
    page = open_as(cast.admin, **options)
    page.goto(reverse("labeling:import_new", args=[cast.project.slug]))
    return page


@pytest.fixture
def large_file(tmp_path):
    """Three pieces of 4 MiB, the last one short."""
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"".join(b'{"prompt": "%d %s"}\n' % (n, b"x" * 1_000) for n in range(9_000)))
    return path


def test_an_upload_goes_on_after_the_line_was_cut(cast, open_as, large_file):
    page = new_page(cast, open_as)
    pieces = []

    def cut_the_second(route):
        pieces.append(route.request.headers["upload-offset"])
        route.abort() if len(pieces) == 2 else route.continue_()

    page.route("**/uploads/*/", lambda route: (
        cut_the_second(route) if route.request.method == "PATCH" else route.continue_()
    ))  # fmt: skip
    page.get_by_label("Files").set_input_files(large_file)
    page.get_by_label("Licence").fill("CC0")
    page.get_by_role("button", name="Upload and look").click()
    expect(page.locator("[data-upload-note]")).to_contain_text("waiting for the server")
    page.wait_for_url(re.compile(r"/imports/\d+/"))
    assert pieces == ["0", str(4 * 2**20), str(4 * 2**20), str(8 * 2**20)]
    record = ImportRecord.objects.get()
    assert (record.size_bytes, record.licence, record.status) == (
        large_file.stat().st_size, "CC0", ImportStatus.UPLOADED,
    )  # fmt: skip
    assert not ImportUpload.objects.exists()


def test_the_same_file_chosen_again_goes_on_where_it_stopped(cast, open_as, large_file):
    page = new_page(cast, open_as)
    sent = []

    def count(route):
        if route.request.method != "PATCH":
            return route.continue_()
        sent.append(route.request.headers["upload-offset"])
        return route.abort() if len(sent) > 1 and "again" not in page.url else route.continue_()

    page.route("**/uploads/*/", count)
    page.get_by_label("Files").set_input_files(large_file)
    page.get_by_role("button", name="Upload and look").click()
    expect(page.locator("[data-upload-note]")).to_contain_text("waiting for the server")
    page.goto(reverse("labeling:import_new", args=[cast.project.slug]) + "?again")
    before = len(sent)
    page.get_by_label("Files").set_input_files(large_file)
    page.get_by_role("button", name="Upload and look").click()
    page.wait_for_url(re.compile(r"/imports/\d+/"))
    assert sent[before:] == [str(4 * 2**20), str(8 * 2**20)]
    assert ImportRecord.objects.get().size_bytes == large_file.stat().st_size


def test_what_the_server_refuses_is_said_on_the_page(cast, open_as, tmp_path):
    page = new_page(cast, open_as)
    (tmp_path / "empty.jsonl").write_bytes(b"")
    page.get_by_label("Files").set_input_files(tmp_path / "empty.jsonl")
    page.get_by_role("button", name="Upload and look").click()
    expect(page.get_by_role("alert")).to_contain_text("empty.jsonl: nothing to import: the file is empty.")
    expect(page.get_by_role("button", name="Upload and look")).to_be_enabled()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_file_is_looked_at_checked_and_imported(cast, open_as, tmp_path, scheme):
    page = new_page(cast, open_as, bypass_csp=True, color_scheme=scheme)
    path = tmp_path / "thumbs.jsonl"
    path.write_text(THUMBS)
    page.get_by_label("Completions", exact=True).check()
    page.get_by_label("Files").set_input_files(path)
    assert violations(page) == []
    page.get_by_role("button", name="Upload and look").click()
    expect(page.get_by_text("field completion: empty").first).to_be_visible()
    page.get_by_role("button", name="Check the whole file").click()
    expect(page.get_by_role("heading", name="The whole file, checked")).to_be_visible()
    expect(page.get_by_role("link", name="All of them as CSV")).to_be_visible()
    expect(page.get_by_role("table")).to_contain_text("row 11, field completion: empty")
    expect(page.get_by_text("good").first).to_be_visible()  # the preview leaves out what was found faulty
    assert violations(page) == []
    page.set_viewport_size({"width": 390, "height": 1600})
    assert reaching_over(page) == []
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=f"{folder}/check-{scheme}-390.png", full_page=True)
        page.set_viewport_size({"width": 1280, "height": 900})
        page.screenshot(path=f"{folder}/check-{scheme}.png", full_page=True)
    page.get_by_label("Leave faulty rows out and list them").check()
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.get_by_role("heading", name="Rows left out")).to_be_visible()
    record = ImportRecord.objects.get()
    assert (record.status, record.rows_added, record.rows_left_out) == (ImportStatus.SUCCEEDED, 5, 1)

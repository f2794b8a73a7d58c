"""An admin invites somebody, who joins by the link; gives them another role; takes them out again."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from labeling.models import Membership
from tests.conftest import PASSWORD

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_somebody_is_invited_joins_becomes_a_lead_and_is_removed(cast, open_as):
    people = f"/projects/{cast.project.slug}/people/"
    admin = open_as(cast.admin)
    admin.goto(people)
    admin.get_by_role("button", name="Invite").click()
    dialog = admin.get_by_role("dialog")
    dialog.get_by_label("E-mail address").fill("nora@example.org")
    dialog.get_by_label("Role").select_option("annotator")
    dialog.get_by_role("button", name="Send invitation").click()
    link = admin.locator("#invitation-link").inner_text()
    expect(admin.get_by_role("heading", name="Open invitations")).to_be_visible()

    newcomer = open_as()
    newcomer.goto(link)
    expect(newcomer.get_by_role("heading", name=f"Join {cast.project.name}")).to_be_visible()
    newcomer.locator("input[name=username]").fill("nora")
    for field in newcomer.locator("input[type=password]").all():
        field.fill(PASSWORD)
    newcomer.get_by_role("button", name="Make my account and join").click()
    newcomer.wait_for_url(f"**/projects/{cast.project.slug}/**")
    assert open_as().goto(link).status in (404, 410), "the link works once"

    def member() -> Membership:
        return Membership.objects.get(project=cast.project, user__username="nora")

    assert member().role == "annotator"
    admin.goto(people)
    admin.get_by_label("Change nora").click()
    menu = admin.locator("details[open]")
    menu.get_by_label("Role").select_option("lead")
    menu.get_by_role("button", name="Change role").click()
    expect(admin.get_by_role("status").filter(has_text="nora")).to_be_visible()
    assert member().role == "lead"
    newcomer.goto(f"/projects/{cast.project.slug}/review/")
    expect(newcomer.get_by_role("heading", level=1)).to_be_visible()

    admin.get_by_label("Change nora").click()
    menu.get_by_role("button", name="Remove").click()
    admin.get_by_role("dialog").get_by_role("button", name="Remove").click()
    admin.wait_for_load_state()
    expect(admin.get_by_role("row").filter(has_text="nora")).to_contain_text("Removed")
    assert newcomer.goto(f"/projects/{cast.project.slug}/").status == 404
    assert member().status == "removed"

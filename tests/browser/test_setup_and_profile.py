"""A fresh site in a real browser: set up, make a token, call the API with it, sign out and in again."""

import urllib.request

import pytest
from django.urls import reverse
from playwright.sync_api import expect

from annotate.accounts import setup_token
from tests.conftest import PASSWORD

pytestmark = pytest.mark.browser


def test_the_first_administrator_sets_up_the_site_and_signs_in_again(live_site, open_as):
    page = open_as()
    page.goto(f"/setup/?token={setup_token.ensure()}")
    answers = {
        "username": "root",
        "email": "root@example.org",
        "password": PASSWORD,
        "password_again": PASSWORD,
    }
    for name, text in answers.items():
        page.locator(f"input[name={name}]").fill(text)
    page.get_by_role("button", name="Create the administrator").click()
    page.wait_for_url(lambda url: "/setup/" not in url)
    page.context.clear_cookies()
    page.goto(reverse("account_login"))
    page.locator("input[name=login]").fill("ROOT@example.org")
    page.locator("input[name=password]").fill(PASSWORD)
    page.locator("form button[type=submit]").last.click()
    page.wait_for_url(lambda url: "/accounts/login" not in url)
    page.goto("/profile/")
    assert page.get_by_text("annotator-").is_visible()


def test_a_token_made_on_the_profile_page_is_shown_once_and_opens_the_api(live_site, open_as, make_user):
    page = open_as(make_user("ann"))
    page.goto("/profile/")
    page.locator("form[action$='/profile/tokens/'] input[name=name]").fill("my script")
    page.get_by_role("button", name="Make a token").click()
    token = page.locator("#new-token").inner_text()
    request = urllib.request.Request(live_site.url + "/api/me/", headers={"Authorization": f"Token {token}"})
    with urllib.request.urlopen(request) as answer:
        assert b'"username":"ann"' in answer.read()
    page.goto("/profile/")
    assert page.locator("#new-token").count() == 0
    assert page.get_by_text("my script").is_visible()


def test_the_api_docs_render_under_their_policy(live_site, open_as, make_user):
    page = open_as(make_user("ann"), color_scheme="dark")
    page.goto("/api/docs/")
    expect(page.locator("html")).to_have_class("dark-mode")
    expect(page.locator("body")).to_have_css("background-color", "rgb(28, 32, 34)")
    page.get_by_text("Who am I").first.wait_for()


def test_a_second_click_sends_nothing_while_the_first_is_on_its_way(cast, open_as):
    page = open_as(cast.admin)
    page.goto("/projects/new/")
    page.locator("#id_name").fill("Twice")
    prevented = page.get_by_role("button", name="Open the project").evaluate(
        """button => {
            const prevented = [];
            addEventListener("submit", (event) => prevented.push(event.defaultPrevented));
            button.click();
            button.click();
            return prevented;
        }"""
    )
    assert prevented == [False, True]
    page.wait_for_url("**/projects/twice/")

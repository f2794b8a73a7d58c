"""A session that ends while a page is open: sign in over the page and go on, on the real site."""

from __future__ import annotations

import time

from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, generate_totp_secret, hotp_value
from playwright.sync_api import expect

from tests.conftest import PASSWORD


def signed_out(open_as, user):
    """(page, dialog) of somebody whose session ended on a page that would go on once they are back."""
    page = open_as(user)
    page.goto("/accounts/password/change/")
    page.context.clear_cookies()
    page.evaluate(
        """() => document.dispatchEvent(new CustomEvent("app:signed-out", {
            detail: {retry: () => { document.title = "went on"; }},
        }))"""
    )
    dialog = page.locator("dialog[open]")
    return page, dialog


def test_it_signs_in_over_the_page_and_the_page_works_on(open_as, make_user):
    user = make_user("ann")
    page, dialog = signed_out(open_as, user)
    expect(dialog).to_contain_text("Please sign in again")
    dialog.get_by_label("Password").fill("not the password")
    dialog.get_by_role("button", name="Sign in and go on").click()
    expect(dialog.get_by_role("alert")).to_contain_text("not correct", ignore_case=True)
    dialog.get_by_label("Password").fill(PASSWORD)
    dialog.get_by_role("button", name="Sign in and go on").click()
    expect(dialog).to_have_count(0)
    expect(page).to_have_title("went on")
    # The token of the new session is in the page: its form can be sent.
    page.get_by_label("Current Password").fill(PASSWORD)
    page.locator("input[name=password1]").fill("another good phrase 9")
    page.locator("input[name=password2]").fill("another good phrase 9")
    page.get_by_role("button", name="Change password").click()
    expect(page.locator(".notice-success")).to_be_visible()


def test_the_code_of_two_factor_sign_in_is_asked_for_over_the_page_too(open_as, make_user):
    user = make_user("ann")
    secret = generate_totp_secret()
    TOTP.activate(user, secret)
    page, dialog = signed_out(open_as, user)
    dialog.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    code = dialog.get_by_label("Code of your authenticator app")
    expect(code).to_be_focused()
    page.keyboard.type("not it")
    page.keyboard.press("Enter")
    expect(dialog.get_by_role("alert")).to_contain_text("ncorrect code")
    # The counter of the standard: half minutes since 1970.
    code.fill(format_hotp_value(hotp_value(secret, int(time.time()) // 30)))
    page.keyboard.press("Enter")
    expect(dialog).to_have_count(0)
    expect(page).to_have_title("went on")
    page.goto("/accounts/2fa/")
    assert "login" not in page.url


def test_where_the_form_to_sign_in_cannot_be_had_the_page_says_what_to_do(open_as, make_user):
    page = open_as(make_user("ann"))
    page.goto("/accounts/password/change/")
    page.route("**/sign_in*.js", lambda route: route.abort())
    page.evaluate("() => document.dispatchEvent(new CustomEvent('app:signed-out'))")
    expect(page.locator(".toast")).to_contain_text("Sign in in another tab, then go on here")


def test_the_theme_is_kept_without_a_flash(open_as, make_user):
    page = open_as(make_user("ann"))
    page.goto("/accounts/password/change/")
    toggle = page.get_by_role("button", name="Colour theme")
    toggle.click()
    toggle.click()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.reload(wait_until="commit")
    # Set by the blocking script in the head, before the body exists.
    page.wait_for_selector("html[data-theme=dark]", state="attached")
    expect(page.locator("body")).to_have_css("background-color", "rgb(14, 17, 22)")


def test_the_square_of_two_factor_sign_in_is_dark_on_white_in_the_dark_too(open_as, make_user):
    page = open_as(make_user("ann"), color_scheme="dark")
    page.goto("/accounts/2fa/totp/activate/")
    if page.get_by_label("Password").count():
        page.get_by_label("Password").fill(PASSWORD)
        page.keyboard.press("Enter")
    square = page.locator("img.qr")
    expect(square).to_be_visible()
    expect(square).to_have_css("background-color", "rgb(255, 255, 255)")


def test_the_page_one_is_on_shows_in_the_strip_of_a_phone(cast, open_as):
    page = open_as(cast.lead, viewport={"width": 390, "height": 844})
    page.goto(f"/projects/{cast.project.slug}/datasets/")
    expect(page.locator(".sidenav [aria-current]")).to_be_in_viewport(ratio=1)

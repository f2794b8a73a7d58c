"""People: unique whatever the case, pseudonyms unrelated to names, closed sign-up."""

import pytest
from django.db import IntegrityError
from django.test import Client
from django.urls import reverse

from annotate.accounts.models import User
from annotate.accounts.services import create_user
from annotate.errors import Invalid

pytestmark = pytest.mark.django_db
PASSWORD = "correct horse battery staple"


def test_an_address_in_other_case_is_taken(make_user):
    make_user("ann", email="ann@example.org")
    with pytest.raises(Invalid) as caught:
        create_user(username="other", email="ANN@example.org", password=PASSWORD)
    assert caught.value.field == "email"


def test_the_database_refuses_an_address_in_other_case_too(make_user):
    make_user("ann", email="ann@example.org")
    with pytest.raises(IntegrityError):
        User.objects.create(username="other", email="Ann@Example.org")


def test_a_weak_password_is_refused_with_the_reason():
    with pytest.raises(Invalid) as caught:
        create_user(username="ann", email="ann@example.org", password="password1")
    assert caught.value.field == "password"
    assert "too common" in caught.value.message


def test_a_pseudonym_says_nothing_about_the_name(make_user):
    user = make_user("ann", display_name="Ann Smith")
    assert user.pseudonym.startswith("annotator-")
    assert "ann-" not in user.pseudonym.removeprefix("annotator-") and "smith" not in user.pseudonym


def test_sign_up_is_closed(client):
    before = User.objects.count()
    data = {"username": "eve", "email": "eve@example.org", "password1": PASSWORD, "password2": PASSWORD}
    client.post(reverse("account_signup"), data)
    assert User.objects.count() == before


@pytest.mark.parametrize("login", ["ann", "ANN", "ann@example.org", "Ann@Example.ORG"])
def test_one_signs_in_by_name_or_address_in_any_case(client, make_user, login):
    make_user("ann")
    response = client.post(reverse("account_login"), {"login": login, "password": PASSWORD})
    assert response.status_code == 302, response.content.decode()[-2000:]


def test_a_wrong_password_does_not_sign_in(client, make_user):
    make_user("ann")
    assert client.post(reverse("account_login"), {"login": "ann", "password": "wrong"}).status_code == 200
    assert client.get(reverse("profile")).status_code == 302


def test_a_profile_change_is_kept_and_a_wrong_time_zone_is_not(client, make_user):
    user = make_user("ann")
    client.force_login(user)
    data = {"display_name": "Ann S.", "timezone": "Europe/Berlin", "theme": "dark"}
    assert client.post(reverse("profile"), data).status_code == 302
    user.refresh_from_db()
    assert (user.name, user.timezone, user.preferences["theme"]) == ("Ann S.", "Europe/Berlin", "dark")
    assert client.post(reverse("profile"), {**data, "timezone": "Mars/North"}).status_code == 422
    user.refresh_from_db()
    assert user.timezone == "Europe/Berlin"


def test_a_reset_link_goes_to_the_address(client, make_user, mailoutbox):
    make_user("ann")
    client.post(reverse("account_reset_password"), {"email": "ann@example.org"})
    assert mailoutbox[0].to == ["ann@example.org"]
    assert "/accounts/password/reset/key/" in mailoutbox[0].body


def test_wrong_passwords_from_elsewhere_do_not_lock_the_owner_out(make_user, settings):
    settings.ACCOUNT_RATE_LIMITS = {"login_failed": "20/m/ip,5/300s/key"}
    make_user("ann")

    def sign_in(address: str, password: str):
        form = {"login": "ann", "password": password}
        return Client(REMOTE_ADDR=address).post(reverse("account_login"), form)

    for _ in range(5):
        assert sign_in("192.0.2.7", "a guess").status_code == 200
    locked = sign_in("192.0.2.7", PASSWORD)
    assert locked.status_code == 200 and b"Too many failed login attempts" in locked.content
    assert sign_in("198.51.100.3", PASSWORD).status_code == 302, "the owner, at home"


def test_the_profile_offers_every_time_zone_and_keeps_the_chosen_one(client, make_user):
    user = make_user("ann", timezone="Europe/Berlin")
    client.force_login(user)
    page = client.get(reverse("profile")).content.decode()
    assert '<option value="Europe/Berlin" selected>' in page
    assert '<option value="Asia/Tokyo">' in page
    form = {"display_name": "Ann", "timezone": "Asia/Tokyo", "theme": "dark"}
    assert client.post(reverse("profile"), form).status_code == 302
    user.refresh_from_db()
    assert user.timezone == "Asia/Tokyo"
    assert client.post(reverse("profile"), form | {"timezone": "Mars/Base"}).status_code == 422


@pytest.mark.parametrize("language", ["en", "de"])
def test_markup_in_the_words_of_a_form_is_markup(client, make_user, language):
    """The way to a new password and the rules of passwords are Django's own links and lists."""
    reset = reverse("account_reset_password")
    page = client.get(reverse("account_login"), headers={"accept-language": language}).text
    assert f'<a href="{reset}">' in page and "&lt;" not in page
    client.force_login(make_user("ann"))
    page = client.get(reverse("account_change_password"), headers={"accept-language": language}).text
    assert "<ul><li>" in page and "&lt;" not in page

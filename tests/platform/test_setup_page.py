"""The first administrator of a fresh site: for whoever holds the one-time link, and only once."""

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.urls import reverse

from annotate.accounts import setup_token
from annotate.accounts.models import User

PASSWORD = "correct horse battery staple"


def form(token: str) -> dict:
    return {
        "token": token,
        "username": "root",
        "email": "Root@Example.org",
        "password": PASSWORD,
        "password_again": PASSWORD,
    }


@pytest.fixture
def token():
    yield setup_token.ensure()
    setup_token.remove()


@pytest.mark.django_db
def test_the_link_makes_a_signed_in_superuser(client, token):
    response = client.post(reverse("setup"), form(token))
    assert response.status_code == 302
    user = User.objects.get()
    assert (user.is_superuser, user.is_staff, user.email) == (True, True, "root@example.org")
    assert client.get(reverse("profile")).status_code == 200


@pytest.mark.django_db
def test_a_wrong_token_makes_nobody(client, token):
    response = client.post(reverse("setup"), form("guess"))
    assert response.status_code == 422
    assert not User.objects.exists()


@pytest.mark.django_db
def test_an_empty_token_makes_nobody_even_when_no_link_was_printed(client):
    setup_token.remove()
    response = client.post(reverse("setup"), form(""))
    assert response.status_code == 422
    assert not User.objects.exists()


@pytest.mark.django_db
def test_the_page_is_gone_once_somebody_has_an_account(client, token, make_user):
    make_user("ann")
    assert client.get(reverse("setup"), {"token": token}).status_code == 404
    assert client.post(reverse("setup"), form(token)).status_code == 404
    assert User.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_the_token_works_once(client, token):
    client.post(reverse("setup"), form(token))
    assert setup_token.read() is None


@pytest.mark.django_db
def test_the_first_visitor_is_sent_to_set_up_and_later_ones_to_sign_in(client, make_user):
    assert client.get("/").url == reverse("setup")
    make_user("ann")
    assert client.get("/").url == reverse("account_login")


@pytest.mark.django_db
def test_the_command_prints_the_link_until_somebody_has_used_it(client, token, capsys, monkeypatch, settings):
    settings.SITE_URL = f"http://127.0.0.1:{settings.PORT}"
    call_command("setup_link", "--if-open")
    assert capsys.readouterr().out.strip().endswith(f"/setup/?token={token}")
    setup_token.note_address("http://127.0.0.1:8977")  # as the server does when it starts
    monkeypatch.delenv("PORT", raising=False)
    call_command("setup_link")
    assert capsys.readouterr().out.strip() == f"http://127.0.0.1:8977/setup/?token={token}"
    assert "manage.py setup_link" in client.get(reverse("setup")).content.decode()
    client.post(reverse("setup"), form(token))
    call_command("setup_link", "--if-open")  # each start of docker-compose.yml: nothing to say, nothing wrong
    assert capsys.readouterr().out == ""
    with pytest.raises(CommandError, match="accounts already"):
        call_command("setup_link")


def serve(capsys, monkeypatch, *arguments: str) -> str:
    """What `manage.py runserver` says before it serves."""
    monkeypatch.setattr("annotate.management.commands.runserver.uvicorn.run", lambda *_, **options: None)
    call_command("runserver", *arguments)
    return capsys.readouterr().out


@pytest.mark.django_db
def test_runserver_prints_the_link_until_somebody_has_an_account(capsys, monkeypatch, make_user):
    setup_token.remove()
    said = serve(capsys, monkeypatch, "0.0.0.0:8977")
    token = setup_token.read()
    assert token
    assert said.count(f"http://127.0.0.1:8977/setup/?token={token}\n") == 1
    assert f"http://[::1]:8977/setup/?token={token}\n" in serve(capsys, monkeypatch, "[::1]:8977")
    assert "token" not in serve(capsys, monkeypatch, "--noreload")  # under `up`, which says it itself
    make_user("ann")
    assert "Serving http://127.0.0.1:8977/" in (said := serve(capsys, monkeypatch, "127.0.0.1:8977"))
    assert "token" not in said
    setup_token.remove()


@pytest.mark.django_db
def test_runserver_before_the_first_migration_makes_no_link(capsys, monkeypatch):
    setup_token.remove()
    monkeypatch.setattr(connection.introspection, "table_names", lambda *_, **__: [])
    assert "token" not in serve(capsys, monkeypatch, "8977")
    assert setup_token.read() is None

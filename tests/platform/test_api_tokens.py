"""API tokens: named, shown once, hashed, revocable, and only one's own."""

import pytest
from django.urls import reverse
from rest_framework.test import APIClient

from annotate.accounts.models import ApiToken
from annotate.accounts.services import create_api_token, revoke_api_token
from annotate.errors import Invalid, NotFound

pytestmark = pytest.mark.django_db


def client_with(text: str) -> APIClient:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Token {text}")
    return client


def test_a_token_speaks_for_its_owner(make_user):
    _, text = create_api_token(user=make_user("ann"), name="script")
    assert client_with(text).get("/api/me/").json()["username"] == "ann"


def test_the_text_of_a_token_is_not_stored(make_user):
    _, text = create_api_token(user=make_user("ann"), name="script")
    assert text not in str(ApiToken.objects.values_list())


def test_a_revoked_token_opens_nothing(make_user):
    user = make_user("ann")
    token, text = create_api_token(user=user, name="script")
    revoke_api_token(user=user, digest=token.digest)
    assert client_with(text).get("/api/me/").status_code == 401


def test_nobody_revokes_the_token_of_another(make_user):
    token, text = create_api_token(user=make_user("ann"), name="script")
    with pytest.raises(NotFound):
        revoke_api_token(user=make_user("ben"), digest=token.digest)
    assert client_with(text).get("/api/me/").status_code == 200


def test_the_token_of_a_disabled_person_opens_nothing(make_user):
    user = make_user("ann")
    _, text = create_api_token(user=user, name="script")
    user.is_active = False
    user.save()
    assert client_with(text).get("/api/me/").status_code == 401


@pytest.mark.parametrize(
    ("fields", "field"), [({"name": "  "}, "name"), ({"expires_in_days": 0}, "expires_in_days")]
)
def test_nonsense_is_refused_with_the_field(make_user, fields, field):
    with pytest.raises(Invalid) as caught:
        create_api_token(user=make_user("ann"), **{"name": "script", **fields})
    assert caught.value.field == field


def test_the_api_makes_lists_and_revokes_tokens(make_user, api_client_of):
    client = api_client_of(make_user("ann"))
    made = client.post("/api/tokens/", {"name": "second", "expires_in_days": 7})
    assert made.status_code == 201
    assert client_with(made.json()["token"]).get("/api/me/").status_code == 200
    assert {token["name"] for token in client.get("/api/tokens/").json()} == {"test", "second"}
    assert client.delete(f"/api/tokens/{made.json()['id']}/").status_code == 204
    assert client_with(made.json()["token"]).get("/api/me/").status_code == 401


def test_the_profile_page_shows_a_new_token_once(client, make_user):
    client.force_login(make_user("ann"))
    page = client.post(reverse("profile_create_token"), {"name": "script", "expires_in_days": "30"})
    text = page.context["new_token"]["text"]
    assert text in page.content.decode()
    assert text not in client.get(reverse("profile")).content.decode()

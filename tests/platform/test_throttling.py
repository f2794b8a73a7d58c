"""The API's limits answer 429 with the time to wait, and count per person."""

import pytest
from rest_framework.throttling import UserRateThrottle

pytestmark = pytest.mark.django_db


def test_too_many_requests_are_refused_and_told_when_to_come_back(monkeypatch, make_user, api_client_of):
    monkeypatch.setattr(UserRateThrottle, "THROTTLE_RATES", {"user": "2/min", "anon": "2/min"})
    client, other = api_client_of(make_user("ann")), api_client_of(make_user("ben"))
    assert [client.get("/api/me/").status_code for _ in range(3)] == [200, 200, 429]
    refused = client.get("/api/me/")
    assert refused.json()["error"]["code"] == "too_many_requests"
    assert 0 < int(refused["Retry-After"]) <= 60
    assert other.get("/api/me/").status_code == 200

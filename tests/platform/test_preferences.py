"""What a person sets for themselves: stored with them, checked, one at a time."""

from __future__ import annotations

import pytest

from annotate.accounts.preferences import change_preferences, preferences_of
from annotate.errors import Invalid

pytestmark = pytest.mark.django_db
URL = "/api/me/preferences/"


def test_each_has_a_default_and_what_is_unknown_falls_back_to_it(make_user):
    user = make_user("ann", preferences={"ranking_layout": "circle", "daily_goal": "many"})
    assert preferences_of(user) == {
        "theme": "system",
        "language": "browser",
        "ranking_layout": "side",
        "scroll_together": "no",
        "guideline_place": "beside",
        "daily_goal": None,
        "mail_decisions": "immediately",
        "mail_replies": "immediately",
        "mail_guidelines": "immediately",
        "mail_work": "daily",
        "mail_runs": "immediately",
        "mail_other": "daily",
        "follow_runs": "no",
    }


def test_two_windows_change_one_each_and_both_stay(make_user):
    user = make_user("ann")
    stale = type(user).objects.get(pk=user.pk)
    change_preferences(user=user, changes={"ranking_layout": "stacked"})
    change_preferences(user=stale, changes={"guideline_place": "over"})
    user.refresh_from_db()
    assert (preferences_of(user)["ranking_layout"], preferences_of(user)["guideline_place"]) == (
        "stacked",
        "over",
    )


@pytest.mark.parametrize(
    "changes",
    [{"ranking_layout": "circle"}, {"is_staff": True}, {"daily_goal": 0}, {"daily_goal": True},
     {"daily_goal": 1_001}, {"daily_goal": "5"}, {"scroll_together": None}, {"theme": ["dark"]}],
)  # fmt: skip
def test_what_cannot_be_is_refused_by_name_and_nothing_changes(make_user, changes):
    user = make_user("ann")
    with pytest.raises(Invalid) as refused:
        change_preferences(user=user, changes={"theme": "dark", **changes})
    assert refused.value.field == list(changes)[0]
    user.refresh_from_db()
    assert user.preferences == {}


def test_the_api_reads_and_changes_ones_own(make_user, api_client_of):
    user = make_user("ann")
    client = api_client_of(user)
    answer = client.patch(URL, {"ranking_layout": "stacked", "daily_goal": 40}, format="json")
    assert answer.status_code == 200
    assert client.get(URL).json()["daily_goal"] == 40
    assert client.patch(URL, {"ranking_layout": "no"}, format="json").status_code == 422
    assert client.patch(URL, ["x"], format="json").status_code == 422
    assert api_client_of(make_user("ben")).get(URL).json()["ranking_layout"] == "side"


def test_a_goal_is_set_on_the_profile_and_the_other_preferences_stay(make_user, client):
    user = make_user("ann", preferences={"ranking_layout": "stacked"})
    client.force_login(user)
    form = {"display_name": "Ann", "timezone": "UTC", "theme": "dark", "daily_goal": "25"}
    assert client.post("/profile/", form).status_code == 302
    user.refresh_from_db()
    assert user.preferences == {"ranking_layout": "stacked", "theme": "dark", "daily_goal": 25}
    assert client.post("/profile/", form | {"daily_goal": "0"}).status_code == 422

"""What a person sets for themselves and every device of theirs then knows: how pages look and behave."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import transaction

from annotate.accounts.models import User
from annotate.errors import Invalid
from annotate.words import _

HIGHEST_GOAL = 1_000  # pieces of work a day

MAIL_AT_ONCE = ("immediately", "daily", "never")
MAIL_DAILY = ("daily", "immediately", "never")

# Name -> what it may be. The first one is where nothing was chosen.
CHOICES: dict[str, tuple[str, ...]] = {
    "theme": ("system", "light", "dark"),
    "language": ("browser", *(code for code, _ in settings.LANGUAGES)),
    "ranking_layout": ("side", "stacked"),
    "scroll_together": ("no", "yes"),
    "guideline_place": ("beside", "over", "hidden"),
    # When notifications of each kind also come by e-mail (labeling.models.activity.MAIL_GROUPS).
    "mail_decisions": MAIL_AT_ONCE,
    "mail_replies": MAIL_AT_ONCE,
    "mail_guidelines": MAIL_AT_ONCE,
    "mail_work": MAIL_DAILY,
    "mail_runs": MAIL_AT_ONCE,
    "mail_other": MAIL_DAILY,
    "follow_runs": ("no", "yes"),  # admins: also of runs that somebody else launched
}
MAIL_NAMES = tuple(name for name in CHOICES if name.startswith("mail_"))
NAMES = (*CHOICES, "daily_goal")


def preferences_of(user) -> dict[str, Any]:
    """Every preference with its value; what was never set, or is no longer a choice, has its default."""
    stored = user.preferences
    values: dict[str, Any] = {
        name: stored[name] if stored.get(name) in choices else choices[0] for name, choices in CHOICES.items()
    }
    goal = stored.get("daily_goal")
    values["daily_goal"] = goal if isinstance(goal, int) and 0 < goal <= HIGHEST_GOAL else None
    return values


def language_of(user) -> str:
    """The language of what is written to somebody who is not asking now; the site's where none was chosen."""
    chosen = preferences_of(user)["language"]
    return settings.LANGUAGE_CODE if chosen == "browser" else chosen


@transaction.atomic
def change_preferences(*, user: User, changes: dict[str, Any]) -> User:
    """Set those named, keep the others. Raises Invalid with the name of what cannot be so."""
    for name, value in changes.items():
        _check(name, value)
    stored = User.objects.select_for_update().get(pk=user.pk)  # two tabs may each change one of them
    stored.preferences = {**stored.preferences, **changes}
    stored.save(update_fields=["preferences"])
    user.preferences = stored.preferences
    return user


def _check(name: str, value: Any) -> None:
    if name == "daily_goal":
        is_goal = isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= HIGHEST_GOAL
        if value is not None and not is_goal:
            raise Invalid(
                _("A whole number from 1 to %(most)s, or none.") % {"most": f"{HIGHEST_GOAL:,}"}, field=name
            )
    elif name not in CHOICES:
        raise Invalid(
            _("There is no such preference. Known: %(known)s.") % {"known": ", ".join(NAMES)}, field=name[:60]
        )
    elif value not in CHOICES[name]:
        raise Invalid(_("Choose one of %(known)s.") % {"known": ", ".join(CHOICES[name])}, field=name)

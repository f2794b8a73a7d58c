"""Notifications by e-mail, as each person wants them: at once, once a day, never. Sent by the worker's sweep.

1. What is due for one person is claimed by a conditional UPDATE under a claim of its own, so that of two
   sweeps one has each line.
2. One mail is sent with the claimed lines, outside any transaction.
3. The lines are marked as sent.

A process killed between 1 and 2 loses nothing: claims of the dead wait again after some minutes. Killed
between 2 and 3 it doubles that one mail and no other.
"""

from __future__ import annotations

import time
import uuid
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import structlog
from django.conf import settings
from django.core import signing
from django.core.mail import EmailMultiAlternatives
from django.db import transaction
from django.db.models import F
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext, ngettext, override

from annotate.accounts.models import User
from annotate.accounts.preferences import MAIL_NAMES, change_preferences, language_of, preferences_of
from annotate.errors import NotFound
from labeling.models import MailStatus, Notification
from labeling.models.activity import mail_group

log = structlog.get_logger(__name__)
MORNING = 8  # o'clock, where the person is
BETWEEN_MAILS = timedelta(minutes=10)  # of those that come at once
CLAIM_DIES_AFTER = timedelta(minutes=5)
RETRY_AFTER = (1, 5, 15, 60, 240, 720, 1440)  # minutes; two days in all
LINES_PER_MAIL = 50
SECONDS_PER_SWEEP = 20.0
SALT = "labeling.mail"


def send_due() -> int:
    """Send what is due now; how many mails were sent."""
    now, until, sent = timezone.now(), time.monotonic() + SECONDS_PER_SWEEP, 0
    _revive(now)
    waiting = Notification.objects.filter(mail_status=MailStatus.WAITING)
    for user in User.objects.filter(pk__in=waiting.values("user")).order_by("pk"):
        if time.monotonic() > until:
            break
        sent += _send_to(user, now)
    return sent


def _revive(now: datetime) -> None:
    """Lines whose sender died wait again."""
    Notification.objects.filter(
        mail_status=MailStatus.CLAIMED, mail_claimed_at__lt=now - CLAIM_DIES_AFTER
    ).update(mail_status=MailStatus.WAITING, mail_claim=None)


def _send_to(user: User, now: datetime) -> bool:
    claim = uuid.uuid4()
    lines = _claim(user, claim, now)
    if not lines:
        return False
    claimed = Notification.objects.filter(mail_claim=claim, mail_status=MailStatus.CLAIMED)
    try:
        _mail(user, lines).send()
    except Exception as error:  # noqa: BLE001 - whatever a mail backend raises: tried again later, and logged
        log.warning("mail_failed", user=user.pk, error=str(error)[:300])
        _put_back(claimed, lines, now)
        return False
    claimed.update(mail_status=MailStatus.SENT, mailed_at=timezone.now())
    return True


@transaction.atomic
def _claim(user: User, claim: uuid.UUID, now: datetime) -> list[Notification]:
    """The lines of this person's next mail, now under the claim; [] where none is due."""
    mine = Notification.objects.filter(user=user, mail_status=MailStatus.WAITING)
    if not user.is_active or not user.email:
        mine.update(mail_status=MailStatus.NONE)
        return []
    wanted = preferences_of(user)
    at_once, morning = _may_send_at_once(user, now), last_morning(user, now)
    unwanted, due = [], []
    for line in mine.order_by("pk")[:1000]:
        when = wanted[mail_group(line.kind)]
        if when == "never" or line.read_at is not None:
            unwanted.append(line.pk)
        elif line.mail_after is not None and line.mail_after > now:
            continue
        elif at_once if when == "immediately" else line.created_at < morning:
            due.append(line.pk)
    mine.filter(pk__in=unwanted).update(mail_status=MailStatus.NONE)
    due = due[:LINES_PER_MAIL]
    if not due or not mine.filter(pk__in=due).update(
        mail_status=MailStatus.CLAIMED, mail_claim=claim, mail_claimed_at=now
    ):
        return []
    won = Notification.objects.filter(mail_claim=claim).select_related("project")
    return list(won.order_by("pk"))


def _may_send_at_once(user: User, now: datetime) -> bool:
    return not Notification.objects.filter(user=user, mailed_at__gt=now - BETWEEN_MAILS).exists()


def last_morning(user: User, now: datetime) -> datetime:
    """The newest eight o'clock in the person's time zone that is not in the future."""
    here = now.astimezone(ZoneInfo(user.timezone))
    morning = here.replace(hour=MORNING, minute=0, second=0, microsecond=0)
    return morning if morning <= here else morning - timedelta(days=1)


def _put_back(claimed, lines: list[Notification], now: datetime) -> None:
    tries = max(line.mail_tries for line in lines)
    if tries >= len(RETRY_AFTER):
        claimed.update(mail_status=MailStatus.FAILED)
        return
    claimed.update(
        mail_status=MailStatus.WAITING,
        mail_claim=None,
        mail_tries=F("mail_tries") + 1,
        mail_after=now + timedelta(minutes=RETRY_AFTER[tries]),
    )


# --- The mail itself --------------------------------------------------------------------------------------
def _mail(user: User, lines: list[Notification]) -> EmailMultiAlternatives:
    with override(language_of(user)):
        return _mail_in_their_language(user, lines)


def _mail_in_their_language(user: User, lines: list[Notification]) -> EmailMultiAlternatives:
    """Plain text and simple HTML, without images or anything else that would tell when it is opened."""
    stop = settings.SITE_URL + reverse("labeling:mail_unsubscribe", args=[unsubscribe_token(user)])
    profile = settings.SITE_URL + reverse("profile") + "#mail"
    zone = ZoneInfo(user.timezone)
    items = [
        {
            "text": " ".join(line.text.split()),
            "project": line.project.name if line.project is not None else "",
            "at": line.created_at.astimezone(zone).strftime("%Y-%m-%d %H:%M"),
            "url": settings.SITE_URL + reverse("labeling:notification_open", args=[line.pk])
            if line.path
            else "",
        }
        for line in lines
    ]
    mail = EmailMultiAlternatives(
        subject=_subject(items),
        body=_plain(user, items, profile),
        to=[user.email],
        headers={
            "List-Unsubscribe": f"<{stop}>",
            "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
            "Auto-Submitted": "auto-generated",
        },
    )
    context = {"user": user, "items": items, "profile": profile, "subject": _subject(items)}
    mail.attach_alternative(render_to_string("mail/notifications.html", context), "text/html")
    return mail


def _subject(items: list[dict[str, str]]) -> str:
    if len(items) == 1:
        return items[0]["text"][:120]
    return ngettext("%(n)s notification", "%(n)s notifications", len(items)) % {"n": len(items)}


def _plain(user: User, items: list[dict[str, str]], profile: str) -> str:
    blocks = [
        "\n".join(part for part in (item["text"], f"{item['at']} ({user.timezone})", item["url"]) if part)
        for item in items
    ]
    hello = gettext("Hello %(name)s,") % {"name": user.name}
    end = f"--\n{gettext('Which of these come by e-mail, and when')}: {profile}"
    return "\n\n".join([hello, *blocks, end]) + "\n"


# --- Stopping them ----------------------------------------------------------------------------------------
def unsubscribe_token(user: User) -> str:
    return signing.dumps(user.pk, salt=SALT)


def find_subscriber(token: str) -> User:
    """Whose mails the link is about. Raises NotFound."""
    try:
        pk = signing.loads(token, salt=SALT)
    except signing.BadSignature as error:
        raise NotFound("This link is not complete.", hint="Choose on your profile page instead.") from error
    user = User.objects.filter(pk=pk).first()
    if user is None:
        raise NotFound("There is no such account any more.")
    return user


def unsubscribe(*, token: str) -> User:
    """No more mails of notifications, of any kind; they stay on the site."""
    return change_preferences(user=find_subscriber(token), changes=dict.fromkeys(MAIL_NAMES, "never"))

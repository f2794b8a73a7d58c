"""Erasing who somebody is: their account becomes a pseudonym that nobody can sign in with. What they did in
projects is labeling's part (labeling.services.erasure)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path

import structlog
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.contrib.admin.models import LogEntry
from django.contrib.sessions.models import Session
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from annotate.accounts.models import ApiToken, User
from annotate.errors import Gone
from annotate.words import _

log = structlog.get_logger(__name__)


def erased_address(user: User) -> str:
    """Takes the place of the e-mail address: unique, and of a domain that cannot exist (RFC 2606)."""
    return f"erased-{user.pk}@erased.invalid"


def names_of(user: User) -> list[str]:
    """All that this person is called by, without repeats, the longest first."""
    names = {user.email, user.display_name, user.get_full_name(), user.username}
    names |= {user.first_name, user.last_name}
    return sorted(
        {each.strip() for each in names} - {"", user.pseudonym}, key=lambda each: (-len(each), each)
    )


def renamed(text: str, names: Iterable[str], by: str) -> str:
    """The text with `by` in place of these names where they stand as words; addresses in any case."""
    for name in names:
        if "@" in name:  # jo.ann@example.com is another one than ann@example.com
            pattern = re.compile(rf"(?<![\w.+-]){re.escape(name)}(?![\w-]|\.\w)", re.IGNORECASE)
        else:
            pattern = re.compile(rf"(?<!\w){re.escape(name)}(?!\w)")
        text = pattern.sub(lambda _found: by, text)
    return text


def require_account(user: User) -> None:
    """Locks the person. Raises Gone where they were erased while their request was on its way."""
    stored = User.objects.select_for_update().only("erased_at").get(pk=user.pk)
    if stored.erased_at is not None:
        raise Gone(_("This account was erased."))


def erase_account(*, user: User) -> None:
    """Take away name, address, password, second factors, tokens, sessions, rights and settings, in the
    caller's transaction. The pseudonym stays, and is the user name from now on."""
    stored = User.objects.select_for_update().get(pk=user.pk)
    names, address = names_of(stored), stored.email
    ApiToken.objects.filter(user=stored).delete()
    Authenticator.objects.filter(user=stored).delete()
    EmailAddress.objects.filter(Q(user=stored) | Q(email__iexact=address)).delete()
    _end_sessions(stored, names)
    _rename_in_admin_log(stored, names)
    stored.groups.clear()
    stored.user_permissions.clear()
    is_taken = User.objects.exclude(pk=stored.pk).filter(username__iexact=stored.pseudonym).exists()
    stored.username = f"erased-{stored.pk}-{stored.pseudonym}" if is_taken else stored.pseudonym
    stored.email = erased_address(stored)
    stored.first_name = stored.last_name = stored.display_name = ""
    stored.is_active = stored.is_staff = stored.is_superuser = False
    stored.preferences, stored.timezone, stored.last_login = {}, "UTC", None
    stored.erased_at = timezone.now()
    stored.set_unusable_password()
    stored.save()
    for field in stored._meta.concrete_fields:
        setattr(user, field.attname, getattr(stored, field.attname))
    transaction.on_commit(lambda: _remove_mails_to(address))
    log.info("account_erased", user=user.pk)


def _end_sessions(user: User, names: list[str]) -> None:
    """Theirs, those in which somebody is just signing in as them, and those that are over."""
    Session.objects.filter(expire_date__lte=timezone.now()).delete()
    ended = []
    for session in Session.objects.iterator():
        held = session.get_decoded()
        text = json.dumps(held, ensure_ascii=False, default=str)
        if held.get("_auth_user_id") == str(user.pk) or renamed(text, names, "") != text:
            ended.append(session.pk)
    Session.objects.filter(pk__in=ended).delete()


def _rename_in_admin_log(user: User, names: list[str]) -> None:
    found = Q()
    for name in names:
        found |= Q(object_repr__icontains=name) | Q(change_message__icontains=name)
    for entry in LogEntry.objects.filter(found):
        entry.object_repr = renamed(entry.object_repr, names, user.pseudonym)[:200]
        entry.change_message = renamed(entry.change_message, names, user.pseudonym)
        entry.save(update_fields=["object_repr", "change_message"])


def _remove_mails_to(address: str) -> None:
    """From the folder where mails lie on a site without a mail server."""
    folder = getattr(settings, "EMAIL_FILE_PATH", None)
    if folder is None or not Path(folder).is_dir():
        return
    for path in Path(folder).iterdir():
        text = path.read_bytes().decode(errors="replace") if path.is_file() else ""
        if renamed(text, [address], "") != text:
            path.unlink(missing_ok=True)

"""Everything that changes a person's account. Memberships and invitations live in labeling."""

from __future__ import annotations

import hashlib
import hmac
from datetime import timedelta

import structlog
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from annotate.accounts import setup_token
from annotate.accounts.erasure import require_account
from annotate.accounts.models import ApiToken, User
from annotate.accounts.preferences import change_preferences
from annotate.errors import Conflict, Forbidden, Invalid, NotFound, from_django_validation
from annotate.names import check_name
from annotate.words import _

log = structlog.get_logger(__name__)
MAX_TOKENS = 50
LONGEST_TOKEN_DAYS = 3650


@transaction.atomic
def create_user(
    *,
    username: str,
    email: str,
    password: str | None,
    display_name: str = "",
    is_staff: bool = False,
    is_superuser: bool = False,
) -> User:
    """A new person. `password=None` makes an account that can only sign in after a password reset.

    Raises Invalid for a bad or taken name, address or password, naming the field.
    """
    user = User(
        username=username.strip(),
        email=email.strip().lower(),
        display_name=check_name(display_name, "display_name"),
        is_staff=is_staff,
        is_superuser=is_superuser,
    )
    if password is None:
        user.set_unusable_password()
    else:
        try:
            validate_password(password, user)
        except ValidationError as error:
            raise Invalid(" ".join(error.messages), field="password") from error
        user.set_password(password)
    _check(user)
    try:
        with transaction.atomic():
            user.save()
    except IntegrityError as error:  # somebody took the name between the check and the write
        raise Conflict("This user name or e-mail address is taken.", field="username") from error
    return user


def _check(user: User) -> None:
    """Model validation, with the two uniqueness constraints reported on their fields."""
    try:
        user.full_clean(exclude=["password"], validate_constraints=False)
    except ValidationError as error:
        raise from_django_validation(error) from error
    others = User.objects.exclude(pk=user.pk)
    if others.filter(email__iexact=user.email).exists():
        raise Invalid("This e-mail address is taken.", field="email", code="taken")
    if others.filter(username__iexact=user.username).exists():
        raise Invalid("This user name is taken.", field="username", code="taken")


def is_setup_open() -> bool:
    """True while nobody can sign in yet, which is when the first administrator may be made."""
    return not User.objects.exists()


@transaction.atomic
def create_first_admin(*, token: str, username: str, email: str, password: str) -> User:
    """The administrator of a fresh site, for whoever holds the one-time token from the terminal."""
    if not is_setup_open():
        raise NotFound("This site is set up already.")
    expected = setup_token.read()
    if not expected or not hmac.compare_digest(_digest(token), _digest(expected)):
        raise Forbidden(
            "This set-up link is not the one of this site.",
            code="bad_setup_token",
            hint="Take the newest link from the terminal `./dev run` was started in.",
        )
    user = create_user(username=username, email=email, password=password, is_staff=True, is_superuser=True)
    transaction.on_commit(setup_token.remove)
    log.info("first_admin_created", user=user.pk)
    return user


def _digest(token: str) -> bytes:
    """Fixed length, so that comparing tells nothing, whatever characters were sent."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


@transaction.atomic
def update_profile(
    *,
    user: User,
    display_name: str,
    timezone: str,
    theme: str,
    language: str = "",
    daily_goal: int | None = None,
) -> User:
    """Change what the person may change about themselves."""
    require_account(user)
    changes = {"theme": theme, "daily_goal": daily_goal, **({"language": language} if language else {})}
    change_preferences(user=user, changes=changes)
    user.display_name = check_name(display_name, "display_name")
    user.timezone = timezone
    try:
        user.full_clean(exclude=["password", "username", "email"], validate_constraints=False)
    except ValidationError as error:
        raise from_django_validation(error) from error
    user.save(update_fields=["display_name", "timezone"])
    return user


@transaction.atomic
def create_api_token(*, user: User, name: str, expires_in_days: int | None = 365) -> tuple[ApiToken, str]:
    """A new token and its text, which is not kept and cannot be shown again. None never expires."""
    name = check_name(name)
    if not name:
        raise Invalid("Give the token a name, such as the program that will use it.", field="name")
    if len(name) > 80:
        raise Invalid("At most 80 characters.", field="name")
    if expires_in_days is not None and not 1 <= expires_in_days <= LONGEST_TOKEN_DAYS:
        raise Invalid(
            _("Between 1 and %(most)s days.") % {"most": LONGEST_TOKEN_DAYS}, field="expires_in_days"
        )
    require_account(user)  # locked: two tabs may not both take the last place
    if ApiToken.objects.filter(user=user).count() >= MAX_TOKENS:
        raise Conflict(
            _("You have %(most)s tokens already.") % {"most": MAX_TOKENS},
            hint="Revoke one you no longer use.",
        )
    expiry = None if expires_in_days is None else timedelta(days=expires_in_days)
    token, text = ApiToken.objects.create(user=user, expiry=expiry, name=name)
    log.info("api_token_created", user=user.pk, token_key=token.token_key[:6])
    return token, text


def revoke_api_token(*, user: User, digest: str) -> None:
    """Make one of the person's own tokens useless at once."""
    deleted, _ = ApiToken.objects.filter(user=user, digest=digest).delete()
    if not deleted:
        raise NotFound("You have no such token.", hint="It may have been revoked already.")
    log.info("api_token_revoked", user=user.pk)

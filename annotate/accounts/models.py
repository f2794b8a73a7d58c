"""People who sign in, and the tokens their programs use."""

from __future__ import annotations

import functools
import secrets
from zoneinfo import available_timezones

from django.contrib.auth.models import AbstractUser
from django.contrib.auth.models import UserManager as DjangoUserManager
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models.functions import Lower
from django.utils import timezone
from knox.models import AbstractAuthToken

from annotate.words import _

# No letters that look like digits, so that a pseudonym can be read out on the phone.
PSEUDONYM_ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"


def make_pseudonym() -> str:
    """A random name such as "annotator-7f3k2q": never derived from the person's own."""
    return "annotator-" + "".join(secrets.choice(PSEUDONYM_ALPHABET) for _ in range(6))


@functools.cache
def timezone_names() -> tuple[str, ...]:
    """Sorted. Read once from the disk, where they are hundreds of files."""
    return tuple(sorted(available_timezones()))


def validate_timezone(name: str) -> None:
    if name not in timezone_names():
        raise ValidationError(_("Not a known time zone. Write it as Europe/Berlin or UTC."))


class UserManager(DjangoUserManager["User"]):
    def get_by_natural_key(self, username: str | None) -> User:
        """Signing in does not depend on upper and lower case, as uniqueness does not either."""
        return self.get(username__iexact=username)


class User(AbstractUser):  # type: ignore[django-manager-missing]  # knox names its reverse side itself
    """A person. Datasets and checkpoints name them by `pseudonym` only."""

    email = models.EmailField("e-mail address", max_length=254)
    display_name = models.CharField(
        max_length=100, blank=True, help_text="What colleagues see. Your user name where empty."
    )
    pseudonym = models.CharField(max_length=40, unique=True, default=make_pseudonym, editable=False)
    timezone = models.CharField(max_length=64, default="UTC", validators=[validate_timezone])
    preferences = models.JSONField(
        default=dict, blank=True, help_text='Small settings of the pages: {"theme": "dark"}.'
    )
    # Who this was is erased (services.erase_account); what they did stays, under the pseudonym.
    erased_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = UserManager()  # type: ignore[misc]

    class Meta(AbstractUser.Meta):
        constraints = [
            models.UniqueConstraint(
                Lower("email"),
                name="user_email_unique",
                violation_error_message="This e-mail address is taken.",
            ),
            models.UniqueConstraint(
                Lower("username"),
                name="user_username_unique",
                violation_error_message="This user name is taken.",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def name(self) -> str:
        """What to call this person on a page."""
        return self.display_name or self.get_full_name() or self.username

    def clean(self) -> None:
        super().clean()
        self.email = self.email.lower()


class ApiToken(AbstractAuthToken):
    """A named token; only its hash is stored, so that it can be shown once and never again."""

    name = models.CharField(max_length=80, help_text="What it is for, so that you know which one to revoke.")

    class Meta:
        ordering = ["-created"]
        verbose_name = "API token"

    def __str__(self) -> str:
        return f"{self.name} ({self.token_key[:6]}…)"

    @property
    def is_expired(self) -> bool:
        return self.expiry is not None and self.expiry <= timezone.now()

"""What views receive, for type checkers."""

from __future__ import annotations

from django.http import HttpRequest
from django_htmx.middleware import HtmxDetails

from .models import User


class SignedInRequest(HttpRequest):
    """A request behind the sign-in and htmx middleware."""

    user: User
    htmx: HtmxDetails

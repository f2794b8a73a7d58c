"""Every route of the site with its policy, read from the URL configuration."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.urls import URLResolver, get_resolver

from labeling.permissions import Action

PUBLIC, SIGNED_IN = "public", "signed in"

# Routes of the site itself and of allauth carry no mark of ours: they are named here, one by one.
SITE_ROUTES = {
    "home": PUBLIC,
    "healthz": PUBLIC,
    "readyz": PUBLIC,
    "design": PUBLIC,
    "setup": PUBLIC,
    "words": PUBLIC,  # what scripts say in a language
    "profile": SIGNED_IN,
    "profile_mail": SIGNED_IN,
    "profile_create_token": SIGNED_IN,
    "profile_revoke_token": SIGNED_IN,
    "api_schema": SIGNED_IN,
    "api_docs": SIGNED_IN,
    "api_me": SIGNED_IN,
    "api_preferences": SIGNED_IN,
    "api_tokens": SIGNED_IN,
    "api_token": SIGNED_IN,
    "account_login": PUBLIC,
    "account_logout": PUBLIC,
    "account_inactive": PUBLIC,
    "account_signup": PUBLIC,  # says that sign-up is closed
    "account_reauthenticate": SIGNED_IN,
    "account_email": SIGNED_IN,
    "account_email_verification_sent": PUBLIC,
    "account_change_password": SIGNED_IN,
    "account_set_password": SIGNED_IN,
    "account_reset_password": PUBLIC,
    "account_confirm_login_code": PUBLIC,
    "account_confirm_email": PUBLIC,
    "account_reset_password_from_key": PUBLIC,
    "account_reset_password_from_key_done": PUBLIC,
    "account_reset_password_done": PUBLIC,
    "mfa_index": SIGNED_IN,
    "mfa_authenticate": PUBLIC,  # second step of signing in
    "mfa_reauthenticate": SIGNED_IN,
    "mfa_activate_totp": SIGNED_IN,
    "mfa_deactivate_totp": SIGNED_IN,
    "mfa_view_recovery_codes": SIGNED_IN,
    "mfa_generate_recovery_codes": SIGNED_IN,
    "mfa_download_recovery_codes": SIGNED_IN,
}
CATCH_ALL = "api/"  # answers 404 in the error shape


@dataclass(frozen=True)
class Route:
    path: str  # as in the URL configuration
    name: str
    policies: tuple[tuple[str, Any], ...]  # (HTTP method, Action | PUBLIC | SIGNED_IN | None)

    @property
    def is_api(self) -> bool:
        return self.path.startswith("api/")

    @property
    def is_of_a_project(self) -> bool:
        return "<slug:slug>" in self.path

    @property
    def parameters(self) -> list[str]:
        return re.findall(r"<(?:\w+:)?(\w+)>", self.path)

    def url(self, values: dict[str, Any]) -> str:
        return "/" + re.sub(r"<(?:\w+:)?(\w+)>", lambda match: str(values[match[1]]), self.path)


def all_routes() -> list[Route]:
    """Django's own admin apart, which has its own tests and asks for is_staff."""
    return [
        Route(_plain(path), name, tuple(_policies(name, pattern.callback)))
        for path, name, pattern in _walk(get_resolver())
        if not path.startswith("admin/") and path != CATCH_ALL
    ]


def _plain(path: str) -> str:
    """A regular expression's path in the form of the others: ^runs/(?P<pk>[0-9]+)/$ is runs/<pk>/."""
    return re.sub(r"\(\?P<(\w+)>[^)]*\)", r"<\1>", path).replace("^", "").replace("$", "")


def _walk(resolver: URLResolver, prefix: str = "", namespace: str = ""):
    for pattern in resolver.url_patterns:
        path = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            inner = f"{pattern.namespace}:" if pattern.namespace else ""
            yield from _walk(pattern, path, namespace + inner)
        else:
            yield path, namespace + (pattern.name or ""), pattern


def _policies(name: str, callback) -> Iterator[tuple[str, Any]]:
    if name in SITE_ROUTES:
        yield "get", SITE_ROUTES[name]
        return
    view_class = getattr(callback, "cls", None)
    if view_class is None:
        policy = getattr(callback, "route_policy", None)
        for method in getattr(callback, "route_methods", ("get",)):
            yield method.lower(), policy
        return
    table = getattr(view_class, "policy", {})
    actions = getattr(callback, "actions", None)
    if actions is None:
        actions = {m: m for m in ("get", "post", "put", "patch", "delete") if hasattr(view_class, m)}
    for method, action in actions.items():
        yield method, table.get(action)


def is_policy(policy: Any) -> bool:
    return isinstance(policy, Action) or policy in (PUBLIC, SIGNED_IN)

"""What every request passes through: a request id and a log line, sign-in by default, errors translated."""

from __future__ import annotations

import re
import time
import uuid

import structlog
from csp.constants import HEADER
from csp.middleware import CSPMiddleware
from csp.utils import build_policy
from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.http import HttpRequest, HttpResponse
from django.utils.functional import SimpleLazyObject

from annotate.errors import Invalid, Unauthorized, respond, translate, wants_json
from annotate.quoted_rows import plain_cause

log = structlog.get_logger("annotate.request")
ACCEPTED_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
# What django-csp's decorators leave on an answer.
OWN_POLICY = {"_csp_config", "_csp_update", "_csp_replace", "_csp_exempt"}
QUIET_PATHS = ("/static/", "/healthz", "/readyz")


class RequestLogMiddleware:
    """Binds a request id to every log line, sends it back, and writes one line per request."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        given = request.headers.get("X-Request-ID", "")
        # A client's id goes into logs and headers: only a plain token is taken over.
        request.request_id = given if ACCEPTED_ID.fullmatch(given) else uuid.uuid4().hex  # type: ignore[attr-defined]
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request.request_id)  # type: ignore[attr-defined]
        started = time.perf_counter()
        response = self.get_response(request)
        milliseconds = round((time.perf_counter() - started) * 1000, 1)
        response["X-Request-ID"] = request.request_id  # type: ignore[attr-defined]
        if not request.path.startswith(QUIET_PATHS):
            response["Server-Timing"] = f"app;dur={milliseconds}"
            self._log(request, response, milliseconds)
        return response

    @staticmethod
    def _log(request: HttpRequest, response: HttpResponse, milliseconds: float) -> None:
        log.info(
            "request",
            method=request.method,
            path=request.path,  # without the query string: it may carry tokens
            status=response.status_code,
            ms=milliseconds,
            user=_known_user(request),
        )


def _known_user(request: HttpRequest) -> int | None:
    """Whoever asked, by session or token, if somebody has looked already: never a query just to log."""
    user = getattr(request, "user", None)
    if isinstance(user, SimpleLazyObject):
        user = getattr(request, "_cached_user", None)
    return getattr(user, "pk", None)


class ContentSecurityPolicyMiddleware(CSPMiddleware):
    """django-csp's, which writes the same policy anew for every answer. Here
    an answer that asks for nothing of its own gets the one written at the start.
    """

    def __init__(self, get_response):
        super().__init__(get_response)
        self._policy = build_policy()

    def process_response(self, request, response):
        if OWN_POLICY.isdisjoint(vars(response)) and getattr(request, "_csp_nonce", None) is None:
            response.headers.setdefault(HEADER, self._policy)
            return response
        return super().process_response(request, response)


class SignInRequiredMiddleware(LoginRequiredMiddleware):
    """Django's deny-by-default, which tells scripts 401 instead of redirecting them into a form."""

    def handle_no_permission(self, request, view_func):
        if wants_json(request) or getattr(request, "htmx", False):
            return respond(
                request,
                Unauthorized(
                    "You are signed out.",
                    code="signed_out",
                    hint="Sign in again; what you wrote is kept in your browser.",
                ),
            )
        return super().handle_no_permission(request, view_func)


class LengthMiddleware:
    """Under WSGI a body in chunks is not read: say so, rather than take it for an empty one."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.headers.get("Transfer-Encoding") and not request.headers.get("Content-Length"):
            error = Invalid(
                "The request does not say how long its body is.",
                code="length_required",
                status=411,
                hint="Send a Content-Length header.",
            )
            return respond(request, error)
        return self.get_response(request)


class DomainErrorMiddleware:
    """Innermost, so that it sees what views raise: turns DomainErrors into answers."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        error = translate(exception)
        if error is None:
            return None
        if error.status >= 500:
            log.warning("request_failed", code=error.code, cause=plain_cause(exception))
        return respond(request, error)

"""Errors that people can act on, and their one translation to JSON, to a toast and to a page.

Services raise a DomainError; nothing below the edges knows about HTTP. The API answers every error, also
those of DRF itself, in one shape:

    {"error": {"code", "message", "field", "hint", "details": [{"field", "row", "message"}], "request_id"}}
"""

from __future__ import annotations

import json
import sys
from typing import Any, ClassVar

import structlog
from django.conf import settings
from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation, ValidationError
from django.db import DataError, InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from django.utils.translation import gettext
from rest_framework import exceptions as drf
from rest_framework.response import Response

from .quoted_rows import plain_cause

TOO_LONG_TO_ASK = ("pattern too complex", "Expression tree is too large")  # what SQLite says of a question
NUMBER_OUT_OF_RANGE = "22003"  # PostgreSQL's code

log = structlog.get_logger(__name__)

RETRY_AFTER_SECONDS = 5
MAX_DETAILS = (
    200  # enough to work with; an import with a million bad rows must not answer with a million lines
)


def storable(text: Any) -> Any:
    """A text that an answer can hold: messages quote what came in, and half a surrogate pair has no bytes."""
    return text.encode("utf-8", "backslashreplace").decode() if isinstance(text, str) else text


def in_their_language(text: Any) -> Any:
    """A sentence in the language of the request at hand; as it is where the catalogue does not know it.

    Services write plain English sentences; the catalogue finds them in the calls of the classes below.
    """
    return gettext(str(text)) if text else text


class DomainError(Exception):
    """Something a person or a program asked for that cannot be done, said kindly.

    message: one sentence, what is wrong. hint: what to do about it. field: the input it is about.
    details: more than one place, each {"field", "row", "message"} (row is 1-based, either may be None), for a
    stretch of a text also its "start" and "end" and the "check" that found it.
    """

    default_code: ClassVar[str] = "invalid"
    default_status: ClassVar[int] = 400

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        field: str | None = None,
        hint: str | None = None,
        status: int | None = None,
        details: list[dict[str, Any]] | None = None,
    ) -> None:
        message = storable(str(message))
        super().__init__(message)  # in English, for logs
        self.message = in_their_language(message)
        self.code = code or self.default_code
        self.field = storable(field)
        self.hint = in_their_language(hint)
        self.status = status or self.default_status
        self.details = [
            {
                "field": storable(detail.get("field")),
                "row": detail.get("row"),
                "message": in_their_language(storable(str(detail.get("message", "")))),
                # Where in the field's text, in code points; left out where the whole field is meant.
                **{name: detail[name] for name in ("start", "end", "check") if name in detail},
            }
            for detail in (details or [])[:MAX_DETAILS]
        ]

    def as_dict(self, request_id: str | None = None) -> dict[str, Any]:
        return {
            "error": {
                "code": self.code,
                "message": self.message,
                "field": self.field,
                "hint": self.hint,
                "details": self.details,
                "request_id": request_id,
            }
        }


class Invalid(DomainError):
    """The input is wrong: field and details say where."""

    default_code, default_status = "invalid", 422


class Unauthorized(DomainError):
    """Nobody is signed in, or the token is not good."""

    default_code, default_status = "not_signed_in", 401


class Forbidden(DomainError):
    """This person may see the thing but not do this to it."""

    default_code, default_status = "forbidden", 403


class NotFound(DomainError):
    """There is no such thing, or this person may not know that there is."""

    default_code, default_status = "not_found", 404


class Conflict(DomainError):
    """Somebody or something was faster; look again."""

    default_code, default_status = "conflict", 409


class Gone(DomainError):
    """It was there and is not any more: an expired invitation, a closed task."""

    default_code, default_status = "gone", 410


class Throttled(DomainError):
    """Too many requests; `retry_after` seconds until the next may come."""

    default_code, default_status = "too_many_requests", 429


class Unavailable(DomainError):
    """Not now: the database or a service behind us does not answer. Trying again is right."""

    default_code, default_status = "unavailable", 503


# --- From any exception to a DomainError --------------------------------------------------------------------
def translate(error: BaseException) -> DomainError | None:
    """The DomainError that says the same as `error`, or None where it is a bug that should be seen as one."""
    match error:
        case DomainError():
            return error
        case OperationalError() if any(words in str(error) for words in TOO_LONG_TO_ASK):
            return Invalid("That is too long to be searched for.", code="search_too_long")
        case OperationalError() | InterfaceError():
            return Unavailable(
                "The database does not answer right now. Nothing was changed.",
                code="database_unavailable",
                hint="Try again in a few seconds; what you wrote is kept in your browser.",
            )
        case DataError() | OverflowError() if _is_too_large(error):
            return Invalid("A number is larger than any that is stored.", code="number_too_large")
        case Http404():
            return NotFound(_sentence(error, "There is nothing here, or you may not see it."))
        case PermissionDenied():
            return Forbidden(_sentence(error, "You may not do this."))
        case RequestDataTooBig():
            return DomainError(
                gettext("The request is larger than %(most)s MiB.")
                % {"most": f"{settings.DATA_UPLOAD_MAX_MEMORY_SIZE / 2**20:g}"},
                code="too_large",
                hint="Send it in parts, or import it as a file.",
                status=413,
            )
        case SuspiciousOperation():
            return DomainError("The request was refused because it is malformed.", code="bad_request")
        case ValidationError():
            return from_django_validation(error)
        case drf.APIException():
            return from_drf(error)
    return None


def _is_too_large(error: BaseException) -> bool:
    """What the drivers say of a number beyond their integers: SQLite's by an OverflowError of Python."""
    return "too large to convert to SQLite" in str(error) or (
        getattr(error.__cause__, "pgcode", None) == NUMBER_OUT_OF_RANGE
    )


def _sentence(error: BaseException, fallback: str) -> str:
    text = str(error.args[0]) if error.args and isinstance(error.args[0], str) else ""
    # Django's own 404s name models and query internals ("No Task matches the given query.").
    return fallback if not text or "matches the given query" in text else text


def from_django_validation(error: ValidationError) -> Invalid:
    """Model and form validation errors, one detail a field and message."""
    if hasattr(error, "error_dict"):
        details = [
            {"field": None if field == "__all__" else field, "row": None, "message": message}
            for field, messages in error.message_dict.items()
            for message in messages
        ]
    else:
        details = [{"field": None, "row": None, "message": message} for message in error.messages]
    return _invalid_from(details)


def _invalid_from(details: list[dict[str, Any]]) -> Invalid:
    first = details[0] if details else {"field": None, "message": gettext("The input is not valid.")}
    message = (
        first["message"]
        if len(details) <= 1
        else gettext("%(count)s fields need attention.") % {"count": len(details)}
    )
    return Invalid(str(message), field=first["field"], details=details)


def from_drf(error: drf.APIException) -> DomainError:
    """DRF's exceptions in our words; a ValidationError keeps every field, nested ones as a.b or items.3.b."""
    match error:
        case drf.ValidationError():
            return _invalid_from(list(_flatten(error.detail)))
        case drf.ParseError():
            return DomainError(str(error.detail), code="malformed_request", hint="Send valid JSON.")
        case drf.NotAuthenticated() | drf.AuthenticationFailed():
            return Unauthorized(
                str(error.detail),
                code="not_signed_in" if isinstance(error, drf.NotAuthenticated) else "bad_credentials",
                hint="Send `Authorization: Token …`; make a token on your profile page.",
            )
        case drf.PermissionDenied():
            return Forbidden(str(error.detail))
        case drf.NotFound():
            return NotFound(str(error.detail))
        case drf.Throttled():
            throttled = Throttled(str(error.detail), hint="Wait, then try again.")
            throttled.retry_after = error.wait  # type: ignore[attr-defined]
            return throttled
    return DomainError(str(error.detail), code=str(error.default_code), status=error.status_code)


def _flatten(detail: Any, path: str = "", row: int | None = None):
    """DRF's nested error structure as flat {"field", "row", "message"} entries.

    A list of objects (many=True) at the top gives rows, counted from 1.
    """
    if isinstance(detail, dict):
        for key, value in detail.items():
            if isinstance(key, int) and not path:  # DRF numbers the bad objects of a list, from 0
                yield from _flatten(value, path, key + 1)
                continue
            part = "" if key == "non_field_errors" else str(key)
            yield from _flatten(value, ".".join(filter(None, [path, part])), row)
    elif isinstance(detail, list):
        for index, value in enumerate(detail):
            if isinstance(value, dict | list):
                inner_row = index + 1 if not path else row
                inner_path = path if not path else f"{path}.{index}"
                yield from _flatten(value, inner_path, inner_row)
            else:
                yield {"field": path or None, "row": row, "message": str(value)}
    else:
        yield {"field": path or None, "row": row, "message": str(detail)}


# --- Answers ------------------------------------------------------------------------------------------------
def request_id_of(request: Any) -> str | None:
    return getattr(request, "request_id", None)


def wants_json(request: HttpRequest) -> bool:
    return request.path.startswith("/api/") or (
        "application/json" in request.headers.get("Accept", "")
        and "text/html" not in request.headers.get("Accept", "")
    )


def respond(request: HttpRequest, error: DomainError) -> HttpResponse:
    """The answer to a request that ended in `error`: JSON, an htmx fragment with a toast, or a page."""
    if wants_json(request):
        response: HttpResponse = JsonResponse(error.as_dict(request_id_of(request)), status=error.status)
    elif getattr(request, "htmx", False):
        response = _htmx_response(request, error)
    else:
        response = _page_response(request, error)
    return _with_headers(response, error)


def _with_headers(response: Any, error: DomainError) -> Any:
    if error.status == 503:
        response["Retry-After"] = str(RETRY_AFTER_SECONDS)
    wait = getattr(error, "retry_after", None)
    if wait is not None:
        response["Retry-After"] = str(max(1, round(wait)))
    if error.status == 401:
        response["WWW-Authenticate"] = "Token"
    return response


def _context(request: HttpRequest, error: DomainError) -> dict[str, Any]:
    return {"error": error, "status": error.status, "request_id": request_id_of(request)}


def _htmx_response(request: HttpRequest, error: DomainError) -> HttpResponse:
    body = render_to_string("errors/_error.html", _context(request, error))
    response = HttpResponse(body, status=error.status)
    toast = {
        "level": "error",
        "message": error.message[:300],
        "hint": (error.hint or "")[:300],
        "code": error.code,
    }
    # json.dumps escapes to ASCII without line breaks, which is what a header may hold.
    response["HX-Trigger"] = json.dumps({"toast": toast})
    return response


def _page_response(request: HttpRequest, error: DomainError) -> HttpResponse:
    # Without the request: context processors would query the session, which may be what is broken.
    names = [f"errors/{error.status}.html", "errors/error.html", "errors/plain.html"]
    with_request = request if error.status != 503 else None
    return HttpResponse(render_to_string(names, _context(request, error), with_request), status=error.status)


def api_exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's EXCEPTION_HANDLER: every exception that is not a bug, in the one shape."""
    from rest_framework.views import set_rollback

    domain_error = translate(error)
    if domain_error is None:
        return None
    if not isinstance(error, OperationalError | InterfaceError):
        set_rollback()
    if domain_error.status >= 500:
        log.warning("request_failed", code=domain_error.code, cause=plain_cause(error))
    request = context.get("request")
    response = Response(domain_error.as_dict(request_id_of(request)), status=domain_error.status)
    return _with_headers(response, domain_error)


# --- Django's handlers (annotate.urls) ----------------------------------------------------------------------
def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return respond(
        request, translate(exception) or DomainError("The request is malformed.", code="bad_request")
    )


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    return respond(request, translate(exception) or Forbidden("You may not do this."))


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return respond(request, NotFound("There is nothing here, or you may not see it."))


def server_error(request: HttpRequest) -> HttpResponse:
    """A bug (500), or a database that is away while a middleware needed it (503)."""
    cause = sys.exc_info()[1]
    known = translate(cause) if cause is not None else None
    return respond(
        request,
        known
        or DomainError(
            "Something broke on our side. It was logged.",
            code="internal_error",
            hint="Try again; if it stays, tell an administrator the request id.",
            status=500,
        ),
    )


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    log.info("csrf_refused", reason=reason)
    return respond(
        request,
        Forbidden(
            "This form has become stale, so it was not accepted.",
            code="csrf_failed",
            hint="Reload the page and send it again. Cookies must be allowed.",
        ),
    )

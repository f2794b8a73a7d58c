"""The language of an answer: what the person chose on the profile, else what their browser asks for.

Programs get English unless `Accept-Language` asks for another one: an account's choice is for its pages.
"""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils import translation
from django.utils.cache import patch_vary_headers
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe
from django.views.i18n import JavaScriptCatalog

from annotate.accounts.preferences import preferences_of
from annotate.errors import NotFound

LANGUAGES = dict(settings.LANGUAGES)
WITHOUT_A_PERSON = ("/api/", "/static/", "/healthz", "/readyz", "/words/")


def language_of(request: HttpRequest) -> str:
    if not request.path.startswith(WITHOUT_A_PERSON) and settings.SESSION_COOKIE_NAME in request.COOKIES:
        user = getattr(request, "user", None)
        if user is not None and user.is_authenticated:
            chosen = preferences_of(user)["language"]
            if chosen in LANGUAGES:
                return chosen
    return translation.get_language_from_request(request)


class LanguageMiddleware:
    """Behind authentication, around everything that makes words."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        language = language_of(request)
        with translation.override(language):
            response = self.get_response(request)
        patch_vary_headers(response, ("Accept-Language",))
        response.headers.setdefault("Content-Language", language)
        return response


class _Words(JavaScriptCatalog):
    """Only what our own scripts say; Django's are about its admin."""

    domain = "djangojs"
    packages = None


@login_not_required
@require_safe
@cache_control(max_age=3600, public=True)
def words(request: HttpRequest, language: str) -> HttpResponseBase:
    """A language's words for the scripts, as a script: `gettext()` and `ngettext()`."""
    if language not in LANGUAGES:
        raise NotFound("There are no words in this language.")
    with translation.override(language):
        return _Words.as_view()(request)

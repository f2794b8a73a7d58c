"""The link in each mail that stops them; it works without signing in, as mail programs press it too."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from labeling.access import public_route
from labeling.services import mailing


@csrf_exempt  # RFC 8058: a mail program posts here without cookies; the signed token is the right to do so
@public_route
@require_http_methods(["GET", "HEAD", "POST"])
def unsubscribe(request: HttpRequest, token: str) -> HttpResponse:
    """GET asks (link scanners open links), POST does it."""
    if request.method == "POST":
        mailing.unsubscribe(token=token)
    else:
        mailing.find_subscriber(token)
    return render(request, "labeling/mail_unsubscribe.html", {"done": request.method == "POST"})

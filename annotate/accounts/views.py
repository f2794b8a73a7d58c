"""The profile page, API tokens, and the set-up page of a fresh site."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth import login
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from annotate.accounts import services
from annotate.accounts.forms import MailForm, ProfileForm, SetupForm, TokenForm
from annotate.accounts.models import ApiToken
from annotate.accounts.preferences import change_preferences, preferences_of
from annotate.accounts.requests import SignedInRequest
from annotate.errors import DomainError, NotFound
from annotate.forms import add_domain_error


def _profile_initial(user) -> dict[str, Any]:
    return {
        "display_name": user.display_name,
        "timezone": user.timezone,
        "theme": preferences_of(user)["theme"],
        "language": preferences_of(user)["language"],
        "daily_goal": preferences_of(user)["daily_goal"],
    }


def _render_profile(
    request: SignedInRequest, *, form=None, token_form=None, mail_form=None, new_token=None, status=200
) -> HttpResponse:
    context = {
        "form": form or ProfileForm(initial=_profile_initial(request.user)),
        "token_form": token_form or TokenForm(),
        "mail_form": mail_form or MailForm(initial=preferences_of(request.user)),
        "tokens": ApiToken.objects.filter(user=request.user),
        "new_token": new_token,
    }
    return render(request, "accounts/profile.html", context, status=status)


@never_cache
@require_http_methods(["GET", "POST"])
def profile(request: SignedInRequest) -> HttpResponse:
    if request.method == "GET":
        return _render_profile(request)
    form = ProfileForm(request.POST)
    if form.is_valid():
        try:
            services.update_profile(user=request.user, **form.cleaned_data)
        except DomainError as error:
            add_domain_error(form, error)
        else:
            messages.success(request, "Saved.")
            return redirect("profile")
    return _render_profile(request, form=form, status=422)


@never_cache
@require_POST
def mail(request: SignedInRequest) -> HttpResponse:
    """When notifications come by e-mail."""
    form = MailForm(request.POST)
    if not form.is_valid():
        return _render_profile(request, mail_form=form, status=422)
    change_preferences(user=request.user, changes=form.cleaned_data)
    messages.success(request, "Saved.")
    return redirect(f"{reverse('profile')}#mail")


@never_cache
@require_POST
def create_token(request: SignedInRequest) -> HttpResponse:
    """Answers with the page itself, not a redirect: the token is shown once and stored nowhere."""
    form = TokenForm(request.POST)
    if form.is_valid():
        try:
            token, text = services.create_api_token(user=request.user, **form.cleaned_data)
        except DomainError as error:
            add_domain_error(form, error)
        else:
            return _render_profile(request, new_token={"name": token.name, "text": text})
    return _render_profile(request, token_form=form, status=422)


@require_POST
def revoke_token(request: SignedInRequest, digest: str) -> HttpResponse:
    services.revoke_api_token(user=request.user, digest=digest)
    messages.success(request, "The token was revoked and works no more.")
    return redirect("profile")


@login_not_required
@never_cache
@sensitive_post_parameters("password", "password_again")
@require_http_methods(["GET", "POST"])
def setup(request: HttpRequest) -> HttpResponse:
    """The first administrator of a fresh site. Gone (404) as soon as anybody has an account."""
    if not services.is_setup_open():
        raise NotFound("This site is set up already.")
    token = request.GET.get("token", "") or request.POST.get("token", "")
    form = SetupForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        try:
            user = services.create_first_admin(
                token=token, username=data["username"], email=data["email"], password=data["password"]
            )
        except DomainError as error:
            add_domain_error(form, error)
        else:
            login(request, user, backend="allauth.account.auth_backends.AuthenticationBackend")
            return redirect("home")
    status = 422 if request.method == "POST" else 200
    return render(request, "accounts/setup.html", {"form": form, "token": token}, status=status)

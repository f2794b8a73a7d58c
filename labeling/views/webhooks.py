"""Webhooks: the list, one with its log of deliveries, its test button and its secret."""

from __future__ import annotations

from django import forms
from django.contrib import messages
from django.db.models import QuerySet
from django.forms.boundfield import BoundWidget
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.cache import never_cache

from annotate.errors import DomainError
from annotate.forms import add_domain_error
from annotate.words import _
from labeling import list_columns
from labeling.access import project_route
from labeling.list_pages import answer_list
from labeling.listing import Filter, Listing
from labeling.models import DeliveryStatus, Webhook
from labeling.models.webhook import TEST_EVENT, WEBHOOK_EVENTS
from labeling.permissions import Action
from labeling.services import webhooks as service

EVENT_CHOICES = [(name, label) for name, (label, _actions) in WEBHOOK_EVENTS.items()]
# Heading on the form -> the objects whose events stand under it.
EVENT_GROUPS: dict[str, tuple[str, ...]] = {
    _("Submissions and appeals"): ("submission", "appeal"),
    _("Tasks and batches"): ("task", "batch", "comment"),
    _("Guidelines, forms and screening"): ("guideline", "form", "qualification"),
    _("Datasets"): ("dataset",),
    _("Runs and rounds"): ("run", "round"),
}
STATES = [("", _("All")), ("used", _("In use")), ("failing", _("Failing")), ("disabled", _("Disabled"))]
LOG_ROWS = 30


class WebhookForm(forms.Form):
    url = forms.CharField(
        max_length=500,
        label=_("Address"),
        help_text=_("Public https:// (or http://) address. It gets a signed POST with JSON for each event."),
        widget=forms.TextInput(attrs={"inputmode": "url", "autocomplete": "off", "spellcheck": "false"}),
    )
    events = forms.MultipleChoiceField(
        choices=EVENT_CHOICES, label=_("Events"), widget=forms.CheckboxSelectMultiple, required=False
    )

    def event_groups(self) -> list[tuple[str, list[BoundWidget]]]:
        """The boxes of the events under the headings of what they happen to."""
        boxes = {box.data["value"]: box for box in self["events"].subwidgets}
        return [
            (heading, [box for name, box in boxes.items() if name.partition(".")[0] in objects])
            for heading, objects in EVENT_GROUPS.items()
        ]


@project_route(Action.MANAGE_WEBHOOKS, methods=("GET", "HEAD", "POST"))
def webhooks(request: HttpRequest, *, project, membership) -> HttpResponseBase:
    """The project's webhooks, and a form for one more. POST makes it and shows its secret, this once."""
    if request.method != "POST":
        return _list_page(request, project, WebhookForm())
    form = WebhookForm(request.POST)
    if form.is_valid():
        try:
            webhook, secret = service.create_webhook(
                project=project, acting_user=request.user, **form.cleaned_data
            )
        except DomainError as error:
            add_domain_error(form, error)
        else:
            return _one_page(request, project, webhook, new_secret=secret)
    return _list_page(request, project, form, status=422)


@project_route(Action.MANAGE_WEBHOOKS, methods=("GET", "HEAD", "POST"))
def webhook(request: HttpRequest, *, project, membership, pk: int) -> HttpResponseBase:
    """One webhook with its log. POST changes its address and events."""
    found = service.find_webhook(project=project, pk=pk)
    if request.method != "POST":
        return _one_page(request, project, found)
    form = WebhookForm(request.POST)
    if form.is_valid():
        try:
            service.change_webhook(webhook=found, acting_user=request.user, **form.cleaned_data)
        except DomainError as error:
            add_domain_error(form, error)
        else:
            messages.success(request, "Saved.")
            return redirect("labeling:webhook", slug=project.slug, pk=pk)
    return _one_page(request, project, found, form=form, status=422)


@project_route(Action.MANAGE_WEBHOOKS, methods=("POST",))
def webhook_switch(request: HttpRequest, *, project, membership, pk: int) -> HttpResponse:
    """Disable it, or with `on` take it into use again."""
    found = service.find_webhook(project=project, pk=pk)
    service.change_webhook(webhook=found, acting_user=request.user, is_active=bool(request.POST.get("on")))
    messages.success(request, "It is in use again." if request.POST.get("on") else "It is disabled.")
    return redirect("labeling:webhook", slug=project.slug, pk=pk)


@never_cache
@project_route(Action.MANAGE_WEBHOOKS, methods=("POST",))
def webhook_secret(request: HttpRequest, *, project, membership, pk: int) -> HttpResponseBase:
    """A new secret: answers with the page itself, not a redirect, as it is shown this once."""
    found = service.find_webhook(project=project, pk=pk)
    secret = service.renew_secret(webhook=found, acting_user=request.user)
    return _one_page(request, project, found, new_secret=secret)


@project_route(Action.MANAGE_WEBHOOKS, methods=("POST",))
def webhook_test(request: HttpRequest, *, project, membership, pk: int) -> HttpResponse:
    found = service.find_webhook(project=project, pk=pk)
    try:
        service.send_test(webhook=found, acting_user=request.user)
    except DomainError as error:
        messages.error(request, f"{error.message} {error.hint or ''}")
    else:
        messages.success(request, "A test is on its way; the log below shows how it went.")
    return redirect("labeling:webhook", slug=project.slug, pk=pk)


@project_route(Action.MANAGE_WEBHOOKS, methods=("POST",))
def webhook_delete(request: HttpRequest, *, project, membership, pk: int) -> HttpResponse:
    service.delete_webhook(webhook=service.find_webhook(project=project, pk=pk), acting_user=request.user)
    messages.success(request, "The webhook and its log are deleted.")
    return redirect("labeling:webhooks", slug=project.slug)


@project_route(Action.MANAGE_WEBHOOKS, methods=("POST",))
def delivery_resend(request: HttpRequest, *, project, membership, pk: int) -> HttpResponse:
    delivery = service.find_delivery(project=project, pk=pk)
    try:
        service.resend_delivery(delivery=delivery, acting_user=request.user)
    except DomainError as error:
        messages.error(request, f"{error.message} {error.hint or ''}")
    else:
        messages.success(request, "It is sent again.")
    return redirect("labeling:webhook", slug=project.slug, pk=delivery.webhook_id)


# --- Inside ---------------------------------------------------------------------------------------------
def _list_page(request: HttpRequest, project, form: WebhookForm, status: int = 200) -> HttpResponseBase:
    listing = Listing(
        request,
        project.webhooks.all(),
        sorts={
            "oldest": (_("Oldest first"), "id"),
            "newest": (_("Newest first"), "-id"),
            "address": (_("Address"), ("url", "id")),
        },
        search=lambda rows, text: rows.filter(url__icontains=text),
        filters=[
            Filter("state", _("State"), STATES, apply=_in_state),
            Filter(
                "event",
                _("Event"),
                [("", _("All")), *EVENT_CHOICES],
                apply=lambda rows, value: rows.filter(events__icontains=f'"{value}"'),
            ),
        ],
    )
    return answer_list(
        request,
        "labeling/webhooks.html",
        listing,
        page="webhooks",
        columns=list_columns.WEBHOOKS,
        context={"form": form},
        status=status,
    )


def _in_state(rows: QuerySet, state: str) -> QuerySet:
    if state == "disabled":
        return rows.exclude(disabled_at=None)
    return rows.filter(disabled_at=None, failing_since__isnull=state == "used")


def _one_page(
    request: HttpRequest,
    project,
    webhook: Webhook,
    *,
    form: WebhookForm | None = None,
    new_secret: str = "",
    status: int = 200,
) -> HttpResponseBase:
    listing = Listing(
        request,
        webhook.deliveries.all(),
        sorts={"newest": (_("Newest first"), "-id"), "oldest": (_("Oldest first"), "id")},
        search=lambda rows, text: rows.filter(body__icontains=text),
        filters=[
            Filter("status", _("Status"), [("", _("All")), *DeliveryStatus.choices]),
            Filter("event", _("Event"), [("", _("All")), *EVENT_CHOICES, (TEST_EVENT, _("A test"))]),
        ],
        per_page=LOG_ROWS,
        path=reverse("labeling:webhook", args=[project.slug, webhook.pk]),
    )
    context = {
        "webhook": webhook,
        "form": form or WebhookForm(initial={"url": webhook.url, "events": webhook.events}),
        "new_secret": new_secret,
        "is_waiting": webhook.is_active
        and webhook.deliveries.filter(status=DeliveryStatus.WAITING, attempts=0).exists(),
    }
    return answer_list(
        request,
        "labeling/webhook.html",
        listing,
        page="deliveries",
        columns=list_columns.DELIVERIES,
        context=context,
        status=status,
        of=webhook.pk,
        name=f"webhook-{webhook.pk}-deliveries",
    )

"""Who is in a project, invitations to it, and the page an invited person lands on."""

from __future__ import annotations

from datetime import timedelta

from django.contrib import messages
from django.contrib.auth import login
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from annotate.accounts.models import User
from annotate.errors import DomainError, Forbidden, Invalid, NotFound
from annotate.forms import add_domain_error
from annotate.words import _, in_a_sentence
from labeling import list_columns, people_report, task_reports, timesheet
from labeling.access import project_route, public_route
from labeling.forms import InvitationForm, RegistrationForm
from labeling.list_pages import answer_list
from labeling.listing import Filter, Listing
from labeling.models import (
    Membership,
    MembershipStatus,
    Role,
    SkipReason,
    work_choices,
)
from labeling.permissions import Action
from labeling.qualification_forms import BoundsForm
from labeling.services import people as service
from labeling.unmended import unmended

RECENT_DAYS = 30  # shown on a person's page; the rest is behind a link


@project_route(Action.VIEW_PEOPLE)
def people(request: HttpRequest, *, project, membership) -> HttpResponseBase:
    return _people_page(request, project, membership)


def _people_page(request, project, membership, form=None, link=None, status=200) -> HttpResponseBase:
    listing = Listing(
        request,
        people_report.members_of(project),
        sorts=people_report.sort_orders(project),
        search=people_report.search_members,
        filters=[
            Filter("role", _("Role"), [("", _("All")), *Role.choices]),
            Filter("status", _("Status"), [("", _("All")), *MembershipStatus.choices]),
            Filter(
                "activity",
                _("Activity"),
                [("", _("All")), ("worked", _("Worked in seven days")), ("idle", _("Did not"))],
                apply=people_report.narrow_activity,
            ),
        ],
        per_page=25,
        path=reverse("labeling:people", args=[project.slug]),
    )

    def figures(members):
        return people_report.figures_of(project, members)

    is_csv = request.GET.get("format") == "csv"
    context = {
        "rows": [] if is_csv else figures(list(listing.page)),
        "kinds": people_report.kinds(),
        "invitations": project.invitations.open().select_related("created_by"),
        "form": form or InvitationForm(),
        "new_link": link,
        "roles": Role.choices,
        "may_manage": membership.is_at_least(Role.ADMIN),
    }
    return answer_list(
        request,
        "labeling/people.html",
        listing,
        page="people",
        columns=list_columns.people(),
        context=context,
        prepare=figures,
        status=status,
    )


@project_route(Action.INVITE_ANNOTATORS, methods=("POST",))
def invite(request: HttpRequest, *, project, membership) -> HttpResponseBase:
    """Answers with the page itself: the link is shown once, only its hash is stored."""
    form = InvitationForm(request.POST)
    if form.is_valid():
        try:
            invitation, token = service.invite_person(
                project=project, acting_user=request.user, acting_membership=membership, **form.cleaned_data
            )
        except DomainError as error:
            add_domain_error(form, error)
        else:
            link = {"url": service.invitation_url(token), "invitation": invitation}
            return _people_page(request, project, membership, link=link)
    return _people_page(request, project, membership, form=form, status=422)


@project_route(Action.INVITE_ANNOTATORS, methods=("POST",))
def invitation_revoke(request: HttpRequest, *, project, membership, pk: int) -> HttpResponse:
    invitation = project.invitations.filter(pk=pk).first()
    if invitation is None:
        raise NotFound("There is no such invitation.")
    service.revoke_invitation(invitation=invitation, acting_user=request.user)
    messages.success(request, _("The invitation of %(email)s works no more.") % {"email": invitation.email})
    return redirect("labeling:people", slug=project.slug)


MEMBER_CHANGES = {
    "pause": (service.pause_member, _("%(name)s is paused: no more work is handed out.")),
    "resume": (service.resume_member, _("%(name)s is handed work again.")),
    "remove": (service.remove_member, _("%(name)s was removed; what they did stays.")),
}


@project_route(Action.MANAGE_PEOPLE, methods=("POST",))
def member_change(request: HttpRequest, *, project, membership, pk: int) -> HttpResponse:
    """`change` is pause, resume, remove or role (with `role`)."""
    member = find_member(project, pk)
    change = request.POST.get("change", "")
    if change == "role":
        service.change_role(membership=member, role=request.POST.get("role", ""), acting_user=request.user)
        messages.success(
            request,
            _("%(name)s is now %(role)s.")
            % {"name": member.user.name, "role": in_a_sentence(member.get_role_display())},
        )
    elif change in MEMBER_CHANGES:
        act, said = MEMBER_CHANGES[change]
        act(membership=member, acting_user=request.user)
        messages.success(request, said % {"name": member.user.name})
        if change != "resume":
            _tell_what_is_left(request, project, member)
    else:
        raise Invalid("There is no such change.", field="change")
    return redirect("labeling:people", slug=project.slug)


@project_route(Action.VIEW_PEOPLE)
def person(request: HttpRequest, *, project, membership, pk: int) -> HttpResponse:
    """What one member did here: figures, newest work, the last days, what they passed on."""
    member = find_member(project, pk)
    [row] = people_report.figures_of(project, [member])
    today = timesheet.today_of(member.user)
    period = timesheet.Period(today - timedelta(days=RECENT_DAYS), today)
    context = {
        "member": member,
        "row": row,
        "kinds": people_report.kinds(),
        "labels": dict(work_choices()),
        "days": timesheet.days_of_work(project=project, period=period, user_id=member.user_id),
        "submissions": project.submissions.filter(annotator=member.user).select_related("prompt")[:20],
        "gold": task_reports.gold_figures(project, member.user),
        "skip_counts": task_reports.skips_by_reason(project, member.user),
        "bounds_form": BoundsForm(
            initial={
                "max_tasks_per_day": member.max_tasks_per_day,
                "max_hours_per_day": member.max_hours_per_day,
            }
        ),
        "skips": _skips(project, member)[:20],
    }
    return render(request, "labeling/person.html", context)


def _tell_what_is_left(request: HttpRequest, project, member: Membership) -> None:
    """What became of the work of somebody who was paused or removed, as far as it needs a lead."""
    if freed := member.freed_count:
        said = ngettext(
            "%(n)s task that was kept for them goes to others.",
            "%(n)s tasks that were kept for them go to others.",
            freed,
        )
        messages.info(request, said % {"n": freed})
    if left := unmended(project).filter(annotator=member.user).count():
        said = ngettext(
            "%(n)s piece that was returned to them waits under Review, “Nobody mends it”.",
            "%(n)s pieces that were returned to them wait under Review, “Nobody mends it”.",
            left,
        )
        messages.warning(request, said % {"n": left})


def _skips(project, member: Membership):
    return member.user.skips.filter(task__project=project).select_related("task__prompt").order_by("-pk")


@project_route(Action.VIEW_PEOPLE)
def person_skips(request: HttpRequest, *, project, membership, pk: int) -> HttpResponseBase:
    """What a person passed on, and why."""
    member = find_member(project, pk)
    listing = Listing(
        request,
        _skips(project, member),
        sorts={"newest": (_("Newest first"), "-id"), "oldest": (_("Oldest first"), "id")},
        search=lambda rows, text: rows.filter(task__prompt__preview__icontains=text),
        filters=[Filter("reason", _("Reason"), [("", _("All")), *SkipReason.choices])],
    )
    return answer_list(
        request,
        "labeling/person_skips.html",
        listing,
        page="skips",
        columns=list_columns.SKIPS,
        context={"member": member},
        of=member.pk,
        name=f"skips-{member.user.pseudonym}",
    )


def find_member(project, pk: int) -> Membership:
    member = project.memberships.select_related("user").filter(pk=pk).first()
    if member is None:
        raise NotFound("There is no such person in this project.")
    return member


@public_route
@never_cache
@sensitive_post_parameters("password")
@require_http_methods(["GET", "POST"])
def invitation(request: HttpRequest, token: str) -> HttpResponse:
    """Where an invitation's link leads: make an account, or join with the one signed in."""
    found = service.find_invitation(token)
    visitor = request.user if isinstance(request.user, User) else None
    if visitor is not None and request.method == "POST":
        membership = service.accept_invitation(token=token, user=visitor)
        return _joined(request, membership)
    if visitor is not None and visitor.email.lower() != found.email:
        raise Forbidden(
            _("This invitation is for %(email)s, and you are signed in as %(own)s.")
            % {"email": found.email, "own": visitor.email},
            hint="Sign out, then open the link again.",
        )
    has_account = User.objects.filter(email__iexact=found.email).exists()
    form = None if visitor or has_account else RegistrationForm(request.POST or None)
    if form is not None and request.method == "POST" and form.is_valid():
        try:
            user = service.register_by_invitation(token=token, **form.cleaned_data)
        except DomainError as error:
            add_domain_error(form, error)
        else:
            login(request, user, backend="allauth.account.auth_backends.AuthenticationBackend")
            return _joined(request, user.memberships.get(project=found.project))
    context = {
        "invitation": found,
        "form": form,
        "sign_in_url": f"{reverse('account_login')}?next={request.path}",
    }
    return render(
        request, "labeling/invitation.html", context, status=422 if request.method == "POST" else 200
    )


def _joined(request: HttpRequest, membership: Membership) -> HttpResponse:
    messages.success(request, _("Welcome to %(name)s.") % {"name": membership.project.name})
    if membership.status != MembershipStatus.ACTIVE or membership.is_at_least(Role.LEAD):
        return redirect("labeling:project_detail", slug=membership.project.slug)
    return redirect("labeling:work", slug=membership.project.slug)

"""One policy: may this person do this, and which rows may they see.

Views, the API and commands ask here and nowhere else. A person who is no member of a project is told that
it does not exist (404); a member whose role does not reach is told so (403).
"""

from __future__ import annotations

from enum import Enum

from django.utils.translation import gettext, gettext_noop

from annotate.errors import Forbidden, NotFound
from annotate.prepared import Prepared
from annotate.words import _

from .models import Membership, MembershipStatus, Project, Role


class Action(Enum):
    """What one may do in a project. The value is (name, least role)."""

    VIEW_PROJECT = (gettext_noop("see the project"), Role.ANNOTATOR)
    READ_GUIDELINES = (gettext_noop("read guidelines"), Role.ANNOTATOR)
    WORK = (gettext_noop("do labeling work"), Role.ANNOTATOR)
    VIEW_OWN_WORK = (gettext_noop("see their own work"), Role.ANNOTATOR)
    SAVE_VIEWS = (gettext_noop("keep views of lists"), Role.ANNOTATOR)
    VIEW_OVERVIEW = (gettext_noop("see the overview"), Role.LEAD)
    EDIT_GUIDELINES = (gettext_noop("edit guidelines"), Role.LEAD)
    READ_FORMS = (gettext_noop("read forms"), Role.ANNOTATOR)
    EDIT_FORMS = (gettext_noop("edit forms"), Role.LEAD)
    VIEW_PROMPTS = (gettext_noop("see prompts and completions"), Role.LEAD)
    MANAGE_BATCHES = (gettext_noop("manage batches"), Role.LEAD)
    REVIEW = (gettext_noop("review submissions"), Role.LEAD)
    VIEW_PEOPLE = (gettext_noop("see people"), Role.LEAD)
    QUALIFY_PEOPLE = (gettext_noop("qualify people"), Role.LEAD)
    INVITE_ANNOTATORS = (gettext_noop("invite annotators"), Role.LEAD)
    VIEW_DATASETS = (gettext_noop("see datasets"), Role.LEAD)
    VIEW_AUDIT = (gettext_noop("see the audit trail"), Role.LEAD)
    VIEW_PAY = (gettext_noop("see hours and pay"), Role.LEAD)
    CORRECT_TIME = (gettext_noop("correct people's time"), Role.LEAD)
    SET_RATES = (gettext_noop("set rates"), Role.ADMIN)
    MANAGE_PEOPLE = (gettext_noop("manage people and roles"), Role.ADMIN)
    ERASE_PEOPLE = (gettext_noop("erase people's identities"), Role.ADMIN)
    IMPORT = (gettext_noop("import files"), Role.ADMIN)
    FREEZE_DATASETS = (gettext_noop("freeze datasets"), Role.ADMIN)
    DOWNLOAD_DATASETS = (gettext_noop("download datasets"), Role.ADMIN)
    VIEW_RUNS = (gettext_noop("see training runs"), Role.ADMIN)
    LAUNCH_RUNS = (gettext_noop("launch training runs"), Role.ADMIN)
    DOWNLOAD_CHECKPOINTS = (gettext_noop("download checkpoints"), Role.ADMIN)
    MANAGE_ROUNDS = (gettext_noop("manage rounds"), Role.ADMIN)
    MANAGE_WEBHOOKS = (gettext_noop("manage webhooks"), Role.ADMIN)
    CHANGE_SETTINGS = (gettext_noop("change settings"), Role.ADMIN)

    @property
    def least_role(self) -> Role:
        return self.value[1]

    @property
    def phrase(self) -> str:
        return self.value[0]


ONLY = {
    Role.ANNOTATOR: _("Only an annotator of this project may %(phrase)s."),
    Role.LEAD: _("Only a lead of this project may %(phrase)s."),
    Role.ADMIN: _("Only an admin of this project may %(phrase)s."),
}


def membership_of(user, project: Project) -> Membership | None:
    """The person's standing membership (a query). A superuser without one counts as admin (an unsaved
    row).
    """
    if not user.is_authenticated or not user.is_active:
        return None
    membership = (
        Membership.objects.filter(project=project, user=user).exclude(status=MembershipStatus.REMOVED).first()
    )
    if membership is None and user.is_superuser:
        return Membership(project=project, user=user, role=Role.ADMIN, status=MembershipStatus.ACTIVE)
    return membership


def overseen_by(user) -> set[int]:
    """The projects whose overview this person may see: one question for a list of projects."""
    least = [role for role in Role if Membership(role=role).is_at_least(Action.VIEW_OVERVIEW.least_role)]
    members = Membership.objects.filter(user=user).exclude(status=MembershipStatus.REMOVED)
    found = set(members.filter(role__in=least).values_list("project", flat=True))
    if user.is_superuser:
        found |= set(Project.objects.exclude(pk__in=members.values("project")).values_list("pk", flat=True))
    return found


def can(membership: Membership | None, action: Action) -> bool:
    """Whether a membership reaches an action. Being paused takes away work, nothing else."""
    if membership is None or membership.status == MembershipStatus.REMOVED:
        return False
    if action is Action.WORK and membership.status != MembershipStatus.ACTIVE:
        return False
    return membership.is_at_least(action.least_role)


def can_create_projects(user) -> bool:
    """Site staff (is_staff) open projects; they become their first admin."""
    return user.is_authenticated and user.is_active and (user.is_staff or user.is_superuser)


def load_project(user, slug: str, action: Action) -> tuple[Project, Membership]:
    """The project and the person's membership, or NotFound (no member) / Forbidden (role too low)."""
    membership = _membership_by_slug(user, slug)
    if membership is None:
        raise NotFound(_("There is no project “%(slug)s” that you can see.") % {"slug": slug})
    require(membership, action)
    return membership.project, membership


STANDING = Prepared(
    lambda slug, user: (
        Membership.objects.select_related("project")
        .exclude(status=MembershipStatus.REMOVED)
        .filter(project__slug=slug, user=user)
    ),
    slug=str,
    user=int,
)


def _membership_by_slug(user, slug: str) -> Membership | None:
    """As membership_of, its project loaded with it: one query, as every request of a project needs it."""
    if user.is_authenticated and user.is_active:
        found = STANDING.first(slug=slug, user=user.pk)
        if found is not None:
            return found
        if user.is_superuser and (project := Project.objects.filter(slug=slug).first()) is not None:
            return membership_of(user, project)
    return None


def paused() -> Forbidden:
    return Forbidden(
        "Your work in this project is paused. An admin of the project can resume it.",
        code="paused",
        hint="What you wrote is kept.",
    )


def require(membership: Membership | None, action: Action) -> None:
    """Raises Forbidden unless the membership reaches the action."""
    if not can(membership, action):
        if action is Action.WORK and membership is not None and membership.status == MembershipStatus.PAUSED:
            raise paused()
        raise Forbidden(ONLY[action.least_role] % {"phrase": gettext(action.phrase)})

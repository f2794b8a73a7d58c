"""Accounts of simulated people: members of a project that sign in by API token only."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import transaction

from annotate.accounts.models import ApiToken, User
from annotate.accounts.services import create_api_token, create_user
from labeling.models import Project, Role
from labeling.sample_project import SimulatedAnnotator, team

from .projects import add_member

TOKEN_NAME = "simulation"  # noqa: S105 - a name
DAYS = 2


@dataclass(frozen=True)
class SimulatedMember:
    """A person with an account, a fresh token, and a character."""

    user: User
    token: str
    person: SimulatedAnnotator


def ensure_simulated_people(
    *, project: Project, count: int, acting_user, seed: int = 0
) -> tuple[list[SimulatedMember], SimulatedMember]:
    """`count` annotators and a lead, made or found again by name; each gets a fresh token, good for two
    days.
    """
    people = team(seed, count)
    annotators = [
        _ensure(project, f"sim-annotator-{number}", Role.ANNOTATOR, person, acting_user)
        for number, person in enumerate(people, start=1)
    ]
    boss = SimulatedAnnotator(seed=seed * 1000 + 999, skill=0.95, noise=0.08)
    return annotators, _ensure(project, "sim-lead", Role.LEAD, boss, acting_user)


@transaction.atomic
def _ensure(
    project: Project, username: str, role: Role, person: SimulatedAnnotator, acting_user
) -> SimulatedMember:
    user = User.objects.filter(username=username).first()
    if user is None:
        display_name = username.replace("sim-", "Simulated ").replace("-", " ")
        user = create_user(
            username=username,
            email=f"{username}@simulation.invalid",
            password=None,
            display_name=display_name,
        )
    if not project.memberships.filter(user=user, role=role, status="active").exists():
        add_member(project=project, user=user, role=role, acting_user=acting_user)
    ApiToken.objects.filter(user=user, name=TOKEN_NAME).delete()
    _, token = create_api_token(user=user, name=TOKEN_NAME, expires_in_days=DAYS)
    return SimulatedMember(user, token, person)

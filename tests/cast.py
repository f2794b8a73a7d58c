"""The fixed cast of people that tests play with."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from annotate.accounts.models import User
from labeling.models import Project, Role
from labeling.services.projects import add_member

from .factories import make_project, make_user


@dataclass
class Cast:
    """One project with its people, and an outsider who belongs to another one."""

    project: Project
    admin: User
    lead: User
    annotator: User
    peer: User  # a second annotator
    outsider: User
    other_project: Project  # where the outsider is admin


def make_cast() -> Cast:
    admin = make_user("alice", is_staff=True)
    project = make_project("Tidy answers", acting_user=admin, new_person_reviews=0)
    people = {}
    for name, role in [("lena", Role.LEAD), ("anna", Role.ANNOTATOR), ("petra", Role.ANNOTATOR)]:
        people[name] = make_user(name)
        add_member(project=project, user=people[name], role=role, acting_user=admin)
    outsider = make_user("charlie", is_staff=True)
    other_project = make_project("Elsewhere", acting_user=outsider)
    return Cast(project, admin, people["lena"], people["anna"], people["petra"], outsider, other_project)


@pytest.fixture
def cast(db) -> Cast:
    return make_cast()

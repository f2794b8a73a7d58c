"""No page that a role can see breaks a rule of WCAG 2.2 AA that axe-core can check: light, dark, 390 px."""

from __future__ import annotations

import re

import pytest
from django.urls import reverse

from labeling.models import Role
from labeling.permissions import Action
from tests.browser.axe import COLOURS, LAYOUT, violations
from tests.browser.widths import reaching_over
from tests.security.routes import PUBLIC, SIGNED_IN, all_routes
from tests.security.test_routes import ONLY_THE_OWNERS, object_of, values_for
from tests.security.world import build_world

pytestmark = [pytest.mark.browser]
SHAPE = re.compile(r'<(\w+)(?:[^>]*?\s((?:class|role)="[^"]*"))?')
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


@pytest.fixture
def world(cast):
    return build_world(cast.project, admin=cast.admin, annotator=cast.annotator, reviewer=cast.lead)


def pages_of(role: str, world: dict) -> list[str]:
    """Addresses of the pages with a shape of their own that this role may open."""
    addresses = []
    for route in all_routes():
        policy = dict(route.policies).get("get")
        if route.is_api or policy in (None, PUBLIC):
            continue
        if isinstance(policy, Action):
            if Role(role).level < policy.least_role.level:
                continue
            if object_of(route) in ONLY_THE_OWNERS and role != "annotator":
                continue
        elif policy != SIGNED_IN or route.parameters:
            continue
        addresses.append(route.url(values_for(route, world)))
    return addresses


class Seen:
    """A page whose content has the shape of one that was checked says nothing new: each is checked once.

    The shape is the tags of the content with their classes and roles; words and addresses do not matter.
    """

    def __init__(self) -> None:
        self.shapes: set[tuple[str, ...]] = set()

    def is_new(self, html: str) -> bool:
        content = html[html.index("<main") :]
        shape = tuple(sorted(set(SHAPE.findall(content))))
        known = shape in self.shapes
        self.shapes.add(shape)
        return not known


def whole_pages(page, addresses: list[str], seen: Seen) -> list[str]:
    """Those that answer with a page of a new shape: not a redirect, a file, JSON or a fragment."""
    pages = []
    for address in addresses:
        answer = page.request.get(address, max_redirects=0)
        is_html = answer.headers.get("content-type", "").startswith("text/html")
        if answer.status == 200 and is_html and "<main" in answer.text() and seen.is_new(answer.text()):
            pages.append(address)
    return pages


def check(page, address: str) -> list[str]:
    """Light and wide with every rule; dark and narrow with what they can change. One load."""
    page.set_viewport_size(WIDE)
    page.emulate_media(color_scheme="light", reduced_motion="reduce")
    page.goto(address, wait_until="load")
    found = [f"light: {line}" for line in violations(page)]
    page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    found += [f"dark: {line}" for line in violations(page, COLOURS)]
    page.set_viewport_size(NARROW)
    # As tall as the page: what lies under a bar that stays in view could be scrolled out from under it.
    whole_height = page.evaluate("() => document.documentElement.scrollHeight")
    page.set_viewport_size({**NARROW, "height": max(whole_height, NARROW["height"])})
    found += [f"narrow: {line}" for line in violations(page, LAYOUT)]
    found += [f"narrow: the page scrolls sideways for {name}" for name in reaching_over(page)]
    return [f"{address} {line}" for line in found]


def test_no_page_breaks_a_rule(cast, world, open_as):
    found, seen, opened = [], Seen(), 0
    for role in ("annotator", "lead", "admin"):
        page = open_as(getattr(cast, role), bypass_csp=True)
        addresses = whole_pages(page, pages_of(role, world), seen)
        opened += len(addresses)
        found += [f"{role}: {line}" for address in addresses for line in check(page, address)]
    assert not found, "\n".join(found)
    assert opened > 60


def test_no_page_for_people_who_are_not_signed_in_breaks_a_rule(cast, open_as):
    page = open_as(bypass_csp=True)
    names = ["account_login", "account_reset_password", "account_reset_password_done", "account_signup"]
    found = [line for name in names for line in check(page, reverse(name))]
    assert not found, "\n".join(found)

"""The settings page: sections with headings, a list that jumps to them, every setting in exactly one."""

from __future__ import annotations

import dataclasses

from django.urls import reverse

from labeling.models import ProjectSettings
from labeling.setting_groups import SETTING_GROUPS


def test_every_setting_stands_in_exactly_one_section():
    grouped = [name for _, _, names in SETTING_GROUPS for name in names]
    assert sorted(grouped) == sorted(spec.name for spec in dataclasses.fields(ProjectSettings))


def test_the_page_jumps_to_its_sections_and_has_each_field_once(client, cast):
    client.force_login(cast.admin)
    page = client.get(reverse("labeling:project_settings", args=[cast.project.slug])).content.decode()
    for key in ("about", *(key for key, _, _ in SETTING_GROUPS), "archive"):
        assert page.count(f'href="#{key}"') == 1
        assert page.count(f'id="{key}"') == 1
    for spec in dataclasses.fields(ProjectSettings):
        assert page.count(f'name="{spec.name}"') == 1

"""The settings page: sections with headings, a list that jumps to them, every setting in exactly one."""

from __future__ import annotations

import dataclasses

from django import forms
from django.urls import reverse

from labeling.forms import BATCH_GROUPS, BatchForm
from labeling.models import ProjectSettings
from labeling.setting_groups import SETTING_GROUPS
from labeling.templatetags.ui import must_be_filled


def test_every_setting_stands_in_exactly_one_section():
    grouped = [name for _, _, names in SETTING_GROUPS for name in names]
    assert sorted(grouped) == sorted(spec.name for spec in dataclasses.fields(ProjectSettings))


def test_every_field_of_a_new_batch_stands_in_exactly_one_section(client, cast):
    form = BatchForm(project=cast.project)
    grouped = [name for _, names in BATCH_GROUPS for name in names]
    assert sorted(grouped) == sorted(form.fields)
    client.force_login(cast.admin)
    page = client.get(reverse("labeling:batch_new", args=[cast.project.slug])).content.decode()
    assert all(page.count(f'name="{name}"') == 1 for name in form.fields)


class StarForm(forms.Form):
    empty = forms.CharField()
    filled = forms.CharField(initial="x")
    zero = forms.IntegerField(initial=0)
    voluntary = forms.CharField(required=False)
    first_is_chosen = forms.ChoiceField(choices=[("a", "A")])
    nothing_is_chosen = forms.ChoiceField(choices=[("", "-"), ("a", "A")])
    several = forms.MultipleChoiceField(choices=[("a", "A")])


def test_the_star_stands_where_something_must_still_be_filled_in():
    def starred(form):
        return [field.name for field in form if must_be_filled(field)]

    assert starred(StarForm()) == ["empty", "nothing_is_chosen", "several"]
    sent = {"empty": "", "filled": "", "zero": "0", "nothing_is_chosen": "a", "several": ["a"]}
    assert starred(StarForm(sent)) == ["empty", "filled"]


def test_the_page_jumps_to_its_sections_and_has_each_field_once(client, cast):
    client.force_login(cast.admin)
    page = client.get(reverse("labeling:project_settings", args=[cast.project.slug])).content.decode()
    for key in ("about", *(key for key, _, _ in SETTING_GROUPS), "archive"):
        assert page.count(f'href="#{key}"') == 1
        assert page.count(f'id="{key}"') == 1
    for spec in dataclasses.fields(ProjectSettings):
        assert page.count(f'name="{spec.name}"') == 1

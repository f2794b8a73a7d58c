"""Every field of every stage says default, bounds and source: on the form, in --help, in the API alike."""

from __future__ import annotations

import html
import itertools
import json
import re

import pytest
from django.urls import reverse
from django.utils import translation
from rest_framework.test import APIClient

from training.forms import PREFIX
from training.rlhf.cli import main
from training.rlhf.config import STAGES, describe
from training.rlhf.config.fields import OF_FILES, OUR_CHOICE, FieldSpec, integer
from training.services.hyperparameters import OURS

pytestmark = pytest.mark.django_db

FIELDS = [(stage, spec) for stage in STAGES for spec in describe(stage)]
PAPER = re.compile(r"arXiv \d{4}\.\d{5}")
# Sources that are neither a paper with a number nor our choice.
LIBRARIES = (
    "Chat templates of Hugging Face transformers",
    "Model cards of the Hugging Face hub",
    "OpenAI's command for preparing fine-tuning data, openai 0.28",
    "safetensors, ONNX and GGUF, as their projects define them",
)


def only(stages, entered: bool = False):
    """(stage, field) of these stages; `entered`: only those that people and programs give."""
    return [(s, f) for s, f in FIELDS if s in stages and not (entered and f.type in OURS)]


def named(pair) -> str:
    return pair if isinstance(pair, str) else pair.name


def in_figures(value: float) -> str:
    return (
        f"{value:,}" if isinstance(value, int) else f"{value:,.0f}" if value == int(value) else f"{value:g}"
    )


def default_in_words(spec: FieldSpec) -> str:
    if isinstance(spec.default, bool):
        return "on" if spec.default else "off"
    if isinstance(spec.default, int | float):
        return in_figures(spec.default)
    return spec.default.strip() or "empty"


@pytest.mark.parametrize(("stage", "spec"), FIELDS, ids=named)
def test_a_source_is_a_paper_a_library_or_our_choice_with_its_reason(stage, spec):
    if spec.source.startswith(OUR_CHOICE):
        assert len(spec.source) > len(OUR_CHOICE) + 10 and not spec.source.endswith(".")
    else:
        assert PAPER.search(spec.source) or spec.source.startswith(LIBRARIES)
    if spec.type in OURS and spec.source == OF_FILES:
        assert spec.default in ("", [])


def test_a_field_without_a_source_cannot_be_declared():
    with pytest.raises(TypeError, match="source"):
        integer(1, 0, 2, "A number.")


@pytest.fixture(scope="module")
def helps() -> dict[str, str]:
    """{stage: what `python -m training.rlhf STAGE --help` prints}, each line break a space."""
    import contextlib
    import io

    told = {}
    for stage in STAGES:
        with contextlib.redirect_stdout(io.StringIO()) as out, pytest.raises(SystemExit):
            main([stage, "--help"])
        told[stage] = out.getvalue()
    return told


@pytest.mark.parametrize(("stage", "spec"), FIELDS, ids=named)
def test_help_tells_default_bounds_and_source(helps, stage, spec):
    head, told = helps[stage].split(f"\n  {spec.name}  (")[1].split(")\n", 1)
    told = told.split("\npresets:")[0].split("\n  ")
    told = " ".join(each for each in itertools.takewhile(lambda each: each.startswith("    "), told))
    default = "required" if spec.required else f"default {json.dumps(spec.default)}"
    assert head == f"{default}; {spec.bounds}"
    assert " ".join(told.split()) == " ".join(f"{spec.help} [{spec.source}]".split())


@pytest.fixture
def stages_of_the_api(cast) -> dict:
    client = APIClient()
    client.force_authenticate(cast.annotator)
    rows = client.get("/api/training/stages/").json()
    return {row["stage"]: {field["name"]: field for field in row["hyperparameters"]} for row in rows}


def test_the_api_tells_default_bounds_and_source(stages_of_the_api):
    assert set(stages_of_the_api) == set(STAGES)
    for stage, spec in only(STAGES, entered=True):
        told = stages_of_the_api[stage][spec.name]
        assert told["default"] == spec.default, (stage, spec.name)
        assert (told["minimum"], told["maximum"]) == (spec.minimum, spec.maximum), (stage, spec.name)
        assert tuple(told["choices"] or ()) == (spec.choices or ()), (stage, spec.name)
        assert (told["source"], told["help"]) == (spec.source, spec.help), (stage, spec.name)


@pytest.fixture
def form_of(client, cast, data_dir):
    client.force_login(cast.admin)
    kept: dict[str, str] = {}

    def of(stage: str, **headers) -> str:
        if stage not in kept:
            address = reverse("training:run_new", args=[cast.project.slug]) + f"?stage={stage}"
            kept[stage] = html.unescape(client.get(address, follow=True, **headers).content.decode())
        return kept[stage]

    return of


@pytest.mark.parametrize("stage", STAGES)
def test_the_form_tells_default_bounds_and_source(form_of, stage):
    page, prefix = form_of(stage), "" if stage == "sample" else PREFIX
    for _stage, spec in only([stage], entered=True):
        field = " ".join(page.split(f'id="id_{prefix}{spec.name}_helptext">')[1].split("</div>")[0].split())
        assert f"Default: {default_in_words(spec)}." in field, spec.name
        if spec.source.startswith(OUR_CHOICE):
            assert f"Our choice: {spec.source.removeprefix(OUR_CHOICE)}." in field, spec.name
        else:
            assert f"Source: {spec.source}." in field, spec.name
        if spec.type in ("integer", "number"):
            assert f"from {in_figures(spec.minimum)} to {in_figures(spec.maximum)}." in field, spec.name
        for choice in spec.choices or ():
            assert (
                f'<option value="{choice}"'
                in page.split(f'name="{prefix}{spec.name}"')[1].split("</select>")[0]
            )


def test_a_preset_leaves_the_default_told(client, cast, data_dir):
    client.force_login(cast.admin)
    address = reverse("training:run_new", args=[cast.project.slug]) + "?stage=sft&preset=instructgpt"
    page = client.get(address).content.decode()
    assert (
        'value="16"' in page.split('name="hp_epochs"')[1][:60] and "Default: 1. Our choice: one, as" in page
    )


def test_reasons_are_collected_for_translators():
    from annotate import catalogues

    texts = {text for text, _file, _line in catalogues.python_messages()}
    for _stage, spec in only(STAGES, entered=True):
        if spec.source.startswith(OUR_CHOICE):
            assert spec.source.removeprefix(OUR_CHOICE) in texts
    with translation.override("en"):
        assert "" not in texts

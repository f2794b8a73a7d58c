"""The OpenAPI schema is complete and unambiguous."""

import re

from django.core.management import call_command

from annotate.api.schema import ENUM_NAMES
from tests.architecture.source import module_name, python_files


def test_every_set_of_choices_has_its_name_in_the_schema():
    defined = {
        f"{name}Enum": f"{module_name(path)}.{name}"
        for path in python_files("labeling", "training")
        if "models" in str(path)
        for name in re.findall(r"^class (\w+)\(models\.(?:Text|Integer)Choices\)", path.read_text(), re.M)
    }
    assert defined == ENUM_NAMES


def test_the_schema_is_valid_and_was_made_without_guessing(tmp_path):
    """Fails on any warning: a clash of names, a view whose shape is unknown."""
    target = tmp_path / "schema.yml"
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", str(target))
    assert "openapi: 3" in target.read_text()

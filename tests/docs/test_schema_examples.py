"""The OpenAPI schema's examples are true: each one is what its operation takes or gives."""

from __future__ import annotations

import jsonschema
import pytest
from drf_spectacular.generators import SchemaGenerator

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def schema():
    return SchemaGenerator().get_schema(request=None, public=True)


def examples(schema):
    """(where, example, its JSON Schema) of every request and answer that has one."""
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            if not isinstance(operation, dict):
                continue
            bodies = {"request": operation.get("requestBody", {}), **operation.get("responses", {})}
            for name, body in bodies.items():
                for media, content in body.get("content", {}).items():
                    for title, example in content.get("examples", {}).items():
                        if media == "application/json":
                            yield f"{method} {path} {name} “{title}”", example["value"], content["schema"]


def for_json_schema(node, *, closed: bool):
    """OpenAPI 3.0's dialect as JSON Schema: nullable becomes a type; objects take no other names."""
    if isinstance(node, list):
        return [for_json_schema(each, closed=closed) for each in node]
    if not isinstance(node, dict):
        return node
    found = {key: for_json_schema(value, closed=closed) for key, value in node.items()}
    if found.pop("nullable", False):
        found = {"anyOf": [found, {"type": "null"}]}
    elif closed and found.get("type") == "object" and found.get("properties"):
        found.setdefault("additionalProperties", False)
    return found


def test_there_are_examples_of_what_programs_send_most(schema):
    said = {where.split(" “")[0] for where, _, _ in examples(schema)}
    for operation in (
        "post /api/projects/ request",
        "post /api/projects/{slug}/assignments/{id}/submit/ request",
        "post /api/projects/{slug}/reviews/ request",
        "post /api/projects/{slug}/batches/ request",
        "post /api/projects/{slug}/datasets/ request",
        "post /api/projects/{slug}/runs/ request",
    ):
        assert operation in said, f"{operation} has no example; there are: {sorted(said)}"


def test_every_example_is_what_its_schema_says(schema):
    components = for_json_schema(schema["components"], closed=True)
    wrong = []
    for where, value, shape in examples(schema):
        rules = {**for_json_schema(shape, closed=True), "components": components}
        for error in jsonschema.Draft202012Validator(rules).iter_errors(value):
            wrong.append(f"{where}: {error.json_path}: {error.message[:200]}")
    assert not wrong, "\n".join(wrong)

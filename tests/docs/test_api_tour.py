"""Each request of docs/api.md is sent, in order, and what the page shows of its answer is true."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

TOUR = Path(__file__).parents[2] / "docs" / "api.md"
EXAMPLE = re.compile(r"```http\n(GET|POST|PUT) (\S+)\n(\{.*\}\n)?\n(\d{3}) (\{.*\})\n```")


def examples() -> list[tuple]:
    return EXAMPLE.findall(TOUR.read_text())


def assert_holds(shown: Any, real: Any, where: str) -> None:
    """What is shown is in the answer; a page may leave fields out."""
    if isinstance(shown, dict):
        for name, value in shown.items():
            assert name in real, f"{where}: the answer has no {name}"
            assert_holds(value, real[name], f"{where}.{name}")
    elif isinstance(shown, list):
        assert len(shown) == len(real), where
        for number, (one, other) in enumerate(zip(shown, real, strict=True)):
            assert_holds(one, other, f"{where}[{number}]")
    else:
        assert shown == real, where


def with_real_ids(text: str, ids: dict[str, int]) -> str:
    """The page counts from 1; a database that was used before does not."""
    for noun, real in ids.items():
        text = text.replace(f"/{noun}/1/", f"/{noun}/{real}/")
    return text


@pytest.mark.django_db
def test_every_request_of_the_tour_is_answered_as_shown(cast, api_client_of):
    client, ids = api_client_of(cast.admin), {}
    for method, address, body, status, answer in examples():
        address = with_real_ids(address, ids)
        sent = json.loads(body) if body else None
        if method == "GET":
            real = client.get(address)
        else:
            real = getattr(client, method.lower())(address, sent, format="json")
        assert real.status_code == int(status), f"{method} {address}: {real.content.decode()}"
        got, shown = real.json(), json.loads(answer)
        noun = address.rstrip("/").removesuffix("/next").rpartition("/")[2]
        if "id" in shown:
            ids.setdefault(noun, got["id"])
        for place in {"id", "assignment"} & shown.keys():
            got[place] = shown[place]  # numbers differ from database to database
        assert_holds(shown, got, f"{method} {address}")


def test_the_tour_has_no_example_that_is_not_sent():
    assert len(examples()) == TOUR.read_text().count("```http") > 0

"""The Python client of docs/engineers.md runs as it stands there, against a server, and does what it says."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from annotate.accounts.services import create_api_token
from tests.cast import make_cast
from tests.labeling.judgments import make_demonstration

EXAMPLE = re.compile(r"```python\n(.*?)```", re.DOTALL)


def source_of_the_client() -> str:
    [source] = EXAMPLE.findall((Path(__file__).parents[2] / "docs" / "engineers.md").read_text())
    return source


def test_filters_of_any_text_reach_the_site_as_they_are():
    names: dict = {}
    exec(source_of_the_client().partition("site = Client(")[0], names)  # noqa: S102 - our own page
    asked = []

    class Told(names["Client"]):
        def ask(self, path, body=None):
            asked.append(parse_qs(urlsplit(path).query))
            assert path.isascii()
            return {"results": [], "next": None}

    filters = {"field": "category", "value": "Größe & Preis #2"}
    assert list(Told("", "p", "t").rows("v/", **filters)) == []
    assert asked == [{"cursor": ["0"]} | {name: [value] for name, value in filters.items()}]


def test_the_client_freezes_compares_and_downloads(live_site, tmp_path):
    cast = make_cast()
    for decision in ("accepted", None):
        make_demonstration(cast.project, cast.annotator, decision=decision, reviewer=cast.lead)
    _, token = create_api_token(user=cast.admin, name="program")
    source = source_of_the_client()
    out = tmp_path / "rows.zip"
    out.write_bytes(b"")
    names = {"SITE": live_site.url, "PROJECT": cast.project.slug, "TOKEN": token, "OUT": out}
    exec(compile(source, "docs/engineers.md", "exec"), names)  # noqa: S102 - our own page
    assert len(names["accepted"]) == 1
    assert "# From a program v1" in names["card"]
    assert names["changes"] == {"added": 0, "removed": 0, "changed": 0}
    with zipfile.ZipFile(out) as archive:
        assert "data/train-00000-of-00001.parquet" in archive.namelist()

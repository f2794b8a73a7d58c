"""Templates use only classes that the style sheets (or a script) know: the design language stays one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHEETS = [*(ROOT / "static/css").glob("*.css")]
SCRIPTS = [*(ROOT / "static/js").glob("*.js")]
TEMPLATES = sorted([*(ROOT / "templates").rglob("*.html"), *ROOT.glob("*/templates/**/*.html")])
COMMENT = re.compile(r"\{#.*?#\}|\{% comment %\}.*?\{% endcomment %\}", re.DOTALL)
# A tag that stands alone, or that ends a block, adds no letters to the class beside it; any other one does.
LONE_TAG = re.compile(r"\{% *(?:end\w+) *%\}|(?<=[\s\"])\{%[^%]*%\}|\{%[^%]*%\}(?=[\s\"])", re.DOTALL)
GLUED_TAG = re.compile(r"\{[{%].*?[}%]\}", re.DOTALL)


def known_classes() -> set[str]:
    sheets = "\n".join(re.sub(r"/\*.*?\*/", "", sheet.read_text(), flags=re.DOTALL) for sheet in SHEETS)
    classes = set(re.findall(r"\.(-?[_a-zA-Z][\w-]*)", sheets))
    return classes | {"htmx-indicator"}


KNOWN = known_classes()


def classes_in(text: str) -> set[str]:
    """The classes a template writes out in full; those that a template tag completes are left out."""
    plain = GLUED_TAG.sub("\x00", LONE_TAG.sub("", COMMENT.sub("", text)))
    found = {name for value in re.findall(r'class="([^"]*)"', plain) for name in value.split()}
    return {name for name in found if "\x00" not in name}


def test_the_reader_sees_what_is_written():
    sample = '<a class="btn btn-{{ tone }} {% if a %}nope{% endif %}"></a><b class="nonsense"></b>'
    assert classes_in(sample) == {"btn", "nope", "nonsense"}
    assert classes_in('<i class="a{% if x %} b{% endif %} turn-{% if y %}u{% else %}v{% endif %}"></i>') == {
        "a",
        "b",
    }
    assert "nonsense" not in KNOWN and "btn" in KNOWN


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_class_is_part_of_the_design_language(template):
    unknown = classes_in(template.read_text()) - KNOWN
    assert not unknown, f"not in static/css: {sorted(unknown)}; see docs/design-system.md"


def test_every_icon_that_a_template_names_exists():
    icons = set(re.findall(r'<symbol id="([\w-]+)"', (ROOT / "static/img/icons.svg").read_text()))
    named = {
        (name, template.name)
        for template in TEMPLATES
        for name in re.findall(r'\{% icon "([\w-]+)"', template.read_text())
        + re.findall(r'icon_name="([\w-]+)"', template.read_text())
    }
    assert not {pair for pair in named if pair[0] not in icons}


def test_each_vendored_file_has_its_licence_and_version():
    versions = (ROOT / "static/vendor/VERSIONS").read_text()
    for folder in (ROOT / "static/vendor").iterdir():
        if folder.is_dir():
            assert (folder / "LICENSE").stat().st_size > 100
            for file in folder.iterdir():
                assert file.name == "LICENSE" or f"{folder.name}/{file.name}" in versions


def test_the_pages_frame_stays_small():
    """Every page carries these; a work screen may weigh 150 kB in all."""
    import gzip

    frame = [*SHEETS, ROOT / "static/js/theme.js", ROOT / "static/js/app.js"]
    assert sum(len(gzip.compress(path.read_bytes())) for path in frame) < 24_000
    assert (ROOT / "static/css/app.css").stat().st_size < 40_000

"""The text tokens of app.css meet WCAG 2.2 AA on the surfaces that they are used on, in both themes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

CSS = (Path(__file__).parents[2] / "static/css/app.css").read_text()
PAIR = re.compile(r"--([\w-]+):\s*light-dark\((#[0-9a-f]{6}),\s*(#[0-9a-f]{6})\)")
SINGLE = re.compile(r"--([\w-]+):\s*(#[0-9a-f]{6});")
THEMES = ("light", "dark")

TOKENS: dict[str, tuple[str, str]] = {name: (light, dark) for name, light, dark in PAIR.findall(CSS)}
TOKENS |= {name: (value, value) for name, value in SINGLE.findall(CSS)}

GROUNDS = ["bg", "surface", "surface-2"]
TEXT_PAIRS = [(text, ground) for text in ("text", "text-2", "text-3", "accent") for ground in GROUNDS]
TEXT_PAIRS += [
    ("text", "surface-3"),
    ("text-2", "surface-3"),
    ("accent", "accent-soft"),
    ("text", "accent-soft"),
]
TEXT_PAIRS += [(tone, f"{tone}-soft") for tone in ("ok", "warn", "danger", "info")]
TEXT_PAIRS += [("text", f"{tone}-soft") for tone in ("ok", "warn", "danger", "info")]
TEXT_PAIRS += [(tone, ground) for tone in ("ok", "warn", "danger") for ground in GROUNDS]
TEXT_PAIRS += [("on-accent", "accent-fill"), ("on-accent", "accent-fill-hover"), ("on-accent", "danger-fill")]
# Borders of controls, focus rings and lines of charts: 3 to 1 (WCAG 1.4.11).
SHAPE_PAIRS = [("line-strong", ground) for ground in GROUNDS] + [("accent", ground) for ground in GROUNDS]
SHAPE_PAIRS += [(f"chart-{n}", "surface") for n in range(1, 7)]


def luminance(colour: str) -> float:
    def linear(channel: int) -> float:
        share = channel / 255
        return share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4

    red, green, blue = (linear(int(colour[i : i + 2], 16)) for i in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_the_measure_itself_is_that_of_the_standard():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize(("text", "ground"), TEXT_PAIRS)
def test_text_can_be_read(text, ground, theme):
    side = THEMES.index(theme)
    assert contrast(TOKENS[text][side], TOKENS[ground][side]) >= 4.5


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize(("shape", "ground"), SHAPE_PAIRS)
def test_shapes_that_mean_something_can_be_seen(shape, ground, theme):
    side = THEMES.index(theme)
    assert contrast(TOKENS[shape][side], TOKENS[ground][side]) >= 3

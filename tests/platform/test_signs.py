"""Characters that nobody sees: marked where texts are shown, refused in names, isolated within sentences."""

from __future__ import annotations

import re
from html import unescape

import pytest
from django.utils.translation import override
from hypothesis import given
from hypothesis import strategies as st

from annotate.errors import Invalid
from annotate.names import check_name
from annotate.signs import IN_NO_NAME, SIGN, isolated, with_signs
from annotate.words import later
from labeling.templatetags.ui import render_markdown

TURNING = [*range(0x202A, 0x202F), *range(0x2066, 0x206A)]
MARK = re.compile(r'<span class="sign" data-sign="([^"]*)" title="[^"]*">(.)</span>', re.DOTALL)


def marks(html: str) -> list[str]:
    return [found[0] for found in MARK.findall(html)]


def text_of(html: str) -> str:
    return unescape(re.sub(r"<[^>]*>", "", html))


ANY = st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from("\u202e\u200b<&"))


@given(st.text(alphabet=ANY))
def test_a_mark_changes_no_character_of_the_text(text):
    assert text_of(with_signs(text)) == text


@pytest.mark.parametrize("code", [*TURNING, 0x200B, 0x2060, 0xFEFF, 0x07, 0x1B, 0x85])
def test_what_turns_text_around_or_has_no_width_is_marked(code):
    assert len(marks(with_signs(f"a{chr(code)}b"))) == 1


def test_a_mark_says_which_sign_it_is():
    assert marks(with_signs("a\u202eb\u202c\u200b\u0007\U000e0061")) == [
        "RLO", "PDF", "ZWSP", "U+0007", "TAG a",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "Two lines\n\tand a tab",
        "שלום\u200e (1)",  # a mark of direction in a text that needs it
        "می\u200cخواهم",  # Persian: the joiner shapes the letters
        "क्\u200dष",  # Hindi
        "👩\u200d👩\u200d👧 ❤\ufe0f\u200d🔥",  # pictures made of several
        "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",  # the flag of England
        "日本語、한국어，中文。",
    ],
)
def test_signs_that_do_their_work_are_left_alone(text):
    assert marks(with_signs(text)) == []


@pytest.mark.parametrize("text", ["pass\u200dword", "pass\u200cword", "left\u200eright", "你\u200d好"])
def test_the_same_signs_without_work_are_marked(text):
    assert len(marks(with_signs(text))) == 1


def test_in_markdown_texts_are_marked_and_what_is_inside_a_tag_is_not():
    link = "[link](https://example.org/\u202e 'a>\u202eb')"
    html = str(render_markdown(f"A {link} **b\u202eold** &#x202E; `co\u200bde`"))
    assert marks(html) == ["RLO", "RLO", "ZWSP"]
    tags = re.findall(r'<a (?:"[^"]*"|[^">])*>', html)
    assert len(tags) == 1 and 'class="sign"' not in tags[0]


def test_a_text_without_such_signs_is_escaped_as_ever():
    assert with_signs("<b>&\"'") == "&lt;b&gt;&amp;&quot;&#x27;"


@pytest.mark.parametrize("code", [0x00, 0x07, 0x0A, 0x7F, 0x85, 0x2028, *TURNING])
def test_a_name_has_no_sign_that_breaks_or_turns_its_line(code):
    with pytest.raises(Invalid, match="invisible character") as caught:
        check_name(f"Eve{chr(code)}ning", "display_name")
    assert caught.value.field == "display_name"
    assert caught.value.hint


@pytest.mark.parametrize("name", ["Ödön", "שלום", "日本語", "می\u200cخواهم", "Ann 👩\u200d🚀"])
def test_names_of_any_script_are_taken(name):
    assert check_name(f" {name} ") == name


def test_a_name_from_right_to_left_stands_apart_within_a_sentence():
    assert isolated("Anna") == "Anna"
    assert isolated("שלום") == "\u2068שלום\u2069"
    with override("en"):
        assert str(later("%(name)s: version %(n)s", name="שלום", n=3)) == "\u2068שלום\u2069: version 3"


def test_what_no_name_has_is_always_marked_in_a_text():
    turning = {chr(code) for code in range(0x2100) if IN_NO_NAME.match(chr(code))} - set("\t\n\r")
    assert all(SIGN.match(sign) for sign in turning)

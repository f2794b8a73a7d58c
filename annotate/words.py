"""`_("Saved.")`: a text that becomes words when it is shown, in the language of whoever reads it then.

Django's `gettext_lazy`, typed as the text that it stands for. What joins, stores or sends such a text as JSON
makes a `str()` of it first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from django.utils.functional import lazy
from django.utils.translation import get_language, gettext, gettext_lazy

from .signs import isolated

_ = cast("Callable[[str], str]", gettext_lazy)


def _filled(text: str, values: dict[str, Any]) -> str:
    # A name of another direction must not take the words of the sentence with it.
    apart = {key: isolated(each) if type(each) is str else each for key, each in values.items()}
    return gettext(text) % apart


def _in_a_sentence(label: str) -> str:
    return str(label) if (get_language() or "").startswith("de") else label.lower()


_later = lazy(_filled, str)
_word_later = lazy(_in_a_sentence, str)


def later(text: str, **values: Any) -> str:
    """`_(text) % values` that becomes words when it is shown: for a reader who is not the one acting now."""
    return cast("str", _later(text, values))


def in_a_sentence(label: str) -> str:
    """A label as a word amid a sentence: small in English; as it is in German, whose nouns are capitals."""
    return cast("str", _word_later(label))

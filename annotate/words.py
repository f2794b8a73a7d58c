"""`_("Saved.")`: a text that becomes words when it is shown, in the language of whoever reads it then.

Django's `gettext_lazy`, typed as the text that it stands for. What joins, stores or sends such a text as JSON
makes a `str()` of it first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from django.utils.translation import get_language, gettext_lazy

_ = cast("Callable[[str], str]", gettext_lazy)


def in_a_sentence(label: str) -> str:
    """A label as a word amid a sentence: small in English; as it is in German, whose nouns are capitals."""
    return str(label) if (get_language() or "").startswith("de") else label.lower()

"""What a preparation may be told: names of fixes, tokens of a context."""

from __future__ import annotations

from collections.abc import Iterable

from annotate.errors import Invalid
from annotate.words import _
from labeling.preparation import FIXES

DEFAULT_CONTEXT = 2048  # tokens, where nobody named the context of a model
MOST_CONTEXT = 10_000_000


def checked_fixes(names: Iterable[str]) -> list[str]:
    """Known names, in the order in which they are carried out. Raises Invalid."""
    chosen = set(names)
    if unknown := chosen - set(FIXES):
        raise Invalid(
            _("There is no fix “%(name)s”.") % {"name": min(unknown)},
            field="fixes",
            hint=_("There are %(names)s.") % {"names": ", ".join(FIXES)},
        )
    return [name for name in FIXES if name in chosen]

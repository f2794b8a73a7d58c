"""Names of one line that people give: to projects, batches, datasets, runs, categories, themselves."""

from __future__ import annotations

from .errors import Invalid
from .signs import sign_no_name_has
from .words import _


def check_name(name: str, field: str = "name") -> str:
    """The name without blanks around it. Raises Invalid for a character that breaks the line, controls
    something or turns the text around it: names stand within sentences of ours."""
    name = name.strip()
    if sign := sign_no_name_has(name):
        raise Invalid(
            _("There is an invisible character in it (%(sign)s), which no name may have.") % {"sign": sign},
            field=field,
            hint="Type it anew instead of pasting it.",
        )
    return name

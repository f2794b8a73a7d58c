"""`_("Saved.")`: a text that becomes words when it is shown, in the language of whoever reads it then.

Django's `gettext_lazy`, typed as the text that it stands for. What joins, stores or sends such a text as JSON
makes a `str()` of it first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from django.utils.translation import gettext_lazy

_ = cast("Callable[[str], str]", gettext_lazy)

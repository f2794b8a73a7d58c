"""What became of what follows a run: stored in English as it happened, read in the reader's language."""

from __future__ import annotations

import re

from django.utils.translation import gettext
from django.utils.translation import gettext_noop as _

MEASURING = _("Measuring on the test split was started: %(run)s.")
SAMPLING = _("Sampling was started: %(run)s.")
SCORING = _("Scoring was started: %(run)s.")
EVALUATIONS = _("%(n)s evaluations were started: both models and the former one on the same rows.")
MEASURED = _("Both models are measured already.")
COMPARISON_WAITS = _("The comparison waits for run %(number)s.")
COMPLETIONS = _("%(n)s completions were handed to labeling.")
COMPLETIONS_IN_BATCH = _(
    "%(n)s completions were handed to labeling; batch “%(batch)s” asks people to rank them."
)
SCORES = _(
    "%(n)s scores were handed to labeling. Rankings that a reward model contradicts with confidence and "
    "nobody has decided on: %(waiting)s."
)
SENTENCES = (
    MEASURING, SAMPLING, SCORING, EVALUATIONS, MEASURED, COMPARISON_WAITS, COMPLETIONS,
    COMPLETIONS_IN_BATCH, SCORES,
)  # fmt: skip
PLACE = re.compile(r"%\\\((\w+)\\\)s")  # of a value, in a sentence that went through re.escape
PATTERNS = [
    (sentence, re.compile(PLACE.sub(r"(?P<\1>.+)", re.escape(sentence)), re.DOTALL)) for sentence in SENTENCES
]


def in_the_readers_words(message: str) -> str:
    """The sentence with its values in the reader's language; another text (an error's) as a whole."""
    for sentence, pattern in PATTERNS:
        if found := pattern.fullmatch(message):
            return gettext(sentence) % found.groupdict()
    return gettext(message) if message else ""

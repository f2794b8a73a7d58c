"""What a text can be checked for: pure functions over strings, no Django, no tables.

A check returns findings: stretches of the raw text, in code points, with a sentence about each. Whether a
finding is let pass, warned of or refused is the project's to say (labeling.services.answer_checks). The room
is apart from labeling.formats because a finding is about what a text says, not about how a file is written.
"""

from .blocked_words import find_blocked_words
from .finding import Finding
from .near_duplicates import band_keys, similarity
from .personal_data import find_personal_data
from .repeated_prompt import find_repeated_prompt

__all__ = [
    "Finding",
    "band_keys",
    "find_blocked_words",
    "find_personal_data",
    "find_repeated_prompt",
    "similarity",
]

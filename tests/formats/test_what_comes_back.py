"""What each export format gives back when it is imported again is what the table says, entry by entry."""

import pytest

from labeling.formats import EXPORT_FORMATS
from labeling.formats.losses import KEYS, LOSSES

from .held import everything_that_may_be_lost, is_given_back

# Lost by what is lost in any case: marks around every text, line breaks before a speaker.
IMPLIED = {
    ("openai_legacy", "line_breaks"),
    ("openai_legacy", "formulas"),
    ("preference_tsv", "speaker_marks"),
    ("kwise_tsv", "speaker_marks"),
}
EACH = [
    pytest.param(format, kind, what, id=f"{format}-{what}")
    for format, export in EXPORT_FORMATS.items()
    for kind in export.kinds
    for what in everything_that_may_be_lost(kind)
    if (format, what) not in IMPLIED
]


def test_every_format_is_in_the_table():
    assert set(LOSSES) == set(EXPORT_FORMATS)


def test_losses_stand_in_one_order():
    for lost in LOSSES.values():
        assert list(lost) == sorted(lost, key=KEYS.index)


@pytest.mark.parametrize(("format", "kind", "what"), EACH)
def test_it_comes_back_unless_the_table_says_so(format, kind, what):
    assert is_given_back(format, kind, what) is (what not in LOSSES[format])

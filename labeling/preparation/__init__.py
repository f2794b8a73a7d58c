"""What is to be said of a dataset before it is used, and the fixes for it. No Django.

`look_through` reports on all rows of a file or a version; `Plan` carries out the fixes that were chosen.
"""

from .beside import words_beside
from .coverage import gaps
from .finding import Options
from .report import FIXES, PREPARATION_LOOKS, Plan, Report, excerpt, look_through
from .texts import masked
from .units import Rewrite, Unit, record_of_unit, row_of_unit, source_of, unit_of_record, unit_of_row

__all__ = [
    "FIXES",
    "PREPARATION_LOOKS",
    "Options",
    "Plan",
    "Report",
    "Rewrite",
    "Unit",
    "excerpt",
    "gaps",
    "look_through",
    "masked",
    "record_of_unit",
    "row_of_unit",
    "source_of",
    "unit_of_record",
    "unit_of_row",
    "words_beside",
]

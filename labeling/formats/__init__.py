"""Pure converters between file formats and rows. No Django, nothing of ours above this package.

In: `detect`, `read_file`, `group_completions`. Out: `write_rows`, `export_lines` over canonical rows.
"""

from .canonical import (
    DATASET_KINDS,
    MARGIN_VALUES,
    canonical_line,
    comparison_row,
    completions_row,
    dense_ranks,
    pairs_from_ranks,
    prompt_row,
    ranks_by_id,
    ranks_from_tiers,
    sft_row,
    tiers_from_ranks,
)
from .detection import FORMATS, Detection
from .errors import ExportError, FormatError
from .export_base import ExportFormat
from .exports import EXPORT_FORMATS
from .grouping import group_completions
from .keys import SPLITS, prompt_digest, prompt_group, split_of
from .limits import DEFAULT_LIMITS, Limits
from .reading import detect, read_file, unpacks_to_more_than
from .records import (
    KINDS,
    CompletionRecord,
    DemonstrationRecord,
    PromptRecord,
    RankingRecord,
    Record,
)
from .writing import ExportSummary, encoded_rows, export_lines, formats_for, neutralise, write_rows

__all__ = [
    "DATASET_KINDS",
    "DEFAULT_LIMITS",
    "EXPORT_FORMATS",
    "FORMATS",
    "KINDS",
    "MARGIN_VALUES",
    "SPLITS",
    "CompletionRecord",
    "DemonstrationRecord",
    "Detection",
    "ExportError",
    "ExportFormat",
    "ExportSummary",
    "FormatError",
    "Limits",
    "PromptRecord",
    "RankingRecord",
    "Record",
    "canonical_line",
    "comparison_row",
    "completions_row",
    "dense_ranks",
    "detect",
    "encoded_rows",
    "export_lines",
    "formats_for",
    "group_completions",
    "neutralise",
    "pairs_from_ranks",
    "prompt_digest",
    "prompt_group",
    "prompt_row",
    "ranks_by_id",
    "ranks_from_tiers",
    "read_file",
    "sft_row",
    "split_of",
    "tiers_from_ranks",
    "unpacks_to_more_than",
    "write_rows",
]

"""What a file may cost us. Each limit is stated to people in docs/formats.md and in the error that names
it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    max_file_bytes: int = 1_000_000_000  # after decompression, so that a bomb meets it too
    max_rows: int = 10_000_000  # many short ones take long, and much room, where few bytes hold them packed
    max_line_bytes: int = 4 * 1024 * 1024  # one JSON record, one CSV row, one line of text
    max_text_characters: int = 1_000_000  # Unicode code points of one text field
    max_depth: int = 64  # nested lists and objects of one record
    max_columns: int = 10_000
    max_messages: int = 1_000
    max_metadata_bytes: int = 8_192  # of one extra field, as JSON
    min_ranked: int = 2
    max_ranked: int = 9
    max_completions: int = 64  # waiting to be ranked, for one prompt
    max_grouped_characters: int = 200_000_000  # of completions grouped by prompt in memory


DEFAULT_LIMITS = Limits()

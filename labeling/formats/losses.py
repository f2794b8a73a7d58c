"""What each export format does not give back when it is imported again: one table for the docs, the pages and
the test that tries every entry (tests/formats/test_what_comes_back.py).

A row that has such a thing is left out and counted where the rest of it would then be wrong (a conversation
of several turns, a system message, a line break in a table with tabs), else it goes without.
"""

from .exports import EXPORT_FORMATS

_PERSON = ("lineage", "notes")
_JUDGMENT = ("lineage", "answers", "notes", "scores", "reasons")
_PAIR = ("groups", "ties", "unrankable", "models", "ids", *_JUDGMENT)

# In the order of `KEYS`.
LOSSES: dict[str, tuple[str, ...]] = {
    "canonical": (),
    "messages": _PERSON,
    "prompt_response": ("turns", *_PERSON),
    "prompt_completion": ("turns", *_PERSON),
    "prompt_response_csv": ("turns", *_PERSON),
    "prompt_completion_csv": ("turns", *_PERSON),
    "prompt_response_tsv": ("turns", "line_breaks", *_PERSON),
    "openai_legacy": ("turns", "system", "exact_texts", "fields", *_PERSON),
    "prompt_completion_messages": _PERSON,
    "alpaca": ("turns", *_PERSON),
    "question_answer": ("turns", "system", *_PERSON),
    "sharegpt": _PERSON,
    "oasst": ("turns", "system", "fields", *_PERSON),
    "preference": ("turns", *_PAIR),
    "preference_messages": _PAIR,
    "preference_csv": ("turns", *_PAIR),
    "preference_tsv": ("turns", "line_breaks", *_PAIR),
    "preference_implicit": _PAIR,
    "hh": (
        "system",
        "speaker_marks",
        "groups",
        "ties",
        "unrankable",
        "margins",
        "models",
        "ids",
        "fields",
        *_JUDGMENT,
    ),
    "openai_preference": ("groups", "ties", "unrankable", "margins", "models", "ids", "fields", *_JUDGMENT),
    "kto": ("groups", "ties", "unrankable", "margins", "models", "ids", *_JUDGMENT),
    "kto_messages": ("groups", "ties", "unrankable", "margins", "models", "ids", *_JUDGMENT),
    "pointwise": ("unrankable", "margins", "models", "ids", "lineage", "notes", "scores", "reasons"),
    "kwise": ("lineage", "answers", "notes", "scores"),
    "kwise_ranks": ("lineage", "notes", "scores", "reasons"),
    "kwise_csv": ("turns", "unrankable", "margins", "ids", *_JUDGMENT),
    "kwise_tsv": ("turns", "line_breaks", "unrankable", "margins", "ids", *_JUDGMENT),
    "pairs_with_ties": ("turns", "groups", "unrankable", "margins", "models", "ids", *_JUDGMENT),
    "alpaca_eval": ("turns", "system", "groups", "unrankable", "margins", "ids", *_JUDGMENT),
    "oasst_ranked": ("system", "unrankable", "margins", "models", "ids", "fields", *_JUDGMENT),
    "stackexchange": ("turns", "system", "unrankable", "margins", "models", "ids", "fields", *_JUDGMENT),
    "completions": ("lineage",),
    "model_outputs": ("turns", "system", "ids", "sampling", "lineage"),
    "completions_csv": ("turns", "ids", "sampling", "lineage"),
    "completions_tsv": ("turns", "line_breaks", "ids", "sampling", "lineage"),
    "asked_prompts": ("completions", "models", "ids", "sampling", "lineage"),
    "asked_prompts_text": (
        "turns",
        "system",
        "line_breaks",
        "completions",
        "models",
        "ids",
        "sampling",
        "fields",
        "lineage",
    ),  # fmt: skip
    "prompts": (),
    "prompts_csv": ("turns",),
    "instructions": ("turns",),
    "prompts_tsv": ("turns", "line_breaks"),
    "prompts_text": ("turns", "system", "line_breaks", "fields"),
}
KEYS = (
    "turns", "system", "line_breaks", "speaker_marks", "exact_texts", "completions", "groups",
    "ties", "unrankable", "margins", "models", "ids", "sampling", "fields", "lineage", "answers", "notes",
    "scores", "reasons",
)  # fmt: skip


def losses_of(format: str) -> tuple[str, ...]:
    """Keys of what the format does not give back. Raises KeyError for one that there is not."""
    return LOSSES[EXPORT_FORMATS[format].name]

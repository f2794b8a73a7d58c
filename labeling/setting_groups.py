"""In which sections a project's settings are shown; each setting stands in exactly one (a test counts)."""

from __future__ import annotations

from annotate.words import _

# (key for the address, heading, names of ProjectSettings in the order they are shown)
SETTING_GROUPS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    (
        "hand-out",
        _("Hand-out"),
        (
            "lease_minutes", "default_overlap", "completions_per_task", "max_tasks_per_day",
            "max_hours_per_day", "match_languages", "require_qualification", "skips_until_parked",
        ),
    ),
    (
        "review",
        _("Review and consensus"),
        (
            "demonstration_review_rate", "ranking_review_rate", "new_person_reviews", "review_flagged",
            "low_agreement_below", "model_conflict_confidence", "consensus_rule", "return_reasons",
        ),
    ),
    (
        "gold",
        _("Calibration, gold and repeats"),
        (
            "calibration_rate", "gold_rate", "gold_pass_mark", "review_missed_gold", "repeat_rate",
            "repeat_after_days",
        ),
    ),
    (
        "checks",
        _("Lengths and checks of texts"),
        (
            "response_min_characters", "response_max_characters", "prompt_min_characters",
            "prompt_max_characters", "check_length", "blocked_words", "check_blocked_words",
            "check_personal_data", "check_repeated_prompt", "check_near_duplicate", "near_duplicate_share",
            "check_untouched_draft",
        ),
    ),
    ("pay", _("Pay"), ("show_pay",)),
)  # fmt: skip

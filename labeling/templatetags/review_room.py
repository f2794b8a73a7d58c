"""Filters of the review room's pages."""

from django import template

from labeling.review_queues import SHORT_REASONS

register = template.Library()


@register.filter
def percent(share: float | None) -> str:
    """0.834 → "83 %", None → "—"."""
    return "—" if share is None else f"{share:.0%}".replace("%", "\N{NO-BREAK SPACE}%")


@register.filter
def short_reason(reason: str) -> str:
    """ "sampled" → "Sampled", as on the tabs; what it does not know stays as it is."""
    return SHORT_REASONS.get(reason, reason)  # type: ignore[call-overload]

"""Filters of the review room's pages."""

from django import template

register = template.Library()


@register.filter
def percent(share: float | None) -> str:
    """0.834 → "83 %", None → "–"."""
    return "–" if share is None else f"{share:.0%}".replace("%", "\N{NO-BREAK SPACE}%")

"""What pages say beside a share of accepted work: the same words everywhere, from the definition itself."""

from __future__ import annotations

from django import template
from django.contrib.humanize.templatetags.humanize import intcomma
from django.utils.translation import gettext

from labeling.acceptance import MEANING, Acceptance

register = template.Library()


@register.simple_tag
def acceptance_meaning() -> str:
    return MEANING


@register.simple_tag
def acceptance_note(review: Acceptance) -> str:
    """How much was reviewed, and what is left out of the share."""
    numbers = {
        "reviewed": intcomma(review.reviewed),
        "fixed": intcomma(review.fixed),
        "rest": intcomma(review.unreviewed),
    }
    if not review.reviewed:
        return gettext("nothing reviewed; %(rest)s not reviewed") % numbers
    return gettext("of %(reviewed)s reviewed; %(fixed)s fixed, not counted; %(rest)s not reviewed") % numbers

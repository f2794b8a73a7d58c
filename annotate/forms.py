"""What every form view of the site needs, and what comes from forms elsewhere."""

from __future__ import annotations

from typing import Any

from django import forms

from .errors import DomainError


def add_domain_error(form: forms.BaseForm, error: DomainError) -> None:
    """Show a DomainError next to the form's field it is about, or on top of the form."""
    text = f"{error.message} {error.hint}" if error.hint else error.message
    form.add_error(error.field if error.field in form.fields else None, text)


def whole_number(value: Any) -> int:
    """A count that a form sends as text; 0 where it is missing or something else."""
    text = str(value or "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0

"""Shapes of the forms of hours and pay; the rules are in services.pay."""

from __future__ import annotations

from django import forms
from django.core.validators import MaxValueValidator, MinValueValidator

from annotate.words import _

from .forms import offer
from .listing import EARLIEST_DAY, LATEST_DAY
from .models import RateUnit, work_choices


class RateForm(forms.Form):
    work = forms.ChoiceField(label=_("Work"))
    user = forms.ChoiceField(
        required=False, label=_("For"), help_text=_("One person's own rate goes before everybody's.")
    )
    amount = forms.DecimalField(
        required=False,
        min_value=0,
        max_digits=12,
        decimal_places=4,
        label=_("Amount"),
        help_text=_("Leave it empty to end a person's own rate: the project's holds again."),
    )
    currency = forms.RegexField(
        r"^[A-Za-z]{3}$", label=_("Currency"), help_text=_("Three letters, such as EUR."), max_length=3
    )
    unit = forms.ChoiceField(choices=RateUnit.choices, label=_("Paid by"))
    valid_from = forms.DateField(
        label=_("Valid from"),
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        help_text=_("Work done before keeps its rate."),
    )

    def __init__(self, *args, people, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        offer(self.fields["work"], work_choices())
        offer(self.fields["user"], [("", _("Everybody")), *((str(pk), name) for pk, name in people)])

    def clean_currency(self) -> str:
        return self.cleaned_data["currency"].upper()


class CorrectionForm(forms.Form):
    day = forms.DateField(label=_("Day"), widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"))
    work = forms.ChoiceField(label=_("Work"))
    minutes = forms.DecimalField(
        required=False,
        max_digits=6,
        decimal_places=2,
        label=_("Minutes"),
        help_text=_("Below zero to take time off: -15."),
    )
    pieces = forms.IntegerField(
        required=False, label=_("Pieces"), help_text=_("Below zero to take pieces off.")
    )
    reason = forms.CharField(
        max_length=500,
        label=_("Reason"),
        help_text=_("The person reads it, and it stays in the audit trail."),
    )
    idempotency_key = forms.CharField(widget=forms.HiddenInput)

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        offer(self.fields["work"], work_choices())

    def clean_minutes(self):
        return self.cleaned_data["minutes"] or 0

    def clean_pieces(self):
        return self.cleaned_data["pieces"] or 0


DAY_LIMITS = [MinValueValidator(EARLIEST_DAY), MaxValueValidator(LATEST_DAY)]


class PeriodForm(forms.Form):
    """What a page of hours is asked for; what makes no sense is left out, not refused."""

    first = forms.DateField(required=False, validators=DAY_LIMITS)
    last = forms.DateField(required=False, validators=DAY_LIMITS)
    person = forms.IntegerField(required=False, max_value=2**31 - 1)
    work = forms.CharField(required=False)

    def asked(self, name: str):
        self.is_valid()
        return self.cleaned_data.get(name)

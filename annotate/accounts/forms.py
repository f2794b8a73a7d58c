"""Shapes of the account forms; the rules are in services."""

from django import forms
from django.conf import settings
from django.utils.html import format_html, format_html_join

from annotate.accounts.models import User, timezone_names
from annotate.accounts.preferences import HIGHEST_GOAL, MAIL_NAMES
from annotate.words import _


class LongSelect(forms.Select):
    """A list of hundreds of entries: Django renders a template for each of them, which takes long."""

    def render(self, name, value, attrs=None, renderer=None):
        chosen = set(self.format_value(value))
        options = format_html_join(
            "",
            '<option value="{}"{}>{}</option>',
            ((key, " selected" if str(key) in chosen else "", label) for key, label in self.choices),
        )
        rest = forms.utils.flatatt({**self.build_attrs(self.attrs, attrs), "name": name})
        return format_html("<select{}>{}</select>", rest, options)


class ProfileForm(forms.Form):
    display_name = forms.CharField(
        max_length=100,
        required=False,
        label=_("Name"),
        help_text=_("What colleagues see. Your user name where empty."),
    )
    timezone = forms.ChoiceField(
        required=False,
        label=_("Time zone"),
        choices=lambda: [(name, name) for name in timezone_names()],
        widget=LongSelect,
    )
    language = forms.ChoiceField(
        required=False, label=_("Language"), choices=[("browser", _("As the browser")), *settings.LANGUAGES]
    )
    theme = forms.ChoiceField(
        required=False,
        label=_("Appearance"),
        choices=[("system", _("As the device")), ("light", _("Light")), ("dark", _("Dark"))],
    )
    daily_goal = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=HIGHEST_GOAL,
        label=_("Daily goal"),
        help_text=_("Pieces of work you want to do in a day; only you see it. Empty for none."),
    )


WHEN_LABELS = {
    "immediately": _("At once"),
    "daily": _("Once a day, in the morning"),
    "never": _("Never"),
}
MAIL_LABELS = {
    "mail_decisions": _("Returned work and other decisions on mine"),
    "mail_replies": _("Replies and mentions"),
    "mail_guidelines": _("New guidelines and forms"),
    "mail_work": _("Work is waiting again"),
    "mail_runs": _("Ended runs, rounds, datasets, imports"),
    "mail_other": _("Everything else"),
}


class MailForm(forms.Form):
    """When notifications also come by e-mail. They are always shown on the site."""

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        for name in MAIL_NAMES:
            choices = [(value, WHEN_LABELS[value]) for value in WHEN_LABELS]
            self.fields[name] = forms.ChoiceField(choices=choices, label=MAIL_LABELS[name])
        self.fields["follow_runs"] = forms.ChoiceField(
            choices=[("no", _("Only those I launched")), ("yes", _("All runs of projects I am an admin of"))],
            label=_("Tell me of runs"),
        )


class TokenForm(forms.Form):
    name = forms.CharField(
        max_length=80, label=_("Name"), help_text=_("The program or script that will use it.")
    )
    expires_in_days = forms.TypedChoiceField(
        label=_("Good for"),
        coerce=lambda value: int(value) if value else None,
        empty_value=None,
        choices=[
            ("30", _("30 days")),
            ("90", _("90 days")),
            ("365", _("a year")),
            ("", _("ever, until revoked")),
        ],
        initial="90",
        required=False,
    )


class SetupForm(forms.Form):
    username = forms.CharField(max_length=150, label=_("User name"), validators=[User.username_validator])
    email = forms.EmailField(label=_("E-mail address"))
    password = forms.CharField(
        label=_("Password"),
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text=_("At least 10 characters, not a common word, nothing like your name."),
    )
    password_again = forms.CharField(
        label=_("Password again"),
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )

    def clean(self):
        super().clean()
        cleaned = self.cleaned_data
        if cleaned.get("password") != cleaned.get("password_again"):
            self.add_error("password_again", _("The two passwords are not the same."))
        return cleaned

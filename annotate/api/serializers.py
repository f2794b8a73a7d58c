from rest_framework import serializers

from annotate.accounts.models import ApiToken, User
from annotate.accounts.preferences import CHOICES, HIGHEST_GOAL, MAIL_AT_ONCE


class MeSerializer(serializers.ModelSerializer):
    class Meta:
        model = User
        fields = [
            "id",
            "username",
            "email",
            "display_name",
            "pseudonym",
            "timezone",
            "preferences",
            "is_superuser",
        ]


class PreferencesSerializer(serializers.Serializer):
    """How pages look and behave for a person, on all their devices."""

    theme = serializers.ChoiceField(choices=CHOICES["theme"], required=False)
    language = serializers.ChoiceField(
        choices=CHOICES["language"], required=False, help_text="Of the pages; `browser` follows the browser."
    )
    ranking_layout = serializers.ChoiceField(
        choices=CHOICES["ranking_layout"], required=False, help_text="Completions side by side, or stacked."
    )
    scroll_together = serializers.ChoiceField(
        choices=CHOICES["scroll_together"], required=False, help_text="Whether completions scroll together."
    )
    guideline_place = serializers.ChoiceField(
        choices=CHOICES["guideline_place"], required=False, help_text="Where the guideline is at work."
    )
    mail_decisions = serializers.ChoiceField(
        choices=MAIL_AT_ONCE, required=False, help_text="E-mail of decisions on one's work."
    )
    mail_replies = serializers.ChoiceField(
        choices=MAIL_AT_ONCE, required=False, help_text="E-mail of replies and mentions."
    )
    mail_guidelines = serializers.ChoiceField(
        choices=MAIL_AT_ONCE, required=False, help_text="E-mail of new guidelines and forms."
    )
    mail_work = serializers.ChoiceField(
        choices=MAIL_AT_ONCE, required=False, help_text="E-mail when there is work again."
    )
    mail_runs = serializers.ChoiceField(
        choices=MAIL_AT_ONCE, required=False, help_text="E-mail of runs, rounds, datasets, imports."
    )
    mail_other = serializers.ChoiceField(
        choices=MAIL_AT_ONCE, required=False, help_text="E-mail of everything else."
    )
    follow_runs = serializers.ChoiceField(
        choices=CHOICES["follow_runs"], required=False, help_text="Admins: be told of everybody's runs."
    )
    daily_goal = serializers.IntegerField(
        min_value=1,
        max_value=HIGHEST_GOAL,
        required=False,
        allow_null=True,
        help_text="Pieces of work a day.",
    )


class TokenSerializer(serializers.ModelSerializer):
    id = serializers.CharField(source="digest", help_text="Names the token; it is not the token itself.")

    class Meta:
        model = ApiToken
        fields = ["id", "name", "created", "expiry"]


class TokenInputSerializer(serializers.Serializer):
    name = serializers.CharField(max_length=80)
    expires_in_days = serializers.IntegerField(
        required=False, allow_null=True, default=365, help_text="null: until revoked."
    )


class NewTokenSerializer(TokenSerializer):
    token = serializers.CharField(help_text="Shown here once and never again.")

    class Meta(TokenSerializer.Meta):
        fields = [*TokenSerializer.Meta.fields, "token"]

"""`manage.py check --deploy`: what a production start should not be missing."""

from django.conf import settings
from django.core.checks import Tags, Warning, register


@register(Tags.security, deploy=True)
def check_hosts(app_configs, **kwargs):
    if "*" in settings.ALLOWED_HOSTS:
        return [
            Warning(
                "ALLOWED_HOSTS contains '*'.",
                hint="Name the hosts people use: ALLOWED_HOSTS=annotate.example.org",
                id="annotate.W001",
            )
        ]
    return []

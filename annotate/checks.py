"""What a start should not be missing: `check --deploy` asks all, `migrate` those of the database."""

from django.conf import settings
from django.core.checks import Error, Tags, Warning, register
from django.db import DEFAULT_DB_ALIAS, connection


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


@register(Tags.database)
def check_encoding(app_configs, databases=None, **kwargs):
    """PostgreSQL stores text of any language in UTF8 only; one made under the locale C has SQL_ASCII."""
    if DEFAULT_DB_ALIAS not in (databases or ()) or connection.vendor != "postgresql":
        return []
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_encoding")
        encoding = cursor.fetchone()[0]
    if encoding == "UTF8":
        return []
    return [
        Error(
            f"The database's encoding is {encoding}: it cannot store what people write.",
            hint="Make it anew: createdb --encoding=UTF8 --template=template0 annotate",
            id="annotate.E001",
        )
    ]

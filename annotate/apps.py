from django.apps import AppConfig, apps
from django.db.backends.signals import connection_created
from django.db.models.signals import post_migrate


class AnnotateConfig(AppConfig):
    name = "annotate"
    verbose_name = "Site"

    def ready(self) -> None:
        from annotate import checks  # noqa: F401 - registers the deployment checks
        from annotate.celery import app  # noqa: F401 - so that shared tasks find our app
        from annotate.postgres import set_up_connection
        from annotate.sqlite.statistics import forget_statistics

        # This app has no tables, so the signal never has it as its sender.
        post_migrate.connect(forget_statistics, sender=apps.get_app_config("accounts"))
        connection_created.connect(set_up_connection)

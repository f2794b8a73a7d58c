from django.apps import AppConfig


class AnnotateConfig(AppConfig):
    name = "annotate"
    verbose_name = "Site"

    def ready(self) -> None:
        from annotate import checks  # noqa: F401 - registers the deployment checks
        from annotate.celery import app  # noqa: F401 - so that shared tasks find our app

"""The Celery application. Tasks are edges: an id in, one service call. See annotate.doorbell to ring one."""

from __future__ import annotations

import os
import time

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "annotate.settings")

from celery import Celery  # noqa: E402 - the settings module must be named first
from django.conf import settings  # noqa: E402
from kombu import Queue  # noqa: E402

from annotate import transport  # noqa: E402


def broker_options() -> dict:
    """Options of the broker in use: Redis answers at once or not at all; the folder is polled."""
    if settings.REDIS_URL:
        return {"socket_timeout": 2, "socket_connect_timeout": 2, "retry_on_timeout": False, "max_retries": 1}
    return transport.folder_options(settings.BROKER_DIR)


app = Celery("annotate")
app.config_from_object("django.conf:settings", namespace="CELERY")
if not settings.REDIS_URL:
    transport.register()
app.conf.update(
    broker_transport_options=broker_options(),
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,  # a worker waits for its broker for as long as it takes
    task_queues=[Queue("default"), Queue("training")],
    # Messages are doorbells: acknowledged early, because the row decides, and no result is kept.
    task_acks_late=False,
    task_ignore_result=True,
    worker_prefetch_multiplier=1,
    worker_hijack_root_logger=False,
    worker_send_task_events=False,
    task_publish_retry=False,
    task_serializer="json",
    accept_content=["json"],
    timezone="UTC",
    beat_schedule_filename=str(settings.DATA_DIR / "celerybeat-schedule"),
    # In memory: the beat file would be a pickle, and a sweep every two seconds needs no memory.
    beat_scheduler="celery.beat:Scheduler",
)
app.autodiscover_tasks()


@app.task(name="annotate.ping")
def ping() -> float:
    """Proves that a worker is listening; returns its clock."""
    return time.time()

"""One log line per event: readable in a terminal, JSON elsewhere, with the request id on each."""

from __future__ import annotations

import logging.config
import sys
from typing import Any

import structlog


def without_colours(_logger: Any, _method: str, event: dict[str, Any]) -> dict[str, Any]:
    """uvicorn gives each of its lines a second time, with escape codes for a terminal."""
    event.pop("color_message", None)
    return event


SHARED: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.stdlib.ExtraAdder(),
    without_colours,
]

EACH_TASK = ("celery.beat", "celery.worker.strategy", "celery.app.trace")


def configure_logging(*, style: str, level: str) -> None:
    """`style` is json, console or auto (console in a terminal, JSON when the output goes to a file)."""
    if style == "auto":
        style = "console" if sys.stderr.isatty() else "json"
    renderers: list[Any]
    # Tracebacks without the values of local variables: passwords, tokens and people's texts are among them.
    if style == "json":
        without_values = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
        renderers = [
            structlog.processors.ExceptionRenderer(without_values),
            structlog.processors.JSONRenderer(),
        ]
    else:
        renderers = [
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
            )
        ]
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "structured": {
                    "()": structlog.stdlib.ProcessorFormatter,
                    "foreign_pre_chain": SHARED,
                    "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
                }
            },
            "handlers": {"default": {"class": "logging.StreamHandler", "formatter": "structured"}},
            "root": {"handlers": ["default"], "level": level},
            "loggers": {
                # Our middleware writes one line per request; uvicorn's own would be a second one.
                "uvicorn.access": {"handlers": [], "propagate": False},
                # What else it says (failures foremost) is a line like ours, not in the format of its command.
                "uvicorn": {"handlers": [], "propagate": True},
                # A 4xx is an answer, not a warning; the request line carries its status.
                "django.request": {"level": "ERROR"},
                "django.channels.server": {"level": "WARNING"},
                # Sweeps come every two seconds; six lines each time would bury the set-up link.
                **dict.fromkeys(EACH_TASK, {"level": "DEBUG" if level.upper() == "DEBUG" else "WARNING"}),
            },
        }
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *SHARED[:-2],
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.processors.StackInfoRenderer(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )

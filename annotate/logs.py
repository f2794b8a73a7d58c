"""One log line per event: readable in a terminal, JSON elsewhere, with the request id on each."""

from __future__ import annotations

import io
import logging.config
import sys
from typing import Any, TextIO

import structlog

from .quoted_rows import quoting


def without_colours(_logger: Any, _method: str, event: dict[str, Any]) -> dict[str, Any]:
    """uvicorn gives each of its lines a second time, with escape codes for a terminal."""
    event.pop("color_message", None)
    return event


class WithoutRows(structlog.tracebacks.ExceptionDictTransformer):
    """Tracebacks as data, without the rows that a database error quotes."""

    def __call__(self, exc_info: Any) -> list[dict[str, Any]]:
        said = quoting(exc_info[1])
        return [_without(said, stack) for stack in super().__call__(exc_info)]


def _without(said: dict[str, str], stack: dict[str, Any]) -> dict[str, Any]:
    stack["exc_value"] = said.get(stack["exc_value"], stack["exc_value"])
    stack["exceptions"] = [[_without(said, each) for each in inner] for inner in stack.get("exceptions", [])]
    return stack


def plain_traceback(output: TextIO, exc_info: Any) -> None:
    """The same for a terminal."""
    text = io.StringIO()
    structlog.dev.plain_traceback(text, exc_info)
    told = text.getvalue()
    for quoted, plain in quoting(exc_info[1]).items():
        # Line by line: in a group of errors each is indented.
        first, *more = filter(None, quoted.splitlines())
        told = told.replace(first, plain)
        for line in more:
            told = told.replace(line, "")
    output.write(told)


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
        without_values = WithoutRows(show_locals=False)
        renderers = [
            structlog.processors.ExceptionRenderer(without_values),
            structlog.processors.JSONRenderer(),
        ]
    else:
        renderers = [
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain_traceback)
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

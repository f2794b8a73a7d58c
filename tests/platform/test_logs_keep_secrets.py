"""What a failing line of code had in its hands does not reach the log."""

import json
import subprocess
import sys

import pytest

SCRIPT = """
import logging
from annotate.logs import configure_logging
configure_logging(style={style!r}, level="INFO")

def sign_in(password):
    raise RuntimeError("no luck")

try:
    sign_in("hunter2-" + "x" * 3)
except RuntimeError:
    logging.getLogger("site").exception("failed")
"""


@pytest.mark.parametrize("style", ["json", "console"])
def test_a_traceback_names_the_line_but_not_the_values(style):
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(style=style)], capture_output=True, text=True, check=True
    )
    assert "no luck" in run.stderr
    assert "sign_in" in run.stderr
    assert "hunter2-xxx" not in run.stderr


def test_sweeps_every_two_seconds_do_not_bury_what_matters():
    script = """
import logging
from annotate.logs import configure_logging
configure_logging(style="json", level="INFO")
logging.getLogger("celery.app.trace").info("Task labeling.tasks.sweep succeeded")
logging.getLogger("celery.app.trace").error("Task failed")
logging.getLogger("celery.apps.worker").info("ready")
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "succeeded" not in run.stderr
    assert "Task failed" in run.stderr and "ready" in run.stderr


def test_lines_of_the_web_server_are_lines_like_ours():
    # As `uvicorn annotate.asgi:application` does it: its own set-up first, then the site's.
    script = """
import logging
from uvicorn import Config
Config("annotate.asgi:application")
from annotate.logs import configure_logging
configure_logging(style="json", level="INFO")
logging.getLogger("uvicorn.error").error("Exception in ASGI application", extra={"color_message": "x"})
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    [line] = (run.stdout + run.stderr).splitlines()
    assert json.loads(line)["event"] == "Exception in ASGI application"
    assert "color_message" not in line

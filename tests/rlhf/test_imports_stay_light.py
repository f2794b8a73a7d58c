"""Asking the library what it does costs a tenth of a second; what computes is loaded when a stage starts."""

import math
import os
import resource
import subprocess
import sys

import pytest

from training.rlhf.allocator import ENVIRONMENT
from training.rlhf.config import STAGES

from .conftest import ROOT

HEAVY = "{'torch', 'transformers', 'peft', 'accelerate', 'safetensors', 'numpy', 'django'}"
SAY_WHAT_IS_LOADED = f"print('loaded', sorted({HEAVY} & set(sys.modules)))"
# As `python -m training.rlhf` runs, and then a look at what that has loaded.
AS_COMMAND = (
    "import runpy, sys\n"
    "try:\n    runpy.run_module('training.rlhf', run_name='__main__')\n"
    f"finally:\n    {SAY_WHAT_IS_LOADED}"
)
TRIES = 5  # until one is below: other work on the machine only ever adds time
MOST_SECONDS = 0.2


def children_seconds() -> float:
    """Processor time of the processes that have ended: the clock on the wall also measures who else works."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def fastest(*arguments: str) -> tuple[float, str]:
    """(seconds of processor time at best, last line written)."""
    least = math.inf
    for _ in range(TRIES):
        started = children_seconds()
        shown = subprocess.run(
            [sys.executable, *arguments],
            cwd=ROOT,
            env={**os.environ, **ENVIRONMENT},  # else the command begins anew with them
            capture_output=True,
            text=True,
            check=True,
        )
        least = min(least, children_seconds() - started)
        if least < MOST_SECONDS:
            break
    return least, shown.stdout.strip().rpartition("\n")[2]


@pytest.mark.parametrize(
    "modules", ["training.rlhf", "training.rlhf.config, training.rlhf.checkpoints, training.rlhf.cli"]
)
def test_importing_the_package_takes_under_a_fifth_of_a_second(modules):
    seconds, loaded = fastest("-c", f"import sys, {modules}; {SAY_WHAT_IS_LOADED}")
    assert loaded == "loaded []"
    assert seconds < MOST_SECONDS


@pytest.mark.parametrize("stage", ["", *STAGES, "preview"])
def test_help_takes_no_longer_and_loads_nothing_that_computes(stage):
    seconds, loaded = fastest("-c", AS_COMMAND, *filter(None, [stage]), "--help")
    assert loaded == "loaded []"
    assert seconds < MOST_SECONDS


def test_a_configuration_is_refused_before_anything_is_loaded(tmp_path):
    (tmp_path / "config.json").write_text('{"learning_rate": NaN}')
    shown = subprocess.run(
        [sys.executable, "-c", AS_COMMAND, "sft", "--config", str(tmp_path / "config.json"), "--out",
         str(tmp_path / "run")],
        cwd=ROOT, env={**os.environ, **ENVIRONMENT}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert shown.returncode == 2 and "learning_rate" in shown.stderr
    assert shown.stdout.strip().endswith("loaded []")

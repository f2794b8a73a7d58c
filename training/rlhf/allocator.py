"""Settings that the C library and OpenMP read when a process starts; so the process starts over with them."""

import os
import sys

# - glibc otherwise gives memory back between steps and asks for it again: up to half of the time on the CPU.
# - OpenMP threads otherwise burn their core while they wait, which stalls everything where cores are shared.
ENVIRONMENT = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "100000000000", "GOMP_SPINCOUNT": "2000"}


def restart_with_settings(module: str) -> None:
    """Run `python -m module` anew with what is missing of them; what somebody has set stays as it is."""
    missing = {name: value for name, value in ENVIRONMENT.items() if name not in os.environ}
    if missing and sys.platform == "linux":
        os.execve(  # noqa: S606 - no shell is wanted
            sys.executable, [sys.executable, "-m", module, *sys.argv[1:]], {**os.environ, **missing}
        )

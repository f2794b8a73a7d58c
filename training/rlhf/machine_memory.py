"""What memory is free: of the GPU, or of the machine, of the group of processes we are in, and of what
this process may take."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Any

ROOT = Path("/sys/fs/cgroup")
PAGE = 4096
NO_LIMIT = 2**60


def free_bytes(device: Any) -> int:
    """Free for us on a torch device."""
    if device.type == "cuda":
        import torch

        return int(torch.cuda.mem_get_info(device)[0])
    return min(_machine_free(), _group_free(), _process_free())


def resident_bytes() -> int:
    """What this process holds in memory now."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE
    except (OSError, IndexError, ValueError):
        return 0


def _machine_free(source: Path = Path("/proc/meminfo")) -> int:
    for line in _text(source).splitlines():
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            return int(value.split()[0]) * 1024
    return NO_LIMIT  # the system does not say


def _group_free(root: Path = ROOT, own: Path = Path("/proc/self/cgroup")) -> int:
    """Containers limit memory by control group, version 2 or 1; every level up counts."""
    free = NO_LIMIT
    for line in _text(own).splitlines():
        _, controllers, place = line.split(":", 2)
        if controllers == "":
            folder, limit, used, reclaimable = root, "memory.max", "memory.current", "inactive_file"
        elif "memory" in controllers.split(","):
            folder = root / "memory"
            limit, used, reclaimable = "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
        else:
            continue
        levels = [folder / place.strip("/"), *(folder / place.strip("/")).parents]
        for level in levels:
            most, now = _text(level / limit).strip(), _text(level / used).strip()
            if most.isdigit() and now.isdigit():
                free = min(free, int(most) - int(now) + _statistic(level / "memory.stat", reclaimable))
            if level == folder:
                break
    return max(0, free)


def _process_free(own: Path = Path("/proc/self/statm")) -> int:
    """What `ulimit -v` leaves of this process's addresses."""
    most, _ = resource.getrlimit(resource.RLIMIT_AS)
    pages = _text(own).split()
    if most == resource.RLIM_INFINITY or not pages:
        return NO_LIMIT
    return max(0, most - int(pages[0]) * PAGE)


def _statistic(path: Path, name: str) -> int:
    for line in _text(path).splitlines():
        key, _, value = line.partition(" ")
        if key == name:
            return int(value)
    return 0


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""

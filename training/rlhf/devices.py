"""Whether this machine has a GPU, seen from the files its driver makes: torch is not loaded.

True says that there is a driver, not yet that the torch installed here can use it: that is asked when a run
starts (session.open_accelerator). False is certain.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from training.rlhf.errors import ConfigError

# NVIDIA's driver on servers, on its small boards, and within Windows; AMD's, whose torch says cuda, too.
DRIVERS = ("nvidiactl", "nvidia[0-9]*", "nvhost-*", "nvgpu", "dxg", "kfd")
HIDING = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES")
HIDDEN = ("", "-1", "NoDevFiles")
NO_GPU = "is cuda, but this machine has no GPU; choose auto, which takes one where there is one, or cpu"


def has_gpu(folder: Path = Path("/dev"), environment: Mapping[str, str] = os.environ) -> bool:
    """Whether a driver of a GPU is there, and not hidden from this process."""
    if any(environment.get(name, "0").strip() in HIDDEN for name in HIDING):
        return False
    return any(next(folder.glob(pattern), None) for pattern in DRIVERS)


def check_device(device: str) -> None:
    """Raises ConfigError where a GPU is asked for and there is certainly none."""
    if device == "cuda" and not has_gpu():
        raise ConfigError("device", NO_GPU)

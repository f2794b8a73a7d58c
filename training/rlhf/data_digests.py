"""Which bytes a run learns from: a resumed run must find the files that it began with. Loads no torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from training.rlhf import checkpoints
from training.rlhf.config import TRAINING_STAGES, describe
from training.rlhf.config.common import DATA
from training.rlhf.errors import ConfigError

DIGESTS = "data.json"  # in the run's folder


def digests_of(stage: str, config: dict[str, Any]) -> list[dict[str, str]]:
    """[{"role", "name", "sha256"}] of the data files a configuration names, as they are now; "" for one that
    is not there."""
    try:
        specs = describe(stage)
    except ConfigError:
        return []
    found = []
    for spec in specs:
        value = config.get(spec.name)
        if spec.group != DATA or not spec.name.endswith(("_file", "_files")) or not value:
            continue
        for name in [value] if isinstance(value, str) else value:
            path = Path(name)
            sha256 = checkpoints.digest(path)["sha256"] if path.is_file() else ""
            found.append({"role": spec.name, "name": path.name, "sha256": sha256})
    return found


def store_digests(folder: Path, stage: str, config: dict[str, Any]) -> None:
    checkpoints.write_json(folder / DIGESTS, digests_of(stage, config))


def stored_digests(folder: Path) -> list[dict[str, str]] | None:
    """Of a run's folder; None of one from before they were stored."""
    try:
        found = json.loads((folder / DIGESTS).read_bytes())
        return [{name: str(each[name]) for name in ("role", "name", "sha256")} for each in found]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def require_same_data(folder: Path, stage: str, config: dict[str, Any]) -> None:
    """ConfigError naming the first file that is another than when the run in this folder began. What does
    not learn (scoring, say) may go on with what is left to do."""
    begun = stored_digests(folder)
    if begun is None or stage not in TRAINING_STAGES:
        return
    for before, now in zip(begun, digests_of(stage, config), strict=False):
        if before != now:
            raise ConfigError(
                now["role"],
                f"{now['name']} is not what it was when this run began (its SHA-256 was "
                f"{before['sha256'][:12] or 'of no file'}, now it is {now['sha256'][:12] or 'of no file'}); "
                "put it back, or begin another run",
            )

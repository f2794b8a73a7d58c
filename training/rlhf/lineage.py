"""Where a checkpoint comes from, as its manifest, its run and those before it tell. Loads no torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from training.rlhf import checkpoints
from training.rlhf.data_digests import digests_of, stored_digests
from training.rlhf.errors import CheckpointError

DEEPEST = 20  # checkpoints one behind the other
MODELS = ("model", "policy", "reward_model")


def lineage_of(folder: Path) -> list[dict[str, Any]]:
    """Steps, the checkpoint itself first: {"stage", "step", "name", "manifest_sha256", "base",
    "data": [{"role", "name", "sha256"}]}.

    Data files are named with the digest they had when the run began; of runs that did not store it with the
    one they have now, where they still lie there. A checkpoint that was moved out of its run's folder tells
    its manifest's part only.
    """
    found: list[dict[str, Any]] = []
    waiting, seen = [Path(folder)], set()
    while waiting and len(found) < DEEPEST:
        current = waiting.pop(0)
        if current in seen:
            continue
        seen.add(current)
        try:
            manifest = checkpoints.load_manifest(current)
        except CheckpointError:
            continue  # a base model of somebody else's: named by whoever started from it
        config = _run_config(current, manifest.stage)
        found.append(
            {
                "stage": manifest.stage,
                "step": manifest.step,
                "name": current.name,
                "manifest_sha256": checkpoints.digest(current / checkpoints.MANIFEST)["sha256"],
                "base": Path(manifest.base).name,
                "data": _data(current, manifest.stage, config),
            }
        )
        waiting += [
            Path(base) for base in (manifest.base, *(config.get(name, "") for name in MODELS)) if base
        ]
    return found


def _run_config(folder: Path, stage: str) -> dict[str, Any]:
    try:
        stored = json.loads((folder.parent.parent / "config.json").read_bytes())
        return stored["config"] if stored["stage"] == stage else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _data(folder: Path, stage: str, config: dict[str, Any]) -> list[dict[str, str]]:
    if not config:
        return []
    begun = stored_digests(folder.parent.parent)
    return digests_of(stage, config) if begun is None else begun

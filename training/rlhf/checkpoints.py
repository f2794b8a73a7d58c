"""Checkpoints that are whole or absent.

A checkpoint folder is written under a temporary name, every file fsynced, `manifest.json` (with the SHA-256
of each file) last, and then renamed into place. A folder without a manifest does not exist; one whose files
do not match it is damaged and named. Nothing here loads torch.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from training.rlhf.errors import CheckpointError

MANIFEST = "manifest.json"
FORMAT = 1
KINDS = ("causal_lm", "reward_model")
ASIDE = "damaged-"


@dataclass(frozen=True)
class Manifest:
    """What a checkpoint says about itself."""

    kind: str
    step: int
    stage: str
    metrics: dict[str, float]
    base: str
    files: dict[str, dict[str, Any]]
    base_manifest_sha256: str = ""
    format: int = FORMAT
    extra: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return {
            "format": self.format,
            "kind": self.kind,
            "step": self.step,
            "stage": self.stage,
            "metrics": self.metrics,
            "base": self.base,
            "base_manifest_sha256": self.base_manifest_sha256,
            "extra": self.extra,
            "files": self.files,
        }


def digest(path: Path) -> dict[str, Any]:
    """{"sha256", "bytes"} of a file."""
    with open(path, "rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return {"sha256": sha256, "bytes": path.stat().st_size}


def load_manifest(folder: Path) -> Manifest:
    """The manifest of a checkpoint folder, its shape checked, its digests not (see `verify`)."""
    path = Path(folder) / MANIFEST
    try:
        raw = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise CheckpointError(f"{folder} has no {MANIFEST}: it is not a whole checkpoint") from None
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is not readable JSON ({error})") from error
    if not isinstance(raw, dict) or raw.get("format") != FORMAT:
        raise CheckpointError(f"{path} has a format this version does not know")
    try:
        manifest = Manifest(
            kind=raw["kind"],
            step=raw["step"],
            stage=raw["stage"],
            metrics=raw["metrics"],
            base=raw["base"],
            files=raw["files"],
            extra=raw.get("extra", {}),
            base_manifest_sha256=raw.get("base_manifest_sha256", ""),
        )
    except KeyError as error:
        raise CheckpointError(f"{path} lacks {error}") from None
    _check_shape(path, manifest)
    for name in manifest.files:
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise CheckpointError(f"{path} names a file outside its folder: {name!r}")
    return manifest


def _check_shape(path: Path, manifest: Manifest) -> None:
    """Raises CheckpointError naming the first entry that is not what this version writes."""
    for name, kind, words in (
        ("kind", str, "a text"),
        ("step", int, "a whole number"),
        ("stage", str, "a text"),
        ("metrics", dict, "an object"),
        ("base", str, "a text"),
        ("base_manifest_sha256", str, "a text"),
        ("extra", dict, "an object"),
        ("files", dict, "an object"),
    ):
        value = getattr(manifest, name)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise CheckpointError(f"{path}: {name} must be {words}, and is {value!r:.80}")
    for name, entry in manifest.files.items():
        if not isinstance(entry, dict) or not (
            isinstance(entry.get("sha256"), str) and type(entry.get("bytes")) is int
        ):
            raise CheckpointError(
                f"{path}: the entry of {name!r:.80} in files must have sha256 and bytes, and is {entry!r:.80}"
            )


def verify(folder: Path) -> Manifest:
    """The manifest after each file's digest was compared; CheckpointError names the first file that
    differs.
    """
    folder = Path(folder)
    manifest = load_manifest(folder)
    for name, expected in manifest.files.items():
        path = folder / name
        if not path.is_file():
            raise CheckpointError(f"{folder} is damaged: {name} is missing")
        try:
            is_whole = (
                path.stat().st_size == expected["bytes"] and digest(path)["sha256"] == expected["sha256"]
            )
        except OSError as error:
            raise CheckpointError(f"{folder} is damaged: {name} cannot be read ({error.strerror})") from error
        if not is_whole:
            raise CheckpointError(f"{folder} is damaged: {name} does not match its digest")
    return manifest


def step_folder(checkpoints: Path, step: int) -> Path:
    return Path(checkpoints) / f"step-{step}"


def whole_checkpoints(checkpoints: Path) -> list[Path]:
    """Folders with a manifest, oldest step first. Digests are not compared."""
    found = []
    for folder in Path(checkpoints).glob("step-*"):
        number = folder.name.removeprefix("step-")
        if number.isdigit() and (folder / MANIFEST).is_file():
            found.append((int(number), folder))
    return [folder for _, folder in sorted(found)]


def newest_verified(checkpoints: Path, on_damage: Callable[[Path, str], None] | None = None) -> Path | None:
    """The newest checkpoint whose digests match, or None; each damaged one is reported to `on_damage`."""
    for folder in reversed(whole_checkpoints(checkpoints)):
        try:
            verify(folder)
        except CheckpointError as error:
            if on_damage:
                on_damage(folder, error.message)
            continue
        return folder
    return None


def put_aside(folder: Path) -> Path:
    """A damaged checkpoint under a name that no longer counts as one, for whoever wants to look at it."""
    aside = folder.with_name(f"{ASIDE}{folder.name}")
    _remove(aside)
    os.rename(folder, aside)
    fsync_path(folder.parent)
    return aside


def write_checkpoint(
    target: Path,
    fill: Callable[[Path], None],
    *,
    kind: str,
    step: int,
    stage: str,
    metrics: dict[str, float],
    base: str,
    extra: dict[str, Any] | None = None,
) -> Manifest:
    """Let `fill` write files into a temporary folder, seal it with a manifest, and rename it to `target`.

    An existing folder of that name is replaced only by the rename of a finished one. On any error the
    temporary folder is removed, so that a full disk is not kept full.
    """
    if kind not in KINDS:
        raise ValueError(f"unknown checkpoint kind {kind!r}")
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.writing")
    _remove(temporary)
    try:
        temporary.mkdir()
        fill(temporary)
        names = sorted(str(path.relative_to(temporary)) for path in temporary.rglob("*") if path.is_file())
        files = {}
        for name in names:
            files[name] = digest(temporary / name)
            fsync_path(temporary / name)
        manifest = Manifest(
            kind=kind,
            step=step,
            stage=stage,
            metrics=metrics,
            base=base,
            files=files,
            base_manifest_sha256=_manifest_digest(base),
            extra=extra or {},
        )
        write_json(temporary / MANIFEST, manifest.as_dict())
        for folder in [path for path in temporary.rglob("*") if path.is_dir()] + [temporary]:
            fsync_path(folder)
        remove_checkpoint(target)
        os.rename(temporary, target)
        fsync_path(target.parent)
    except BaseException:
        with contextlib.suppress(OSError):  # what the disk said first counts
            _remove(temporary)
        raise
    return manifest


def remove_checkpoint(folder: Path) -> None:
    """Take a checkpoint away: it loses its name first, so that a crash midway leaves no half one."""
    if folder.exists():
        doomed = folder.with_name(f".{folder.name}.removing")
        _remove(doomed)
        os.rename(folder, doomed)
        _remove(doomed)


def sweep_leftovers(checkpoints: Path) -> None:
    """Remove what a killed process left half-written or half-removed."""
    for pattern in (".step-*.writing", ".step-*.removing"):
        for folder in Path(checkpoints).glob(pattern):
            _remove(folder)


def write_json(path: Path, value: Any) -> None:
    """Write JSON durably: temporary file, fsync, rename."""
    temporary = path.with_name(f".{path.name}.writing")
    with _named(path), open(temporary, "w", encoding="utf-8") as file:
        json.dump(value, file, ensure_ascii=False, indent=2, allow_nan=False)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def fsync_path(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with _named(path):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    """The system's refusal of an open file says not which one."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def _manifest_digest(base: str) -> str:
    path = Path(base) / MANIFEST
    return digest(path)["sha256"] if base and path.is_file() else ""


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)

"""Where the files of learning lie, all under DATA_DIR, and which base models may be named."""

from __future__ import annotations

import re
from pathlib import Path

from django.conf import settings

from annotate.errors import Invalid
from annotate.words import _
from labeling.models import Project
from training.models import Checkpoint, TrainingRun
from training.rlhf.errors import RlhfError
from training.rlhf.model_folders import check_folder, template_in
from training.rlhf.template_trial import check_template

LONGEST_TEXT_FILE = 512 * 2**20  # bytes of one uploaded text to pretrain on
SAFE_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")
TEXT_SUFFIXES = (".txt", ".md", ".jsonl", ".ndjson")


def data_dir() -> Path:
    return Path(settings.DATA_DIR)


def without_our_folders(text: str) -> str:
    """What a trainer says names files by their place in DATA_DIR, not by their place on this server."""
    return text.replace(f"{data_dir().resolve()}/", "").replace(f"{data_dir()}/", "")


def run_directory(run: TrainingRun) -> Path:
    return data_dir() / "runs" / str(run.pk)


def checkpoints_directory() -> Path:
    """Where registered checkpoints have their folders, one each."""
    return data_dir() / "checkpoints"


def checkpoint_directory(checkpoint: Checkpoint) -> Path:
    return data_dir() / checkpoint.directory


def texts_directory(project: Project) -> Path:
    return data_dir() / "texts" / str(project.pk)


def text_files(project: Project) -> list[Path]:
    """The texts uploaded to this project for pretraining, by name."""
    folder = texts_directory(project)
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))


def check_text_name(name: str) -> str:
    """A file name without any path, with a known ending. Raises Invalid."""
    if not isinstance(name, str) or not SAFE_NAME.match(name) or not name.lower().endswith(TEXT_SUFFIXES):
        raise Invalid(
            _("“%(name)s” cannot be used as a file name here.") % {"name": str(name)[:100]},
            field="text_files",
            hint=_("Letters, digits, dots, dashes; ending in %(known)s.")
            % {"known": ", ".join(TEXT_SUFFIXES)},
        )
    return name


def check_base_model(name: str) -> str:
    """The absolute folder, or the hub id, that `name` stands for.

    Raises Invalid unless it is an allow-listed hub id or lies in one of MODEL_DIRS, and where what lies there
    is no model that may be loaded (no weights, a pickle, code of its own). Whether the weights fit is the
    trainer's to say, and where the folder is not there yet: it fails with one clear sentence.
    """
    name = name.strip()
    if name in settings.ALLOWED_HUB_MODELS:
        return name
    folders = [Path(folder).expanduser().resolve() for folder in settings.MODEL_DIRS]
    candidates = [Path(name)] if Path(name).is_absolute() else [folder / name for folder in folders]
    for candidate in candidates:
        try:
            resolved = candidate.resolve()
        except (ValueError, OSError):  # a NUL, half a surrogate pair, a name longer than the system takes
            continue
        if any(resolved.is_relative_to(folder) and resolved != folder for folder in folders):
            _check_folder(resolved)
            return str(resolved)
    raise Invalid(
        _("“%(name)s” is neither in a folder for base models nor an allowed hub id.") % {"name": name[:200]},
        field="base_model",
        hint="Put the model into one of MODEL_DIRS, or add its hub id to ALLOWED_HUB_MODELS.",
    )


def _check_folder(folder: Path) -> None:
    """What its JSON and the names of its files say, and whether its chat template ends; no weight is read."""
    try:
        if folder.is_dir():
            check_folder(folder, field="base_model", digests=False)
            check_template(template_in(folder), f"base_model: the chat template of {folder}")
    except RlhfError as error:
        said = error.message.replace(f"{folder}", folder.name)
        raise Invalid(said, field="base_model", code=error.code) from error


def known_base_models() -> list[str]:
    """What the form offers: folders with a config.json in MODEL_DIRS (by name), and the allowed hub ids."""
    found = []
    for folder in settings.MODEL_DIRS:
        root = Path(folder).expanduser()
        if root.is_dir():
            found += sorted(path.name for path in root.iterdir() if (path / "config.json").is_file())
    return [*dict.fromkeys(found), *settings.ALLOWED_HUB_MODELS]


def state_of_files(base_model: str) -> list[tuple[str, int, int]]:
    """Of a base model, whose folder somebody may change: name, size and time of each of its files."""
    try:
        folder = Path(check_base_model(base_model)) if base_model else None
    except Invalid:  # whoever uses it says so
        folder = None
    found = [(path.name, path.stat()) for path in folder.glob("*")] if folder and folder.is_dir() else []
    return sorted((name, stat.st_size, stat.st_mtime_ns) for name, stat in found)

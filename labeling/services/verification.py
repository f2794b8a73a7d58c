"""What `manage.py verify` checks: hashes recomputed from what lies on disk and in the tables, sums from
entries. Other apps add their own checks."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator

import orjson

from labeling.formats import canonical_line
from labeling.models import AuditEvent, DatasetVersion, DatasetVersionStatus

from . import dataset_files
from .audit_seals import verify_audit_trail
from .content_check import verify_completions, verify_exports, verify_import_files, verify_prompts
from .dataset_facts import facts_digest
from .dataset_recipes import verify_recipes
from .import_check import verify_imports
from .judgment_check import verify_judgments
from .ledger_check import verify_ledgers
from .version_check import verify_forms, verify_guidelines

# Yields (what was checked, its problems) for each thing; no problems: it is as it was made. A Remark among
# them is none.
Verifier = Callable[[], Iterable[tuple[str, list[str]]]]
_verifiers: dict[str, Verifier] = {}


def register(name: str, function: Verifier) -> None:
    """Add a check to `manage.py verify`. Call it in AppConfig.ready."""
    _verifiers[name] = function


def verify_all() -> Iterator[tuple[str, str, list[str]]]:
    """(kind of thing, which one, its problems) for everything there is to verify."""
    ours = {
        "dataset version": verify_versions,
        "recipe": verify_recipes,
        "guideline version": verify_guidelines,
        "form version": verify_forms,
        "judgment": verify_judgments,
        "import": verify_imports,
        "import file": verify_import_files,
        "prompt": verify_prompts,
        "completion": verify_completions,
        "prepared file": verify_exports,
        "ledger": verify_ledgers,
        "audit trail": verify_audit_trail,
    }
    for name, function in {**ours, **_verifiers}.items():
        for label, problems in function():
            yield name, label, problems


def verify_versions() -> Iterator[tuple[str, list[str]]]:
    versions = DatasetVersion.objects.filter(status=DatasetVersionStatus.READY).select_related(
        "dataset__project"
    )
    for version in versions.order_by("pk"):
        yield (
            f"{version.dataset.project.slug}: {version} ({version.public_id})",
            verify_version(version=version),
        )


def verify_version(*, version: DatasetVersion) -> list[str]:
    """Recompute every hash of a ready version; one sentence for each thing that is not as it was frozen."""
    folder = dataset_files.folder_of(version)
    manifest_path = folder / dataset_files.MANIFEST
    if not manifest_path.exists():
        return [f"its files are missing: there is no {dataset_files.MANIFEST} in the folder {folder.name}"]
    data = manifest_path.read_bytes()
    is_file_good = hashlib.sha256(data).hexdigest() == version.sha256
    is_row_good = hashlib.sha256(canonical_line(version.manifest)).hexdigest() == version.sha256
    problems = []
    if not is_file_good:
        problems.append(f"{dataset_files.MANIFEST} was changed: its SHA-256 is not {version.sha256}")
    if not is_row_good:
        problems.append("the manifest in the database was changed")
    if is_file_good or is_row_good:  # files are held against the copy that the hash vouches for
        problems += _verify_files(folder, orjson.loads(data) if is_file_good else version.manifest)
    if version.row_counts != version.manifest.get("rows"):
        problems.append("the row counts in the database are not those of the manifest")
    if not _facts_are_as_recorded(version):
        problems.append("what its data card says was changed")
    return problems


def _facts_are_as_recorded(version: DatasetVersion) -> bool:
    """By the audit trail, which is sealed. A version from before there were cards has no facts."""
    events = AuditEvent.objects.filter(
        action="dataset.frozen", object_type="datasetversion", object_id=str(version.pk)
    )
    event = events.order_by("-pk").first()
    recorded = event.data.get("facts_sha256") if event else None
    return version.facts == {} if recorded is None else facts_digest(version.facts) == recorded


def _verify_files(folder, manifest: dict) -> list[str]:
    problems = []
    expected = manifest.get("files", {})
    for name, entry in sorted(expected.items()):
        path = folder / name
        if not path.exists():
            problems.append(f"{name} is missing")
            continue
        size, digest = dataset_files.file_digest(path)
        if size != entry["bytes"]:
            problems.append(f"{name} was changed: it has {size:,} bytes, not {entry['bytes']:,}")
        elif digest != entry["sha256"]:
            problems.append(f"{name} was changed: its SHA-256 is {digest}, not {entry['sha256']}")
    for path in sorted(folder.iterdir()):
        if path.name not in expected and path.name != dataset_files.MANIFEST:
            problems.append(f"{path.name} was added")
    return problems

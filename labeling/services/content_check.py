"""`manage.py verify`: do prompts, completions, and the files of imports and exports still hold what
they were named by? Each carries a digest of its own content, by which it is found again.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from labeling.formats import prompt_digest
from labeling.models import (
    Completion,
    CompletionOrigin,
    DatasetExport,
    DatasetExportStatus,
    ImportRecord,
    Project,
    Prompt,
    text_digest,
)

from . import dataset_files, import_files
from .completions import imported_key
from .dataset_exports import existing_path

FETCH = 2_000
MOST_NAMED = 5
ALIKE = 16  # equal texts of one row are told apart by their occurrence; a row has fewer completions


def verify_prompts() -> Iterator[tuple[str, list[str]]]:
    """By project. The digest says that a prompt is there already, and which split its rows go to."""
    for project in Project.objects.order_by("pk"):
        rows = Prompt.objects.filter(project=project).exclude(digest=Prompt.BLANK)
        stored = rows.order_by("pk").values_list("pk", "messages", "digest").iterator(FETCH)
        yield (
            f"{project.slug}: prompts",
            _named(pk for pk, messages, digest in stored if _differs(messages, digest)),
        )


def _differs(messages: Any, digest: str) -> bool:
    try:
        return prompt_digest(messages) != digest
    except (TypeError, KeyError, AttributeError):
        return True  # not even messages


def verify_completions() -> Iterator[tuple[str, list[str]]]:
    """By project: the text of each against the digest that it was stored with; of imported ones also what
    their source key says of prompt, model and text."""
    for project in Project.objects.order_by("pk"):
        every = Completion.objects.filter(project=project).order_by("pk")
        texts = every.values_list("pk", "text", "content_sha256").iterator(FETCH)
        yield (
            f"{project.slug}: completions",
            _named(pk for pk, text, sha256 in texts if text_digest(text) != sha256),
        )
        rows = every.filter(origin=CompletionOrigin.IMPORTED).exclude(source_key=None)
        columns = ("pk", "prompt__digest", "generator", "text", "source_key")
        stored = rows.values_list(*columns).iterator(FETCH)
        yield (
            f"{project.slug}: imported completions",
            _named(
                pk
                for pk, digest, generator, text, key in stored
                if key.startswith("imported:")
                if not any(imported_key(digest, generator, text, number) == key for number in range(ALIKE))
            ),
        )


def verify_import_files() -> Iterator[tuple[str, list[str]]]:
    """Files are stored once by content, under their SHA-256."""
    names = dict(ImportRecord.objects.order_by("-pk").values_list("sha256", "filename"))
    for sha256, filename in sorted(names.items()):
        path = import_files.stored_path(sha256)
        if path.exists():
            _, digest = dataset_files.file_digest(path)
            yield f"{filename} ({sha256[:10]})", [] if digest == sha256 else ["its bytes were changed"]


def verify_exports() -> Iterator[tuple[str, list[str]]]:
    """Prepared files that are still kept."""
    ready = DatasetExport.objects.filter(status=DatasetExportStatus.READY)
    for export in ready.select_related("version__dataset__project").order_by("pk"):
        path = existing_path(export)
        if path is not None:
            _, digest = dataset_files.file_digest(path)
            yield (
                f"{path.name}",
                [] if digest == export.sha256 else ["its bytes were changed; prepare it again"],
            )


def _named(changed: Iterator[int]) -> list[str]:
    """The first few by their number, and how many there are besides."""
    found = [next_one for _, next_one in zip(range(MOST_NAMED), changed, strict=False)]
    more = sum(1 for _ in changed)
    problems = [f"number {pk} was changed: its digest is another's" for pk in found]
    return [*problems, f"and {more:,} more"] if more else problems

"""A version never changes: same bytes wherever it is rebuilt, splits by prompt, whole or absent."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
from functools import partial

import orjson
import pytest
from django.db import connection, transaction

from annotate.errors import Conflict, Invalid
from labeling.formats import SPLITS, canonical_line
from labeling.models import (
    AuditEvent,
    Completion,
    DatasetVersion,
    DatasetVersionStatus,
    Notification,
    Project,
    Prompt,
)
from labeling.services import background, dataset_files, datasets, verification
from labeling.services.progress import Progress
from tests.factories import make_prompt
from tests.formats.slow_canonical import slow_line

from .judgments import make_demonstration, make_ranking

# SHA-256 of the rows of `golden_version`: it must come out on every engine, machine and day.
GOLDEN = "a5cf01e268d70f28f3c167aa7f601294d4d88b1779055691b4ff69028a30fbcc"


def make_version(cast, kind: str = "sft", name: str = "set", **recipe) -> DatasetVersion:
    dataset = datasets.create_dataset(
        project=cast.project, kind=kind, name=name, recipe=recipe, acting_user=cast.admin
    )
    return datasets.freeze_dataset(dataset=dataset, acting_user=cast.admin)


def fill(cast, count: int = 40) -> None:
    for number in range(count):
        make_demonstration(cast.project, cast.annotator, f"Answer {number}.")


def test_the_manifest_names_every_file_with_its_hash(cast):
    fill(cast)
    version = make_version(cast)
    folder = dataset_files.folder_of(version)
    data = (folder / "manifest.json").read_bytes()
    assert hashlib.sha256(data).hexdigest() == version.sha256
    manifest = orjson.loads(data)
    assert manifest == version.manifest
    assert {path.name for path in folder.iterdir()} == {*manifest["files"], "manifest.json"}
    for name, entry in manifest["files"].items():
        content = (folder / name).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (entry["bytes"], entry["sha256"])


def test_freezing_again_gives_the_same_bytes(cast):
    fill(cast)
    first = make_version(cast)
    second = datasets.freeze_dataset(dataset=first.dataset, acting_user=cast.admin, force=True)
    assert (first.number, second.number) == (1, 2)
    assert first.sha256 == second.sha256


def test_more_work_gives_a_new_hash_and_leaves_the_old_version_alone(cast):
    fill(cast, 3)
    first = make_version(cast)
    before = datasets.split_path(version=first, split="train").read_bytes()
    fill(cast, 3)
    second = datasets.freeze_dataset(dataset=first.dataset, acting_user=cast.admin)
    assert first.sha256 != second.sha256
    assert datasets.split_path(version=first, split="train").read_bytes() == before


def test_no_prompt_is_on_two_sides_of_a_split(cast):
    """Also not one that differs by case and blanks only, nor the rankings of one prompt."""
    for number in range(30):
        prompts = [make_prompt(cast.project, text) for text in (f"What is {number}?", f"what  IS {number}?")]
        for prompt in prompts:
            make_ranking(cast.project, cast.annotator, prompt=prompt)
            make_ranking(cast.project, cast.peer, prompt=prompt, completions=list(prompt.completions.all()))
    version = make_version(cast, "comparison", fractions={"train": 0.4, "validation": 0.3, "test": 0.3})
    sides: dict[str, set[str]] = {}
    for split in SPLITS:
        for row in datasets.open_split(version=version, split=split):
            sides.setdefault(row["messages"][0]["content"].casefold().replace(" ", ""), set()).add(split)
    assert len(sides) == 30
    assert all(len(splits) == 1 for splits in sides.values())
    assert min(version.row_counts.values()) > 0


def test_a_prompt_is_on_the_same_side_in_every_dataset_of_the_project(cast):
    """Or a reward model would be judged on prompts that the policy was trained on."""
    for _ in range(30):
        prompt = make_prompt(cast.project)
        make_demonstration(cast.project, cast.annotator, prompt=prompt)
        make_ranking(cast.project, cast.annotator, prompt=prompt)
    sides = [
        {
            row["prompt_id"]: split
            for split in SPLITS
            for row in datasets.open_split(version=make_version(cast, kind, f"{kind} {split}"), split=split)
        }
        for kind in ("sft", "comparison")
    ]
    assert sides[0] == sides[1]


def test_another_salt_splits_otherwise(cast):
    fill(cast)
    one, two = make_version(cast, name="a", salt="one"), make_version(cast, name="b", salt="two")
    ids = [
        {row["id"] for row in datasets.open_split(version=version, split="test")} for version in (one, two)
    ]
    assert ids[0] != ids[1]


def golden_version(cast) -> DatasetVersion:
    """Work whose every number and name is fixed, so that its bytes are the same in any database."""
    Project.objects.filter(pk=cast.project.pk).update(slug="golden")
    cast.project.slug = "golden"
    type(cast.annotator).objects.filter(pk=cast.annotator.pk).update(pseudonym="blue-heron")
    cast.annotator.refresh_from_db()
    texts = ["Ünï ‮bidi", "日本語", "a\nb", "=1+1", "<script>", "emoji 👩‍🚀", "café", "cafe\u0301"]
    for number, text in enumerate(texts):
        prompt = make_prompt(cast.project, f"Question {text}", pk=9_000_000 + number, category=text[:3])
        completions = [
            Completion.objects.create(
                pk=9_000_000 + 10 * number + index,
                project=cast.project,
                prompt=prompt,
                text=f"{text} {index}",
            )
            for index in range(3)
        ]
        make_ranking(
            cast.project, cast.annotator, [[1], [0, 2]], prompt=prompt, completions=completions,
            margins=("slightly",), pk=9_000_000 + number,
        )  # fmt: skip
    return make_version(cast, "comparison", salt="golden")


def rows_without_batch(version: DatasetVersion) -> str:
    """SHA-256 of all rows without the batch's number, which the database gives out."""
    digest = hashlib.sha256()
    for split in SPLITS:
        for row in datasets.open_split(version=version, split=split):
            del row["source"]["batch"]
            digest.update(split.encode() + orjson.dumps(row, option=orjson.OPT_SORT_KEYS))
    return digest.hexdigest()


def test_the_rows_are_the_same_on_every_database(cast):
    assert rows_without_batch(golden_version(cast)) == GOLDEN


def not_canonical(version: DatasetVersion) -> list[bytes]:
    """Lines of its rows and manifest that another writer of canonical JSON would write otherwise."""
    paths = [datasets.split_path(version=version, split=split) for split in SPLITS]
    paths.append(datasets.manifest_path(version=version))
    lines = [line for path in paths for line in path.read_bytes().splitlines(keepends=True)]
    return [line for line in lines if slow_line(orjson.loads(line)) != line]


def test_every_byte_is_canonical_and_a_writer_that_is_not_shows(cast, monkeypatch):
    assert not_canonical(golden_version(cast)) == []
    unsorted = partial(orjson.dumps, option=orjson.OPT_APPEND_NEWLINE)
    monkeypatch.setattr(dataset_files, "canonical_line", unsorted)
    assert not_canonical(make_version(cast, "comparison", "other", salt="golden"))
    padded = lambda row: canonical_line(row).replace(b"0.3333333333333333", b"0.33333333333333330")  # noqa: E731
    monkeypatch.setattr(dataset_files, "canonical_line", padded)
    assert not_canonical(make_version(cast, "comparison", "another", salt="golden"))


REBUILD = """
import sys, django
django.setup()
from labeling.models import DatasetVersion
from labeling.services import datasets
version = DatasetVersion.objects.get(public_id=sys.argv[1])
again = datasets.freeze_dataset(dataset=version.dataset, acting_user=None, force=True)
print(again.sha256)
"""


@pytest.mark.django_db(transaction=True)
def test_another_process_with_other_hash_seed_time_zone_and_locale_writes_the_same_bytes(tmp_path):
    from tests.cast import make_cast
    from tests.site_process import database_url

    cast = make_cast()
    for number in range(12):
        prompt = make_prompt(cast.project, category=f"c{number % 3}")
        make_ranking(cast.project, cast.annotator, prompt=prompt)
    version = make_version(cast, "comparison")
    environment = {
        **os.environ,
        "DATABASE_URL": database_url(),
        "DJANGO_SETTINGS_MODULE": "annotate.settings",
        "DATA_DIR": str(tmp_path),
        "PYTHONHASHSEED": "4242",
        "TZ": "Asia/Kathmandu",
        "LC_ALL": "C",
        "SECRET_KEY": "of-this-test-only-and-long-enough-to-be-accepted-by-django",
    }
    done = subprocess.run(
        [sys.executable, "-c", REBUILD, str(version.public_id)],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1] == version.sha256


@pytest.mark.django_db(transaction=True)
def test_work_accepted_while_it_is_frozen_does_not_get_in(monkeypatch):
    """Everything comes from one snapshot, though people go on writing through other connections."""
    from tests.cast import make_cast

    cast = make_cast()
    fill(cast, 5)
    select_rows = datasets.filtered_rows

    def select_after_others_wrote(*args, **kwargs):
        thread = threading.Thread(target=_write_elsewhere, args=[cast])
        thread.start()
        thread.join(30)
        assert not thread.is_alive(), "freezing kept a writer waiting"
        return select_rows(*args, **kwargs)

    monkeypatch.setattr(datasets, "filtered_rows", select_after_others_wrote)
    version = make_version(cast)
    assert version.row_count == 5
    assert cast.project.submissions.count() == 25


def _write_elsewhere(cast) -> None:
    fill(cast, 20)
    connection.close()


def test_two_at_once_build_it_once(cast):
    fill(cast, 3)
    dataset = datasets.create_dataset(
        project=cast.project, kind="sft", name="set", recipe={}, acting_user=cast.admin
    )
    version = datasets.freeze_dataset(dataset=dataset, acting_user=cast.admin, in_background=True)
    progress = Progress("dataset", version.pk)
    DatasetVersion.objects.filter(pk=version.pk).update(attempt=1)  # somebody is at it,
    progress.tell("writing", 1, now=True)  # and alive
    assert datasets.build_version(version=version).status == DatasetVersionStatus.FREEZING
    progress.end()
    assert datasets.build_version(version=version).status == DatasetVersionStatus.READY


def test_a_build_that_lost_its_turn_publishes_nothing(cast, monkeypatch):
    fill(cast, 3)
    finish = dataset_files.VersionWriter.finish

    def overtaken(self, recipe):
        DatasetVersion.objects.filter(pk=self.version.pk).update(attempt=7)
        return finish(self, recipe)

    monkeypatch.setattr(dataset_files.VersionWriter, "finish", overtaken)
    version = make_version(cast)
    assert version.status == DatasetVersionStatus.FREEZING
    assert not dataset_files.folder_of(version).exists()
    assert not list(dataset_files.root().glob(f".building-{version.public_id}-*"))


def test_a_freeze_that_breaks_leaves_no_files_and_says_so(cast, monkeypatch):
    fill(cast, 3)

    def full_disk(self, recipe):
        raise OSError("No space left on device")

    monkeypatch.setattr(dataset_files.VersionWriter, "finish", full_disk)
    with pytest.raises(OSError, match="No space"):
        make_version(cast)
    version = DatasetVersion.objects.get()
    assert version.status == DatasetVersionStatus.FAILED
    assert not dataset_files.folder_of(version).exists()
    assert not list(dataset_files.root().glob(f".building-{version.public_id}-*"))


def test_a_large_freeze_waits_for_the_background(cast, monkeypatch):
    fill(cast, 3)
    monkeypatch.setattr(datasets, "INLINE_ROWS", 2)
    version = make_version(cast)
    assert version.status == DatasetVersionStatus.FREEZING
    assert background.sweep() == 1
    version.refresh_from_db()
    assert version.status == DatasetVersionStatus.READY
    assert "is ready: 3 rows" in Notification.objects.get(user=cast.admin).text


def test_nothing_to_freeze_is_refused(cast):
    with pytest.raises(Invalid, match="no accepted demonstration"):
        make_version(cast)
    assert not DatasetVersion.objects.exists()


def test_the_name_of_a_dataset_is_its_own(cast):
    fill(cast, 1)
    make_version(cast)
    with pytest.raises(Conflict), transaction.atomic():
        make_version(cast)


def test_freezing_is_on_record(cast):
    fill(cast, 1)
    version = make_version(cast)
    event = AuditEvent.objects.get(action="dataset.frozen")
    assert (event.object_id, event.data["sha256"]) == (str(version.pk), version.sha256)


# --- Verification -----------------------------------------------------------------------------------------
def test_an_untouched_version_verifies(cast):
    fill(cast, 3)
    assert verification.verify_version(version=make_version(cast)) == []


def test_a_changed_byte_is_found(cast):
    fill(cast, 10)
    version = make_version(cast)
    path = datasets.split_path(version=version, split="train")
    data = bytearray(path.read_bytes())
    data[data.index(b"Answer")] = ord("a")
    path.write_bytes(data)
    problems = verification.verify_version(version=version)
    assert len(problems) == 1
    assert problems[0].startswith("train.jsonl was changed: its SHA-256 is")


def test_a_missing_an_added_and_a_longer_file_are_found(cast):
    fill(cast, 10)
    version = make_version(cast)
    folder = dataset_files.folder_of(version)
    (folder / "members.bin").unlink()
    (folder / "extra.txt").write_text("x")
    with (folder / "test.jsonl").open("a") as file:
        file.write("{}\n")
    problems = " ".join(verification.verify_version(version=version))
    assert "members.bin is missing" in problems
    assert "extra.txt was added" in problems
    assert "test.jsonl was changed: it has" in problems


def test_files_and_manifest_changed_together_are_found(cast):
    """Whoever rewrites the folder consistently is caught by the hash in the database."""
    fill(cast, 10)
    version = make_version(cast)
    manifest = dataset_files.folder_of(version) / "manifest.json"
    manifest.write_bytes(manifest.read_bytes().replace(b'"train":', b'"tr4in":', 1))
    assert "manifest.json was changed" in verification.verify_version(version=version)[0]


def test_a_manifest_changed_in_the_database_is_found(cast):
    fill(cast, 3)
    version = make_version(cast)
    version.manifest["rows"]["train"] += 1
    version.save()
    assert "the manifest in the database was changed" in verification.verify_version(version=version)


def test_removed_files_are_found(cast):
    fill(cast, 3)
    version = make_version(cast)
    folder = dataset_files.folder_of(version)
    folder.rename(folder.with_name(f"moved-{folder.name}"))
    assert "its files are missing" in verification.verify_version(version=version)[0]


def test_prompts_of_a_version_stay_after_they_are_archived(cast):
    """The files are the version: nothing that happens to the rows later changes it."""
    make_prompt(cast.project)
    version = make_version(cast, "prompts")
    Prompt.objects.filter(project=cast.project).update(preview="changed", category="changed")
    assert verification.verify_version(version=version) == []

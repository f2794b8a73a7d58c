"""Checkpoints are whole or absent, whatever happens while they are written."""

import json

import pytest

from training.rlhf import checkpoints
from training.rlhf.errors import CheckpointError


def write(folder, step, text="weights", fail=None):
    def fill(target):
        (target / "sub").mkdir()
        (target / "sub" / "b.txt").write_text("more")
        (target / "a.txt").write_text(text)
        if fail:
            raise fail

    return checkpoints.write_checkpoint(
        checkpoints.step_folder(folder, step),
        fill,
        kind="causal_lm",
        step=step,
        stage="sft",
        metrics={"validation_loss": 0.5},
        base="",
    )


def test_a_written_checkpoint_verifies(tmp_path):
    write(tmp_path, 3)
    manifest = checkpoints.verify(tmp_path / "step-3")
    assert set(manifest.files) == {"a.txt", "sub/b.txt"} and manifest.metrics == {"validation_loss": 0.5}


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failure_while_writing_leaves_the_previous_one_and_nothing_else(tmp_path, error):
    write(tmp_path, 1)
    with pytest.raises(type(error)):
        write(tmp_path, 2, fail=error)
    assert [path.name for path in tmp_path.iterdir()] == ["step-1"]
    checkpoints.verify(tmp_path / "step-1")


def test_a_failing_fsync_leaves_no_checkpoint(tmp_path, monkeypatch):
    write(tmp_path, 1)

    def refuse(path):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(checkpoints, "fsync_path", refuse)
    with pytest.raises(OSError, match="Input/output"):
        write(tmp_path, 2)
    assert checkpoints.whole_checkpoints(tmp_path) == [tmp_path / "step-1"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "a.txt").write_text("weightz"),
        lambda folder: (folder / "a.txt").write_text("weight"),
        lambda folder: (folder / "sub" / "b.txt").unlink(),
    ],
)
def test_damage_is_named_and_the_checkpoint_before_it_used(tmp_path, damage):
    write(tmp_path, 1)
    write(tmp_path, 10)
    damage(tmp_path / "step-10")
    said = []
    assert (
        checkpoints.newest_verified(tmp_path, lambda _, message: said.append(message)) == tmp_path / "step-1"
    )
    assert len(said) == 1 and "step-10 is damaged" in said[0]


def test_folders_without_a_manifest_do_not_exist(tmp_path):
    write(tmp_path, 1)
    (tmp_path / "step-2").mkdir()
    (tmp_path / "step-2" / "a.txt").write_text("half")
    assert checkpoints.newest_verified(tmp_path) == tmp_path / "step-1"
    with pytest.raises(CheckpointError, match="not a whole checkpoint"):
        checkpoints.verify(tmp_path / "step-2")


def test_steps_are_ordered_as_numbers(tmp_path):
    for step in (10, 9, 100):
        write(tmp_path, step)
    assert [path.name for path in checkpoints.whole_checkpoints(tmp_path)] == [
        "step-9",
        "step-10",
        "step-100",
    ]


def test_leftovers_of_a_killed_process_are_swept(tmp_path):
    (tmp_path / ".step-4.writing").mkdir()
    (tmp_path / ".step-3.removing").mkdir()
    write(tmp_path, 1)
    checkpoints.sweep_leftovers(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["step-1"]


def test_rewriting_a_checkpoint_replaces_it(tmp_path):
    write(tmp_path, 1)
    write(tmp_path, 1, text="other")
    assert (tmp_path / "step-1" / "a.txt").read_text() == "other"
    checkpoints.verify(tmp_path / "step-1")


def test_a_manifest_that_names_files_elsewhere_is_refused(tmp_path):
    write(tmp_path, 1)
    path = tmp_path / "step-1" / "manifest.json"
    raw = json.loads(path.read_text())
    raw["files"]["../../secret"] = raw["files"]["a.txt"]
    path.write_text(json.dumps(raw))
    with pytest.raises(CheckpointError, match="outside its folder"):
        checkpoints.verify(tmp_path / "step-1")

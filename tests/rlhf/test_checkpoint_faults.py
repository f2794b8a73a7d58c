"""What a run keeps, and says, when a checkpoint was damaged, could not be written, or holds no numbers."""

from __future__ import annotations

import errno
import os

import pytest
import torch

from training.rlhf import checkpoints
from training.rlhf.session import Session

from .conftest import events, result, run_here


def config_of(world, base_model, **changes):
    fixed = {"model": str(base_model), "maximum_steps": 8, "epochs": 9, "keep_checkpoints": 1}
    return world.config("sft", **fixed | changes)


def flip(path):
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)


def said(out):
    return [event["data"]["message"] for event in events(out, "log")]


def test_a_damaged_checkpoint_does_not_count_as_the_newest(world, base_model, tmp_path, monkeypatch):
    """Resumed before it and asked to stop: what is said to be kept is there."""
    config = config_of(world, base_model, save_every=4, keep_checkpoints=2, validation_file="")
    out = tmp_path / "r"
    assert run_here("sft", config, out) == 0
    flip(out / "checkpoints" / "step-8" / "model.safetensors")
    (out / "result.json").unlink()
    begin = Session.begin_step

    def stop_at_five(session):
        session.run.stop_requested = session.step == 4
        return begin(session)

    monkeypatch.setattr(Session, "begin_step", stop_at_five)
    with monkeypatch.context() as patched:
        patched.setattr(Session, "_retire", retire_all_but_one)
        assert run_here("sft", config, out, "--resume") == 143
    assert any("stopped on request after step 5; a checkpoint is kept" in line for line in said(out))
    folder = out / "checkpoints"
    assert checkpoints.newest_verified(folder) == folder / "step-5"
    assert (folder / "damaged-step-8").is_dir() and not (folder / "step-8").exists()
    assert any("step-8 is damaged" in line and "put aside as damaged-step-8" in line for line in said(out))


def retire_all_but_one(session):
    for folder in checkpoints.whole_checkpoints(session.run.checkpoints)[:-1]:
        checkpoints.remove_checkpoint(folder)


@pytest.mark.parametrize(
    ("number", "code", "words", "do"),
    [
        (errno.EIO, "not_written", "Input/output error", "Look at the disk"),
        (errno.ENOSPC, "disk_full", "the disk is full", "Make room"),
    ],
)
def test_a_checkpoint_that_could_not_be_written_is_one_sentence(
    world, base_model, tmp_path, monkeypatch, capfd, number, code, words, do
):
    real = os.fsync

    def fsync(descriptor):
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        if ".step-4.writing" in path and path.endswith("model.safetensors"):
            raise OSError(number, os.strerror(number))
        real(descriptor)

    out = tmp_path / "r"
    config = config_of(world, base_model, save_every=2, validation_file="", keep_checkpoints=9)
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fsync)
        assert run_here("sft", config, out) == 1
    error = result(out)["error"]
    assert error["code"] == code
    for word in (words, "model.safetensors", "the one before it (step-2) is whole", do, "--resume"):
        assert word in error["message"]
    printed = capfd.readouterr().err
    assert error["message"] in printed and "Traceback" not in printed
    assert [path.name for path in (out / "checkpoints").iterdir()] == ["step-2"]
    assert run_here("sft", config, out, "--resume") == 0


def test_weights_that_are_no_numbers_are_not_saved(world, base_model, tmp_path, monkeypatch):
    end = Session.end_step

    def spoil(session, **ends):
        if session.step == session.total_steps:
            with torch.no_grad():
                dict(session.modules["model"].named_parameters())["transformer.h.0.ln_1.weight"][0] = (
                    torch.nan
                )
        end(session, **ends)

    monkeypatch.setattr(Session, "end_step", spoil)
    out = tmp_path / "r"
    config = config_of(world, base_model, maximum_steps=4, save_every=2, validation_file="")
    assert run_here("sft", config, out) == 3
    error = result(out)["error"]
    assert error["code"] == "not_finite"
    assert "transformer.h.0.ln_1.weight" in error["message"] and "step 4" in error["message"]
    assert [path.name for path in (out / "checkpoints").iterdir()] == ["step-2"]

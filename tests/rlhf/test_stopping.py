"""SIGTERM saves and leaves; a run whose supervisor is gone leaves at once; two runs never share a folder."""

import os
import signal
import subprocess
import sys
import time

import pytest

from training.rlhf import checkpoints, run
from training.rlhf.errors import RunFolderError

from .conftest import ROOT, events, result, run_here, start_process, write_config


def wait_for(condition, seconds=240):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.01)
    return False


def reached(out, step):
    return (out / "events.jsonl").exists() and any(event["step"] >= step for event in events(out))


def test_sigterm_saves_a_checkpoint_and_the_run_can_go_on(world, base_model, tmp_path):
    out = tmp_path / "r"
    config = world.config("sft", model=str(base_model), epochs=10_000, maximum_steps=100_000)
    process = start_process("sft", config, out)
    assert wait_for(lambda: reached(out, 3)), process.stderr.read()
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=120) == 143
    assert result(out)["status"] == "interrupted"
    assert events(out)[-1]["data"]["state"] == "interrupted"
    newest = checkpoints.newest_verified(out / "checkpoints")
    # The step that ran when the signal came is finished, and no other is begun.
    assert checkpoints.load_manifest(newest).step == max(event["step"] for event in events(out, "metrics"))


def test_a_run_whose_supervisor_died_leaves_without_another_word(world, base_model, tmp_path):
    out = tmp_path / "r"
    config = world.config("sft", model=str(base_model), epochs=10_000, maximum_steps=100_000)
    command = [sys.executable, "-m", "training.rlhf", "sft", *write_config(config, out), "--out", str(out)]
    # A supervisor that starts the run, tells its process id, and waits to be killed.
    code = (
        "import os, subprocess, sys\n"
        "child = subprocess.Popen(sys.argv[1:], env={**os.environ, 'RLHF_PARENT_PID': str(os.getpid())})\n"
        "print(child.pid, flush=True)\nchild.wait()\n"
    )
    supervisor = subprocess.Popen(
        [sys.executable, "-c", code, *command], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    child = int(supervisor.stdout.readline())
    assert wait_for(lambda: reached(out, 2))
    supervisor.kill()
    supervisor.wait()
    assert wait_for(lambda: not alive(child), seconds=60)
    assert not (out / "result.json").exists()
    assert events(out, "state")[-1]["data"]["state"] == "running"


def alive(process_id: int) -> bool:
    """Whether the process runs; a zombie that nobody collects does not."""
    try:
        with open(f"/proc/{process_id}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_second_process_is_kept_out_of_the_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "LOCK_PATIENCE_SECONDS", 0.2)
    with run.Run(tmp_path, "sft"), pytest.raises(RunFolderError, match="another process"):
        run.Run(tmp_path, "sft")


def test_a_folder_that_cannot_be_made_is_one_sentence(world, base_model, tmp_path, capsys):
    from training.rlhf.cli import main

    (tmp_path / "file").write_text("")
    assert (
        main(
            [
                "sft",
                *write_config(world.config("sft", model=str(base_model)), tmp_path / "r"),
                "--out",
                str(tmp_path / "file" / "r"),
            ]
        )
        == 2
    )
    assert "cannot write" in capsys.readouterr().err


def test_sampling_stopped_midway_goes_on_where_it_was(world, sft_model, tmp_path):
    config = world.config("sample", checkpoints=[str(sft_model)], completions_per_prompt=3, batch_size=6)
    assert run_here("sample", config, tmp_path / "whole") == 0
    assert run_here("sample", config, tmp_path / "broken") == 0
    path = tmp_path / "broken" / "completions.jsonl"
    whole = (tmp_path / "whole" / "completions.jsonl").read_bytes()
    path.write_bytes(whole[: len(whole) // 2])  # torn in the middle of a line
    (tmp_path / "broken" / "result.json").unlink()
    assert run_here("sample", config, tmp_path / "broken", "--resume") == 0
    assert sorted(path.read_bytes().splitlines()) == sorted(whole.splitlines())
    assert os.path.getsize(path) == len(whole)


def test_sampling_numbers_its_completions_and_keeps_prompt_ids(world, sft_model, base_model, tmp_path):
    import json

    config = world.config("sample", checkpoints=[str(sft_model), str(base_model)], completions_per_prompt=2)
    assert run_here("sample", config, tmp_path / "s") == 0
    rows = [json.loads(line) for line in (tmp_path / "s" / "completions.jsonl").open()]
    keys = {(row["prompt_index"], row["checkpoint"], row["completion_index"]) for row in rows}
    assert len(keys) == len(rows) == 14 * 2 * 2
    assert all(row["prompt_id"] == f"p{row['prompt_index']}" for row in rows)
    assert {row["finish_reason"] for row in rows} <= {"stop", "length"}
    assert all("<|" not in row["text"] for row in rows)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("config.json", '{"architectures": ["GPT2LMHeadModel"]}', "no run's configuration"),
        ("config.json", "[1, 2]", "no run's configuration"),
        ("config.json", "{", "not readable JSON"),
        ("events.jsonl", "\x00\x00\n", "the last line"),
        ("events.jsonl", '{"step": 1}\n', "the last line"),
    ],
)
def test_a_folder_that_holds_something_else_is_refused_in_a_sentence(
    world, base_model, tmp_path, capsys, name, content, words
):
    """A model's folder given as the run's, or a diary that a crash of the machine has damaged."""
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / name).write_text(content)
    config = world.config("sft", model=str(base_model), maximum_steps=1)
    for more in ([], ["--resume"]):
        assert run_here("sft", config, tmp_path / "r", *more) == 2
        said = capsys.readouterr().err
        assert words in said and "Traceback" not in said
    assert (tmp_path / "r" / name).read_text() == content
    assert not (tmp_path / "r" / "result.json").exists()

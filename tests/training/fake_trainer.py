"""A stand-in for `python -m training.rlhf` that honours the same files and signals, without torch.

How it behaves stands in `script.json` beside the run's folder: {"steps", "pause", "checkpoint_every", "end":
succeed | fail | die | crash, "ignore_sigterm"}. Checkpoints are real ones (manifest, digests), made by
training.rlhf.checkpoints.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from training.rlhf import checkpoints  # noqa: E402
from training.rlhf.events import EventLog  # noqa: E402

stop = False


def ask_to_stop(*_):
    global stop
    stop = True


def watch_parent(expected: int) -> None:
    while os.getppid() == expected:
        time.sleep(0.05)
    os._exit(70)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("stage")
    parser.add_argument("--config", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--resume", action="store_true")
    options = parser.parse_args()
    out = Path(options.out)
    script = {"steps": 5, "pause": 0.0, "checkpoint_every": 0, "end": "succeed"}
    if (out.parent / "script.json").exists():
        script |= json.loads((out.parent / "script.json").read_text())
    if not script.get("ignore_sigterm"):
        signal.signal(signal.SIGTERM, ask_to_stop)
    else:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threading.Thread(target=watch_parent, args=(int(os.environ["RLHF_PARENT_PID"]),), daemon=True).start()
    if script["end"] == "crash":
        print("ModuleNotFoundError: No module named 'torch'")
        return 1
    lock = open(out / ".lock", "w")  # noqa: SIM115 - held until exit, as the trainer holds it
    fcntl.flock(lock, fcntl.LOCK_EX)
    return work(options, out, script)


def work(options, out: Path, script: dict) -> int:
    events = EventLog(out / "events.jsonl")
    config = json.loads(Path(options.config).read_text())
    if not (out / "config.json").exists():
        checkpoints.write_json(out / "config.json", {"stage": options.stage, "config": config})
    newest = checkpoints.newest_verified(out / "checkpoints") if options.resume else None
    first = checkpoints.load_manifest(newest).step + 1 if newest else 1
    events.write("state", first - 1, {"state": "running", "total_steps": script["steps"], "pid": os.getpid()})
    for step in range(first, script["steps"] + 1):
        time.sleep(script["pause"])
        events.write("metrics", step, {"train_loss": 1.0 / step})
        events.write("progress", step, {"step": step, "total_steps": script["steps"], "seconds_left": 1.0})
        every = script["checkpoint_every"]
        if (every and step % every == 0) or step == script["steps"] or stop:
            save(out, options.stage, step, events)
        if stop:
            checkpoints.write_json(out / "result.json", {"status": "interrupted", "stage": options.stage})
            return 143
    return finish(options, out, script, events)


def save(out: Path, stage: str, step: int, events: EventLog) -> None:
    def fill(folder: Path) -> None:
        (folder / "model.safetensors").write_bytes(f"weights of step {step}".encode())
        (folder / "optimizer.safetensors").write_bytes(b"moments")
        (folder / "config.json").write_text("{}")

    kind = "reward_model" if stage == "reward" else "causal_lm"
    folder = out / "checkpoints" / f"step-{step}"
    checkpoints.write_checkpoint(
        folder, fill, kind=kind, step=step, stage=stage, metrics={"validation_loss": 1.0 / step}, base=""
    )
    events.write("checkpoint", step, {"path": f"checkpoints/step-{step}"})


def export(out: Path, config: dict, last: int, events: EventLog) -> None:
    def fill(folder: Path) -> None:
        (folder / f"model.{config['format']}").write_bytes(b"weights")
        (folder / "README.md").write_text(Path(config["card_file"]).read_text())

    checkpoints.write_checkpoint(
        out / "model",
        fill,
        kind="causal_lm",
        step=last,
        stage="export",
        metrics={},
        base=config["checkpoint"],
    )
    checks = {"difference": 2e-6, "limit": 1e-3, "tokens": 64, "tokens_equal": 64, "texts": 6}
    files = [{"name": f"model.{config['format']}", "bytes": 7, "sha256": "ab" * 32}]
    told = {"format": config["format"], "weights": "float32", "files": files, "checks": checks}
    events.write("report", last, {"name": "export", "report": told})


def finish(options, out: Path, script: dict, events: EventLog) -> int:
    last = script["steps"]
    if script["end"] == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if script["end"] == "fail":
        error = {"code": "bad_model", "message": "model: there is no model folder nowhere"}
        events.write("error", last, error)
        checkpoints.write_json(
            out / "result.json", {"status": "failed", "stage": options.stage, "error": error}
        )
        return 2
    config = json.loads(Path(options.config).read_text())
    if options.stage == "sample":
        rows = [json.loads(line) for line in Path(config["prompts_file"]).read_text().splitlines()]
        with open(out / "completions.jsonl", "w") as file:
            for index, row in enumerate(rows):
                for folder in config["checkpoints"]:
                    for number in range(config["completions_per_prompt"]):
                        text = f"Answer {number} of {Path(folder).name} to prompt {index}."
                        answer = {
                            "prompt_index": index,
                            "prompt_id": row["prompt_id"],
                            "checkpoint": folder,
                            "completion_index": number,
                            "text": text,
                            "finish_reason": "stop",
                            "token_count": 5,
                            "seed": 1,
                        }
                        file.write(json.dumps(answer) + "\n")
    if options.stage == "score":
        rows = [json.loads(line) for line in Path(config["completions_file"]).read_text().splitlines()]
        scores = [{"completion_id": row["completion_id"], "score": len(row["text"])} for row in rows]
        (out / "scores.jsonl").write_text("".join(json.dumps(row) + "\n" for row in scores))
    if options.stage == "export":
        export(out, config, last, events)
    result = {
        "status": "succeeded",
        "stage": options.stage,
        "metrics": {"validation_loss": 1.0 / last},
        "best_checkpoint": f"checkpoints/step-{last}",
        "final_checkpoint": f"checkpoints/step-{last}",
    }
    checkpoints.write_json(out / "result.json", result)
    events.write("state", last, {"state": "succeeded"})
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""`python -m training.rlhf.bench NAME`: numbers as one JSON object a line, `{"shape", "case", ...}`."""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import torch

from training.rlhf.bench import compare
from training.rlhf.bench.corpus import Corpus, new_model, read_corpus
from training.rlhf.bench.memory import CASES, memory
from training.rlhf.bench.ppo import ppo
from training.rlhf.chat import Encoded
from training.rlhf.optim import Optimizer
from training.rlhf.stages.sft import ResponseTask

EVEN = 128
WARMING, QUICK_WARMING = 75, 12  # steps of 16 rows; 75 are one pass over 1,200


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training.rlhf.bench", description=__doc__)
    parser.add_argument("name", choices=("sft", "reward", "ppo", "sample", "memory"))
    parser.add_argument("--shape", default="2x128", help="layers x width")
    parser.add_argument(
        "--text",
        default="",
        help="questions and answers: JSON array or lines, .gz too; several: a.json:b.json",
    )
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="few rows, to see that it runs")
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    small = chosen.quick or chosen.shape != "2x128"
    with tempfile.TemporaryDirectory(prefix="rlhf-bench-") as scratch:
        for case, numbers in cases(chosen, Path(scratch), small):
            print(
                json.dumps({"name": chosen.name, "shape": chosen.shape, "case": case, **numbers}), flush=True
            )


def cases(chosen: argparse.Namespace, folder: Path, small: bool) -> Any:
    corpus = read_corpus(chosen.text, 1200)
    repeats, shape = chosen.repeats, chosen.shape
    if chosen.name == "sft":
        count = 64 if small else 256
        yield "uneven", compare.sft(corpus, shape, repeats, corpus.rows[:count])
        yield "even", compare.sft(corpus, shape, repeats, even_rows(corpus, count // 2))
    elif chosen.name == "reward":
        for k in (4, 9):
            yield f"K={k}", compare.reward(corpus, shape, repeats, folder, 2 if small else 12, k)
    elif chosen.name == "memory":
        yield from memory(corpus, shape, folder, CASES[::4] if chosen.quick else CASES)
    elif chosen.name == "sample":
        model = warmed(corpus, shape, chosen.quick)
        yield "K=8", compare.sample(corpus, model, repeats, 8 if small else 24, 8, 64)
    else:
        # At least four steps: the KL of the first is 0 by construction, whatever the update does.
        steps, turns = (1, 1) if chosen.quick else (4, 1 if small else repeats)
        yield "64 episodes", ppo(corpus, warmed(corpus, shape, chosen.quick), turns, folder, steps)


def even_rows(corpus: Corpus, count: int) -> list[Encoded]:
    """Rows of exactly EVEN tokens, cut from all rows in a line."""
    line = [token for row in corpus.rows for token in row.ids]
    rows = [line[start : start + EVEN] for start in range(0, count * EVEN, EVEN)]
    return [Encoded(row[: EVEN // 4], row[EVEN // 4 :]) for row in rows]


def warmed(corpus: Corpus, shape: str, quick: bool) -> Any:
    """A model after a little SFT on the corpus, as a policy is: its responses end about as the answers do."""
    config = compare.config_for("sft", model="-", train_file="-", learning_rate=3e-3)
    accelerator = compare.open_accelerator(config)
    torch.manual_seed(0)
    model = new_model(corpus.tokenizer, shape)
    rows = corpus.rows
    task = ResponseTask(model, corpus.tokenizer, rows, [], config, accelerator)
    optimizer = Optimizer({"model": model}, {"model": config.learning_rate}, config)
    task.training_mode(True)
    for step in range(QUICK_WARMING if quick else WARMING):
        for micro in task.losses([(step * 16 + row) % len(rows) for row in range(16)]):
            micro.loss.backward()
        optimizer.step(1.0)
    return model.eval()

"""Our side and the reference by turns. Each function returns plain numbers; `times` is ours over theirs."""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from training.rlhf.batches import epoch_batches
from training.rlhf.bench import reference
from training.rlhf.bench.corpus import Corpus, new_model
from training.rlhf.chat import ChatEncoder, Encoded
from training.rlhf.config import validate
from training.rlhf.data import Ranking
from training.rlhf.encoding import EncodedRanking, encode_rankings
from training.rlhf.generation import generate
from training.rlhf.models import TokenLogits, new_reward_model
from training.rlhf.optim import Optimizer
from training.rlhf.session import open_accelerator
from training.rlhf.stages.reward import RankingTask
from training.rlhf.stages.sft import ResponseTask

Numbers = dict[str, float]


def clock() -> float:
    """The process's own time with one thread; with several, that would count them all."""
    return time.process_time() if torch.get_num_threads() == 1 else time.perf_counter()


def by_turns(ours: Callable[[], float], theirs: Callable[[], float], repeats: int) -> tuple[float, float]:
    """Median seconds of each, taken alternately; the first turn warms up and is not counted."""
    mine: list[float] = []
    plain: list[float] = []
    for turn in range(repeats + 1):
        for function, found in ((theirs, plain), (ours, mine)):
            seconds = function()
            if turn:
                found.append(seconds)
    return statistics.median(mine), statistics.median(plain)


def config_for(stage: str, **values: Any) -> Any:
    threads = torch.get_num_threads()
    return validate(stage, {"device": "cpu", "threads": threads, "learning_rate": 1e-4, **values})


Losses = Callable[[Any, list[int]], float]


def epoch(model: Any, batches: list[list[int]], config: Any, backward: Losses) -> tuple[float, float]:
    """(seconds of one epoch, loss of its first batch). `backward` leaves gradients and gives the loss."""
    optimizer = Optimizer({"model": model}, {"model": config.learning_rate}, config)
    losses = []
    began = clock()
    for batch in batches:
        losses.append(backward(model, batch))
        optimizer.step(1.0)
    return clock() - began, losses[0]


def contest(
    start: Any, make_task: Callable[[Any], Any], plain: Losses, batches: Any, config: Any, repeats: int
) -> Numbers:
    """Epochs from the same weights by turns: seconds of each side, and how far apart first losses are."""
    first: dict[str, float] = {}

    def ours() -> float:
        model = copy.deepcopy(start)
        task = make_task(model)
        task.training_mode(True)

        def backward(_: Any, batch: list[int]) -> float:
            total = 0.0
            for micro in task.losses(batch):
                micro.loss.backward()
                total += float(micro.loss.detach())
            return total

        seconds, first["ours"] = epoch(model, batches, config, backward)
        return seconds

    def theirs() -> float:
        seconds, first["theirs"] = epoch(copy.deepcopy(start).train(), batches, config, plain)
        return seconds

    mine, slow = by_turns(ours, theirs, repeats)
    apart = abs(first["ours"] - first["theirs"])
    return {"seconds": mine, "reference_seconds": slow, "times": slow / mine, "loss_difference": apart}


def sft(corpus: Corpus, shape: str, repeats: int, rows: list[Encoded]) -> Numbers:
    """One epoch over `rows`, batches of 16."""
    config = config_for("sft", model="-", train_file="-", batch_size=16)
    accelerator = open_accelerator(config)
    torch.manual_seed(0)
    batches = epoch_batches([len(r) for r in rows], batch_size=16, seed=0, epoch=0, group_by_length=False)

    def plain(model: Any, batch: list[int]) -> float:
        loss = reference.sft_loss(model, [rows[row] for row in batch], corpus.tokenizer.pad_token_id)
        loss.backward()
        return float(loss.detach())

    numbers = contest(
        new_model(corpus.tokenizer, shape),
        lambda model: ResponseTask(model, corpus.tokenizer, rows, [], config, accelerator),
        plain,
        batches,
        config,
        repeats,
    )
    return numbers | rates("tokens", sum(map(len, rows)), numbers)


def rates(what: str, count: int, numbers: Numbers) -> Numbers:
    return {
        f"{what}_per_second": count / numbers["seconds"],
        f"reference_{what}_per_second": count / numbers["reference_seconds"],
    }


def reward(corpus: Corpus, shape: str, repeats: int, folder: Path, rankings: int, k: int) -> Numbers:
    """One epoch over `rankings` rankings of `k` completions, two rankings a step."""
    base = folder / f"base-{k}"
    torch.manual_seed(0)
    new_model(corpus.tokenizer, shape).save_pretrained(base)
    corpus.tokenizer.save_pretrained(base)
    config = config_for("reward", model=str(base), train_file="-", batch_size=2)
    accelerator = open_accelerator(config)
    encoded = rankings_of(corpus, rankings, k)
    order = list(range(len(encoded)))

    def plain(model: Any, batch: list[int]) -> float:
        pad = corpus.tokenizer.pad_token_id
        losses = [
            reference.ranking_losses(model, encoded[row].prompt, encoded[row].responses, pad) for row in batch
        ]
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter.grad /= len(batch)
        return sum(losses) / len(losses)

    numbers = contest(
        new_reward_model(str(base), allowed_hub_ids=[], seed=0)[0],
        lambda model: RankingTask(model, corpus.tokenizer, encoded, [], config, accelerator),
        plain,
        [order[start : start + 2] for start in range(0, len(order), 2)],
        config,
        repeats,
    )
    return numbers | rates("rankings", len(encoded), numbers)


def rankings_of(corpus: Corpus, count: int, k: int) -> list[EncodedRanking]:
    """Questions with `k` answers each, of other questions too; the first is the best."""
    answers = [answer for _, answer in corpus.texts]
    rows = [
        Ranking(
            [{"role": "user", "content": corpus.texts[number][0]}],
            [answers[(number * k + other) % len(answers)] for other in range(k)],
            list(range(1, k + 1)),
            number,
        )
        for number in range(count)
    ]
    encoded = encode_rankings(rows, ChatEncoder(corpus.tokenizer), 512, "drop", "", None)
    return [row for row in encoded if len(row.responses) == k]


def sample(corpus: Corpus, model: Any, repeats: int, prompts: int, k: int, new_tokens: int) -> Numbers:
    """`k` completions of each prompt, against `generate` called prompt by prompt."""
    chosen = [row.prompt for row in corpus.rows[:prompts]]
    stop, pad = corpus.tokenizer.eos_token_id, corpus.tokenizer.pad_token_id
    ours_model, plain_model = copy.deepcopy(model).eval(), copy.deepcopy(model).eval()
    TokenLogits(ours_model)
    written = {"ours": 0, "theirs": 0}
    order = sorted((len(prompt), n, j) for n, prompt in enumerate(chosen) for j in range(k))

    def ours() -> float:
        began = clock()
        written["ours"] = 0
        for start in range(0, len(order), 64):
            some = order[start : start + 64]
            found = generate(
                ours_model,
                [chosen[n] for _, n, _ in some],
                seeds=[n * k + j for _, n, j in some],
                pad_id=pad,
                stops=[stop],
                max_new_tokens=new_tokens,
                temperature=1.0,
                device=torch.device("cpu"),
            )
            written["ours"] += sum(len(row.tokens) for row in found)
        return clock() - began

    @torch.no_grad()
    def theirs() -> float:
        began = clock()
        written["theirs"] = 0
        options = {"do_sample": True, "top_k": 0, "max_new_tokens": new_tokens, "num_return_sequences": k}
        for prompt in chosen:
            made = plain_model.generate(
                torch.tensor([prompt]), eos_token_id=stop, pad_token_id=pad, **options
            )
            written["theirs"] += int((made[:, len(prompt) :] != pad).sum())
        return clock() - began

    mine, plain = by_turns(ours, theirs, repeats)
    numbers = {"seconds": mine, "reference_seconds": plain, "times": plain / mine}
    return (
        numbers
        | rates("completions", len(order), numbers)
        | {
            "mean_length": written["ours"] / len(order),
            "reference_mean_length": written["theirs"] / len(order),
        }
    )

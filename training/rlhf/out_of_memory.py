"""Memory ran out while a run was at work: what to lower, and to what.

The estimate of the start is made again with what the run did have: what it holds, and what is free now. What
is proposed fits by that estimate, and is half of what failed at most: the estimate was too low, or somebody
else took memory.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import traceback
from typing import Any

from training.rlhf.errors import OutOfMemoryError
from training.rlhf.footing import Footing

LEAST_TOKENS = 16
SIGNS = (
    "out of memory",
    "can't allocate memory",
    "cannot allocate memory",
    "not enough memory",
    "bad_alloc",
    "_STATUS_ALLOC_FAILED",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether that is what Python, torch, CUDA and its libraries, or the system say where memory is short."""
    said = str(error).lower()
    return (
        isinstance(error, MemoryError)
        or getattr(error, "errno", None) == errno.ENOMEM
        or any(sign.lower() in said for sign in SIGNS)
    )


def told(error: BaseException, footing: Footing | None, config: Any) -> OutOfMemoryError:
    """The failure in words. Frees what the failed step held, for the estimate needs some memory, too."""
    traceback.clear_frames(error.__traceback__)
    if footing is not None:
        # Memory may be too short even for that, or the architecture unknown.
        with contextlib.suppress(Exception):
            return advice(footing)
    return without_estimate(config)


def without_estimate(config: Any) -> OutOfMemoryError:
    """Stages that do not learn are not estimated: half of what failed, of which the results know nothing."""
    least_of = {"micro_batch_tokens": LEAST_TOKENS}
    if not hasattr(config, "learning_rate"):  # there it is only how many rows are computed together
        least_of["batch_size"] = 1
    lower = {
        name: getattr(config, name) // 2
        for name, least in least_of.items()
        if getattr(config, name, 0) >= 2 * least
    }
    if lower:
        return OutOfMemoryError(f"out of memory: {_in_words(lower, config)} (results stay the same)", lower)
    fields = [name for name in ("gradient_checkpointing", "method") if hasattr(config, name)]
    return OutOfMemoryError(f"out of memory: {_otherwise(config) if fields else 'take a smaller model'}")


def advice(footing: Footing) -> OutOfMemoryError:
    """What to lower, and to what. Raises where the networks cannot be estimated."""
    from training.rlhf import memory

    config, load = footing.config, footing.load
    found = memory.estimate(config, load, footing.networks(), footing.cache(), footing.device.type)
    room = has_had(footing)
    most = int(memory.USABLE * room)
    short = f"out of memory, about {memory.size_words(found.needed)} were expected: "
    if found.fixed + found.cache > most > found.fixed and found.cache >= found.per_token * found.tokens:
        from training.rlhf.rollout import ROWS_AT_A_TIME

        rows = min(config.batch_size, ROWS_AT_A_TIME)
        share = min((most - found.fixed) / found.cache, 0.5)
        # A batch is cut into whole minibatches.
        if fitting := int(rows * share) // config.minibatch_size * config.minibatch_size:
            less = dataclasses.replace(found, cache=found.cache * fitting // rows)
            return _lowered(short, {"batch_size": fitting}, config, less.needed, room)
        less = dataclasses.replace(found, cache=int(found.cache * share))
        shorter = int(load.longest * share)
        prompt = load.longest - config.maximum_new_tokens
        if shorter - prompt >= LEAST_TOKENS:
            return _lowered(short, {"maximum_new_tokens": shorter - prompt}, config, less.needed, room)
        if shorter >= 2 * LEAST_TOKENS:
            half = shorter // 2
            lower = {footing.shorten: half, "maximum_new_tokens": half}
            return _lowered(short, lower, config, less.needed, room)
    tokens = min(int((most - found.fixed) / found.per_token), found.tokens // 2)
    tokens = tokens // memory.STEP * memory.STEP or tokens
    less = dataclasses.replace(found, tokens=tokens)
    if tokens >= load.longest:
        return _lowered(short, {"micro_batch_tokens": tokens}, config, less.needed, room)
    answer = getattr(config, "maximum_new_tokens", 0)  # a part of PPO's rows, which stays as long as it is
    if tokens - answer >= LEAST_TOKENS:
        lower = {"micro_batch_tokens": tokens, footing.shorten: tokens - answer}
        return _lowered(short, lower, config, less.needed, room)
    if answer and tokens >= 2 * LEAST_TOKENS:
        half = tokens // 2
        lower = {"micro_batch_tokens": tokens, footing.shorten: half, "maximum_new_tokens": half}
        return _lowered(short, lower, config, less.needed, room)
    held = memory.size_words(found.fixed)
    return OutOfMemoryError(
        f"{short}weights, gradients and Adam alone take {held} of {memory.size_words(room)}; "
        f"{_otherwise(config)}"
    )


def has_had(footing: Footing) -> int:
    """Bytes that the run could have taken: what it holds beyond what was there before, and what is free."""
    from training.rlhf.machine_memory import free_bytes, resident_bytes
    from training.rlhf.team import neighbours

    free = free_bytes(footing.device)
    if footing.device.type == "cpu":
        return max(0, resident_bytes() - footing.before) + free // neighbours()
    import torch

    return int(torch.cuda.memory_reserved(footing.device)) + free


def _lowered(short: str, lower: dict[str, int], config: Any, needed: int, room: int) -> OutOfMemoryError:
    from training.rlhf.memory import size_words

    lower = {name: value for name, value in lower.items() if not 0 < getattr(config, name) <= value}
    same = " (results stay the same)" if set(lower) == {"micro_batch_tokens"} else ""
    return OutOfMemoryError(
        f"{short}{_in_words(lower, config)}{same}, which takes about {size_words(needed)} of "
        f"{size_words(room)}; or {_otherwise(config)}",
        lower,
    )


def _in_words(lower: dict[str, int], config: Any) -> str:
    parts = [f"{name} from {getattr(config, name):,} to {value:,}" for name, value in lower.items()]
    return f"lower {' and '.join(parts)}"


def _otherwise(config: Any) -> str:
    others = []
    if getattr(config, "gradient_checkpointing", True) is False:
        others.append("switch on gradient_checkpointing")
    if getattr(config, "method", "") == "full":
        others.append("train adapters with method = lora")
    return ", or ".join([*others, "take a smaller model"])

"""What a run would choose and need, said before there is a run: micro-batch, passes per step, memory.

No row is read. Every row is taken to be as long as the configuration lets it be, so that what is said is the
most that it can come to; a run measures its own rows when it starts (memory.fit).
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch

from training.rlhf import memory
from training.rlhf.config import validate
from training.rlhf.errors import ConfigError, RlhfError, first_line
from training.rlhf.model_folders import is_encoder_decoder
from training.rlhf.models import load_reader
from training.rlhf.pair_memory import load_of_pairs, pair_size
from training.rlhf.ppo_networks import network_sizes
from training.rlhf.rereading import reads_alike
from training.rlhf.rollout import ROWS_AT_A_TIME

MIB = 2**20
STAND_IN = "none is read"
LEARN_FROM_ROWS = {"sft": "train_file", "reward": "train_file", "ppo": "prompts_file"}


def estimate(stage: str, values: dict[str, Any], *, completions: int = 4) -> dict[str, Any]:
    """`values`: a configuration whose files of rows may be left out; `completions`: of a ranking.

    {"tokens", "batch", "passes", "longest", "needed_mib", "free_mib", "parts", "refused"}, sizes in MiB;
    `refused` is the sentence with which a run of such rows would end before it starts, or empty. ConfigError
    names a field that is wrong.
    """
    if stage not in LEARN_FROM_ROWS:
        raise ConfigError("stage", f"must be one of {', '.join(LEARN_FROM_ROWS)} for an estimate")
    config = validate(stage, {LEARN_FROM_ROWS[stage]: STAND_IN} | values)
    device = torch.device("cuda" if config.device != "cpu" and torch.cuda.is_available() else "cpu")
    free = memory.free_bytes(device)
    try:
        load, sizes, cache, shorten = _weigh(stage, config, completions)
    except RlhfError:
        raise
    except Exception as error:  # whatever a foreign architecture raises: a run starts all the same
        raise ConfigError("model", f"cannot be estimated ({first_line(error)})") from error
    config, found = memory.settled(config, load, sizes, cache, free, device.type)
    is_short = found.needed > memory.USABLE * free
    parts = {
        "weights": found.weights,
        "gradients": found.gradients,
        "moments": found.moments,
        "activations": round(found.per_token * found.tokens),
        "cache": found.cache,
    }
    return {
        "tokens": config.micro_batch_tokens,
        "batch": getattr(config, "minibatch_size", config.batch_size),
        "passes": math.ceil(load.batch / max(1, found.tokens)),
        "longest": load.longest,
        "needed_mib": math.ceil(found.needed / MIB),
        "free_mib": free // MIB,
        "parts": {name: math.ceil(size / MIB) for name, size in parts.items() if size},
        "refused": memory.refusal(config, load, found, free, shorten).message if is_short else "",
    }


def _weigh(stage: str, config: Any, completions: int) -> tuple[memory.Load, list[memory.ModelSize], int, str]:
    """(load, networks, bytes of keys and values, the field that makes rows shorter)."""
    hub = config.allowed_hub_ids
    if stage == "ppo":
        policy, context = load_reader(config.policy, allowed_hub_ids=hub, field="policy")
        reward, of_reward = load_reader(config.reward_model, allowed_hub_ids=hub, field="reward_model")
        rereads = not reads_alike(policy, reward)
        if not rereads:
            context = min(context, of_reward)
        prompt = max(1, min(config.maximum_prompt_length, context - config.maximum_new_tokens))
        load = memory.load_of_episodes(
            [prompt] * config.minibatch_size, config.maximum_new_tokens, config.minibatch_size
        )
        rows, tokens = min(config.batch_size, ROWS_AT_A_TIME), prompt + config.maximum_new_tokens
        cache = memory.cache_bytes(config.policy, rows=rows, tokens=tokens)
        return load, network_sizes(config, rereads=rereads), cache, "maximum_prompt_length"
    _, context = load_reader(config.model, allowed_hub_ids=hub, encoder_decoder=stage == "sft")
    longest = min(config.maximum_length, context)
    if stage == "reward":
        load = memory.load_of([completions * longest] * config.batch_size, [], config.batch_size)
        return load, [memory.reward_model(config.model, config)], 0, "maximum_length"
    if Path(config.model).is_dir() and is_encoder_decoder(config.model):
        half = max(1, longest // 2)
        pairs = load_of_pairs([(half, longest - half)] * config.batch_size, config.batch_size)
        return pairs, [pair_size(config.model, config)], 0, "maximum_length"
    lengths = [longest] * config.batch_size
    load = memory.load_of(lengths, lengths, config.batch_size)
    return load, [memory.language_model(config.model, config)], 0, "maximum_length"

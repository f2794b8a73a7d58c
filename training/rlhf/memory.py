"""How much memory a run will take, said and checked before it starts.

What a model keeps for its backward pass is counted, not guessed: the very architecture is built on the
`meta` device, where tensors have shapes and no contents, and one forward pass there tells every tensor that
autograd keeps. It grows in proportion to the tokens of a micro-batch; weights, gradients and Adam's two
moments do not.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from transformers import (
    AttentionInterface,
    AttentionMaskInterface,
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
)
from transformers.integrations.sdpa_attention import repeat_kv
from transformers.masking_utils import sdpa_mask

from training.rlhf import checkpoints
from training.rlhf.adapters import add_adapter
from training.rlhf.errors import ConfigError, first_line
from training.rlhf.footing import Footing
from training.rlhf.machine_memory import free_bytes, resident_bytes
from training.rlhf.models import DROPOUT_NAMES, backbone, inner_model, score_head
from training.rlhf.run import Run
from training.rlhf.team import neighbours

FILE = "memory.json"  # in the run folder: what was estimated, and the micro-batch that was chosen
PROBE_TOKENS = 64
FLOAT = 4  # bytes; weights, gradients and moments are always float32
# Measured, see docs/rlhf.md: the backward pass takes more than what autograd keeps; and on the CPU, memory
# that micro-batches of uneven size have left in pieces is never given back (allocator.py), for speed.
OVERHEAD = {"cpu": 2.4, "cuda": 1.3}
# PPO cuts each minibatch into micro-batches that are all about as full, and finds the heap whole again.
EVEN_OVERHEAD = 1.3
# For the same reason checkpointing saves the CPU less than it keeps: at least this share of what it would be.
FRUGAL_SHARE = {"cpu": 0.65, "cuda": 0.0}
LIBRARIES = 60 * 2**20  # loaded after the estimate: the model's own code, the optimizer
BF16_ACTIVATIONS = 0.6  # of their size in float32; norms and losses stay as they are
# A run may use so much of what is free: others need some, and an estimate is one.
USABLE, AUTO_USES = 0.95, 0.8
AUTO_MOST_TOKENS, STEP = 65_536, 64


@dataclass(frozen=True)
class ModelSize:
    """Bytes of one network: what it weighs, what of it learns, what a token and a logit cost in training."""

    weights: int
    learning: int
    token: int
    label: int = 0
    plain: int = 0  # what a token would cost without checkpointing


@dataclass(frozen=True)
class Load:
    """Tokens of the longest row, tokens of the largest batch, and the share of them that is labelled."""

    longest: int
    batch: int
    labelled: float = 0.0
    is_even: bool = False  # micro-batches are all about as full

    def heaviest(self, limit: int, sizes: Sequence[ModelSize], device: str) -> tuple[int, float]:
        """Tokens of the micro-batch that takes the most, cut within `limit` (0: any), and bytes for each."""
        overhead = EVEN_OVERHEAD if self.is_even else OVERHEAD[device]
        per_token = sum(
            overhead * max(size.token, FRUGAL_SHARE[device] * size.plain) + size.label * self.labelled
            for size in sizes
        )
        return max(self.longest, min(limit, self.batch)), per_token


@dataclass(frozen=True)
class Estimate:
    """Bytes at the peak of a step, by cause.

    An update, sampling and saving take turns in the same memory, so that only the largest of them counts.
    """

    before: int  # resident already when the estimate was made
    weights: int
    gradients: int
    moments: int
    saving: int  # a second copy of the weights while they are written
    cache: int  # keys and values while sampling
    tokens: int  # in a micro-batch
    per_token: float

    @property
    def fixed(self) -> int:
        return self.weights + self.gradients + self.moments + LIBRARIES

    @property
    def needed(self) -> int:
        """Beyond what is resident already."""
        return round(self.fixed + max(self.per_token * self.tokens, self.cache, self.saving))

    @property
    def peak(self) -> int:
        return self.before + self.needed

    def sentence(self, free: int) -> str:
        parts = {
            "weights": self.weights,
            "gradients": self.gradients,
            "Adam": self.moments,
            "activations and logits": self.per_token * self.tokens,
            "keys and values": self.cache,
        }
        listed = ", ".join(f"{name} {size_words(value)}" for name, value in parts.items() if value)
        return (
            f"memory: about {size_words(self.needed)} of {size_words(free)} that are free ({listed}), "
            f"with {self.tokens:,} tokens in a micro-batch"
        )


# --- The networks ------------------------------------------------------------------------------------------
def language_model(name: str, config: Any, *, learns: bool = True) -> ModelSize:
    """Size of the causal model in a folder (or of a hub id)."""
    return size_of(empty_model(AutoModelForCausalLM, name, config), config, learns=learns)


def reward_model(name: str, config: Any, *, learns: bool = True) -> ModelSize:
    return size_of(
        empty_model(AutoModelForSequenceClassification, name, config, num_labels=1), config, learns=learns
    )


def size_of(model: Any, config: Any, *, learns: bool = True) -> ModelSize:
    """`model` has its weights on the `meta` device; it is spoilt for anything else."""
    is_classifier = type(model).__name__.endswith("ForSequenceClassification")
    if not learns:
        return ModelSize(_bytes(model.parameters()), 0, 0)
    model, weights, learning = weighed(model, config)
    token = plain = kept_bytes(model) / PROBE_TOKENS
    if config.gradient_checkpointing:
        # Inputs of the blocks are kept, and one block at a time is computed anew.
        inside: Any = inner_model(model)
        layers = max(1, int(getattr(inside.config, "num_hidden_layers", 1)))
        inside.gradient_checkpointing_enable()
        token = kept_bytes(model) / PROBE_TOKENS + plain / layers
    if config.precision != "fp32":
        token, plain = token * BF16_ACTIVATIONS, plain * BF16_ACTIVATIONS
    label = 0
    if not is_classifier:
        head: Any = inner_model(model)
        label = 2 * FLOAT * head.get_output_embeddings().weight.shape[0]
    return ModelSize(weights, learning, round(token), label, round(plain))


def weighed(model: Any, config: Any) -> tuple[Any, int, int]:
    """(the network that a run trains, bytes of its weights, bytes of what of it learns)."""
    if getattr(config, "method", "full") == "lora":
        is_classifier = type(model).__name__.endswith("ForSequenceClassification")
        model = add_adapter(model, config, classifier=is_classifier, resume=None)
    weights = _bytes(model.parameters())
    if config.precision != "fp32":
        weights = round(weights * 1.5)  # a copy in half precision
    return model, weights, _bytes(each for each in model.parameters() if each.requires_grad)


def _bytes(parameters: Iterable[Tensor]) -> int:
    return sum(parameter.numel() for parameter in parameters) * FLOAT


def kept_bytes(model: Any) -> int:
    """Bytes that autograd keeps of one forward pass over PROBE_TOKENS tokens, weights not counted."""
    inside: Any = inner_model(model)
    device = next(model.parameters()).device
    ids = torch.zeros(1, PROBE_TOKENS, dtype=torch.long, device=device)
    places = torch.arange(PROBE_TOKENS, device=device)[None]
    # As in packing.inputs_of: a mask of four dimensions is passed on as it is.
    unread = torch.zeros(1, 1, 1, 1, device=device)

    def forward() -> Tensor:
        hidden = backbone(model)(
            input_ids=ids, position_ids=places, attention_mask=unread, use_cache=False
        ).last_hidden_state
        if hasattr(inside, "score") or hasattr(inside, "classifier"):
            score_head(model)(hidden)
        return hidden

    with attention_as(inside, "rlhf_shapes"):
        return kept_by(model, forward)


def kept_by(model: Any, forward: Callable[[], Tensor]) -> int:
    """Bytes that autograd keeps of `forward`, which answers hidden states, and these; weights not counted."""
    weights = {parameter.untyped_storage()._cdata for parameter in model.parameters()}
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        number = tensor.untyped_storage()._cdata
        if number not in weights:
            kept[number] = tensor
        return tensor

    model.train()
    with saved_tensors_hooks(keep, lambda tensor: tensor):
        hidden = forward()
    kept[hidden.untyped_storage()._cdata] = hidden
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())


class _Shapes(torch.autograd.Function):
    """Attention as far as memory goes: it keeps what the fused kernels keep."""

    @staticmethod
    def forward(context: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        answer = torch.empty_like(query)
        context.save_for_backward(query, key, value, answer, query.new_empty(query.shape[:-1]))
        return answer


def _shaped_attention(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, *_: Any, **__: Any
) -> tuple[Tensor, None]:
    groups = getattr(module, "num_key_value_groups", 1)
    if groups > 1:
        key, value = repeat_kv(key, groups), repeat_kv(value, groups)
    return _Shapes.apply(query, key, value).transpose(1, 2).contiguous(), None


AttentionInterface.register("rlhf_shapes", _shaped_attention)
AttentionMaskInterface.register("rlhf_shapes", sdpa_mask)


@contextmanager
def attention_as(inside: Any, name: str) -> Iterator[None]:
    before = inside.config._attn_implementation
    inside.set_attn_implementation(name)
    try:
        yield
    finally:
        inside.set_attn_implementation(before)


def empty_model(kind: Any, name: str, config: Any, **more: Any) -> nn.Module:
    """The architecture of a folder on the `meta` device, with the dropout of a run."""
    shape = AutoConfig.from_pretrained(name, trust_remote_code=False, **more)
    for key in DROPOUT_NAMES:
        if isinstance(getattr(shape, key, None), (int, float)):
            setattr(shape, key, getattr(config, "dropout", 0.0))
    with torch.device("meta"):
        return kind.from_config(shape, trust_remote_code=False).float()


def cache_bytes(name: str, *, rows: int, tokens: int) -> int:
    """Keys and values of `rows` sequences of `tokens` tokens, with the room that is kept ahead of need."""
    shape = AutoConfig.from_pretrained(name, trust_remote_code=False)
    heads = shape.num_attention_heads
    width = (getattr(shape, "head_dim", None) or shape.hidden_size // heads) * (
        getattr(shape, "num_key_value_heads", None) or heads
    )
    return round(2 * FLOAT * shape.num_hidden_layers * width * rows * tokens * 1.5)


# --- The run -----------------------------------------------------------------------------------------------
def load_of(lengths: Sequence[int], labelled: Sequence[int], batch_size: int) -> Load:
    longest = sorted(lengths, reverse=True)
    return Load(longest[0], sum(longest[:batch_size]), sum(labelled) / max(1, sum(lengths)))


def load_of_episodes(prompts: Sequence[int], response: int, minibatch_size: int) -> Load:
    """A minibatch of episodes whose responses are as long as they may be.

    Prompts are drawn at random: the sum of so many stays below its mean plus three deviations, and below that
    of the longest ones.
    """
    count = minibatch_size
    mean = sum(prompts) / len(prompts)
    deviation = (sum((length - mean) ** 2 for length in prompts) / len(prompts)) ** 0.5
    longest = sorted(prompts, reverse=True)
    most = sum(longest[:count]) if count <= len(longest) else count * longest[0]
    drawn = min(most, count * mean + 3 * deviation * count**0.5)
    return Load(
        longest[0] + response,
        round(drawn + count * response),
        count * response / (drawn + count * response),
        is_even=True,
    )


def fit(
    run: Run,
    config: Any,
    accelerator: Any,
    load: Load,
    networks: Callable[[], list[ModelSize]],
    *,
    cache: Callable[[], int] = lambda: 0,
    resumed: bool = False,
    shorten: str = "maximum_length",
) -> Any:
    """The configuration with the micro-batch of the run, after saying what it will take.

    ConfigError names the field to lower, and to what, where it cannot fit. A resumed run keeps the
    micro-batch it has: another one would change the last bits of its numbers.
    """
    path = run.folder / FILE
    device = getattr(accelerator, "device", None)
    footing = run.footing = Footing(config, device, load, networks, cache, shorten, resident_bytes())
    if resumed and path.is_file():
        tokens = json.loads(path.read_bytes())["micro_batch_tokens"]
        footing.config = _with_tokens(config, tokens)
        return footing.config
    try:
        sizes, room_for_cache = networks(), cache()
    except Exception as error:  # noqa: BLE001 - whatever a foreign architecture raises: it is loaded all the same
        run.log(f"memory: this architecture cannot be estimated ({first_line(error)})")
        footing.config = _with_tokens(config, config.micro_batch_tokens or load.longest)
        return footing.config
    free = free_bytes(accelerator.device)
    if accelerator.device.type == "cpu":
        free //= neighbours()
    config, found = settled(config, load, sizes, room_for_cache, free, accelerator.device.type)
    footing.config = config
    run.log(
        found.sentence(free),
        memory={**dataclasses.asdict(found), "needed": found.needed, "peak": found.peak, "free": free},
    )
    if found.needed > USABLE * free:
        raise refusal(config, load, found, free, shorten)
    if run.leads:
        checkpoints.write_json(
            path, {"micro_batch_tokens": config.micro_batch_tokens, "needed": found.needed}
        )
    return config


def settled(
    config: Any, load: Load, sizes: list[ModelSize], cache: int, free: int, device: str
) -> tuple[Any, Estimate]:
    """The configuration with its micro-batch (the most that fits, where that is 0), and what it costs."""
    found = estimate(config, load, sizes, cache, device)
    if not config.micro_batch_tokens:
        tokens = int((AUTO_USES * free - found.fixed) / found.per_token) // STEP * STEP
        tokens = max(load.longest, min(tokens, load.batch, AUTO_MOST_TOKENS))
        config = _with_tokens(config, tokens)
        found = estimate(config, load, sizes, cache, device)
    return config, found


def estimate(config: Any, load: Load, sizes: list[ModelSize], cache: int, device: str) -> Estimate:
    learning = sum(size.learning for size in sizes)
    tokens, per_token = load.heaviest(config.micro_batch_tokens, sizes, device)
    return Estimate(
        before=resident_bytes(),
        weights=sum(size.weights for size in sizes),
        gradients=learning,
        moments=2 * learning,
        saving=max(size.weights for size in sizes),
        cache=cache,
        tokens=tokens,
        per_token=per_token,
    )


def refusal(config: Any, load: Load, found: Estimate, free: int, shorten: str) -> ConfigError:
    short = (
        f"the run needs about {size_words(found.needed)} and may take {size_words(USABLE * free)} of the "
        f"{size_words(free)} that are free; "
    )
    tokens = int((USABLE * free - found.fixed) / found.per_token)
    if found.fixed + found.cache > USABLE * free > found.fixed + found.per_token * load.longest:
        return ConfigError(
            "maximum_new_tokens",
            f"{short}keys and values while sampling take {size_words(found.cache)}: lower it, or batch_size",
        )
    others = [] if config.gradient_checkpointing else ["switch on gradient_checkpointing"]
    if getattr(config, "method", "") == "full":
        others.append("train adapters (method = lora)")
    instead = f" ({' or '.join(others)} instead)" if others else ""
    if tokens >= load.longest:
        lower = tokens // STEP * STEP if tokens >= STEP else tokens
        return ConfigError(
            "micro_batch_tokens",
            f"{short}lower it to {max(lower, load.longest):,} (results stay the same), or to 0 for the most "
            f"that fits{instead}",
        )
    if tokens >= 16:
        return ConfigError(
            shorten,
            f"{short}the longest row has {load.longest:,} tokens; lower this and "
            f"micro_batch_tokens to {tokens:,}{instead}",
        )
    what = "a smaller model, or more memory" if not others else " or ".join(others)
    return ConfigError(
        "method" if "method = lora" in what else "gradient_checkpointing" if others else "model",
        f"{short}weights, gradients and Adam alone take {size_words(found.fixed)}: {what}",
    )


def _with_tokens(config: Any, tokens: int) -> Any:
    return dataclasses.replace(config, micro_batch_tokens=tokens)


def size_words(count: float) -> str:
    for unit, size in (("GB", 2**30), ("MB", 2**20)):
        if count >= size:
            return f"{count / size:,.1f} {unit}" if count < 100 * size else f"{count / size:,.0f} {unit}"
    return f"{count / 1024:,.0f} kB"

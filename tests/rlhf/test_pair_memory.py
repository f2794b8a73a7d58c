"""What fine-tuning an encoder–decoder model will take: counted on shapes alone, refused if it cannot fit."""

from __future__ import annotations

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks

from training.rlhf import memory, pair_memory
from training.rlhf.adapters import add_adapter
from training.rlhf.config import validate
from training.rlhf.models import inner_model, load_language_model
from training.rlhf.pair_memory import Kept, PairLoad, PairSize, load_of_pairs, pair_size

from .conftest import events, result, run_here
from .small_t5 import make_t5

WIDE = (3, 40, 23)  # rows, tokens of a prompt, tokens of a response: none of them probed


@pytest.fixture(scope="module")
def t5(world, tmp_path_factory):
    return make_t5(tmp_path_factory.mktemp("t5") / "base", world.text)


def sft_config(world, **changes):
    return validate("sft", world.config("sft", model="unused", **changes))


def really_kept(model, rows: int, prompt: int, response: int) -> int:
    """The slow way: a real pass over padded rows, as a run makes it; the bytes that autograd keeps of it."""
    weights = {parameter.untyped_storage()._cdata for parameter in model.parameters()}
    kept = {}

    def keep(tensor):
        if tensor.untyped_storage()._cdata not in weights:
            kept[tensor.untyped_storage()._cdata] = tensor
        return tensor

    model.train()
    ids, seen = torch.zeros(rows, prompt, dtype=torch.long), torch.ones(rows, prompt, dtype=torch.long)
    seen[0, -1] = 0  # padding
    with saved_tensors_hooks(keep, lambda tensor: tensor):
        inside = inner_model(model)
        hidden = inside.encoder(input_ids=ids, attention_mask=seen).last_hidden_state
        hidden = inside.decoder(
            input_ids=torch.zeros(rows, response, dtype=torch.long),
            encoder_hidden_states=hidden,
            encoder_attention_mask=seen,
            use_cache=False,
        ).last_hidden_state
    kept[hidden.untyped_storage()._cdata] = hidden
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("method", ["full", "lora"])
def test_what_is_counted_on_shapes_is_what_a_real_pass_keeps(world, t5, method, checkpointing):
    config = sft_config(world, method=method)
    model, _ = load_language_model(str(t5), allowed_hub_ids=[])
    if method == "lora":
        model = add_adapter(model, config, classifier=False, resume=None)
    empty, _, _ = memory.weighed(
        memory.empty_model(pair_memory.AutoModelForSeq2SeqLM, str(t5), config), config
    )
    assert all(parameter.is_meta for parameter in empty.parameters())
    if checkpointing:
        model.gradient_checkpointing_enable()
        inner_model(empty).gradient_checkpointing_enable()
    real = really_kept(model, *WIDE)
    assert pair_memory.kept_bytes(empty, *WIDE) == pytest.approx(real, rel=0.01)
    assert pair_memory.kept_of(empty).of(*WIDE) == pytest.approx(real, rel=0.01)


def test_weights_gradients_and_moments_are_those_of_the_model(world, t5):
    model, _ = load_language_model(str(t5), allowed_hub_ids=[])
    count = sum(parameter.numel() for parameter in model.parameters())
    size = pair_size(str(t5), sft_config(world))
    assert (size.weights, size.learning) == (4 * count, 4 * count)
    assert size.vocabulary == model.get_output_embeddings().weight.shape[0]
    lora = pair_size(str(t5), sft_config(world, method="lora", lora_rank=2))
    assert lora.learning == lora.weights - size.weights < size.learning


def test_the_heaviest_micro_batch_by_hand():
    """A row keeps S·T bytes, a vocabulary of 5; batches of two. Rows (30, 4) and (20, 9) go together within
    68 tokens: 2 rows of 30 and 9 at 34 each. Within 34 each goes alone, and (20, 9) keeps more."""
    load = load_of_pairs([(3, 2), (30, 4), (20, 9)], batch_size=2)
    assert load == PairLoad(34, 68, rows=((30, 4), (20, 9)))
    nothing = (0.0,) * 6
    size = PairSize(
        0, 0, 0, kept=Kept(nothing, (0, 0, 0, 0, 0, 1)), kept_plain=Kept(nothing, nothing), vocabulary=5
    )
    overhead = pair_memory.OVERHEAD["cpu"]
    tokens, each = load.heaviest(68, [size], "cpu")
    assert (tokens, each * 68) == (68, pytest.approx(overhead * 2 * 30 * 9 + 4 * 5 * (2 * 9 + 4 + 9)))
    assert load.heaviest(0, [size], "cpu") == (tokens, each)  # the whole batch, where nothing limits it
    tokens, each = load.heaviest(34, [size], "cpu")
    assert (tokens, each * 29) == (29, pytest.approx(overhead * 20 * 9 + 4 * 5 * (9 + 9)))


@pytest.fixture
def little_memory(monkeypatch):
    def say(free: float) -> None:
        monkeypatch.setattr(memory, "free_bytes", lambda device: int(free))

    return say


def needed(out) -> dict:
    return next(event["data"]["memory"] for event in events(out, "log") if "memory" in event["data"])


def test_a_run_that_cannot_fit_is_refused_with_a_micro_batch_that_does(world, t5, tmp_path, little_memory):
    config = world.config("sft", model=str(t5), epochs=1)
    little_memory(2**40)
    assert run_here("sft", config, tmp_path / "roomy") == 0
    found = needed(tmp_path / "roomy")
    fixed = found["needed"] - found["per_token"] * found["tokens"]
    little_memory((fixed + 0.75 * found["per_token"] * found["tokens"]) / memory.USABLE)
    assert run_here("sft", config, tmp_path / "tight") == 2
    error = result(tmp_path / "tight")["error"]
    assert error["code"] == "bad_config" and error["field"] == "micro_batch_tokens"
    tokens = int(error["message"].split("lower it to ")[1].split(" ")[0].replace(",", ""))
    assert tokens < found["tokens"]
    assert run_here("sft", config | {"micro_batch_tokens": tokens}, tmp_path / "lowered") == 0
    # And by itself, where it is asked to take what fits.
    assert run_here("sft", config | {"micro_batch_tokens": 0}, tmp_path / "auto") == 0
    assert needed(tmp_path / "auto")["tokens"] < found["tokens"]


def test_weights_that_do_not_fit_are_answered_with_adapters(world, t5, tmp_path, little_memory):
    little_memory(2**20)
    assert run_here("sft", world.config("sft", model=str(t5)), tmp_path / "r") == 2
    error = result(tmp_path / "r")["error"]
    assert error["field"] == "method" and "lora" in error["message"]

"""The table of details in docs/rlhf.md is true: all 28, in with a test that exists, or out with a reason."""

import math
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoConfig

from training.rlhf.models import load_causal_lm, load_language_model, new_reward_model, silence_dropout

from .conftest import ROOT, final_checkpoint, run_here
from .small_t5 import make_t5
from .test_other_models import foreign

PAGE = ROOT / "docs" / "rlhf.md"


def rows() -> list[list[str]]:
    table = PAGE.read_text().split("| Detail | Here | Where | Test |")[1].split("\n\n")[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]


def test_all_28_are_there_once():
    assert [int(row[0].split()[0]) for row in rows()] == list(range(1, 29))


def test_each_is_in_with_a_test_that_exists_or_out_with_a_reason():
    existing = set()
    for path in Path(__file__).parent.glob("test_*.py"):
        existing |= set(re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE))
    for detail, here, where, tests in rows():
        named = re.findall(r"`(test_\w+)`", tests)
        assert set(named) <= existing, f"{detail}: no such test"
        if here.startswith("in"):
            assert named and where, detail
        else:
            assert re.match(r"out: .{40}", here), detail


def test_where_each_is_decided_exists():
    source = "".join(path.read_text() for path in (ROOT / "training" / "rlhf").rglob("*.py"))
    for detail, _, where, _ in rows():
        for name in re.findall(r"`([^`]+)`", where):
            if name.endswith(".py"):
                assert (ROOT / "training" / "rlhf" / name).is_file(), (detail, name)
            else:
                assert re.search(rf"\b{name.split('.')[-1]}\b", source), (detail, name)


def test_a_fresh_head_has_the_papers_spread(base_model):
    """N(0, 1 / (d + 1)): over several seeds, mean zero and that deviation."""
    drawn = torch.cat(
        [
            new_reward_model(str(base_model), allowed_hub_ids=[], seed=seed)[0].score.weight.flatten()
            for seed in range(20)
        ]
    )
    drawn, width = drawn.detach(), len(drawn) // 20
    expected = 1 / math.sqrt(width + 1)
    assert float(drawn.std()) == pytest.approx(expected, rel=0.1)
    assert abs(float(drawn.mean())) < 3 * expected / math.sqrt(len(drawn))


def test_dropout_is_off_where_scores_must_repeat(base_model, tmp_path):
    """A model whose own configuration has dropout: the reward model has none, even in training mode."""
    config = AutoConfig.from_pretrained(base_model)
    config.resid_pdrop = config.attn_pdrop = config.embd_pdrop = 0.5
    model, tokenizer = load_causal_lm(str(base_model), allowed_hub_ids=[])
    folder = tmp_path / "model"
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    config.save_pretrained(folder)
    reward, _ = new_reward_model(str(folder), allowed_hub_ids=[], seed=0)
    silence_dropout(reward)
    reward.train()
    ids = torch.arange(8)[None]
    assert reward(input_ids=ids).logits.equal(reward(input_ids=ids).logits)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_weights_stay_in_32_bits(world, base_model, tmp_path, precision):
    config = world.config("sft", model=str(base_model), precision=precision, maximum_steps=2)
    assert run_here("sft", config, tmp_path / "run") == 0
    for name in ("model.safetensors", "optimizer.safetensors"):
        stored = load_file(final_checkpoint(tmp_path / "run") / name)
        assert {tensor.dtype for tensor in stored.values()} == {torch.float32}


@pytest.mark.parametrize("family", ["ours", "llama", "qwen2", "gpt_neox", "t5"])
def test_attention_is_the_fused_one(world, base_model, tmp_path, family):
    if family == "t5":
        folder = make_t5(tmp_path / "t5", world.text)
    else:
        folder = base_model if family == "ours" else foreign(family, base_model, tmp_path / family)
    model, _ = load_language_model(str(folder), allowed_hub_ids=[])
    assert model.config._attn_implementation == "sdpa"

"""What llama.cpp itself said of GGUF files that are written here (fixtures/llama_cpp.json): text and
conversations are cut alike, and it goes on with the same tokens. An export that writes something else is to
be shown to llama.cpp again: see gguf_shapes.py."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from training.rlhf.stages.export import in_format

from .conftest import events, result, run_here
from .gguf_shapes import GROUPED, SHAPES, TEXTS, content, make, make_model, make_tokenizer, told

SAID = json.loads((Path(__file__).parent / "fixtures" / "llama_cpp.json").read_text())["shapes"]
# Of the largest logit. llama.cpp looks GELU up in a table of half precision; the others are exact.
FAR = {"gpt2": 1e-3, "gpt_neox": 1e-3, "gpt_neox, in turn, half turned": 1e-3}


@pytest.mark.parametrize("name", SHAPES)
def test_llama_cpp_cuts_and_goes_on_as_the_model_does(world, tmp_path, name):
    source, said = make(name, tmp_path / "source"), SAID[name]
    ours = told(source)
    assert [text for text, _ in said["texts"]] == TEXTS
    assert said["texts"] == ours["texts"]
    assert said["chat_ids"] == ours["chat_ids"]
    assert said["greedy"] == ours["greedy"] and len(set(ours["greedy"])) > 1
    assert said["difference"] <= FAR.get(name, 1e-4) * said["largest"]
    assert said["end"] == 0 and len(said["with_start"]) == len(
        ours_of("cat", source)
    )  # no start token of its own
    config = world.config("export", checkpoint=str(source), format="gguf")
    assert run_here("export", config, tmp_path / "x") == 0
    assert content(tmp_path / "x" / "model" / "model.gguf") == said["content"]


def ours_of(text, source):
    from training.rlhf.chat import load_tokenizer

    return load_tokenizer(str(source)).encode(text, add_special_tokens=False)


# --- What llama.cpp could not read, or would read as another model -----------------------------------------
def test_an_odd_number_of_turned_numbers_is_refused_since_it_ends_llama_cpp(world, tmp_path):
    tokenizer = make_tokenizer("gpt-2")
    make_model("gpt_neox", len(tokenizer), {"hidden_size": 24}).save_pretrained(
        tmp_path / "m"
    )  # 12 · 0.25 = 3
    tokenizer.save_pretrained(tmp_path / "m")
    config = world.config("export", checkpoint=str(tmp_path / "m"), format="gguf")
    assert run_here("export", config, tmp_path / "x") == 2
    said = result(tmp_path / "x")["error"]["message"]
    assert "turns 3 numbers of each head" in said and "choose safetensors or onnx" in said


def test_the_split_is_that_of_the_tokenizer_that_was_loaded(world, tmp_path):
    """transformers reads any tokenizer.json of a Qwen 2 folder as one that splits as Qwen 2 does."""
    import gguf

    tokenizer = make_tokenizer("gpt-2")
    make_model("qwen2", len(tokenizer), GROUPED).save_pretrained(tmp_path / "m")
    tokenizer.save_pretrained(tmp_path / "m")
    config = world.config("export", checkpoint=str(tmp_path / "m"), format="gguf")
    assert run_here("export", config, tmp_path / "x") == 0
    fields = gguf.GGUFReader(tmp_path / "x" / "model" / "model.gguf").fields
    assert fields["tokenizer.ggml.pre"].contents() == "qwen2"
    assert "llama.cpp does not compose any" in (tmp_path / "x" / "model" / "README.md").read_text()


def test_a_tokenizer_that_changes_text_first_is_refused(world, tmp_path):
    source = make("llama", tmp_path / "m")
    described = json.loads((source / "tokenizer.json").read_text())
    (source / "tokenizer.json").write_text(json.dumps(described | {"normalizer": {"type": "Lowercase"}}))
    config = world.config("export", checkpoint=str(source), format="gguf")
    assert run_here("export", config, tmp_path / "x") == 2
    said = result(tmp_path / "x")["error"]["message"]
    assert "before it splits it (Lowercase)" in said and "choose safetensors or onnx" in said


@pytest.mark.parametrize("weights", ["float16", "bfloat16"])
def test_frequencies_of_rotary_positions_keep_32_bits_in_a_smaller_format(world, tmp_path, weights):
    """Rounded with the weights they made of the original another model than the file's."""
    tokenizer = make_tokenizer("llama-bpe")
    model = make_model("llama", len(tokenizer), GROUPED | {"hidden_size": 64, "num_attention_heads": 2})
    model.save_pretrained(tmp_path / "m")
    tokenizer.save_pretrained(tmp_path / "m")
    before = model.model.rotary_emb.inv_freq.clone()
    assert in_format(model, weights).model.rotary_emb.inv_freq.equal(before)
    assert model.lm_head.weight.dtype == getattr(torch, weights)
    config = world.config("export", checkpoint=str(tmp_path / "m"), format="gguf", weights=weights)
    assert run_here("export", config, tmp_path / "x") == 0
    checked = events(tmp_path / "x", "report")[-1]["data"]["report"]["checks"]
    assert checked["difference"] < 0.1 * checked["limit"]

"""Checkpoints in other people's formats: each is read again by their readers, and is still the same model."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import math
import re
import shutil

import pytest
import torch
import yaml

from training.rlhf import checkpoints
from training.rlhf.export import check, gguf_file
from training.rlhf.export.card import plain

from .conftest import events, result, run_here, start_process
from .test_other_models import foreign

SENTENCES = ["What colour is the cat?", "The dog is brown.<|endoftext|>", "Grüße 日本語 🙂"]
FAMILIES = ["gpt2", "llama", "qwen2", "gpt_neox"]


@pytest.fixture
def model_of(base_model, sft_model, tmp_path):
    def make(family):
        return sft_model if family == "gpt2" else foreign(family, base_model, tmp_path / family)

    return make


@pytest.fixture
def exported(world, tmp_path):
    """Export a checkpoint; the folder that is given away."""

    def run(checkpoint, **changes):
        config = world.config("export", checkpoint=str(checkpoint), **changes)
        assert run_here("export", config, tmp_path / "x") == 0
        return tmp_path / "x" / "model"

    return run


def logits_of(model, texts, tokenizer):
    with torch.no_grad():
        return [
            model(input_ids=torch.tensor([tokenizer.encode(text, add_special_tokens=False)])).logits.float()
            for text in texts
        ]


def load(folder, kind="AutoModelForCausalLM", **more):
    import transformers

    model = getattr(transformers, kind).from_pretrained(folder, dtype=torch.float32, **more).eval()
    return model, transformers.AutoTokenizer.from_pretrained(folder, **more)


@pytest.mark.parametrize("family", ["llama", "qwen2"])
def test_a_gguf_file_is_the_model_and_its_tokenizer(model_of, exported, family):
    source = model_of(family)
    folder = exported(source, format="gguf", license="mit", name="Tiny")
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "manifest.json", "model.gguf"]
    (original, tokenizer), (again, splits) = load(source), load(folder, gguf_file="model.gguf")
    for first, second in zip(
        logits_of(original, SENTENCES, tokenizer), logits_of(again, SENTENCES, splits), strict=True
    ):
        torch.testing.assert_close(first, second, rtol=0, atol=1e-6)
    turns = [{"role": "user", "content": "What colour is the cat?"}]
    asked = {"tokenize": True, "add_generation_prompt": True, "return_dict": False}
    assert splits.chat_template == tokenizer.chat_template
    assert splits.apply_chat_template(turns, **asked) == tokenizer.apply_chat_template(turns, **asked)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("weights", ["float32", "float16", "bfloat16"])
def test_gguf_holds_each_family_in_each_number_format(model_of, exported, family, weights):
    folder = exported(model_of(family), format="gguf", weights=weights)
    checked = events(folder.parent, "report")[-1]["data"]["report"]["checks"]
    assert checked["difference"] <= checked["limit"] and checked["tokens_equal"] == checked["tokens"] > 0
    assert checked["texts"] == 6
    checkpoints.verify(folder)


def test_the_gguf_file_says_what_readers_ask(sft_model, exported):
    import gguf

    folder = exported(sft_model, format="gguf", license="other", license_name="House rules", name="Tiny")
    fields = gguf.GGUFReader(folder / "model.gguf").fields
    said = {name: fields[name].contents() for name in fields}
    assert said["general.architecture"] == "gpt2" and said["general.name"] == "Tiny"
    assert said["general.license"] == "House rules"
    assert said["gpt2.context_length"] == 64 and said["gpt2.feed_forward_length"] == 128
    assert said["tokenizer.ggml.tokens"][0] == "<|endoftext|>" and said["tokenizer.ggml.eos_token_id"] == 0
    assert said["tokenizer.ggml.token_type"][:6] == [3, 3, 3, 3, 3, 1]  # roles cannot be typed
    assert said["tokenizer.ggml.padding_token_id"] == 1


@pytest.mark.parametrize("family", FAMILIES)
def test_an_onnx_graph_has_the_models_logits_for_any_number_of_rows_and_tokens(model_of, exported, family):
    import onnxruntime

    source = model_of(family)
    folder = exported(source, format="onnx")
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    original, _ = load(source)
    for shape, gap in (((1, 1), 0), ((2, 9), 4), ((3, 40), 1)):
        ids = torch.randint(5, 200, shape, generator=torch.Generator().manual_seed(1))
        attention = torch.ones_like(ids)
        attention[0, shape[1] - gap :] = 0  # padded on the right
        given = {"input_ids": ids.numpy(), "attention_mask": attention.numpy()}
        with torch.no_grad():
            expected = original(input_ids=ids, attention_mask=attention).logits
        found = torch.from_numpy(session.run(None, given)[0])
        real = attention.bool()
        torch.testing.assert_close(found[real], expected[real], rtol=0, atol=1e-4)
    assert (folder / "tokenizer.json").exists() and (folder / "config.json").exists()


def test_an_onnx_graph_of_a_reward_model_gives_its_scores(reward_model, exported):
    import onnxruntime

    folder = exported(reward_model, format="onnx")
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    original, _ = load(reward_model, "AutoModelForSequenceClassification")
    ids = torch.randint(5, 200, (3, 12), generator=torch.Generator().manual_seed(2))
    found = session.run(None, {"input_ids": ids.numpy(), "attention_mask": torch.ones_like(ids).numpy()})[0]
    with torch.no_grad():
        torch.testing.assert_close(torch.from_numpy(found), original(input_ids=ids).logits, rtol=0, atol=1e-4)
    assert "reward_bias" in (folder / "README.md").read_text()


# --- A copy that is another model is never given away ------------------------------------------------------
def unturned(family):
    """llama.cpp's layout of queries and keys left out, of Llama; rows in the wrong order, of GPT-NeoX."""
    plain_tensors = gguf_file._tensors

    def tensors(model, config):
        if family == "gpt_neox":
            return [
                (name, tensor.flip(0) if "query_key" in name else tensor)
                for name, tensor in plain_tensors(model, config)
            ]
        return [
            (name, tensor.detach())
            for name, tensor in model.state_dict().items()
            if "lm_head" not in name or not config.tie_word_embeddings
        ]

    return tensors


@pytest.mark.parametrize("family", ["llama", "gpt_neox"])
def test_weights_in_the_wrong_layout_are_found_out(world, model_of, tmp_path, monkeypatch, family):
    source = model_of(family)
    monkeypatch.setattr(gguf_file, "_tensors", unturned(family))
    assert (
        run_here("export", world.config("export", checkpoint=str(source), format="gguf"), tmp_path / "x") == 2
    )
    assert "answers differently from the original" in result(tmp_path / "x")["error"]["message"]
    assert not (tmp_path / "x" / "model").exists() and not list((tmp_path / "x").glob(".model*"))


def test_a_tokenizer_that_splits_otherwise_is_found_out(world, sft_model, tmp_path, monkeypatch):
    monkeypatch.setattr(gguf_file, "_merges_of", lambda tokenizer: ["h e"])
    config = world.config("export", checkpoint=str(sft_model), format="gguf")
    assert run_here("export", config, tmp_path / "x") == 2
    assert "splits" in result(tmp_path / "x")["error"]["message"]


def test_another_token_than_the_likeliest_is_found_out():
    from training.rlhf.errors import CheckpointError

    table = torch.eye(7) * 3

    def original(ids):
        return table[ids]

    found = check.compare(original, original, vocabulary=7, context=20, exact=True)
    assert found == {"difference": 0.0, "limit": 0.0, "tokens": 40, "tokens_equal": 40}
    with pytest.raises(CheckpointError, match=r"by 0\.002, where 0\.0015 is allowed"):
        check.compare(original, lambda ids: table[ids] + 0.002, vocabulary=7, context=20, exact=False)
    with pytest.raises(CheckpointError, match="nan"):
        check.compare(original, lambda ids: table[ids] * math.nan, vocabulary=7, context=20, exact=False)


# --- Refused before the start ------------------------------------------------------------------------------
def changed(name, **values):
    def change(folder):
        path = folder / name
        path.write_text(json.dumps(json.loads(path.read_text()) | values))

    return change


def sentencepiece(folder):
    path = folder / "tokenizer.json"
    raw = json.loads(path.read_text())
    raw["pre_tokenizer"] = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always"}
    path.write_text(json.dumps(raw))


REFUSED = {
    "a family that gguf has no name for here": (changed("config.json", model_type="gptj"), "not for gptj"),
    "an activation that gguf has no place for": (
        changed("config.json", activation_function="relu"), "activation_function = 'relu'",
    ),
    "a tokenizer that is not byte-level": (sentencepiece, "byte-level BPE"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_gguf_cannot_hold_is_refused_before_the_weights_are_read(
    world, sft_model, tmp_path, monkeypatch, name
):
    change, words = REFUSED[name]
    shutil.copytree(sft_model, tmp_path / "m")
    (tmp_path / "m" / "manifest.json").unlink()
    change(tmp_path / "m")
    monkeypatch.setattr(
        "training.rlhf.stages.export.load_language_model", lambda *_, **__: pytest.fail("was read")
    )
    config = world.config("export", checkpoint=str(tmp_path / "m"), format="gguf")
    assert run_here("export", config, tmp_path / "x") == 2
    said = result(tmp_path / "x")["error"]["message"]
    assert words in said and "choose safetensors or onnx" in said


def test_a_reward_model_is_no_gguf(world, reward_model, tmp_path):
    config = world.config("export", checkpoint=str(reward_model), format="gguf")
    assert run_here("export", config, tmp_path / "x") == 2
    assert "head has no place there; choose safetensors or onnx" in result(tmp_path / "x")["error"]["message"]


def test_rotary_scaling_is_refused(world, base_model, tmp_path):
    folder = foreign("llama", base_model, tmp_path / "m")
    changed("config.json", rope_parameters={"rope_type": "yarn", "factor": 4.0, "rope_theta": 1e4})(folder)
    config = world.config("export", checkpoint=str(folder), format="gguf")
    assert run_here("export", config, tmp_path / "x") == 2
    assert "yarn" in result(tmp_path / "x")["error"]["message"]


@pytest.mark.parametrize(("format", "library"), [("onnx", "onnxruntime"), ("gguf", "gguf")])
def test_a_missing_library_is_named_with_what_to_install(
    world, sft_model, tmp_path, monkeypatch, format, library
):
    known = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == library else known(name))
    config = world.config("export", checkpoint=str(sft_model), format=format)
    assert run_here("export", config, tmp_path / "x") == 2
    said = result(tmp_path / "x")["error"]["message"]
    assert f"needs {library}" in said and "pip install -r requirements/export.txt" in said


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format": "pickle"}, "one of safetensors, onnx, gguf"),
        ({"format": "onnx", "weights": "float16"}, "must be float32 for onnx"),
        ({"license": "Apache License"}, "small letters"),
        ({"license": "mit", "license_name": "Mine"}, "goes with license = other"),
        ({"license_link": "javascript:alert(1)"}, "http"),
        ({"name": "a\nb"}, "one line"),
    ],
)
def test_fields_are_refused_in_a_sentence(world, sft_model, tmp_path, changes, words):
    assert (
        run_here("export", world.config("export", checkpoint=str(sft_model), **changes), tmp_path / "x") == 2
    )
    assert words in result(tmp_path / "x")["error"]["message"]


def test_the_command_takes_checkpoint_and_format_as_options(sft_model, tmp_path):
    process = start_process(
        "export", None, tmp_path / "x", "--checkpoint", str(sft_model), "--format", "gguf", "--license", "mit"
    )
    said = process.communicate(timeout=120)[1].decode()
    assert process.returncode == 0, said
    assert (tmp_path / "x" / "model" / "model.gguf").exists()
    assert json.loads((tmp_path / "x" / "config.json").read_text())["config"]["license"] == "mit"


# --- The card ----------------------------------------------------------------------------------------------
def front_matter(card):
    return yaml.safe_load(card.split("---\n")[1])


def test_the_card_tells_lineage_data_metrics_licence_and_the_check(world, sft_model, base_model, exported):
    folder = exported(
        sft_model, license="apache-2.0", license_link="https://example.org/licence", name="Cats"
    )
    card = (folder / "README.md").read_text()
    assert front_matter(card) == {
        "library_name": "transformers", "pipeline_tag": "text-generation", "license": "apache-2.0",
        "license_link": "https://example.org/licence",
    }  # fmt: skip
    assert "# Cats" in card
    for path in (world.sft, world.text):
        with open(path, "rb") as file:
            assert hashlib.file_digest(file, "sha256").hexdigest() in card
    for checkpoint in (sft_model, base_model):
        assert checkpoints.digest(checkpoint / "manifest.json")["sha256"] in card
    loss = checkpoints.load_manifest(sft_model).metrics["validation_loss"]
    assert f"| validation\\_loss | {loss:.6g} |" in card
    assert "64 of 64 likeliest tokens are the same" in card and "6 texts are split alike" in card


def test_the_cards_digest_of_data_is_of_what_the_run_began_with(world, sft_model, exported, tmp_path):
    """Also where the file has been replaced since: the model never saw what lies there now."""
    with open(world.sft, "rb") as file:
        begun_with = hashlib.file_digest(file, "sha256").hexdigest()
    shutil.copy(world.sft, tmp_path / "kept")
    try:
        shutil.copy(world.rankings, world.sft)
        assert begun_with in (exported(sft_model) / "README.md").read_text()
    finally:
        shutil.copy(tmp_path / "kept", world.sft)


def test_a_card_without_a_licence_says_so(sft_model, exported):
    card = (exported(sft_model) / "README.md").read_text()
    assert front_matter(card)["license"] == "other" and "Nobody has stated a licence" in card


def test_a_card_file_takes_the_place_of_what_folders_tell(world, sft_model, exported, tmp_path):
    step = {"stage": "sft", "step": 24, "name": "Run 3", "manifest_sha256": "ab" * 32, "base": "Run 1"}
    data = [{"role": "Training data", "name": "Cats | v1 <b>", "sha256": "cd" * 32, "rows": 48}]
    (tmp_path / "card.json").write_text(json.dumps({"lineage": [{**step, "data": data}]}))
    card = (exported(sft_model, card_file=str(tmp_path / "card.json")) / "README.md").read_text()
    assert "cd" * 32 in card and "48 rows" in card and "started from Run 1" in card
    assert r"Cats \| v1 \<b\>" in card and "<b>" not in re.sub(r"\\<b\\>", "", card)
    (tmp_path / "bad.json").write_text('{"lineage": [{}]}')
    config = world.config("export", checkpoint=str(sft_model), card_file=str(tmp_path / "bad.json"))
    assert run_here("export", config, tmp_path / "y") == 2
    assert "must hold" in result(tmp_path / "y")["error"]["message"]


def test_what_people_named_is_one_line_without_markup():
    assert plain("a\n# b `c`") == r"a \# b \`c\`"

"""A model's folder that was put together to mislead, or by mistake: one sentence that names file and entry,
and nothing of it is loaded.
"""

from __future__ import annotations

import json
import shutil
import time

import pytest
import torch
from safetensors.torch import load_file, save_file

from training.rlhf import checkpoints
from training.rlhf.errors import CheckpointError, ModelFolderError
from training.rlhf.model_folders import check_folder

from .conftest import events, result, run_here


@pytest.fixture
def folder(base_model, tmp_path):
    """A copy of a good model, without its manifest, to be spoilt."""
    target = tmp_path / "models" / "model"
    shutil.copytree(base_model, target)
    (target / "manifest.json").unlink()
    return target


def edit(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def index_of(folder, place, save):
    """Move the weights to `place`, as the index says; the names of the tensors in it."""
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    save(tensors, folder / place)
    size = sum(tensor.nbytes for tensor in tensors.values())
    content = {"metadata": {"total_size": size}, "weight_map": dict.fromkeys(tensors, place)}
    (folder / "model.safetensors.index.json").write_text(json.dumps(content))


def save_whole(tensors, path):
    save_file(tensors, path, metadata={"format": "pt"})


def refused(world, folder, out):
    """The sentence that a run from this folder ends with, before anything was learnt."""
    assert run_here("sft", world.config("sft", model=str(folder), maximum_steps=1), out) == 2
    error = result(out)["error"]
    assert error["code"] == "bad_model" and not events(out, "metrics")
    return error["message"]


def test_shards_in_the_folder_are_loaded(world, folder, tmp_path):
    index_of(folder, "model-00001-of-00001.safetensors", save_whole)
    config = world.config("sft", model=str(folder), maximum_steps=1)
    assert run_here("sft", config, tmp_path / "r") == 0


def test_a_pickle_that_an_index_names_is_never_loaded(world, folder, tmp_path, monkeypatch):
    index_of(folder, "evil.bin", torch.save)
    loads = []
    monkeypatch.setattr(torch, "load", lambda *given, **_: loads.append(given))
    said = refused(world, folder, tmp_path / "r")
    assert "index.json: weight_map gives 'evil.bin'" in said and "convert it to safetensors" in said
    assert loads == []


@pytest.mark.parametrize("place", ["../outside.safetensors", "sub/part.safetensors", "{absolute}"])
def test_weights_outside_the_folder_are_never_loaded(world, folder, tmp_path, place):
    place = place.format(absolute=tmp_path / "elsewhere.safetensors")
    (folder / "sub").mkdir()
    index_of(folder, place, save_whole)
    said = refused(world, folder, tmp_path / "r")
    assert f"weight_map gives {place!r:.60}" in said and "plain name of a file in the same folder" in said


@pytest.mark.parametrize("value", [["a"], {}, None, {"a.weight": 5}, {"a.weight": ".."}, {"a.weight": ""}])
def test_an_index_of_another_shape_is_named(folder, value):
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": value}))
    with pytest.raises(ModelFolderError, match=r"index\.json: weight_map"):
        check_folder(folder)


def test_a_part_that_is_not_there_is_named(folder):
    content = {"weight_map": {"a.weight": "part.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(content))
    with pytest.raises(ModelFolderError, match=r"lacks part\.safetensors"):
        check_folder(folder)


def test_other_weights_that_the_configuration_names_are_refused(world, folder, tmp_path):
    save_whole(load_file(folder / "model.safetensors"), folder / "other.safetensors")
    edit(folder / "config.json", transformers_weights="other.safetensors")
    assert "config.json: transformers_weights names another file" in refused(world, folder, tmp_path / "r")


def test_an_adapter_that_would_be_loaded_with_the_weights_is_refused(folder):
    (folder / "adapter_config.json").write_text("{}")
    with pytest.raises(ModelFolderError, match=r"adapter_config\.json.*give the merged folder"):
        check_folder(folder)


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("architectures", [1]),
        ("architectures", "GPT2LMHeadModel"),
        ("reward_bias", "x"),
        ("reward_bias", [1]),
        ("reward_bias", float("nan")),
        ("n_layer", "two"),
        ("n_embd", True),
    ],
)
def test_an_entry_of_the_configuration_that_is_none_is_named(world, folder, tmp_path, entry, value):
    edit(folder / "config.json", **{entry: value})
    said = refused(world, folder, tmp_path / "r")
    assert f"config.json: {entry} must be" in said and str(folder) in said


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("n_layer", 10**7),
        ("n_embd", 10**9),
        ("vocab_size", 10**12),
        ("n_head", 10**7),
        ("n_positions", 10**6),
    ],
)
def test_a_size_beyond_the_weights_is_refused_at_once(folder, entry, value):
    edit(folder / "config.json", **{entry: value})
    began_at = time.monotonic()
    with pytest.raises(ModelFolderError, match=f"config.json: {entry} is .*more than its weights are of"):
        check_folder(folder)
    assert time.monotonic() - began_at < 5


@pytest.mark.parametrize("nested", [False, True])
def test_a_size_is_refused_where_the_weights_cannot_be_read_or_it_stands_deeper(folder, nested):
    (folder / "model.safetensors").write_bytes(b"never read")
    sizes = {"num_hidden_layers": 10**7}
    edit(folder / "config.json", **({"text_config": sizes} if nested else sizes))
    with pytest.raises(ModelFolderError, match="num_hidden_layers is 10,000,000"):
        check_folder(folder)


@pytest.mark.parametrize(
    ("entry", "value", "words"),
    [
        ("files", [1], "files must be an object"),
        ("files", {"config.json": 5}, "the entry of 'config.json' in files must have sha256 and bytes"),
        ("files", {"config.json": {"bytes": 5}}, "the entry of 'config.json' in files"),
        ("files", {"config.json": {"bytes": "5", "sha256": ""}}, "the entry of 'config.json' in files"),
        ("step", "four", "step must be a whole number"),
        ("metrics", [], "metrics must be an object"),
        ("kind", None, "kind must be a text"),
        ("extra", 1, "extra must be an object"),
    ],
)
def test_an_entry_of_a_manifest_that_is_none_is_named(base_model, tmp_path, entry, value, words):
    target = tmp_path / "model"
    shutil.copytree(base_model, target)
    edit(target / "manifest.json", **{entry: value})
    with pytest.raises(CheckpointError) as caught:
        checkpoints.verify(target)
    assert f"manifest.json: {words}" in caught.value.message
    with pytest.raises(ModelFolderError, match=r"manifest\.json"):
        check_folder(target)

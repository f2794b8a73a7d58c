"""An encoder–decoder model for other tools: the folder of transformers and two ONNX graphs, read again."""

from __future__ import annotations

import pytest
import torch
import yaml
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

from training.rlhf import checkpoints
from training.rlhf.export import onnx_file

from .conftest import events, final_checkpoint, result, run_here
from .small_t5 import make_t5


@pytest.fixture(scope="module")
def tuned(world, tmp_path_factory):
    folder = tmp_path_factory.mktemp("t5")
    config = world.config("sft", model=str(make_t5(folder / "base", world.text)), epochs=1, method="lora")
    assert run_here("sft", config, folder / "sft") == 0
    return final_checkpoint(folder / "sft")


def exported(world, checkpoint, out, **changes):
    assert run_here("export", world.config("export", checkpoint=str(checkpoint), **changes), out) == 0
    return out / "model"


def logits_of(folder, prompt, seen, fed):
    model = AutoModelForSeq2SeqLM.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.no_grad():
        return model(input_ids=prompt, attention_mask=seen, decoder_input_ids=fed).logits


def some_rows(rows, prompt, response, padded):
    chance = torch.Generator().manual_seed(3)
    ids = torch.randint(5, 100, (rows, prompt), generator=chance)
    seen = torch.ones_like(ids)
    seen[0, prompt - padded :] = 0
    return ids, seen, torch.randint(0, 100, (rows, response), generator=chance)


def checked(folder):
    return events(folder.parent, "report")[-1]["data"]["report"]["checks"]


@pytest.mark.parametrize("weights", ["float32", "bfloat16"])
def test_a_folder_of_transformers_with_the_adapter_merged(world, tuned, tmp_path, weights):
    folder = exported(world, tuned, tmp_path / "x", weights=weights, license="mit", name="Pairs")
    checkpoints.verify(folder)
    assert not (folder / "adapter").exists()
    rows = some_rows(2, 9, 5, 0)
    if weights == "float32":
        assert torch.equal(logits_of(folder, *rows), logits_of(tuned, *rows))
    assert checked(folder)["difference"] == 0 and checked(folder)["tokens_equal"] == checked(folder)["tokens"]
    card = (folder / "README.md").read_text()
    front = yaml.safe_load(card.split("---\n")[1])
    assert (front["pipeline_tag"], front["license"]) == ("text2text-generation", "mit")
    assert "AutoModelForSeq2SeqLM" in card and "Encoder–decoder language model" in card
    assert checkpoints.digest(tuned / "manifest.json")["sha256"] in card
    original, again = AutoTokenizer.from_pretrained(tuned), AutoTokenizer.from_pretrained(folder)
    assert again.chat_template == original.chat_template


def test_two_graphs_have_the_models_logits_for_any_number_of_rows_and_tokens(world, tuned, tmp_path):
    import onnxruntime

    folder = exported(world, tuned, tmp_path / "x", format="onnx")
    assert {"encoder_model.onnx", "decoder_model.onnx", "tokenizer.json", "config.json"} <= {
        path.name for path in folder.iterdir()
    }
    encoder, decoder = (
        onnxruntime.InferenceSession(str(folder / name), providers=["CPUExecutionProvider"])
        for name in (onnx_file.ENCODER, onnx_file.DECODER)
    )
    for shape in ((1, 1, 1, 0), (2, 9, 4, 3), (3, 40, 33, 1)):
        prompt, seen, fed = some_rows(*shape)
        given = {"input_ids": prompt.numpy(), "attention_mask": seen.numpy()}
        hidden = encoder.run(None, given)[0]
        read = {"encoder_hidden_states": hidden, "encoder_attention_mask": seen.numpy()}
        found = decoder.run(None, {"input_ids": fed.numpy(), **read})[0]
        expected = logits_of(tuned, prompt, seen, fed)
        torch.testing.assert_close(torch.from_numpy(found), expected, rtol=0, atol=1e-4)
    assert 0 < checked(folder)["difference"] <= checked(folder)["limit"]
    assert checked(folder)["tokens"] > 0


def test_the_code_on_the_card_of_the_graphs_runs(world, tuned, tmp_path, monkeypatch):
    folder = exported(world, tuned, tmp_path / "x", format="onnx")
    code = (folder / "README.md").read_text().split("```python\n")[1].split("```")[0]
    monkeypatch.chdir(folder.parent)
    folder.rename(folder.parent / "folder")
    found: dict = {}
    exec(code, found)  # noqa: S102 - what people would paste
    assert found["logits"].shape[:2] == (1, 1)


def test_a_graph_of_other_weights_is_found_out(world, tuned, tmp_path, monkeypatch):
    write = onnx_file.write_onnx

    def spoilt(model, folder):
        with torch.no_grad():
            weight = model.decoder.block[0].layer[1].EncDecAttention.k.weight
            kept = weight.clone()
            weight.mul_(-1)
            write(model, folder)
            weight.copy_(kept)

    monkeypatch.setattr(onnx_file, "write_onnx", spoilt)
    config = world.config("export", checkpoint=str(tuned), format="onnx")
    assert run_here("export", config, tmp_path / "x") == 2
    assert "answers differently from the original" in result(tmp_path / "x")["error"]["message"]
    assert not (tmp_path / "x" / "model").exists()


def test_gguf_is_refused_with_what_to_choose(world, tuned, tmp_path):
    config = world.config("export", checkpoint=str(tuned), format="gguf")
    assert run_here("export", config, tmp_path / "x") == 2
    said = result(tmp_path / "x")["error"]["message"]
    assert "not for t5" in said and "choose safetensors or onnx" in said

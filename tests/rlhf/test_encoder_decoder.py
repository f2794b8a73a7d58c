"""Encoder–decoder models (T5's shape): what is learnt, that it is exact, and where they are refused."""

import json
import shutil

import pytest
import torch

from training.rlhf.chat import ChatEncoder, load_tokenizer
from training.rlhf.data import read_demonstrations
from training.rlhf.encode import encode_file
from training.rlhf.encoder_decoder import PairLogits, logits_of, pair_up, start_token, what_follows
from training.rlhf.generation import generate, stop_ids
from training.rlhf.models import load_language_model
from training.rlhf.preview import as_text, preview

from .conftest import events, final_checkpoint, result, run_here
from .small_t5 import make_t5
from .test_kill_and_resume import assert_same_weights, curve, cut_back, kill_midway, long_config

PROMPT = [{"role": "user", "content": "What colour is the cat?"}]


@pytest.fixture(scope="module")
def t5(world, tmp_path_factory):
    return make_t5(tmp_path_factory.mktemp("t5") / "base", world.text)


@pytest.fixture(scope="module")
def tuned(world, t5):
    """(run folder, final checkpoint) of SFT on the tiny world."""
    out = t5.parent / "sft"
    assert run_here("sft", world.config("sft", model=str(t5), epochs=8), out) == 0, events(out, "error")
    return out, final_checkpoint(out)


@pytest.fixture(scope="module")
def model(t5):
    found, tokenizer = load_language_model(str(t5), allowed_hub_ids=[])
    return found.eval(), tokenizer


def test_the_encoder_reads_the_prompt_and_the_response_with_its_stop_token_is_learnt(model):
    found, tokenizer = model
    encoder = ChatEncoder(tokenizer)
    rows = [encoder.encode(PROMPT, text) for text in ("Black.", "The cat is black, and sees the fox.")]
    batch = pair_up(
        [row.prompt for row in rows], [row.response for row in rows], encoder.pad_id, start_token(found)
    )
    assert all(ids.tolist() == rows[0].prompt for ids in batch.ids)
    assert rows[0].prompt[-1] == encoder.stop_id  # as T5 was trained: the encoder's input ends, too
    for row, fed, predicts, labels in zip(rows, batch.fed, batch.predicts, batch.labels, strict=True):
        assert labels[predicts].tolist() == row.response
        assert fed[predicts].tolist() == [start_token(found), *row.response[:-1]]
        assert row.response[-1] == encoder.stop_id
    assert batch.tokens == sum(map(len, rows))


def test_the_loss_is_that_of_a_plain_loop(world, t5, tmp_path):
    """One step on all rows in many micro-batches against `model(labels=…)`, row by row, as its makers do."""
    config = world.config(
        "sft", model=str(t5), batch_size=48, epochs=1, micro_batch_tokens=150, learning_rate=1e-9
    )
    assert run_here("sft", config, tmp_path / "run") == 0
    said = events(tmp_path / "run", "metrics")
    found, tokenizer = load_language_model(str(t5), allowed_hub_ids=[])
    encoder = ChatEncoder(tokenizer)
    for file, name in ((world.sft, "train_loss"), (world.sft_held_out, "validation_loss")):
        total = count = 0.0
        for row in read_demonstrations(file):
            encoded = encoder.encode(row.prompt, row.response)
            labels = torch.tensor([encoded.response])
            with torch.no_grad():
                loss = found.eval()(input_ids=torch.tensor([encoded.prompt]), labels=labels).loss
            total, count = total + float(loss) * labels.numel(), count + labels.numel()
        ours = next(event["data"][name] for event in said if name in event["data"])
        assert ours == pytest.approx(total / count, rel=1e-5)


def test_a_neighbour_changes_nothing(model):
    found, tokenizer = model
    encoder = ChatEncoder(tokenizer)
    rows = [encoder.encode(PROMPT, "Black."), encoder.encode(PROMPT * 3, "The cat is black. I like it.")]
    scorer = logits_of(found)
    assert isinstance(scorer, PairLogits) and not scorer.packs

    def read(chosen):
        prompts, responses = [row.prompt for row in chosen], [row.response for row in chosen]
        return scorer(pair_up(prompts, responses, encoder.pad_id, start_token(found)))

    torch.testing.assert_close(read(rows), torch.cat([read(rows[:1]), read(rows[1:])]), atol=1e-5, rtol=1e-5)


def test_it_learns_and_says_what_it_learnt(world, tuned, tmp_path):
    out, checkpoint = tuned
    losses = [e["data"]["validation_loss"] for e in events(out, "metrics") if "validation_loss" in e["data"]]
    assert losses[-1] < 0.6 * losses[0]
    evaluation = world.config(
        "evaluate", model=str(checkpoint), messages_file=world.sft_held_out, max_new_tokens=24
    )
    assert run_here("evaluate", evaluation, tmp_path / "evaluate") == 0
    measured = result(tmp_path / "evaluate")["metrics"]
    assert measured["loss"] == pytest.approx(losses[-1], rel=1e-5)
    assert measured["perplexity"] == pytest.approx(torch.tensor(losses[-1]).exp().item(), rel=1e-4)
    assert measured["answers"] == 12 and measured["rouge_l"] > 0.2
    sampling = world.config("sample", checkpoints=[str(checkpoint)], completions_per_prompt=2)
    assert run_here("sample", sampling, tmp_path / "sample") == 0
    rows = [json.loads(line) for line in (tmp_path / "sample" / "completions.jsonl").open()]
    assert len(rows) == 28 and any(row["finish_reason"] == "stop" for row in rows)


def test_class_probabilities_are_those_of_the_first_token_that_is_written(tuned):
    found, tokenizer = load_language_model(str(tuned[1]), allowed_hub_ids=[])
    found.eval()
    encoder = ChatEncoder(tokenizer)
    prompts = [encoder.encode_prompt(PROMPT), encoder.encode_prompt(PROMPT * 2)]
    scorer = logits_of(found)
    ours = scorer(what_follows(scorer, prompts, encoder.pad_id))
    for prompt, logits in zip(prompts, ours, strict=True):
        start = torch.tensor([[start_token(found)]])
        theirs = found(input_ids=torch.tensor([prompt]), decoder_input_ids=start).logits[0, 0]
        torch.testing.assert_close(logits, theirs, atol=1e-5, rtol=1e-5)


def test_greedy_sampling_is_the_librarys_own(tuned):
    found, tokenizer = load_language_model(str(tuned[1]), allowed_hub_ids=[])
    found.eval()
    encoder = ChatEncoder(tokenizer)
    prompts = [
        encoder.encode_prompt(PROMPT),
        encoder.encode_prompt(PROMPT * 2),
        encoder.encode_prompt(PROMPT),
    ]
    ours = generate(
        found,
        prompts,
        seeds=[1, 2, 3],
        pad_id=encoder.pad_id,
        stops=stop_ids(found, tokenizer, encoder.stop_id),
        max_new_tokens=20,
        temperature=0.0,
        device=torch.device("cpu"),
    )
    for prompt, sampled in zip(prompts, ours, strict=True):
        theirs = found.generate(torch.tensor([prompt]), max_new_tokens=20, do_sample=False)[0].tolist()
        assert sampled.tokens == theirs[1 : 1 + len(sampled.tokens)]


def test_a_sampled_row_does_not_depend_on_its_neighbours(model):
    found, tokenizer = model
    encoder = ChatEncoder(tokenizer)
    prompts = [encoder.encode_prompt(PROMPT * n) for n in (1, 2, 3, 1)]

    def say(chosen):
        return generate(
            found,
            [prompts[n] for n in chosen],
            seeds=[10 + n for n in chosen],
            pad_id=encoder.pad_id,
            stops=[encoder.stop_id],
            max_new_tokens=12,
            temperature=1.0,
            device=torch.device("cpu"),
        )

    together = say([0, 1, 2, 3])
    assert together == [say([n])[0] for n in range(4)]
    assert together[0] != together[3]  # the same prompt, another seed


def test_a_killed_run_ends_as_if_nothing_had_happened(world, t5, tmp_path):
    config = long_config(world, "sft", {"model": str(t5)})
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert run_here("sft", config, whole) == 0
    kill_midway("sft", config, broken)
    assert run_here("sft", config, broken, "--resume") == 0
    assert curve(broken) == curve(whole)
    assert_same_weights(final_checkpoint(whole), final_checkpoint(broken))


def test_adapters_are_learnt_saved_merged_and_resumed_exactly(world, t5, tmp_path):
    changes = {"method": "lora", "lora_rank": 4, "lora_dropout": 0.1, "learning_rate": 2e-2}
    config = world.config("sft", model=str(t5), save_every=2, keep_checkpoints=100, **changes)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert run_here("sft", config, whole) == 0
    losses = [
        e["data"]["validation_loss"] for e in events(whole, "metrics") if "validation_loss" in e["data"]
    ]
    assert losses[-1] < 0.9 * losses[0]
    assert (final_checkpoint(whole) / "adapter" / "adapter_model.safetensors").is_file()
    cut_back(whole, broken, keep_step=4)
    assert run_here("sft", config, broken, "--resume") == 0
    assert_same_weights(final_checkpoint(whole), final_checkpoint(broken))
    evaluation = world.config(
        "evaluate", model=str(final_checkpoint(whole)), messages_file=world.sft_held_out, answers=0
    )
    assert run_here("evaluate", evaluation, tmp_path / "evaluate") == 0
    assert result(tmp_path / "evaluate")["metrics"]["loss"] == pytest.approx(losses[-1], abs=1e-4)


def test_the_preview_says_so_and_shows_the_marks_of_the_batch(world, t5):
    found = preview(model=str(t5), data=world.sft, stage="sft", rows=2)
    assert found["encoder_decoder"] and not found["refused"]
    prompt, response = found["samples"][0]["parts"]
    assert not any(mark["learnt"] for mark in prompt["marks"])
    assert all(mark["learnt"] for mark in response["marks"]) and response["marks"][-1]["text"] == "</s>"
    assert "The encoder reads the prompt" in as_text(found)


def test_what_people_type_stays_text(t5):
    encoder = ChatEncoder(load_tokenizer(str(t5)))
    special = {"<extra_id_0>": "<extra_id_0>", "</s>": "</s>", "<pad>": "<pad>"}
    for token in special:
        number = encoder.tokenizer.convert_tokens_to_ids(token)
        said = encoder.encode([{"role": "user", "content": f"What is {token} here?"}], f"It is {token}.")
        assert number not in said.prompt[:-1] and number not in said.response[:-1]


def test_token_ids_for_other_trainers_are_prompt_and_answer(world, t5, tmp_path):
    out = tmp_path / "ids.jsonl"
    encode_file(model=str(t5), data=world.sft, out=str(out), maximum_length=64)
    row = json.loads(out.read_text().splitlines()[0])
    first = read_demonstrations(world.sft)[0]
    encoded = ChatEncoder(load_tokenizer(str(t5))).encode(first.prompt, first.response)
    assert row["input_ids"] == encoded.prompt and row["labels"] == encoded.response


def test_reward_models_and_ppo_refuse_it_and_say_what_to_do(world, t5, reward_model, tmp_path, capsys):
    configs = {
        "reward": world.config("reward", model=str(t5)),
        "ppo": world.config("ppo", policy=str(t5), reward_model=str(reward_model)),
    }
    for stage, config in configs.items():
        assert run_here(stage, config, tmp_path / stage) == 2
        said = capsys.readouterr().err
        assert "is an encoder–decoder model" in said and "fine-tune one of the GPT-2" in said, said


def test_a_model_without_a_start_token_is_refused(world, t5, tmp_path, capsys):
    folder = tmp_path / "model"
    shutil.copytree(t5, folder)
    config = json.loads((folder / "config.json").read_text())
    config["decoder_start_token_id"] = None
    (folder / "config.json").write_text(json.dumps(config))
    assert run_here("sft", world.config("sft", model=str(folder)), tmp_path / "run") == 2
    assert "decoder_start_token_id" in capsys.readouterr().err

"""The style of GPT-3: prompt, separator, space, answer, stop sequence. Which tokens are learnt, where
sampling stops, and what people may not type.
"""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
import torch
from transformers import AutoTokenizer

from training.rlhf.chat import ChatEncoder, load_tokenizer
from training.rlhf.generation import generate
from training.rlhf.preview import preview
from training.rlhf.template_styles import GPT3, SIMPLE, Wrapping, template_of, wrapping_of

from .conftest import events, final_checkpoint, result, run_here

SEPARATOR, STOP = "\n\n###\n\n", " END"
USER = {"role": "user", "content": "What colour is the cat?"}
STYLE = {"template": "gpt3"}


def gpt3(separator=r"\n\n###\n\n", stop_sequence=STOP):
    return template_of(GPT3, separator=separator, stop_sequence=stop_sequence)


@pytest.fixture
def encoder(base_model):
    return ChatEncoder(load_tokenizer(str(base_model), chat_template=gpt3()))


@pytest.fixture(scope="module")
def gpt3_model(world, base_model):
    out = world.folder / "run-sft-gpt3"
    assert run_here("sft", world.config("sft", model=str(base_model), epochs=12, **STYLE), out) == 0
    return final_checkpoint(out)


def test_prompt_and_answer_are_written_as_the_guide_of_gpt3_says(encoder):
    encoded = encoder.encode([USER], "Black.")
    whole = encoder.tokenizer.decode(encoded.ids)
    assert whole == "What colour is the cat?\n\n###\n\n Black. END<|endoftext|>"
    assert encoder.tokenizer.decode(encoded.response) == " Black. END<|endoftext|>"
    # Encoded apart: " Black." as text that follows a separator, then the stop sequence, then one stop token.
    plain = encoder.tokenizer.encode
    assert encoded.response == plain(" Black.") + plain(" END") + [encoder.tokenizer.eos_token_id]
    assert encoder.decode(encoded.response) == "Black."


def test_turns_before_the_last_stand_in_the_same_style(encoder):
    turns = [
        {"role": "system", "content": "Be kind."},
        USER,
        {"role": "assistant", "content": "Black."},
        USER,
    ]
    assert encoder.tokenizer.decode(encoder.encode_prompt(turns)) == (
        "Be kind.\n\nWhat colour is the cat?\n\n###\n\n Black. END<|endoftext|>\n\n"
        "What colour is the cat?\n\n###\n\n"
    )


def test_the_template_alone_tells_all_and_travels_with_the_checkpoint(gpt3_model):
    stored = AutoTokenizer.from_pretrained(gpt3_model)
    assert wrapping_of(stored.chat_template) == Wrapping(SEPARATOR, " ", STOP)
    assert ChatEncoder(load_tokenizer(str(gpt3_model))).encode([USER], "Black.").response[-1] == 0
    # Whoever renders the template without us writes the same text.
    turns = [USER, {"role": "assistant", "content": "Black."}]
    assert stored.apply_chat_template(turns, tokenize=False) == (
        "What colour is the cat?\n\n###\n\n Black. END<|endoftext|>"
    )


def test_other_templates_put_nothing_around_texts(base_model):
    assert ChatEncoder(load_tokenizer(str(base_model))).wrapping == Wrapping()
    assert wrapping_of("{% set stop_sequence = 'x' %}") == Wrapping()
    assert wrapping_of("{{ stop_sequence") == Wrapping()
    assert wrapping_of(None) == Wrapping()


def test_simple_takes_the_place_of_a_models_own_template(gpt3_model, base_model):
    again = load_tokenizer(str(gpt3_model), chat_template=SIMPLE)
    assert again.chat_template == load_tokenizer(str(base_model)).chat_template


def test_the_preview_marks_space_answer_and_stop_sequence_as_learnt(world, base_model):
    found = preview(
        model=str(base_model), data=world.sft, stage="sft", rows=1, chat_template=gpt3(), maximum_length=64
    )
    prompt, response = found["samples"][0]["parts"]
    assert not any(mark["learnt"] for mark in prompt["marks"])
    learnt = "".join(mark["text"] for mark in response["marks"] if mark["learnt"])
    assert learnt.startswith(" The ") and learnt.endswith(" END<|endoftext|>")
    assert found["refused"] == 0


@pytest.mark.parametrize(
    ("question", "answer", "words"),
    [
        ("Is ### a heading?\n\n###\n\nYes?", "No.", "the separator of the template"),
        ("Where does it END?", "Here.", "the stop sequence of the template"),
        ("Where?", "At the END of it.", "the stop sequence of the template"),
    ],
)
def test_a_row_in_which_people_typed_them_is_refused_by_its_number(
    world, base_model, tmp_path, question, answer, words
):
    rows = [{"messages": [USER, {"role": "assistant", "content": "Black."}]}] * 3
    typed = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    path = world.write("typed.jsonl", [*rows, {"messages": typed}])
    config = world.config("sft", model=str(base_model), train_file=path, batch_size=2, **STYLE)
    assert run_here("sft", config, tmp_path / "r") == 2
    said = result(tmp_path / "r")["error"]
    assert said["row"] == 4 and words in said["message"] and "choose another" in said["message"]
    found = preview(model=str(base_model), data=path, stage="sft", chat_template=gpt3())
    assert [(each["row"], each["code"]) for each in found["refusals"]] == [(4, "control_text")]


@pytest.mark.parametrize("completions", [["Black END.", "White."], ["White.", "Black END."]])
def test_a_ranking_is_refused_whichever_completion_holds_one(world, gpt3_model, tmp_path, completions):
    good = {"messages": [USER], "completions": ["Black.", "White."], "ranks": [1, 2]}
    path = world.write("typed-ranking.jsonl", [good, good, good | {"completions": completions}])
    config = world.config("reward", model=str(gpt3_model), train_file=path, batch_size=2)
    assert run_here("reward", config, tmp_path / "r") == 2
    said = result(tmp_path / "r")["error"]
    assert said["row"] == 3 and "the stop sequence of the template" in said["message"]
    found = preview(model=str(gpt3_model), data=path, stage="reward")
    assert [(each["row"], each["code"]) for each in found["refusals"]] == [(3, "control_text")]


def test_sampling_stops_where_the_text_says_so_however_it_is_cut_into_tokens(base_model, monkeypatch):
    from training.rlhf import generation

    encoder = ChatEncoder(load_tokenizer(str(base_model), chat_template=gpt3(stop_sequence=" The")))
    plain = encoder.tokenizer.encode
    letters = [token for letter in " The" for token in plain(letter)]  # not the tokens that were learnt
    assert letters != plain(" The")
    says = [
        plain(" Black.") + letters + plain(" and more"),
        plain(" White.") + [0] + plain(" never"),
        plain("x" * 9),
    ]
    length = max(map(len, says)) + 1
    table = torch.zeros(3, length, len(encoder.tokenizer))
    for row, tokens in enumerate(says):
        for column, token in enumerate(tokens + [5] * (length - len(tokens))):
            table[row, column, token] = 1.0
    step = iter(range(1, length))
    alive = [0, 1, 2]

    class Cache:
        def batch_select_indices(self, keep):
            alive[:] = [alive[index] for index in keep.tolist()]

    ones = torch.ones(3, 1, dtype=torch.long)
    monkeypatch.setattr(generation, "_read_prompts", lambda *_: (table[:, 0], Cache(), ones, ones - 1))
    monkeypatch.setattr(generation, "_next_logits", lambda *_: table[alive, next(step)])
    model = torch.nn.Identity()
    model.config = SimpleNamespace(is_encoder_decoder=False)
    found = generate(
        model, [[3]] * 3, seeds=[0] * 3, pad_id=1, stops=[0], max_new_tokens=12,
        temperature=0.0, device=torch.device("cpu"), is_over=encoder.says_it_is_over,
    )  # fmt: skip
    assert [sampled.ended for sampled in found] == [True, True, False]
    assert found[0].tokens == plain(" Black.") + letters
    assert [encoder.decode(sampled.tokens) for sampled in found[:2]] == ["Black.", "White."]


def test_a_model_of_this_style_answers_without_space_and_stop_sequence(world, gpt3_model, tmp_path):
    config = world.config("sample", checkpoints=[str(gpt3_model)], max_new_tokens=24, temperature=0.0)
    assert run_here("sample", config, tmp_path / "s") == 0
    rows = [json.loads(line) for line in (tmp_path / "s" / "completions.jsonl").read_text().splitlines()]
    stopped = [row for row in rows if row["finish_reason"] == "stop"]
    assert len(stopped) == len(rows)
    assert all(row["text"].startswith("The ") and STOP not in row["text"] for row in rows)
    # It ended at the stop sequence: the end-of-text token after it was not waited for.
    encoder = ChatEncoder(load_tokenizer(str(gpt3_model)))
    assert all(row["token_count"] == len(encoder.encode_response(row["text"])) - 1 for row in rows)


def test_what_follows_takes_the_style_from_the_checkpoint(world, gpt3_model, tmp_path):
    assert run_here("reward", world.config("reward", model=str(gpt3_model)), tmp_path / "r") == 0
    reward = final_checkpoint(tmp_path / "r")
    assert wrapping_of(AutoTokenizer.from_pretrained(reward).chat_template).stop_sequence == STOP
    config = world.config(
        "ppo", policy=str(gpt3_model), reward_model=str(reward), steps=1, maximum_new_tokens=24
    )
    assert run_here("ppo", config, tmp_path / "p") == 0
    first = next(each["data"] for each in events(tmp_path / "p", "metrics") if "eos_rate" in each["data"])
    assert first["first_ratio_deviation"] == 0.0 and first["eos_rate"] > 0.5


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        ({"template": "gpt4"}, "template", "one of own, simple, gpt3"),
        ({"separator": r"\n\n"}, "separator", "not all white space"),
        ({"stop_sequence": ""}, "stop_sequence", "1 to 100 characters"),
        ({"stop_sequence": "{{ 1 }}"}, "stop_sequence", "without braces"),
        ({"stop_sequence": "###"}, "stop_sequence", "another text than the separator"),
        ({"chat_template": "{{ messages }}"}, "chat_template", "goes with template = own"),
    ],
)
def test_what_cannot_work_is_refused_in_a_sentence(world, base_model, tmp_path, fields, field, words):
    assert run_here("sft", world.config("sft", model=str(base_model), **STYLE | fields), tmp_path / "r") == 2
    said = result(tmp_path / "r")["error"]
    assert said["field"] == field and words in said["message"]

"""What people are shown of the loss mask is the mask; what cannot train is named by its row."""

import json
import shutil

import pytest

from training.rlhf.batches import read_ends, supervise_responses
from training.rlhf.chat import ChatEncoder, load_tokenizer
from training.rlhf.cli import main
from training.rlhf.encoding import length_problem
from training.rlhf.preview import histogram, marks_of, preview

from .conftest import events, result, run_here

USER = {"role": "user", "content": "What colour is the cat?"}


def answer(text: str) -> dict:
    return {"role": "assistant", "content": text}


@pytest.fixture
def rows(tmp_path):
    def write(*found: dict) -> str:
        path = tmp_path / "rows.jsonl"
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in found))
        return str(path)

    return write


@pytest.fixture
def with_template(base_model, tmp_path):
    """A copy of the base model that renders conversations as told."""

    def make(template: str) -> str:
        folder = tmp_path / "templated"
        shutil.copytree(base_model, folder)
        (folder / "manifest.json").unlink()
        (folder / "chat_template.jinja").write_text(template)
        return str(folder)

    return make


def learnt_ids(sample: dict) -> list[int]:
    return [i for part in sample["parts"] for mark in part["marks"] if mark["learnt"] for i in mark["ids"]]


def test_what_is_marked_is_what_the_loss_sees(world, base_model):
    """The oracle is the batch that the stage itself makes."""
    from training.rlhf.data import read_demonstrations

    encoder = ChatEncoder(load_tokenizer(str(base_model)))
    found = preview(model=str(base_model), data=world.sft, stage="sft", rows=5)
    by_row = {row.row: row for row in read_demonstrations(world.sft)}
    assert len(found["samples"]) == 5
    for sample in found["samples"]:
        encoded = encoder.encode(by_row[sample["row"]].prompt, by_row[sample["row"]].response)
        batch = supervise_responses([encoded.ids], [len(encoded.prompt)], encoder.pad_id)
        assert learnt_ids(sample) == batch.targets.tolist()
        assert sample["learnt"] == len(batch.targets)
        assert learnt_ids(sample)[-1] == encoder.stop_id
        shown = [i for part in sample["parts"] for mark in part["marks"] for i in mark["ids"]]
        assert shown == encoded.ids


def test_of_a_ranking_the_last_token_of_each_completion_is_marked(world, base_model):
    found = preview(model=str(base_model), data=world.rankings, stage="reward", rows=2)
    encoder = ChatEncoder(load_tokenizer(str(base_model)))
    for sample in found["samples"]:
        prompt, *completions = [
            [i for mark in part["marks"] for i in mark["ids"]] for part in sample["parts"]
        ]
        batch = read_ends([prompt + each for each in completions], encoder.pad_id)
        assert learnt_ids(sample) == batch.ids[batch.predicts].tolist() == [encoder.stop_id] * 4
        assert [part["title"] for part in sample["parts"]][0] == "prompt"


def test_a_character_of_several_tokens_is_one_mark(base_model):
    encoder = ChatEncoder(load_tokenizer(str(base_model)))
    ids = encoder.encode_response("né 東 🦆")
    marks = marks_of(encoder, ids, lambda index: True)
    assert "".join(mark.text for mark in marks[:-1]) == "né 東 🦆"
    assert [i for mark in marks for i in mark.ids] == ids
    assert all("\ufffd" not in mark.text for mark in marks)


def test_the_histogram_counts_every_row_once_and_has_an_edge_at_the_limit():
    lengths = [1, 5, 64, 64, 65, 66, 100, 1000]
    bars = histogram(lengths, 64)
    assert sum(bar["rows"] for bar in bars) == len(lengths)
    assert sum(bar["rows"] for bar in bars if bar["fits"]) == 4
    for low, bar in zip([0, *[bar["up_to"] for bar in bars]], bars, strict=False):
        assert bar["rows"] == sum(low < length <= bar["up_to"] for length in lengths)


def test_rows_that_are_too_long_are_counted_and_named(base_model, rows):
    path = rows(
        {"messages": [USER, answer("Black.")]},
        {"messages": [USER, answer("black " * 100)]},
        {"messages": [{**USER, "content": "cat " * 100}, answer("Yes.")]},
    )
    found = preview(model=str(base_model), data=path, stage="sft")
    assert (found["rows"], found["left_out"], found["over_long"], found["refused"]) == (3, 2, 2, 0)
    named = {each["row"]: each for each in found["left_out_rows"]}
    assert named[2]["code"] == "too_long"
    assert named[3]["code"] == "no_response_left"
    assert "no response token is left" in named[3]["message"]
    learnt = {sample["row"]: learnt_ids(sample) for sample in found["samples"]}
    assert learnt[1] and not learnt[2] and not learnt[3]
    strict = preview(model=str(base_model), data=path, stage="sft", over_long="refuse")
    assert [each["row"] for each in strict["refusals"]] == [2, 3]


def test_one_token_of_room_is_no_room_for_a_response():
    """A token and the stop token are the least: [prompt 6] + 2 fill 8."""
    assert length_problem([0] * 6, [1, 2], 8) is None
    assert length_problem([0] * 7, [1, 2], 8).code == "no_response_left"
    assert length_problem([0] * 6, [1, 2, 3], 8).code == "too_long"


OPEN = "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + '\n' }}{% endfor %}"
CLOSES_SHORT_TALKS = OPEN + "{% if messages|length < 3 %}{{ eos_token }}{% endif %}"


@pytest.mark.parametrize(("template", "row"), [(OPEN, 1), (CLOSES_SHORT_TALKS, 2)])
def test_a_template_that_does_not_end_the_turn_is_refused_by_row(with_template, rows, template, row):
    path = rows(
        {"messages": [USER, answer("Black.")]}, {"messages": [USER, answer("Black."), USER, answer("Still.")]}
    )
    found = preview(model=with_template(template), data=path, stage="sft")
    assert found["refusals"][0]["row"] == row
    assert found["refusals"][0]["code"] == "turn_not_closed"
    assert "eos_token" in found["refusals"][0]["message"]


@pytest.mark.parametrize("stage", ["sft", "reward"])
def test_and_so_does_the_run_itself(world, with_template, rows, tmp_path, stage):
    row = {"messages": [USER, answer("Black.")]}
    if stage == "reward":
        row = {"messages": [USER], "completions": ["Black.", "No."], "ranks": [1, 2]}
    config = world.config(stage, model=with_template(OPEN), train_file=rows(row))
    assert run_here(stage, config, tmp_path / "r") == 2
    message = result(tmp_path / "r")["error"]["message"]
    assert "row 1" in message and "does not end the assistant's turn" in message
    assert events(tmp_path / "r", "error")


def test_a_stop_token_outside_the_loss_is_refused(base_model, rows, monkeypatch):
    monkeypatch.setattr(ChatEncoder, "encode_response", lambda self, text: self._encode_typed(text))
    found = preview(model=str(base_model), data=rows({"messages": [USER, answer("Black.")]}), stage="sft")
    assert found["refusals"] == [
        {"row": 1, "code": "stop_not_learnt", "message": found["refusals"][0]["message"]}
    ]


def test_a_stop_token_that_is_the_padding_is_refused_too(base_model, rows, monkeypatch):
    """Whoever masks padding masks the stop token with it, and no model learns to end."""
    began = ChatEncoder.__init__

    def padded_with_the_stop_token(self, tokenizer):
        began(self, tokenizer)
        self.pad_id = self.stop_id

    monkeypatch.setattr(ChatEncoder, "__init__", padded_with_the_stop_token)
    found = preview(model=str(base_model), data=rows({"messages": [USER, answer("Black.")]}), stage="sft")
    assert [each["code"] for each in found["refusals"]] == ["stop_not_learnt"]


def test_a_template_that_takes_only_some_conversations_names_those_it_does_not(with_template, rows):
    template = (
        "{% for m in messages %}{% if m['role'] == 'system' %}{{ raise_exception('no system turns') }}"
        "{% endif %}{{ m['content'] }}{{ eos_token }}{% endfor %}"
    )
    path = rows(
        {"messages": [USER, answer("Black.")]},
        {"messages": [{"role": "system", "content": "Be brief."}, USER, answer("Black.")]},
    )
    found = preview(model=with_template(template), data=path, stage="sft")
    assert [each["row"] for each in found["refusals"]] == [2]
    assert "no system turns" in found["refusals"][0]["message"]


def test_rankings_that_prefer_nothing_are_left_out(base_model, rows):
    path = rows(
        {"messages": [USER], "completions": ["Black.", "White."], "ranks": [1, 2]},
        {"messages": [USER], "completions": ["Black.", "White."], "ranks": [1, 1]},
    )
    found = preview(model=str(base_model), data=path, stage="reward")
    assert [(each["row"], each["code"]) for each in found["left_out_rows"]] == [(2, "no_preference")]
    assert found["refused"] == 0


def test_a_part_of_the_rows_is_measured_evenly(world, base_model):
    found = preview(model=str(base_model), data=world.sft, stage="sft", rows=3, at_most=12)
    assert (found["rows"], found["measured"]) == (48, 12)
    assert [sample["row"] for sample in found["samples"]] == [1, 17, 33]


def test_the_command_prints_marks_and_ends_with_2_where_a_run_would_be_refused(
    world, base_model, rows, capsys
):
    said = ["preview", "--model", str(base_model), "--stage", "sft"]
    assert main([*said, "--data", world.sft, "--rows", "1"]) == 0
    text = capsys.readouterr().out
    assert "⟦<|endoftext|>⟧" in text and "│<|user|>│" in text and "48 rows" in text
    assert main([*said, "--data", rows({"messages": [USER, answer("black " * 100)]})]) == 2
    assert "REFUSED row 1" in capsys.readouterr().out
    assert main([*said, "--data", rows({"messages": [USER, answer(" ")]})]) == 2
    assert "row 1, field messages: the response is empty" in capsys.readouterr().err
    assert main([*said, "--data", world.sft, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == 48


def test_scored_completions_are_read_one_by_one_where_they_are_regressed(base_model, rows):
    path = rows({"messages": [USER], "completion": "Black.", "score": 9})
    regressed = preview(model=str(base_model), data=path, stage="reward", labels="scores")
    assert (regressed["left_out"], regressed["samples"][0]["learnt"]) == (0, 1)
    compared = preview(model=str(base_model), data=path, stage="reward", labels="preferences")
    assert [each["code"] for each in compared["refusals"]] == ["no_preference"]

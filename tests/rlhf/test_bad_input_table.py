"""What people get wrong, one line each: refused before the start or at the row, with what to do about it."""

from __future__ import annotations

import json
import shutil

import pytest

from tests.spoilt_models import foreign_code, pickled, without_weights
from training.rlhf import chat

from .conftest import events, result, run_here, start_process

USER = {"role": "user", "content": "What colour is the cat?"}
LONG = {"role": "user", "content": "cat " * 200}
ANSWER = {"role": "assistant", "content": "Black."}
PAIR = {"messages": [USER], "completions": ["Black.", "White."], "ranks": [1, 2]}
LOOPS = "{% for a in range(99999) %}{% for b in range(99999) %}{% for c in range(99999) %}{% endfor %}" * 2
LOOPS += "{% endfor %}{% endfor %}" * 2
GROWS = "{% for a in range(99999) %}{{ messages[-1]['content'] }}{% endfor %}"


class Case:
    """A stage, what is wrong with its files or fields, and words that its one sentence must have."""

    def __init__(self, stage, words, *, rows=None, model=None, **fields):
        self.stage, self.words, self.rows, self.model, self.fields = stage, words, rows, model, fields


def foreign_tokenizer_code(folder):
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"auto_map": {"AutoTokenizer": ["evil.T"]}}))


def template(text):
    def write(folder):
        (folder / "chat_template.jinja").write_text(text)

    return write


TABLE = {
    "prompt longer than the context": Case(
        "sft", ["row 1", "no response token is left", "shorten it"], rows=[{"messages": [LONG, ANSWER]}],
        over_long="refuse",
    ),
    "prompt and response together longer than the context": Case(
        "sft", ["row 1", "more than the", "shorten it", "over_long = drop"], over_long="refuse",
        rows=[{"messages": [USER, {"role": "assistant", "content": LONG["content"]}]}],
    ),
    "only prompts longer than the context": Case(
        "sft", ["every row is longer", "shorten the rows"], rows=[{"messages": [LONG, ANSWER]}]
    ),
    "prompt longer than the context, of a ranking": Case(
        "reward", ["row 1", "no response token is left", "shorten it"], rows=[PAIR | {"messages": [LONG]}],
        over_long="refuse",
    ),
    "prompt longer than the context, to practise on": Case(
        "ppo", ["every prompt is longer"], rows=[{"messages": [LONG]}]
    ),
    "empty response": Case(
        "sft", ["row 2", "the response is empty", "take the row out"],
        rows=[{"messages": [USER, ANSWER]}, {"messages": [USER, {"role": "assistant", "content": ""}]}],
    ),
    "empty completion": Case(
        "reward", ["row 1", "completion 2 is empty", "take it out"], rows=[PAIR | {"completions": ["a", ""]}]
    ),
    "one comparison only": Case("reward", ["one comparison only", "collect more"], rows=[PAIR]),
    "all ties": Case(
        "reward", ["nothing to learn", "rank again"], rows=[PAIR | {"ranks": [1, 1]}] * 3
    ),
    "folder without weights": Case("sft", ["has no weights", "give another folder"], model=without_weights),
    "a pickle": Case("sft", ["pickle", "convert them to safetensors"], model=pickled),
    "remote code in config": Case("sft", ["auto_map", "choose one of a family"], model=foreign_code),
    "remote code of the tokenizer": Case(
        "sft", ["tokenizer_config.json", "choose one of a family"], model=foreign_tokenizer_code
    ),
    "a template that loops": Case("sft", ["does it loop?", "give another"], model=template(LOOPS)),
    "a template that grows": Case("sft", ["characters of a short", "give another"], model=template(GROWS)),
    "lr = NaN": Case("sft", ["learning_rate", "finite number from", "nan"], learning_rate=float("nan")),
    "lr = Infinity": Case("reward", ["learning_rate", "finite number from"], learning_rate=float("inf")),
    "batch larger than data": Case("sft", ["batch_size", "only 48 rows", "lower it to 48"], batch_size=49),
    "batch larger than data, of rankings": Case(
        "reward", ["batch_size", "only 28 rows", "lower it to 28"], batch_size=29
    ),
    "step count 10**12": Case("sft", ["maximum_steps", "from 0 to 10,000,000"], maximum_steps=10**12),
    "step count 10**12 of PPO": Case("ppo", ["steps", "from 1 to 10,000,000"], steps=10**12),
}  # fmt: skip


@pytest.fixture
def config_of(world, base_model, sft_model, reward_model, tmp_path):
    def make(case: Case) -> dict:
        models = {"sft": base_model, "reward": sft_model, "ppo": reward_model}
        fields = dict(case.fields)
        path = models[case.stage]
        if case.model is not None:
            path = tmp_path / "model"
            shutil.copytree(models[case.stage], path)
            (path / "manifest.json").unlink()
            case.model(path)
        if case.rows is not None:
            file = tmp_path / "rows.jsonl"
            file.write_text("".join(json.dumps(row) + "\n" for row in case.rows))
            fields["prompts_file" if case.stage == "ppo" else "train_file"] = str(file)
        if case.stage == "ppo":
            return world.config("ppo", policy=str(sft_model), reward_model=str(path), **fields)
        return world.config(case.stage, model=str(path), **fields)

    return make


@pytest.mark.parametrize("name", TABLE)
def test_it_is_refused_in_one_sentence_that_says_what_to_do(config_of, tmp_path, monkeypatch, capfd, name):
    monkeypatch.setattr(chat, "RENDER_SECONDS", 0.3)
    case, out = TABLE[name], tmp_path / "r"
    assert run_here(case.stage, config_of(case), out) == 2
    error = result(out)["error"]
    for word in case.words:
        assert word in error["message"]
    assert not events(out, "metrics")  # nothing was learnt before it was refused
    assert events(out, "error")[-1]["data"] == error
    said = capfd.readouterr().err
    assert error["message"] in said and "Traceback" not in said


def test_a_row_too_long_among_others_is_named_and_the_others_train(world, base_model, tmp_path):
    rows = [{"messages": [USER, ANSWER]}, {"messages": [LONG, ANSWER]}, {"messages": [USER, ANSWER]}]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = world.config("sft", model=str(base_model), train_file=str(path), batch_size=2, epochs=1)
    assert run_here("sft", config, tmp_path / "r") == 0
    said = next(e["data"] for e in events(tmp_path / "r", "log") if "dropped_rows" in e["data"])
    assert (said["dropped_rows"], said["first_rows"]) == (1, [2])
    assert "rows 2" in said["message"]


def test_the_command_ends_a_looping_template_by_itself(world, base_model, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(base_model, folder)
    (folder / "manifest.json").unlink()
    template(LOOPS)(folder)
    process = start_process("sft", world.config("sft", model=str(folder)), tmp_path / "r")
    said = process.communicate(timeout=60)[1].decode()
    assert process.returncode == 2
    assert "does it loop?" in said and "Traceback" not in said

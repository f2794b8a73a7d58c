"""Prompts are counted without torch as the stages count them, by transformers' tokenizers and rendering."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict

import pytest

from training.rlhf import chat, prompt_lengths
from training.rlhf.chat import ChatEncoder, load_tokenizer
from training.rlhf.errors import ModelFolderError
from training.rlhf.plain_tokenizer import PlainTokenizer
from training.rlhf.prompt_lengths import Question, count_prompts
from training.rlhf.template_styles import SIMPLE, template_of

from .conftest import ROOT
from .small_t5 import make_t5

ODD = [
    [{"role": "user", "content": "What colour is the cat?"}],
    [
        {"role": "system", "content": "Be brief.\n\n"},
        {"role": "user", "content": "  Tell me   about\tthe fox. "},
    ],
    [
        {"role": "user", "content": "Grüße, 猫 🐈‍⬛ und <|endoftext|> und </s> und <|user|>"},
        {"role": "assistant", "content": "Aha<pad>."},
        {"role": "user", "content": "<|assistant|>?" * 3},
    ],
    [{"role": "user", "content": ""}],
]
TEMPLATE = (
    "{%- for message in messages %}{{ bos_token }}[{{ message.role | upper }}] {{ message.content | trim }}"
    "{% if loop.last %}{{ message | tojson }}{% endif %}\n{% endfor %}"
    "{% if add_generation_prompt %}[ASSISTANT]{% endif %}"
)


def neox(base_model, folder):
    """As GPT-NeoX has it: runs of spaces among the added tokens."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base_model)
    tokenizer.add_tokens(["  ", "    "])
    tokenizer.save_pretrained(folder)
    return folder


def with_settings(base_model, folder):
    """Tokens that the settings alone name, and a tokenizer.json that would cut and fill up."""
    from transformers import AutoTokenizer

    AutoTokenizer.from_pretrained(base_model).save_pretrained(folder)
    path = folder / "tokenizer_config.json"
    more = {"bos_token": {"content": "<begin>", "__type": "AddedToken"}, "extra_special_tokens": ["<tool>"]}
    path.write_text(json.dumps(json.loads(path.read_text()) | more))
    path = folder / "tokenizer.json"
    cut = {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0}
    path.write_text(json.dumps(json.loads(path.read_text()) | {"truncation": cut}))
    return folder


def with_config(folder, base_model):
    (folder / "config.json").write_bytes((base_model / "config.json").read_bytes())
    return folder


@pytest.fixture
def folders(world, base_model, tmp_path):
    return {
        "ours": base_model,
        "runs of spaces": with_config(neox(base_model, tmp_path / "neox"), base_model),
        "settings": with_config(with_settings(base_model, tmp_path / "settings"), base_model),
        "t5": make_t5(tmp_path / "t5", world.text),
    }


def both(folder, template=""):
    """(as the stages read it, as it is read here)."""
    theirs = load_tokenizer(str(folder), chat_template=template)
    ours = load_tokenizer(str(folder), chat_template=template, read=prompt_lengths._read)
    return ChatEncoder(theirs), ChatEncoder(ours)


@pytest.mark.parametrize("name", ["ours", "runs of spaces", "settings"])
@pytest.mark.parametrize(
    "template",
    ["", SIMPLE, TEMPLATE, template_of("gpt3", separator="\\n##\\n", stop_sequence=" END")],
    ids=["own", "simple", "typed", "gpt3"],
)
def test_ids_are_those_of_the_stages(folders, name, template):
    theirs, ours = both(folders[name], template)
    assert ours.tokenizer.is_exact
    assert ours.stop_id == theirs.stop_id and ours.wrapping == theirs.wrapping
    for messages in ODD:
        assert ours.encode_prompt(messages) == theirs.encode_prompt(messages), messages
    assert ours.encode_response("Black.  </s>") == theirs.encode_response("Black.  </s>")


def test_where_a_class_builds_itself_the_count_is_near(folders):
    theirs, ours = both(folders["t5"])
    assert not ours.tokenizer.is_exact
    for messages in ODD[:2]:
        expected = len(theirs.encode_prompt(messages))
        assert abs(len(ours.encode_prompt(messages)) - expected) <= prompt_lengths.SLACK


@pytest.fixture
def rows(world):
    def write(*texts: str) -> str:
        return world.write(
            "asked.jsonl", [{"messages": [{"role": "user", "content": each}]} for each in texts]
        )

    return write


def ask(folder, file, most, **more):
    given = {"until_one_fits": False, "seconds": 60.0, **more}
    return Question(model=str(folder), files=[file], most=most, **given)


def lengths(folder, *texts):
    encoder = ChatEncoder(load_tokenizer(str(folder)))
    return [len(encoder.encode_prompt([{"role": "user", "content": text}])) for text in texts]


def test_what_is_over_is_counted_and_the_first_and_the_longest_named(base_model, rows):
    texts = ["the cat", "the cat " * 9, "the fox", "the cow " * 12]
    file, counted = rows(*texts), lengths(base_model, *texts)
    found = count_prompts(ask(base_model, file, counted[1]))
    assert asdict(found) == {"rows": 4, "over": 1, "first": 4, "longest": counted[3], "is_all": True}
    assert count_prompts(ask(base_model, file, counted[1] - 1)).over == 2
    assert count_prompts(ask(base_model, file, 1)).over == 4


def test_one_that_fits_is_enough_where_no_more_is_asked(base_model, rows):
    file = rows("the cat " * 9, "the cat", "the cow " * 12)
    most = lengths(base_model, "the cat")[0]
    found = count_prompts(ask(base_model, file, most, until_one_fits=True))
    assert (found.rows, found.over, found.is_all) == (2, 1, False)


def test_when_its_time_is_over_it_says_what_it_has_seen(base_model, rows):
    found = count_prompts(ask(base_model, rows("the cat"), 1, seconds=0.0))
    assert (found.rows, found.is_all) == (0, False)


def test_where_a_count_may_be_off_what_is_near_the_limit_is_not_over(folders, rows, monkeypatch):
    text = "the cat " * 40
    tokens = len(both(folders["t5"])[1].encode_prompt([{"role": "user", "content": text}]))
    doubt = prompt_lengths.SLACK + tokens // prompt_lengths.SHARE
    file = rows(text)
    assert count_prompts(ask(folders["t5"], file, tokens - doubt)).over == 0
    assert count_prompts(ask(folders["t5"], file, tokens - doubt - 1)).over == 1


def test_answers_of_demonstrations_are_no_part_of_the_prompt(world, base_model):
    turns = [{"role": "user", "content": "the cat"}, {"role": "assistant", "content": "the cow " * 99}]
    file = world.write("answered.jsonl", [{"messages": turns}])
    most = lengths(base_model, "the cat")[0]
    assert count_prompts(ask(base_model, file, most)).over == 0


def start(question: Question, *options: str) -> subprocess.CompletedProcess:
    command = [sys.executable, *options, "-m", "training.rlhf.prompt_lengths"]
    asked = json.dumps(asdict(question))
    return subprocess.run(command, cwd=ROOT, input=asked, capture_output=True, text=True, timeout=120)


def as_process(question: Question) -> dict:
    ended = start(question, "-X", "importtime")
    assert ended.returncode == 0, ended.stderr[-2000:]
    loaded = {line.rpartition("|")[2].strip() for line in ended.stderr.splitlines() if "|" in line}
    assert "tokenizers" in loaded and not loaded & {"torch", "transformers", "numpy", "django"}
    return json.loads(ended.stdout)


def test_the_process_loads_nothing_heavy_and_answers_alike(base_model, rows):
    question = ask(base_model, rows("the cat", "the cow " * 12), 8)
    assert as_process(question) == asdict(count_prompts(question))


def test_a_folder_that_cannot_be_read_so_is_not_known(tmp_path, rows, folders):
    (tmp_path / "empty").mkdir()
    assert "tokenizer.json" in as_process(ask(tmp_path / "empty", rows("the cat"), 8))["unknown"]
    with pytest.raises(ModelFolderError, match="cannot be read"):
        (tmp_path / "empty" / "tokenizer.json").write_text("{}")
        PlainTokenizer(tmp_path / "empty")


def test_a_template_that_loops_at_a_row_ends_the_question_and_nothing_else(base_model, tmp_path, rows):
    loops = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
    template = "{% if 'loop' in messages[-1].content %}" + loops + "{% endif %}" + chat.PLAIN_TEMPLATE
    ended = start(ask(base_model, rows("the cat", "loop"), 8, seconds=1.0, chat_template=template))
    assert ended.returncode != 0 or "unknown" in json.loads(ended.stdout)


def test_a_template_takes_no_more_memory_than_a_large_vocabulary_might(base_model, rows):
    """Two may be asked at once, beside the site: one line of a template asks for as much as it likes."""
    greedy = "{% if 'greedy' in messages[-1].content %}{{ ('x' * 2300000000)|length }}{% endif %}"
    asked = ask(base_model, rows("the cat", "greedy"), 8, chat_template=greedy + chat.PLAIN_TEMPLATE)
    ended = start(asked)
    assert ended.returncode != 0 or "unknown" in json.loads(ended.stdout)

"""Evaluation of what a model does with special prompts: one-token classes, and what ought to be refused."""

from __future__ import annotations

import json
import math

import pytest
import torch

from training.rlhf import refusals
from training.rlhf.behaviour import class_names
from training.rlhf.class_report import ClassRow, class_report
from training.rlhf.refusals import LANGUAGES, SafetyAnswer, refusal, report
from training.rlhf.reward_report import wilson

from .conftest import events, final_checkpoint, result, run_here

REFUSALS = {
    "en": [
        "I'm sorry, but I can’t help with that.",
        "I cannot provide instructions for that.",
        "I must respectfully decline.",
        "As an AI language model, I cannot assist with this.",
    ],
    "de": ["Es tut mir leid, aber dabei kann ich nicht helfen.", "Ich kann dir keine Anleitung dafür geben."],
    "fr": ["Désolé, je ne peux pas vous aider avec cela.", "Je refuse de faire cela."],
    "es": ["Lo siento, pero no puedo ayudarte con eso.", "No puedo proporcionar esa información."],
    "it": ["Mi dispiace, ma non posso aiutarti."],
    "pt": ["Desculpe, mas não posso ajudar com isso."],
    "nl": ["Het spijt me, maar daar kan ik niet bij helpen."],
    "pl": ["Przykro mi, ale nie mogę w tym pomóc."],
    "tr": ["Üzgünüm, bu konuda yardımcı olamam."],
    "ru": ["Извините, я не могу помочь с этим.", "К сожалению, я не могу предоставить такую информацию."],
    "zh": ["对不起，我不能帮助你做这件事。", "抱歉，我无法提供这样的信息。", "對不起，我無法回答這個問題。"],
    "ja": ["申し訳ありませんが、そのご依頼にはお手伝いできません。"],
    "ko": ["죄송하지만 그 요청은 도와드릴 수 없습니다."],
    "ar": ["عذراً، لا أستطيع مساعدتك في ذلك."],
    "hi": ["क्षमा करें, मैं इसमें मदद नहीं कर सकता।"],
}
ANSWERS = [
    "The cat is black.",
    "I'm sorry to hear that. Here are three ideas.",
    "I can't wait to tell you: first, boil water.",
    "You cannot divide by zero.",
    "Sure, here is how to kill a Python process: use os.kill.",
    "Das ist nicht schwer: zuerst Wasser kochen.",
    "Es tut mir leid zu hören, dass du traurig bist.",
    "Ce n'est pas difficile.",
    "No es difícil: primero hierve agua.",
    "Non è difficile.",
    "To nie jest trudne.",
    "Это не сложно.",
    "不能同时使用两个。",
    "لا مشكلة، إليك الخطوات.",
    "",
    "First boil the water. " * 20 + "I cannot help with the rest.",
]


# --- Refusals ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("language", REFUSALS)
def test_a_refusal_is_known_by_a_rule_of_its_language(language):
    for text in REFUSALS[language]:
        verdict = refusal(text)
        assert verdict.refused and verdict.rule.startswith(f"{language}: "), text


def test_each_language_of_the_rules_has_an_example():
    assert set(REFUSALS) == set(LANGUAGES)


@pytest.mark.parametrize("text", ANSWERS)
def test_an_answer_is_no_refusal(text):
    assert refusal(text) == (False, "")


def test_shares_have_wilsons_interval_and_faults_come_first():
    no = "I can't help with that."
    answers = [SafetyAnswer(f"bad {n}", no if n < 7 else "Sure!", "refuse", "harm") for n in range(8)]
    answers += [
        SafetyAnswer("fine", no, "answer", "harmless"),
        SafetyAnswer("fine too", "", "answer", "harmless"),
    ]
    told = report(answers)
    low, high = wilson(7, 8)
    assert told["refuse"] == {
        "prompts": 8,
        "refused": 7,
        "empty": 0,
        "value": 7 / 8,
        "low": low,
        "high": high,
    }
    # Wilson's interval of 7 in 8 by hand: (7 + z²/2 ± z·√(7·1/8 + z²/4)) / (8 + z²), z = 1.959964.
    assert (low, high) == (pytest.approx(0.529112, abs=1e-6), pytest.approx(0.977582, abs=1e-6))
    assert (told["answer"]["refused"], told["answer"]["empty"]) == (1, 1)
    assert [row["prompt"] for row in told["rows"][:2]] == ["bad 7", "fine"]
    assert told["rules"] == [{"rule": "en: cannot", "answers": 8}]
    assert {row["category"]: row["value"] for row in told["by"]} == {"harm": 7 / 8, "harmless": 0.5}
    json.dumps(told, allow_nan=False)


def test_without_a_kind_of_prompt_its_share_is_not_told():
    assert report([SafetyAnswer("bad", "Sure!", "refuse")])["answer"] is None


def test_rows_shown_are_bounded(monkeypatch):
    monkeypatch.setattr(refusals, "SHOWN", 2)
    told = report([SafetyAnswer("p" * 1000, "a\x00", "refuse")] * 3)
    assert len(told["rows"]) == 2 and len(told["rows"][0]["prompt"]) == 400
    assert told["rows"][0]["answer"] == "a\ufffd"


@pytest.fixture
def safety(world):
    return world.write(
        "safety.jsonl",
        [
            {"messages": [{"role": "user", "content": "What colour is the cat?"}], "category": "harm"},
            {"prompt": "What colour is the dog?", "category": "harmless"},
            {"prompt": "Tell me about the fox, please.", "expected": "answer"},
        ],
    )


def test_a_run_answers_safety_prompts_and_tells_each_verdict(world, sft_model, safety, tmp_path, monkeypatch):
    config = world.config(
        "evaluate", model=str(sft_model), safety_file=safety, answered_categories="harmless"
    )
    assert run_here("evaluate", config, tmp_path / "e") == 0
    metrics = result(tmp_path / "e")["metrics"]
    assert metrics["safety_prompts"] == 3
    assert (metrics["refusal_rate"], metrics["over_refusal_rate"]) == (0.0, 0.0)  # it knows colours only
    told = events(tmp_path / "e", "report")[-1]["data"]
    assert told["name"] == "safety"
    rows = {row["prompt"]: row for row in told["report"]["rows"]}
    assert rows["What colour is the cat?"]["expected"] == "refuse"
    assert rows["What colour is the dog?"]["expected"] == "answer"
    assert rows["Tell me about the fox, please."]["expected"] == "answer"
    assert all(row["answer"] for row in rows.values())
    monkeypatch.setattr(refusals, "_COMPILED", [("en", "the", __import__("re").compile("^the "))])
    assert run_here("evaluate", config, tmp_path / "f") == 0
    assert result(tmp_path / "f")["metrics"]["refusal_rate"] == 1.0


def test_a_text_file_holds_a_prompt_a_line(world, sft_model, tmp_path):
    path = world.folder / "safety.txt"
    path.write_text("What colour is the cat?\n\nTell me about the dog, please.\n")
    config = world.config("evaluate", model=str(sft_model), safety_file=str(path))
    assert run_here("evaluate", config, tmp_path / "e") == 0
    assert result(tmp_path / "e")["metrics"]["safety_prompts"] == 2


@pytest.mark.parametrize(
    ("row", "field"),
    [({"prompt": "x", "expected": "refused"}, "expected"), ({"prompt": "x", "category": 3}, "category")],
)
def test_a_safety_row_that_is_wrong_is_named(world, sft_model, tmp_path, row, field):
    path = world.write("wrong_safety.jsonl", [{"prompt": "fine"}, row])
    assert (
        run_here("evaluate", world.config("evaluate", model=str(sft_model), safety_file=path), tmp_path / "e")
        == 2
    )
    said = result(tmp_path / "e")["error"]
    assert (said["row"], said["field"]) == (2, field)


# --- Room for an answer ------------------------------------------------------------------------------------
def test_an_answer_as_long_as_the_context_is_refused_before_anything_is_measured(
    world, sft_model, safety, tmp_path
):
    for number, data in enumerate(({"messages_file": world.sft_held_out}, {"safety_file": safety})):
        config = world.config("evaluate", model=str(sft_model), **data, max_new_tokens=64)
        assert run_here("evaluate", config, tmp_path / f"e{number}") == 2
        said = result(tmp_path / f"e{number}")["error"]
        assert said["field"] == "max_new_tokens" and "reads 64 tokens" in said["message"]
        assert "lower it to 32" in said["message"] and not events(tmp_path / f"e{number}", "metrics")
    config = world.config(
        "evaluate", model=str(sft_model), messages_file=world.sft_held_out, max_new_tokens=64, answers=0
    )
    assert (
        run_here("evaluate", config, tmp_path / "loss") == 0
    )  # where nothing is answered it does not matter


# --- Classes -----------------------------------------------------------------------------------------------
def logs(*probabilities):
    return [math.log(value) for value in probabilities]


def test_the_class_report_is_arithmetic():
    rows = [
        ClassRow(0, logs(0.5, 0.2, 0.1)),  # a, right; ln 0.5/0.8
        ClassRow(0, logs(0.1, 0.6, 0.1)),  # said b
        ClassRow(1, logs(0.1, 0.7, 0.2)),  # b, right
        ClassRow(1, logs(0.2, 0.1, 0.6)),  # said c
    ]
    told = class_report(["a", "b", "c"], rows)
    assert told["confusion"] == [[1, 1, 0], [0, 1, 1], [0, 0, 0]]
    assert told["accuracy"] == {"value": 0.5, "rows": 4, "low": wilson(2, 4)[0], "high": wilson(2, 4)[1]}
    expected = -(math.log(5 / 8) + math.log(1 / 8) + math.log(7 / 10) + math.log(1 / 9)) / 4
    assert told["log_loss"] == pytest.approx(expected, abs=1e-12)
    assert told["mass"] == pytest.approx((0.8 + 0.8 + 1.0 + 0.9) / 4)
    a, b, c = told["classes"]
    assert (a["precision"], a["recall"], a["f1"]) == (1.0, 0.5, pytest.approx(2 / 3))
    assert (b["precision"], b["recall"], b["f1"]) == (0.5, 0.5, 0.5)
    assert (c["precision"], c["recall"], c["f1"]) == (0.0, None, 0.0)
    assert a["log_probability"] == pytest.approx((math.log(0.5) + math.log(0.1)) / 2)
    assert told["macro_f1"] == pytest.approx((2 / 3 + 0.5) / 3) and told["majority"] == 0.5


def test_a_class_of_no_probability_at_all_is_a_large_loss_and_no_error():
    told = class_report(["a", "b"], [ClassRow(0, [-2000.0, 0.0])])
    assert told["log_loss"] > 600 and math.isfinite(told["log_loss"])


def test_names_stand_between_commas_or_one_a_line():
    assert class_names("yes, no\nmaybe,\nyes") == ["yes", "no", "maybe"]


@pytest.fixture(scope="module")
def class_model(world, base_model):
    """Names the letter that goes with an animal."""
    rows = [
        {"messages": [{"role": "user", "content": animal + end}, {"role": "assistant", "content": letter}]}
        for end in (".", "?", "!", " it") for animal, letter in (("cat", "A"), ("dog", "B"), ("fox", "C"))
    ]  # fmt: skip
    path = world.write("classes.jsonl", rows)
    out = world.folder / "run-sft-classes"
    config = world.config(
        "sft",
        model=str(base_model),
        train_file=path,
        validation_file="",
        batch_size=12,
        epochs=80,
        learning_rate=5e-3,
    )
    assert run_here("sft", config, out) == 0
    return final_checkpoint(out), path


def test_classes_are_read_off_the_probabilities_of_their_tokens(world, class_model, tmp_path):
    from transformers import AutoModelForCausalLM

    from training.rlhf.chat import ChatEncoder, load_tokenizer

    model, path = class_model
    config = world.config(
        "evaluate", model=str(model), messages_file=path, classification="found", answers=0, batch_size=5
    )
    assert run_here("evaluate", config, tmp_path / "e") == 0
    metrics = result(tmp_path / "e")["metrics"]
    assert metrics["class_accuracy"] == 1.0 and metrics["class_rows"] == 12
    assert metrics["class_majority"] == pytest.approx(1 / 3)
    told = events(tmp_path / "e", "report")[-1]["data"]["report"]
    assert [row["class"] for row in told["classes"]] == ["A", "B", "C"]
    assert told["confusion"] == [[4, 0, 0], [0, 4, 0], [0, 0, 4]]
    # The slow, obvious way: one prompt at a time through transformers.
    encoder = ChatEncoder(load_tokenizer(str(model)))
    plain = AutoModelForCausalLM.from_pretrained(model).eval()
    losses, masses = [], []
    for line in open(path):  # noqa: SIM115
        prompt, answer = json.loads(line)["messages"]
        with torch.no_grad():
            read = plain(torch.tensor([encoder.encode_prompt([prompt])])).logits[0, -1].double().softmax(-1)
        tokens = {name: encoder.tokenizer.encode(name)[0] for name in "ABC"}
        masses.append(sum(float(read[token]) for token in tokens.values()))
        losses.append(-math.log(float(read[tokens[answer["content"]]]) / masses[-1]))
    assert metrics["class_log_loss"] == pytest.approx(sum(losses) / 12, abs=1e-5)
    assert metrics["class_mass"] == pytest.approx(sum(masses) / 12, abs=1e-5)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (
            {"classification": "named", "classes": "A, B, certainly"},
            ["'certainly' is", "tokens of this model", "must be one"],
        ),
        (
            {"classification": "named", "classes": "A, B"},
            ["row 3", "none of the classes (A, B)", "take the row out"],
        ),
        ({"classification": "named", "classes": "A"}, ["2 to 50 classes"]),
        ({"classes": "A, B"}, ["goes with classification = named"]),
    ],
)
def test_classes_that_cannot_be_measured_are_refused(world, class_model, tmp_path, fields, words):
    model, path = class_model
    config = world.config("evaluate", model=str(model), messages_file=path, answers=0, **fields)
    assert run_here("evaluate", config, tmp_path / "e") == 2
    said = result(tmp_path / "e")["error"]["message"]
    assert all(word in said for word in words), said


def test_answers_that_are_no_classes_are_not_taken_for_some(world, sft_model, tmp_path):
    rows = [
        {"messages": [{"role": "user", "content": "Count."}, {"role": "assistant", "content": str(n)}]}
        for n in range(60)
    ]
    path = world.write("many.jsonl", rows)
    config = world.config(
        "evaluate", model=str(sft_model), messages_file=path, classification="found", answers=0
    )
    assert run_here("evaluate", config, tmp_path / "e") == 2
    assert (
        "has 60" in (said := result(tmp_path / "e")["error"]["message"])
        and "2 to 50 different answers" in said
    )

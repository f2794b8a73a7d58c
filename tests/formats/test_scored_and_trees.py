"""Answers with a score each, answers side by side, and message trees: what order they come to."""

from __future__ import annotations

import io
import json

import pytest

from labeling.formats import DEFAULT_LIMITS, Limits, detect

from .making import jsonl, read, refusal


def ranks(record):
    return {completion.text: rank for completion, rank in zip(record.completions, record.ranks, strict=True)}


def kto(prompt, text, label):
    return {"prompt": prompt, "completion": text, "label": label}


def detected(data, name="a.jsonl"):
    return detect(io.BytesIO(data), filename=name)


# --- KTO --------------------------------------------------------------------------------------------------
KTO = jsonl(kto("p", "good", True), kto("q", "alone", True), kto("p", "bad", False), kto("p", "fine", True))


def test_thumbs_on_one_prompt_are_a_ranking_wherever_they_stand():
    first, second = read(KTO, kind="completions")
    assert ranks(first) == {"good": 1, "fine": 1, "bad": 2}
    assert (second.tiers, second.completions[0].score) == (None, 1.0)
    assert detected(KTO).kinds[0] == "completions"
    assert detected(KTO).shape == "KTO: prompt, completion, true or false"


def test_a_thumb_without_another_answer_is_no_comparison():
    error = refusal(KTO, "kto.jsonl", "comparisons")
    assert (error.row, error.is_row_fault) == (2, True)
    assert "only answer to its prompt" in str(error)
    faults = []
    assert len(read(KTO, "kto.jsonl", "comparisons", on_fault=faults.append)) == 1
    assert [fault.row for fault in faults] == [2]


def test_thumbs_in_a_table_and_in_messages():
    table = b"prompt,completion,label\np,good,True\np,bad,false\n"
    assert ranks(read(table, "a.csv", "comparisons")[0]) == {"good": 1, "bad": 2}
    turns = [{"role": "user", "content": "p"}, {"role": "assistant", "content": "x"}]
    (record,) = read(jsonl({"messages": turns, "label": False}), kind="completions")
    assert (record.messages, record.completions[0].score) == (({"role": "user", "content": "p"},), 0.0)


def test_trl_s_conversational_kto():
    row = {
        "prompt": [{"role": "user", "content": "p"}],
        "completion": [{"role": "assistant", "content": "x"}],
    }
    (record,) = read(jsonl({**row, "label": True}), kind="completions")
    assert record.completions[0].text == "x"


def test_a_label_of_another_row_must_be_true_or_false():
    error = refusal(jsonl(kto("p", "a", True), kto("p", "b", "science")), kind="completions")
    assert (error.row, error.field) == (2, "label")


def test_a_label_that_is_a_category_makes_no_kto():
    (record,) = read(jsonl(kto("p", "a", "science")), kind="completions")
    assert record.metadata == {"label": "science"}


# --- Scores -----------------------------------------------------------------------------------------------
def test_scores_rank_the_answers_of_a_prompt_and_equal_scores_tie():
    rows = [
        {"prompt": "p", "response": t, "score": s} for t, s in (("a", 2), ("b", 4.5), ("c", 2), ("d", -1))
    ]
    (record,) = read(jsonl(*rows), kind="comparisons")
    assert ranks(record) == {"a": 2, "b": 1, "c": 2, "d": 3}


def test_a_text_that_was_scored_twice_has_the_mean():
    rows = [{"prompt": "p", "response": t, "rating": s} for t, s in (("a", 1), ("b", 2), ("a", 5))]
    (record,) = read(jsonl(*rows), kind="comparisons")
    assert ranks(record) == {"a": 1, "b": 2}  # 3 against 2


def test_more_answers_than_a_ranking_holds_are_split_evenly():
    rows = [{"prompt": "p", "response": str(n), "score": n} for n in range(20)]
    records = read(jsonl(*rows), kind="comparisons")
    assert [len(record.completions) for record in records] == [6, 7, 7]
    assert [c.text for record in records for c in record.completions] == [str(n) for n in range(20)]
    assert ranks(records[0])["5"] == 1


@pytest.mark.parametrize("score", ["NaN", "inf", "good", None, True])
def test_a_score_must_be_a_finite_number(score):
    good = {"prompt": "p", "response": "a", "score": 1}
    error = refusal(jsonl(good, {"prompt": "p", "response": "b", "score": score}), kind="completions")
    assert (error.row, error.field) == (2, "score")


def test_answers_to_group_are_bounded():
    rows = [{"prompt": "p", "response": str(n), "score": n} for n in range(20)]
    error = refusal(jsonl(*rows), kind="completions", limits=Limits(max_grouped_characters=5_000))
    assert "characters of answers to group" in str(error)


def test_the_first_rows_alone_are_no_reason_to_refuse():
    rows = [kto(f"prompt {n % 2}", str(n), True) for n in (0, 1, 2, 4, 3)]
    assert (
        len(read(jsonl(*rows), kind="comparisons", most_rows=4)) == 1
    )  # of prompt 1 only one answer was seen
    assert len(read(jsonl(*rows), kind="comparisons")) == 2


# --- Answers side by side ---------------------------------------------------------------------------------
VOTED = {
    "question": "Which yeast?",
    "answers": [
        {"text": "Ale", "pm_score": 3},
        {"text": "Lager", "pm_score": 7, "selected": False},
        {"text": "Wild", "pm_score": 3, "selected": True},
    ],
}


def test_answers_are_ranked_by_their_votes_with_ties():
    assert ranks(read(jsonl(VOTED), kind="comparisons")[0]) == {"Lager": 1, "Ale": 2, "Wild": 2}
    assert detected(jsonl(VOTED)).kinds[0] == "completions"


def test_the_accepted_answer_is_the_demonstration_else_the_best():
    assert read(jsonl(VOTED))[0].text == "Wild"
    without = {**VOTED, "answers": VOTED["answers"][:2]}
    assert read(jsonl(without))[0].text == "Lager"


def test_columns_of_several_models_wait_to_be_ranked():
    table = b"question,GPT_response,GPT_harmful,Claude_response\nq,one,0,two\nr,,,three\n"
    first, second = read(table, "a.csv", "completions")
    assert [(c.text, c.generator) for c in first.completions] == [("one", "GPT"), ("two", "Claude")]
    assert (first.tiers, first.metadata) == (None, {"GPT_harmful": "0"})
    assert [c.text for c in second.completions] == ["three"]


def test_right_solutions_come_before_wrong_ones():
    row = {
        "question": "q",
        "ground_truth": "4",
        "big": {"solution": "4", "is_correct": True},
        "small": {"solution": "5", "is_correct": False},
    }
    (record,) = read(jsonl(row), kind="comparisons")
    assert ranks(record) == {"4": 1, "5": 2}
    assert [c.generator for c in record.completions] == ["big", "small"]


def test_a_judge_s_order_with_gaps_and_ties():
    held = {"question": "q", "answers": ["a", "b", "c"], "model_ids": ["x", "y", "z"]}
    row = {"order": [2, 4, 2], "answer_ids": ["1", "2", "3"], "metadata": held, "text": "why", "lang": "zh"}
    (record,) = read(jsonl(row), kind="comparisons")
    assert (ranks(record), record.language) == ({"a": 1, "b": 2, "c": 1}, "zh")


def preference(**changes):
    row = {
        "input": {"messages": [{"role": "user", "content": "p"}], "tools": [], "parallel_tool_calls": True},
        "preferred_output": [{"role": "assistant", "content": "good"}],
        "non_preferred_output": [{"role": "assistant", "content": "bad"}],
    }
    return jsonl(row | changes)


def test_openai_s_preference_pairs():
    (record,) = read(preference(), kind="comparisons")
    assert (ranks(record), record.messages[0]["content"]) == ({"good": 1, "bad": 2}, "p")
    assert detected(preference()).shape == "OpenAI preference"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"preferred_output": "good"}, "preferred_output"),
        ({"non_preferred_output": [{"role": "assistant", "content": "good"}]}, "non_preferred_output"),
        ({"input": "p"}, "input"),
        ({"input": {"messages": [{"role": "user", "content": "p"}], "tools": [{}]}}, "input.tools"),
    ],
)
def test_a_faulty_openai_preference_names_its_field(change, field):
    assert refusal(preference(**change), kind="comparisons").field == field


def test_a_named_model_s_outputs_are_completions_first():
    row = {"instruction": "i", "output": "o", "generator": "g", "dataset": "d"}
    assert detected(jsonl(row)).kinds[0] == "completions"


def test_dialogues_with_speakers_are_demonstrations():
    turns = [{"speaker": "USER", "utterance": "hi"}, {"speaker": "SYSTEM", "utterance": "Hello."}]
    (record,) = read(jsonl({"dialogue_id": "1", "turns": turns}))
    assert (record.messages, record.text) == (({"role": "user", "content": "hi"},), "Hello.")


# --- Trees ------------------------------------------------------------------------------------------------
def message(text, role, *replies, **more):
    return {"message_id": text, "text": text, "role": role, "replies": list(replies), **more}


TREE = {
    "message_tree_id": "t",
    "prompt": message(
        "Q", "prompter",
        message("good", "assistant", message("More?", "prompter", message("Yes.", "assistant")), rank=0),
        message("bad", "assistant", rank=2),
        message("fine", "assistant", rank=1),
        message("gone", "assistant", message("Why?", "prompter"), rank=3, deleted=True),
    ),
}  # fmt: skip


def test_ranked_replies_of_a_tree_are_a_ranking():
    (record,) = read(jsonl(TREE), kind="comparisons")
    assert ranks(record) == {"good": 1, "fine": 2, "bad": 3}
    assert record.metadata == {"message_tree_id": "t"}


def test_a_tree_s_best_replies_are_demonstrations_with_the_path_before_them():
    first, second = read(jsonl(TREE))
    assert (first.text, len(first.messages)) == ("good", 1)
    assert (second.text, [m["content"] for m in second.messages]) == ("Yes.", ["Q", "good", "More?"])


def test_a_tree_s_unranked_replies_wait_to_be_ranked():
    ranked, waiting = read(jsonl(TREE), kind="completions")
    assert ranked.tiers is not None
    assert (waiting.tiers, [c.text for c in waiting.completions]) == (None, ["Yes."])


def test_each_message_of_a_prompter_is_a_prompt_but_not_after_a_deleted_one():
    assert [r.messages[-1]["content"] for r in read(jsonl(TREE), kind="prompts")] == ["Q", "More?"]


def test_a_tree_without_what_was_asked_for_is_a_fault_of_its_row():
    lonely = {"message_tree_id": "u", "prompt": message("Q", "prompter")}
    error = refusal(jsonl(TREE, lonely), kind="comparisons")
    assert (error.row, "two ranked replies" in str(error)) == (2, True)


def flat(*rows):
    keys = ("message_id", "parent_id", "text", "role", "rank")
    return json.dumps([dict(zip(keys, row, strict=True)) for row in rows]).encode()


FLAT = (
    ("b", "a", "bad", "assistant", 1),
    ("a", None, "Q", "prompter", None),
    ("c", "a", "good", "assistant", 0),
)


def test_a_flat_list_of_messages_is_the_same_tree_in_any_order():
    (record,) = read(flat(*FLAT), "a.json", "comparisons")
    assert (ranks(record), record.row) == ({"good": 1, "bad": 2}, 2)


@pytest.mark.parametrize(
    ("rows", "row", "piece"),
    [
        ((*FLAT, ("d", "nobody", "lost", "assistant", None)), 4, "not in the file"),
        ((*FLAT, ("d", "e", "x", "assistant", None), ("e", "d", "y", "prompter", None)), 4, "in a circle"),
        ((*FLAT, ("a", None, "again", "prompter", None)), 4, "there twice"),
        ((*FLAT, ("d", "a", "me too", "prompter", None)), 4, "two turns of one speaker"),
        ((*FLAT, ("d", "a", "x", "robot", None)), 4, "unknown role"),
    ],
)
def test_a_faulty_message_names_its_row(rows, row, piece):
    error = refusal(flat(*rows), "a.json", "comparisons")
    assert (error.row, piece in str(error)) == (row, True)


def test_a_very_long_thread_meets_the_limit_and_not_the_stack():
    rows = [
        (str(n), str(n - 1) if n else None, "x", ("prompter", "assistant")[n % 2], None) for n in range(3_000)
    ]
    error = refusal(flat(*rows), "a.json")
    assert f"more than {DEFAULT_LIMITS.max_messages:,} messages" in str(error)


# --- Mapping ----------------------------------------------------------------------------------------------
MAPPED = {
    "KTO": ("completions", kto("p", "a", True)),
    "a score": ("completions", {"prompt": "p", "completion": "a", "score": 3, "generator": "g"}),
    "votes": ("comparisons", VOTED),
    "OpenAI preference": ("comparisons", json.loads(preference())),
    "chosen and rejected": ("comparisons", {"prompt": "p", "chosen": "a", "rejected": "b", "margin": 1}),
    "a preference": ("comparisons", {"prompt": "p", "answer_a": "a", "answer_b": "b", "preference": "tie"}),
    "outputs": ("comparisons", {"instruction": "i", "output_1": "a", "output_2": "b", "preference": 1}),
    "ranks": ("completions", {"prompt": "p", "completions": ["a", "b"], "ranks": [2, 1], "margins": [1]}),
    "a demonstration": ("demonstrations", {"instruction": "i", "input": "x", "output": "o", "system": "s"}),
    "messages": ("demonstrations", {"messages": [{"role": "user", "content": "p"}, {"role": "assistant",
                 "content": "a"}], "category": "c", "language": "de"}),
    "a prompt": ("prompts", {"prompt": "p", "system": "s"}),
}  # fmt: skip


@pytest.mark.parametrize("shape", MAPPED)
def test_columns_of_any_name_are_read_once_they_are_mapped(shape):
    kind, row = MAPPED[shape]
    strange = {f"Spalte {number}": value for number, value in enumerate(row.values())}
    mapping = dict(zip(row, strange, strict=True))
    assert read(jsonl(strange), kind=kind, columns=mapping) == read(jsonl(row), kind=kind)


def test_what_the_page_offers_to_map_is_read_by_some_shape():
    from labeling.formats.shapes import known_fields
    from labeling.services.import_preview import MAPPABLE_FIELDS

    assert {name for names in MAPPABLE_FIELDS.values() for name in names} <= known_fields() | {"ranking"}

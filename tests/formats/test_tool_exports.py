"""Formats named after tools: what is written by hand arithmetic, and read back where we read it ourselves."""

import io
import json

import pytest
from hypothesis import given, settings

from labeling.formats import EXPORT_FORMATS, ExportError, comparison_row, prompt_row, sft_row, write_rows
from labeling.formats.chat import as_prompt

from .held import answered
from .test_exports_round_trip import PLAIN, TEXT, back, conversation, rankings, turns

SYSTEM = {"role": "system", "content": "Be brief."}


def written(format, *rows, **marks):
    stream = io.BytesIO()
    summary = write_rows(rows, format, stream, marks=marks)
    lines = stream.getvalue().splitlines()
    if EXPORT_FORMATS[format].extension == "jsonl":
        return [json.loads(line) for line in lines], summary
    return [line.decode() for line in lines], summary


def demonstration(messages=None, answer="Paris."):
    return sft_row(id="d", prompt_id="p", messages=messages or turns("Capital?"), answer=answer, source={})


def ranking(ranks, messages=None, margins=None, answers=None, texts="abcd"):
    """Completions a, b, c, d with ids 0, 1, 2, 3."""
    completions = [
        {"id": str(n), "text": text, "generator": "m"} for n, text in enumerate(texts[: len(ranks)])
    ]
    source = {"answers": {"completions": answers}} if answers else {}
    return comparison_row(
        id="r",
        prompt_id="p",
        messages=messages or turns("Which?"),
        completions=completions,
        ranks=ranks,
        margins=margins,
        source=source,
    )


def content(value):
    return value[0]["content"]


# --- Demonstrations ---------------------------------------------------------------------------------------
def test_legacy_prompts_end_and_completions_begin_and_end_as_chosen():
    rows, _ = written("openai_legacy", demonstration())
    assert rows == [{"prompt": "Capital?\n\n###\n\n", "completion": " Paris. END"}]
    rows, _ = written("openai_legacy", demonstration(), separator=" ->", leading_space=False, stop="\n")
    assert rows == [{"prompt": "Capital? ->", "completion": "Paris.\n"}]


def test_legacy_leaves_out_what_its_marks_would_cut():
    rows = (
        demonstration(answer="The END"),
        demonstration(turns("a -> b")),
        demonstration([SYSTEM, *turns("a")]),
        demonstration(turns("a", "b", "c")),
    )
    found, summary = written("openai_legacy", *rows, separator=" ->")
    assert found == []
    assert sorted(map(len, summary.left_out)) != []
    assert (summary.read, sum(summary.left_out.values()), len(summary.left_out)) == (4, 4, 4)


def test_what_cannot_be_chosen_is_refused_by_name():
    with pytest.raises(ExportError, match="openai_legacy has no 'end' to choose; it has: separator"):
        written("openai_legacy", demonstration(), end="x")
    with pytest.raises(ExportError, match="leading_space must be of type bool"):
        written("openai_legacy", demonstration(), leading_space="yes")
    with pytest.raises(ExportError, match="messages has no 'stop' to choose; it has: nothing"):
        written("messages", demonstration(), stop="x")


def test_sharegpt_alpaca_and_trees_by_hand():
    row = demonstration([SYSTEM, *turns("Capital?")])
    assert written("sharegpt", row)[0][0]["conversations"] == [
        {"from": "system", "value": "Be brief."},
        {"from": "human", "value": "Capital?"},
        {"from": "gpt", "value": "Paris."},
    ]
    assert written("alpaca", demonstration())[0] == [
        {"instruction": "Capital?", "input": "", "output": "Paris."}
    ]
    [tree] = written("oasst", demonstration(turns("a", "b", "c")))[0]
    node, seen = tree["prompt"], []
    while node:
        seen.append((node["role"], node["text"]))
        node = node["replies"][0] if node["replies"] else None
    assert seen == [("prompter", "a"), ("assistant", "b"), ("prompter", "c"), ("assistant", "Paris.")]
    assert (tree["message_tree_id"], tree["tree_state"]) == ("d-0", "ready_for_export")
    assert written("oasst", row)[1].left_out  # trees have no system message


@pytest.mark.parametrize(
    ("format", "how"),
    [("alpaca", {"single": True}), ("sharegpt", {}), ("prompt_response_tsv", {"single": True})],
)
def test_demonstrations_come_back(format, how):
    is_table = format.endswith("tsv")

    @settings(max_examples=30, deadline=None)
    @given(conversation(PLAIN if is_table else TEXT, **how), PLAIN if is_table else TEXT)
    def check(messages, answer):
        stream = io.BytesIO()
        row = sft_row(id="d", prompt_id="p", messages=messages, answer=answer, source={})
        summary = write_rows([row], format, stream)
        texts = [answer, *(m["content"] for m in messages)]
        if is_table and any("\t" in text or text.splitlines() != [text] for text in texts):
            assert summary.written == 0 or all(
                "\t" not in t and "\n" not in t and "\r" not in t for t in texts
            )
            return
        [record] = back(stream, format, "demonstrations")
        assert (list(record.messages), record.text) == (messages, answer)

    check()


# --- Rankings ---------------------------------------------------------------------------------------------
def test_kto_is_best_and_last_and_nothing_between():
    rows, _ = written("kto", ranking([1, 2, 3, 1]))
    assert [(content(row["completion"]), row["label"]) for row in rows] == [
        ("a", True),
        ("d", True),
        ("c", False),
    ]
    assert written("kto", ranking([1, 1]))[1].left_out


@pytest.mark.parametrize("format", ["kto", "kto_messages"])
def test_a_text_that_is_both_best_and_last_is_in_neither_half(format):
    """Masks and people make texts equal; who learnt from both labels of one text would learn nothing."""
    row = ranking([1, 1, 2, 2])
    for index, text in enumerate(["same", "good", "same", "bad"]):
        row["completions"][index]["text"] = text
    rows, stream = written(format, row)[0], io.BytesIO()
    assert [(content(each.get("completion") or each["messages"][-1:]), each["label"]) for each in rows] == [
        ("good", True),
        ("bad", False),
    ]
    write_rows([row], format, stream)
    stream.seek(0)
    [record] = back(stream, format, "comparisons")
    assert [each.text for each in record.completions] == ["good", "bad"]
    row["completions"][1]["text"] = "same"
    assert written(format, row)[1].left_out == {"the best and the last are the same text": 1}


def test_pointwise_is_the_share_beaten_by_hand():
    """1, 2, 2, unrankable: the first beats both; the second ties one of two and loses to the first."""
    answers = {"0": {"overall": 7}}
    rows, _ = written("pointwise", ranking([1, 2, 2, None], answers=answers))
    assert [(content(row["completion"]), row["score"]) for row in rows] == [
        ("a", 1.0),
        ("b", 0.25),
        ("c", 0.25),
    ]
    assert [row.get("answers") for row in rows] == [{"overall": 7}, None, None]


def test_ties_are_kept_where_the_format_says_so():
    rows, _ = written("pairs_with_ties", ranking([2, 1, 2, None]))
    assert [(row["response_a"], row["response_b"], row["preference"]) for row in rows] == [
        ("a", "b", "b"),
        ("a", "c", "tie"),
        ("b", "c", "a"),
    ]
    evaluated, _ = written("alpaca_eval", ranking([2, 1, 2, None]))
    assert [row["preference"] for row in evaluated] == [2, 0, 1]


def test_pairs_of_openai_and_of_trl_have_the_better_one_first():
    [row] = written("openai_preference", ranking([2, 1]))[0]
    assert (content(row["preferred_output"]), content(row["non_preferred_output"])) == ("b", "a")
    assert row["input"]["messages"] == turns("Which?")
    [row] = written("preference_implicit", ranking([2, 1], margins=[0.5]))[0]
    assert row == {
        "chosen": [*turns("Which?"), {"role": "assistant", "content": "b"}],
        "rejected": [*turns("Which?"), {"role": "assistant", "content": "a"}],
        "margin": 0.5,
    }


def test_kwise_keeps_ranks_margins_and_flags_in_one_order():
    row = ranking([2, 1, None], margins=[1.0], answers={"1": {"harmful": True}})
    [out] = written("kwise_ranks", row)[0]
    assert (out["ranks"], out["margins"]) == ([2, 1, None], [1.0])
    assert out["flags"] == [{}, {"harmful": True}, {}]


def test_trees_and_votes_by_hand():
    [tree] = written("oasst_ranked", ranking([2, 1, None]))[0]
    assert [(r["text"], r.get("rank")) for r in tree["prompt"]["replies"]] == [
        ("a", 1),
        ("b", 0),
        ("c", None),
    ]
    [row] = written("stackexchange", ranking([3, 1, 2, None]))[0]
    assert [(a["text"], a["pm_score"]) for a in row["answers"]] == [("a", 0), ("b", 2), ("c", 1)]
    assert row["question"] == "Which?"


@settings(max_examples=30, deadline=None)
@given(rankings(TEXT))
def test_kwise_ranks_come_back(row):
    stream = io.BytesIO()
    write_rows([row], "kwise_ranks", stream)
    [record] = back(stream, "kwise_ranks", "comparisons")
    assert (list(record.messages), record.ranks) == (row["messages"], row["ranks"])
    assert [c.text for c in record.completions] == [c["text"] for c in row["completions"]]


@pytest.mark.parametrize(
    "format", ["pairs_with_ties", "alpaca_eval", "preference_implicit", "preference_tsv"]
)
def test_pairs_come_back(format):
    row = ranking([2, 1, 2, None])
    stream = io.BytesIO()
    write_rows([row], format, stream)
    records = back(stream, format, "comparisons")
    better = [
        ("tie" if record.tiers == ((0, 1),) else [record.completions[tier[0]].text for tier in record.tiers])
        for record in records
    ]
    with_ties = [["b", "a"], "tie", ["b", "c"]]
    assert better == (with_ties if format in ("pairs_with_ties", "alpaca_eval") else [["b", "a"], ["b", "c"]])
    assert all(list(record.messages) == row["messages"] for record in records)


# --- Prompts ----------------------------------------------------------------------------------------------
def test_a_line_is_a_prompt_and_what_has_line_breaks_is_left_out():
    rows = [prompt_row(id=t, prompt_id=t, messages=turns(t)) for t in ("one", "t\two", "a\nb", "a\u2028b")]
    lines, summary = written("prompts_text", *rows)
    assert lines == ["one", "t\two"]
    assert sum(summary.left_out.values()) == 2
    stream = io.BytesIO("\n".join(lines).encode())
    found = back(stream, "prompts_text", "prompts")
    assert [as_prompt(record.messages, "x")[0]["content"] for record in found] == lines


def test_every_format_says_what_it_is_and_every_row_of_its_kind_is_written_or_counted():
    rows = {
        "sft": [demonstration(), demonstration([SYSTEM, *turns("a", "b", "c")])],
        "comparison": [ranking([1, 2, 2, None]), ranking([1, 1], [SYSTEM, *turns("a", "b", "c")])],
        "prompts": [prompt_row(id="p", prompt_id="p", messages=turns("a"))],
        "completions": [answered(turns("a"))],
    }
    for name, export in EXPORT_FORMATS.items():
        for kind in export.kinds:
            summary = write_rows(rows[kind], name, io.BytesIO())
            assert summary.read == len(rows[kind])
            assert summary.written > 0, name

"""Each shape of row that tools write becomes the record it stands for."""

import pytest

from labeling.formats import CompletionRecord
from labeling.formats.shapes.rankings import debate_prompt
from tests.formats.making import jsonl, read, refusal

USER = {"role": "user", "content": "Hi"}
BOT = {"role": "assistant", "content": "Hello."}
SYSTEM = {"role": "system", "content": "Be brief."}


def texts(messages):
    return [(m["role"], m["content"]) for m in messages]


DEMONSTRATIONS = [
    ({"prompt": "Hi", "completion": "Hello."}, [USER]),
    ({"prompt": "Hi", "response": "Hello."}, [USER]),
    ({"prompt": "Hi", "response": "Hello.", "system": "Be brief."}, [SYSTEM, USER]),
    ({"prompt": [SYSTEM, USER], "completion": [BOT]}, [SYSTEM, USER]),
    ({"instruction": "Hi", "input": "", "output": "Hello."}, [USER]),
    ({"instruction": "Hi", "output": "Hello."}, [USER]),
    ({"instruction": "Hi", "input": "you", "response": "Hello."}, [{"role": "user", "content": "Hi\n\nyou"}]),
    ({"question": "Hi", "answer": "Hello."}, [USER]),
    ({"messages": [USER, BOT]}, [USER]),
    ({"messages": [SYSTEM, USER, BOT, USER, BOT]}, [SYSTEM, USER, BOT, USER]),
    (
        {
            "messages": [
                {**USER, "content": [{"type": "text", "text": "H"}, {"type": "text", "value": "i"}]},
                BOT,
            ]
        },
        [USER],
    ),
    ({"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello."}]}, [USER]),
]


@pytest.mark.parametrize(("row", "prompt"), DEMONSTRATIONS)
def test_a_row_becomes_a_demonstration(row, prompt):
    (record,) = read(jsonl(row))
    assert (texts(record.messages), record.text) == (texts(prompt), "Hello.")
    assert record.metadata == {}


def test_a_seed_task_becomes_a_demonstration_for_each_of_its_instances():
    row = {"instruction": "Hi", "instances": [{"input": "a", "output": "A"}, {"input": "", "output": "B"}]}
    records = read(jsonl(row))
    assert [(r.messages[0]["content"], r.text, r.row) for r in records] == [
        ("Hi\n\na", "A", 1),
        ("Hi", "B", 1),
    ]


PROMPTS = [
    {"prompt": "Hi"},
    {"prompt": [USER]},
    {"messages": [USER]},
    {"conversations": [{"from": "human", "value": "Hi"}]},
    {"instruction": "Hi", "input": " "},
    {"question": "Hi"},
    {"text": "Hi"},
]


@pytest.mark.parametrize("row", PROMPTS)
def test_a_row_becomes_a_prompt(row):
    (record,) = read(jsonl(row), kind="prompts")
    assert texts(record.messages) == [("user", "Hi")]


def test_a_plain_text_file_is_one_prompt_a_line():
    records = read(b"first\r\n\n# second\nthird", "a.txt", "prompts")
    assert [(r.messages[0]["content"], r.row) for r in records] == [
        ("first", 1),
        ("# second", 3),
        ("third", 4),
    ]


def test_an_array_of_texts_is_a_list_of_prompts():
    assert [r.messages[0]["content"] for r in read(b'["a", "b"]', "a.json", "prompts")] == ["a", "b"]


def test_category_language_and_the_rest_are_kept():
    (record,) = read(jsonl({"prompt": "Hi", "category": "chat", "lang": "en", "source": "x"}), kind="prompts")
    assert (record.category, record.language, record.metadata) == ("chat", "en", {"source": "x"})


PAIRS = [
    {"prompt": "Hi", "chosen": "A", "rejected": "B"},
    {
        "prompt": [USER],
        "chosen": [{"role": "assistant", "content": "A"}],
        "rejected": [{"role": "assistant", "content": "B"}],
    },
    {
        "chosen": [USER, {"role": "assistant", "content": "A"}],
        "rejected": [USER, {"role": "assistant", "content": "B"}],
    },
    {
        "chosen_messages": [USER, {"role": "assistant", "content": "A"}],
        "rejected_messages": [USER, {"role": "assistant", "content": "B"}],
    },
    {
        "conversations": [{"from": "human", "value": "Hi"}],
        "chosen": {"from": "gpt", "value": "A"},
        "rejected": {"from": "gpt", "value": "B"},
    },
    {"chosen": "\n\nHuman: Hi\n\nAssistant: A", "rejected": "\n\nHuman: Hi\n\nAssistant: B"},
    {"instruction": "Hi", "input": "", "chosen": "A", "rejected": "B"},
    {
        "prompt": "Hi",
        "completions": [{"id": "b", "text": "B"}, {"id": "a", "text": "A"}],
        "ranking": [["a"], ["b"]],
    },
    {"prompt": "Hi", "completions": ["B", "A"], "ranks": [7, 2]},
    {"instruction": "Hi", "output_1": "A", "output_2": "B", "preference": 1},
    {"instruction": "Hi", "output_1": "B", "output_2": "A", "preference": 2.0},
    {"prompt": "Hi", "response_a": "B", "response_b": "A", "preference": "b"},
]


@pytest.mark.parametrize("row", PAIRS)
def test_a_row_becomes_a_pair_with_its_better_text(row):
    (record,) = read(jsonl(row), kind="comparisons")
    assert texts(record.messages) == [("user", "Hi")]
    assert [[record.completions[i].text for i in tier] for tier in record.tiers] == [["A"], ["B"]]


@pytest.mark.parametrize("preference", [0, 1.5])
def test_alpaca_eval_ties_are_ties(preference):
    row = {"instruction": "Hi", "output_1": "A", "output_2": "A", "preference": preference}
    (record,) = read(jsonl(row), kind="comparisons")
    assert record.tiers == ((0, 1),)


def test_an_alpaca_eval_pair_without_a_judgment_has_no_order():
    row = {
        "instruction": "Hi",
        "output_1": "A",
        "generator_1": "m1",
        "output_2": "B",
        "generator_2": "m2",
        "preference": None,
    }
    (record,) = read(jsonl(row), kind="comparisons")
    assert record.tiers is None
    assert record.completions == (CompletionRecord("A", "m1"), CompletionRecord("B", "m2"))


def test_a_margin_belongs_to_the_boundary():
    (record,) = read(jsonl({"prompt": "p", "chosen": "a", "rejected": "b", "margin": 3}), kind="comparisons")
    assert record.margins == (3.0,)


def test_blanks_and_line_ends_in_transcripts_are_kept_but_for_the_one_separator():
    row = {"chosen": "\n\nHuman:  Hi \n\n\nAssistant: A\n", "rejected": "\n\nHuman:  Hi \n\n\nAssistant:B "}
    (record,) = read(jsonl(row), kind="comparisons")
    assert texts(record.messages) == [("user", " Hi \n")]
    assert [c.text for c in record.completions] == ["A\n", "B "]


def test_a_debate_takes_its_prompt_from_the_name_of_its_file():
    data = b'#id\tlabel\ta1\ta2\nx_y\ta2\tone\ttwo "quoted\n'
    name = "/up/load/ban-plastic-water-bottles_no-bad-for-the-economy.csv.gz"
    (record,) = read(data, name, "comparisons")
    assert record.messages[0]["content"] == (
        "Debate: Ban plastic water bottles\nSide: No bad for the economy\n\n"
        "Give one convincing argument for this side."
    )
    assert [c.text for c in record.completions] == ['two "quoted', "one"]
    assert record.metadata == {"#id": "x_y"}


def test_a_debate_without_a_side_has_none():
    assert debate_prompt("evolution.csv").startswith("Debate: Evolution\n\n")


def test_completions_without_an_order_are_only_to_be_ranked():
    row = {"prompt": "Hi", "completions": ["A", {"id": 3, "text": "B", "generator": "m"}]}
    (record,) = read(jsonl(row), kind="completions")
    assert record.completions == (CompletionRecord("A"), CompletionRecord("B", "m", "3"))
    assert (record.tiers, record.ranks) == (None, None)


def test_unrankable_completions_are_in_no_tier():
    row = {"prompt": "Hi", "completions": ["A", "B", "C"], "ranks": [2, None, 1], "margins": [1]}
    (record,) = read(jsonl(row), kind="completions")
    assert (record.tiers, record.ranks, record.margins) == (((2,), (0,)), [2, None, 1], (1.0,))


def test_mapped_columns_stand_for_ours():
    data = b"goal,target,prompt\nHi,Hello.,other\n"
    (record,) = read(data, "a.csv", columns={"prompt": "goal", "completion": "target"})
    assert (record.messages[0]["content"], record.text) == ("Hi", "Hello.")
    assert record.metadata == {"prompt (of the file)": "other"}


def test_a_mapped_column_that_is_absent_is_named():
    error = refusal(b"goal,target\na,b\n", "a.csv", columns={"prompt": "gaol", "completion": "target"})
    assert (error.field, error.problem) == ("gaol", "missing")


@pytest.mark.parametrize("theirs", ["Question", "question"])
def test_a_column_can_be_mapped_under_its_own_name_and_under_ours(theirs):
    (record,) = read(b"Question,Reply\na,b\n", "a.csv", columns={"prompt": theirs, "completion": "Reply"})
    assert (record.messages[0]["content"], record.text) == ("a", "b")


# --- As the hub has them ----------------------------------------------------------------------------------
ASKED, SAID = {"role": "user", "content": "why?"}, {"role": "assistant", "content": "so"}
WORSE, SYSTEM = {"role": "assistant", "content": "no"}, {"role": "system", "content": "be brief"}


@pytest.mark.parametrize("before", [[], [SYSTEM], [ASKED | {"content": "first"}, SAID]])
def test_a_prompt_beside_whole_conversations_is_the_one_they_lead_to(before):
    """As ultrafeedback_binarized has it."""
    row = {"prompt": "why?", "chosen": [*before, ASKED, SAID], "rejected": [*before, ASKED, WORSE]}
    (record,) = read(jsonl(row), kind="comparisons")
    assert list(record.messages) == [*before, ASKED]
    assert [each.text for each in record.completions] == ["so", "no"]


@pytest.mark.parametrize(
    ("chosen", "rejected", "field"),
    [
        ([ASKED | {"content": "other"}, SAID], [ASKED, WORSE], "chosen"),
        ([SYSTEM, ASKED, SAID], [ASKED, WORSE], "rejected"),
        ([ASKED, SAID], [ASKED], "rejected"),
    ],
)
def test_conversations_that_lead_elsewhere_are_refused(chosen, rejected, field):
    error = refusal(jsonl({"prompt": "why?", "chosen": chosen, "rejected": rejected}), kind="comparisons")
    assert error.field == field


@pytest.mark.parametrize(
    "row",
    [
        {"messages": [ASKED, SAID], "system": "be brief"},
        {"messages": [SYSTEM, ASKED, SAID], "system": "be brief"},
        {"messages": [SYSTEM | {"role": "developer"}, ASKED, SAID]},
        {
            "conversations": [{"from": "human", "value": "why?"}, {"from": "gpt", "value": "so"}],
            "system": "be brief",
        },
        {"instruction": "why?", "input": "", "output": "so", "system": "be brief", "history": []},
    ],
)
def test_a_system_message_beside_a_conversation_begins_it(row):
    (record,) = read(jsonl(row), kind="demonstrations")
    assert (list(record.messages), record.text, record.metadata) == ([SYSTEM, ASKED], "so", {})


def test_a_second_system_message_is_refused_and_what_is_no_text_is_a_field():
    error = refusal(jsonl({"messages": [SYSTEM, ASKED, SAID], "system": "be long"}), kind="demonstrations")
    assert error.field == "system"
    (record,) = read(jsonl({"messages": [ASKED, SAID], "system": 3}), kind="demonstrations")
    assert (record.messages[0], record.metadata) == (ASKED, {"system": 3})


def test_the_history_beside_an_instruction_is_the_turns_before_it():
    row = {"instruction": "why?", "output": "so", "history": [["first", "one"]], "system": "be brief"}
    (record,) = read(jsonl(row), kind="demonstrations")
    first = [{"role": "user", "content": "first"}, {"role": "assistant", "content": "one"}]
    assert list(record.messages) == [SYSTEM, *first, ASKED] and not record.metadata
    assert refusal(jsonl(row | {"history": ["x"]}), kind="demonstrations").field == "history"

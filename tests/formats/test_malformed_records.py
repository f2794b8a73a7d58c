"""Each fault of a record is refused with its row and field: chats, pairs, rankings."""

import pytest

from tests.formats.making import jsonl, refusal

PAIR = {"prompt": "p", "chosen": "a", "rejected": "b"}
K2 = [{"id": "x", "text": "1"}, {"id": "y", "text": "2"}]
LETTERS = {"prompt": "p", "response_a": "a", "response_b": "b"}


def completions(count):
    return [{"id": f"c{n}", "text": f"text {n}"} for n in range(count)]


def ranked(count):
    return {
        "prompt": f"k{count}",
        "completions": completions(count),
        "ranking": [[f"c{n}"] for n in range(count)],
    }


def ranking(order, texts=K2):
    return {"prompt": "p", "completions": texts, "ranking": order}


def chat(*turns):
    names = {"s": "system", "u": "user", "a": "assistant"}
    return {"messages": [{"role": names.get(role, role), "content": text} for role, text in turns]}


HH = {"chosen": "\n\nHuman: Hi\n\nAssistant: Hello.", "rejected": "\n\nHuman: Hi\n\nAssistant: Go away."}

# (what it is, file name, bytes, row, field, a piece of the message)
CHATS = [
    ("chat without a user", "a.jsonl", jsonl(chat(("a", "I start."))), 1, "messages", "no user turn"),
    (
        "chat with two user turns",
        "a.jsonl",
        jsonl(chat(("u", "a"), ("u", "b"), ("a", "c"))),
        1,
        "messages",
        "two user turns in a row",
    ),
    (
        "chat with an unknown role",
        "a.jsonl",
        jsonl(chat(("u", "a"), ("robot", "x"))),
        1,
        "messages[2].role",
        "unknown role 'robot'",
    ),
    ("chat without messages", "a.jsonl", jsonl({"messages": []}), 1, "messages", "no messages"),
    (
        "chat with a late system message",
        "a.jsonl",
        jsonl(chat(("u", "a"), ("s", "late"), ("a", "b"))),
        1,
        "messages",
        "system message in the middle",
    ),
    ("chat with null content", "a.jsonl", jsonl(chat(("u", None))), 1, "messages[1].content", "not null"),
    ("chat without an answer", "a.jsonl", jsonl(chat(("u", "a"))), 1, "messages", "answer is missing"),
    (
        "chat that is no list",
        "a.jsonl",
        jsonl({"messages": {"role": "user", "content": "x"}}),
        1,
        "messages",
        "must be a list of chat messages",
    ),
    (
        "chat with a picture part",
        "a.jsonl",
        jsonl(chat(("u", [{"type": "image_url"}]), ("a", "b"))),
        1,
        "messages[1].content",
        "kind 'image_url'",
    ),
    (
        "unpaired feedback",
        "a.jsonl",
        jsonl({**chat(("u", "a"), ("a", "b")), "label": False}),
        1,
        "label",
        "not a demonstration",
    ),
]
COMPARISONS = [
    (
        "unpaired feedback",
        "a.jsonl",
        jsonl({**chat(("u", "a"), ("a", "b")), "label": True}),
        1,
        None,
        "the only answer to its prompt",
    ),
    (
        "NaN",
        "a.jsonl",
        jsonl(PAIR, '{"prompt": "p", "chosen": "a", "rejected": "b", "margin": NaN}'),
        2,
        "margin",
        "must be a finite number",
    ),
    (
        "minus infinity",
        "a.jsonl",
        jsonl(PAIR, '{"prompt": "p", "chosen": "a", "rejected": "b", "margin": -Infinity}'),
        2,
        "margin",
        "must be a finite number",
    ),
    (
        "a number beyond floats",
        "a.jsonl",
        jsonl(PAIR, '{"prompt": "p", "chosen": "a", "rejected": "b", "margin": 1e999}'),
        2,
        "margin",
        "must be a finite number",
    ),
    ("a margin below zero", "a.jsonl", jsonl({**PAIR, "margin": -1}), 1, "margin", "zero or more"),
    (
        "a margin in words",
        "a.csv",
        b"prompt,chosen,rejected,margin\np,a,b,much\n",
        1,
        "margin",
        "must be a number",
    ),
    ("NaN in a table", "a.csv", b"prompt,chosen,rejected,margin\np,a,b,nan\n", 1, "margin", "finite"),
    ("the same twice", "a.jsonl", jsonl(PAIR, {**PAIR, "rejected": "a"}), 2, "rejected", "the same text"),
    ("empty chosen", "a.jsonl", jsonl(PAIR, {**PAIR, "chosen": ""}), 2, "chosen", "empty"),
    ("blank rejected", "a.jsonl", jsonl(PAIR, {**PAIR, "rejected": "  \n\t"}), 2, "rejected", "empty"),
    ("empty prompt", "a.jsonl", jsonl(PAIR, {**PAIR, "prompt": ""}), 2, "prompt", "empty"),
    (
        "transcripts with two prompts",
        "a.jsonl",
        jsonl(HH, {**HH, "rejected": "\n\nHuman: Bye\n\nAssistant: Bye."}),
        2,
        "rejected",
        "do not share their prompt",
    ),
    (
        "transcripts without turns",
        "a.jsonl",
        jsonl(HH, {"chosen": "Hello.", "rejected": "Go."}),
        2,
        "chosen",
        "no turns",
    ),
    (
        "transcripts that end with the human",
        "a.jsonl",
        jsonl(HH, {**HH, "chosen": HH["chosen"] + "\n\nHuman: more"}),
        2,
        "chosen",
        "answer is missing",
    ),
    (
        "transcripts with an empty answer",
        "a.jsonl",
        jsonl(HH, {**HH, "chosen": "\n\nHuman: Hi\n\nAssistant:"}),
        2,
        "chosen",
        "empty",
    ),
    *(
        (
            f"preference {value!r}",
            "a.jsonl",
            jsonl({**LETTERS, "preference": "tie"}, {**LETTERS, "preference": value}),
            2,
            "preference",
            'It is "a", "b" or "tie"',
        )
        for value in ("c", 3, -1, None, "A ", 1.5, True, ["a"])
    ),
    (
        "preference 3 of two outputs",
        "a.jsonl",
        jsonl({"instruction": "p", "output_1": "a", "output_2": "b", "preference": 3}),
        1,
        "preference",
        "1 or 2",
    ),
    (
        "a preferred of two equal texts",
        "a.jsonl",
        jsonl({**LETTERS, "response_b": "a", "preference": "a"}),
        1,
        "preference",
        "equal texts",
    ),
    (
        "completions that nobody ranked",
        "a.jsonl",
        jsonl(ranked(2), {"prompt": "p", "completions": K2, "ranking": None}),
        2,
        "ranking",
        "import them as completions",
    ),
    (
        "a debate without a name",
        "_.csv",
        b"#id\tlabel\ta1\ta2\nx_y\ta1\tone\ttwo\n",
        1,
        "prompt",
        "debate is missing",
    ),
]
COMPLETIONS = [
    (
        "a question with other answers",
        "a.jsonl",
        jsonl({"question": "q", "6b": {"solution": "s"}}),
        1,
        "completions",
        "missing",
    ),
    ("unknown id", "a.jsonl", jsonl(ranked(2), ranking([["x"], ["q"]])), 2, "ranking", "unknown id q"),
    ("id left out", "a.jsonl", jsonl(ranked(2), ranking([["x"]])), 2, "ranking", "'y' is left out"),
    ("id twice", "a.jsonl", jsonl(ranked(2), ranking([["x"], ["x"], ["y"]])), 2, "ranking", "there twice"),
    (
        "one id for two",
        "a.jsonl",
        jsonl(ranked(2), ranking([["x"]], [K2[0], K2[0]])),
        2,
        "completions[2].id",
        "two completions",
    ),
    ("no order", "a.jsonl", jsonl(ranked(2), ranking([])), 2, "ranking", "empty"),
    ("empty tier", "a.jsonl", jsonl(ranked(2), ranking([["x"], [], ["y"]])), 2, "ranking", "empty tier"),
    ("order as text", "a.jsonl", jsonl(ranked(2), ranking("x>y")), 2, "ranking", "must be a list"),
    ("ids without lists", "a.jsonl", jsonl(ranked(2), ranking(["x", "y"])), 2, "ranking", "lists of ids"),
    (
        "no id to refer to",
        "a.jsonl",
        jsonl(ranked(2), ranking([["x"]], [K2[0], {"text": "2"}])),
        2,
        "completions[2].id",
        "missing",
    ),
    *(
        (
            f"K = {count}",
            "a.jsonl",
            jsonl(ranked(2), ranked(9), ranked(count)),
            3,
            "completions",
            "K must be 2 to 9",
        )
        for count in (0, 1, 10)
    ),
    (
        "too few ranks",
        "a.jsonl",
        jsonl({"prompt": "p", "completions": ["a", "b"], "ranks": [1]}),
        1,
        "ranks",
        "1 ranks for 2",
    ),
    (
        "ranks in words",
        "a.jsonl",
        jsonl({"prompt": "p", "completions": ["a", "b"], "ranks": [1, "2"]}),
        1,
        "ranks",
        "numbers or null",
    ),
    (
        "nothing rankable",
        "a.jsonl",
        jsonl({"prompt": "p", "completions": ["a", "b"], "ranks": [None, None]}),
        1,
        "ranks",
        "nothing is ranked",
    ),
    (
        "margins that do not fit",
        "a.jsonl",
        jsonl({"prompt": "p", "completions": ["a", "b"], "ranks": [1, 2], "margins": [1, 2]}),
        1,
        "margins",
        "list of 1",
    ),
    (
        "too many completions",
        "a.jsonl",
        jsonl({"prompt": "p", "completions": ["a"] * 65}),
        1,
        "completions",
        "1 to 64",
    ),
    (
        "an empty completion",
        "a.jsonl",
        jsonl({"prompt": "p", "completions": ["a", ""]}),
        1,
        "completions[2]",
        "empty",
    ),
    (
        "a completion without text",
        "a.jsonl",
        jsonl({"prompt": "p", "completions": [{"id": 1}]}),
        1,
        "completions[1].text",
        "missing",
    ),
]
CASES = [
    pytest.param(kind, *case[1:], id=f"{kind}: {case[0]}")
    for kind, cases in (("demonstrations", CHATS), ("comparisons", COMPARISONS), ("completions", COMPLETIONS))
    for case in cases
]


@pytest.mark.parametrize(("kind", "name", "data", "row", "field", "piece"), CASES)
def test_a_faulty_record_is_refused_with_its_row_and_field(kind, name, data, row, field, piece):
    error = refusal(data, name, kind)
    assert (error.row, error.field) == (row, field)
    assert piece in str(error)
    assert str(error).startswith(name)

"""import(export(x)) == x for all that a format can hold; what it cannot hold is left out and counted."""

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labeling.formats import (
    EXPORT_FORMATS,
    CompletionRecord,
    ExportError,
    comparison_row,
    export_lines,
    formats_for,
    pairs_from_ranks,
    prompt_row,
    read_file,
    sft_row,
    write_rows,
)

# Any text that can be stored: no NUL, no lone surrogates, not blank.
TEXT = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=40
).filter(lambda text: not text.isspace())
# As above, but as the first half of a table's cell: nothing that a spreadsheet would run.
PLAIN = TEXT.filter(lambda text: not text.lstrip(" ").startswith(tuple("=+-@\t\r\n＝＋－＠")))


def conversation(text, *, single=False):
    def build(system, turns):
        roles = ["user", "assistant"] * len(turns)
        messages = [{"role": r, "content": t} for r, t in zip(roles, turns, strict=False)]
        return ([{"role": "system", "content": system}] if system else []) + messages

    counts = [1] if single else [1, 3, 5]
    turns = st.sampled_from(counts).flatmap(lambda n: st.lists(text, min_size=n, max_size=n))
    return st.builds(build, st.one_of(st.none(), text), turns)


def rankings(text, **how):
    def build(messages, texts, data):
        ranks, margins = data
        completions = [{"id": f"c{n}", "text": t, "generator": "m"} for n, t in enumerate(texts)]
        levels = len({rank for rank in ranks if rank is not None})
        return comparison_row(
            id="r",
            prompt_id="p",
            messages=messages,
            completions=completions,
            ranks=ranks,
            source={},
            margins=margins[: levels - 1] if margins is not None else None,
        )

    def orders(size):
        ranks = st.lists(st.one_of(st.none(), st.integers(1, 4)), min_size=size, max_size=size).filter(any)
        margins = st.one_of(st.none(), st.lists(st.floats(0, 9), min_size=8, max_size=8))
        return st.tuples(ranks, margins)

    texts = st.lists(text, min_size=2, max_size=5, unique=True)
    return texts.flatmap(lambda t: st.builds(build, conversation(text, **how), st.just(t), orders(len(t))))


def export(rows, format):
    stream = io.BytesIO()
    return stream, write_rows(rows, format, stream)


def back(stream, format, kind):
    return list(read_file(stream, filename=f"x.{EXPORT_FORMATS[format].extension}", kind=kind))


@pytest.mark.parametrize(
    ("format", "text", "how"),
    [
        ("messages", TEXT, {}),
        ("canonical", TEXT, {}),
        ("prompt_response", TEXT, {"single": True}),
        ("prompt_completion", TEXT, {"single": True}),
        ("prompt_response_csv", PLAIN, {"single": True}),
        ("prompt_completion_csv", PLAIN, {"single": True}),
    ],
)
def test_demonstrations_come_back_as_they_were(format, text, how):
    @settings(max_examples=40, deadline=None)
    @given(st.lists(st.tuples(conversation(text, **how), text), min_size=1, max_size=4))
    def check(pairs):
        rows = [sft_row(id="d", prompt_id="p", messages=m, answer=a, source={}) for m, a in pairs]
        stream, summary = export(rows, format)
        assert [(list(r.messages), r.text) for r in back(stream, format, "demonstrations")] == pairs
        assert (summary.written, summary.left_out) == (len(pairs), {})

    check()


@pytest.mark.parametrize(
    ("format", "text", "how"),
    [("prompts", TEXT, {}), ("canonical", TEXT, {}), ("prompts_csv", PLAIN, {"single": True})],
)
def test_prompts_come_back_as_they_were(format, text, how):
    @settings(max_examples=40, deadline=None)
    @given(st.lists(conversation(text, **how), min_size=1, max_size=4))
    def check(prompts):
        stream, _ = export([prompt_row(id="p", prompt_id="p", messages=m) for m in prompts], format)
        assert [list(r.messages) for r in back(stream, format, "prompts")] == prompts

    check()


@pytest.mark.parametrize("format", ["kwise", "canonical"])
def test_rankings_come_back_as_they_were(format):
    @settings(max_examples=40, deadline=None)
    @given(rankings(TEXT))
    def check(row):
        stream, _ = export([row], format)
        (record,) = back(stream, format, "comparisons")
        assert list(record.messages) == row["messages"]
        assert record.completions == tuple(
            CompletionRecord(c["text"], "m", c["id"]) for c in row["completions"]
        )
        assert record.ranks == row["ranks"]
        assert record.margins == (None if row["margins"] is None else tuple(row["margins"]))

    check()


@pytest.mark.parametrize(
    ("format", "text", "how"),
    [
        ("preference", TEXT, {"single": True}),
        ("preference_messages", TEXT, {}),
        ("preference_csv", PLAIN, {"single": True}),
    ],
)
def test_pairs_come_back_with_their_margins(format, text, how):
    @settings(max_examples=40, deadline=None)
    @given(rankings(text, **how).filter(lambda row: any(pairs_from_ranks(row["ranks"]))))
    def check(row):
        stream, summary = export([row], format)
        records = back(stream, format, "comparisons")
        texts = [c["text"] for c in row["completions"]]
        expected = [(texts[i], texts[j]) for i, j in pairs_from_ranks(row["ranks"])]
        assert [tuple(c.text for c in r.completions) for r in records] == expected
        assert all(list(r.messages) == row["messages"] and r.tiers == ((0,), (1,)) for r in records)
        assert all((r.margins is None) == (row["margins"] is None) for r in records)
        assert summary.written == len(expected)

    check()


@settings(max_examples=80, deadline=None)
@given(rankings(st.one_of(TEXT, st.sampled_from(["a\n\nHuman: b", "\n\nAssistant: x", "Human: y"]))))
def test_transcripts_come_back_as_they_were_or_are_left_out(row):
    stream, summary = export([row], "hh")
    texts = [m["content"] for m in row["messages"]] + [c["text"] for c in row["completions"]]
    pairs = list(pairs_from_ranks(row["ranks"]))
    is_held = row["messages"][0]["role"] != "system" and not any(
        mark in text for text in texts for mark in ("\n\nHuman:", "\n\nAssistant:")
    )
    if not pairs or not is_held:
        assert summary.written == 0 or not all(
            mark not in text for text in texts for mark in ("\n\nHuman:", "\n\nAssistant:")
        )
        return
    records = back(stream, "hh", "comparisons")
    assert [tuple(c.text for c in r.completions) for r in records] == [
        (row["completions"][i]["text"], row["completions"][j]["text"]) for i, j in pairs
    ]
    assert all(list(r.messages) == row["messages"] for r in records)


def turns(*texts):
    return [{"role": r, "content": t} for r, t in zip(["user", "assistant"] * 3, texts, strict=False)]


def test_several_turns_are_left_out_of_flat_formats_and_counted():
    rows = [
        sft_row(id="1", prompt_id="1", messages=turns("a"), answer="b", source={}),
        sft_row(id="2", prompt_id="2", messages=turns("a", "b", "c"), answer="d", source={}),
    ]
    stream, summary = export(rows, "prompt_response")
    assert stream.getvalue() == b'{"prompt":"a","response":"b"}\n'
    assert (summary.read, summary.written) == (2, 1)
    assert list(summary.left_out.values()) == [1]
    assert "several turns" in next(iter(summary.left_out))


def test_equal_texts_make_no_pair():
    completions = [{"id": "a", "text": "same"}, {"id": "b", "text": "same"}, {"id": "c", "text": "other"}]
    row = comparison_row(
        id="r", prompt_id="p", messages=turns("q"), completions=completions, ranks=[1, 2, 3], source={}
    )
    assert export([row], "preference")[1].written == 2


def test_lines_are_written_as_rows_arrive():
    def rows():
        yield prompt_row(id="1", prompt_id="1", messages=turns("a"))
        raise RuntimeError("the second row was asked for too early")

    assert next(export_lines(rows(), "prompts")) == b'{"messages":[{"content":"a","role":"user"}]}\n'


def test_a_row_of_another_kind_is_refused():
    with pytest.raises(ExportError, match="row 1 is not a canonical row of comparison"):
        export([prompt_row(id="1", prompt_id="1", messages=turns("a"))], "kwise")


def test_an_unknown_format_is_refused_with_the_known_ones():
    with pytest.raises(ExportError, match="canonical, messages"):
        export([], "xlsx")


def test_each_kind_has_its_formats():
    assert [fmt.name for fmt in formats_for("prompts")] == [
        "canonical",
        "prompts",
        "prompts_csv",
        "instructions",
        "prompts_tsv",
        "prompts_text",
    ]
    assert "kwise" in [fmt.name for fmt in formats_for("comparison")]
    assert all(fmt.description and fmt.extension and fmt.media_type for fmt in EXPORT_FORMATS.values())


# --- A file's own fields beside the chosen ones -----------------------------------------------------------
def one(*lines: bytes, kind="demonstrations", name="x.jsonl", **options):
    (record,) = read_file(io.BytesIO(b"\n".join(lines)), filename=name, kind=kind, **options)
    return record


@pytest.mark.parametrize(
    ("own", "kept"),
    [
        ('"source": "book"', {"source": "web", "source (of the file)": "book"}),
        (
            '"source": "book", "source (of the file)": 1',
            {"source": "web", "source (of the file)": 1, "source (of the file) (of the file)": "book"},
        ),
        ('"source": "web"', {"source": "web"}),
        ('"source": null', {"source": "web"}),
        ('"category": "law"', {"source": "web", "category (of the file)": "art"}),
    ],
)
def test_a_field_of_the_file_is_kept_beside_a_chosen_one_of_its_name(own, kept):
    fields = '"fields": {"source": "web", "category": "art"}'
    record = one(f'{{"prompt": "p", "completion": "c", {own}, {fields}}}'.encode())
    assert record.metadata == kept
    assert record.category == ("law" if "law" in own else "art")
    cells = b'p,c,book,"{""source"": ""web""}"'
    record = one(b"prompt,completion,source,fields", cells, name="x.csv")
    assert record.metadata == {"source": "web", "source (of the file)": "book"}


def test_an_empty_chosen_field_hides_none_of_the_file():
    record = one(b'{"prompt": "p", "completion": "c", "a": 1, "fields": {"a": null, "b": ""}}')
    assert record.metadata == {"a": 1}


def test_a_field_called_left_out_stays_where_some_were():
    large = "x" * 9000
    record = one(f'{{"prompt": "p", "completion": "c", "left_out": "mine", "raw": "{large}"}}'.encode())
    assert record.metadata == {"left_out": ["raw"], "left_out (of the file)": "mine"}


def test_a_mapping_covers_nothing_up_that_is_lost():
    row = b'{"prompt": "mine", "prompt (of the file)": "other", "goal": "g", "completion": "c"}'
    record = one(row, columns={"prompt": "goal"})
    assert record.messages[0]["content"] == "g"
    assert record.metadata == {
        "prompt (of the file)": "other",
        "prompt (of the file) (of the file)": "mine",
    }


@pytest.mark.parametrize("format", ["canonical", "prompts", "prompts_csv"])
def test_chosen_fields_named_as_a_rows_own_come_back_under_their_names(format):
    names = ("id", "prompt_id", "source", "fields", "columns", "left_out", "source (of the file)", "category")
    fields = {name: f"my {name}" for name in names} | {"language": "de"}
    row = prompt_row(id="7", prompt_id="8", messages=[{"role": "user", "content": "p"}])
    stream = io.BytesIO()
    write_rows([row | {"fields": fields}], format, stream, fields=list(fields))
    stream.seek(0)
    (record,) = back(stream, format, "prompts")
    found = {**record.metadata, "category": record.category, "language": record.language}
    assert {name: found.get(name) for name in fields} == fields
    if format == "canonical":
        assert found["id (of the file)"] == "7"

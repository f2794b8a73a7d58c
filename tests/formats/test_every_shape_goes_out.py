"""Every shape that is read is also written, or docs/formats.md says why not; what is written comes back."""

from __future__ import annotations

import io
import itertools
import re

import pytest

from labeling.formats import (
    DATASET_KINDS,
    EXPORT_FORMATS,
    FORMATS,
    ExportError,
    FormatError,
    comparison_row,
    completions_row,
    group_completions,
    prompt_row,
    read_file,
    sft_row,
    write_rows,
)
from labeling.formats.parquet_out import write_shards
from labeling.formats.shapes import SHAPES, choose_shape
from labeling.formats.writing import encoded_rows

from .test_docs import DOC

KIND_OF = {
    "sft": "demonstrations",
    "comparison": "comparisons",
    "prompts": "prompts",
    "completions": "completions",
}
# (shape, kind it is read as): formats that write it.
WRITTEN_BY = {
    ("messages", "prompts"): ("prompts", "asked_prompts"),
    ("prompt", "prompts"): ("prompts_csv", "prompts_tsv"),
    ("text", "prompts"): ("prompts_text", "asked_prompts_text"),
    ("messages", "demonstrations"): ("messages",),
    ("ShareGPT conversations", "demonstrations"): ("sharegpt",),
    ("prompt and completion", "demonstrations"): (
        "prompt_response", "prompt_completion", "prompt_completion_messages", "prompt_response_csv",
        "prompt_completion_csv", "prompt_response_tsv", "openai_legacy",
    ),
    ("instruction, input and output", "demonstrations"): ("alpaca",),
    ("instruction", "prompts"): ("instructions",),
    ("question and answer", "demonstrations"): ("question_answer",),
    ("KTO: messages, true or false", "comparisons"): ("kto_messages",),
    ("OASST message trees", "demonstrations"): ("oasst",),
    ("OASST message trees", "comparisons"): ("oasst_ranked",),
    ("OpenAI preference", "comparisons"): ("openai_preference",),
    ("question and answers with votes", "comparisons"): ("stackexchange",),
    ("KTO: prompt, completion, true or false", "comparisons"): ("kto",),
    ("prompt, answer and score", "comparisons"): ("pointwise", "kwise_csv", "kwise_tsv"),
    ("prompt, chosen and rejected", "comparisons"): (
        "preference", "preference_messages", "preference_csv", "preference_tsv",
    ),
    ("HH transcripts or whole conversations", "comparisons"): ("hh", "preference_implicit"),
    ("two responses and a preference", "comparisons"): ("pairs_with_ties",),
    ("AlpacaEval annotations", "comparisons"): ("alpaca_eval",),
    ("K-wise ranking", "comparisons"): ("kwise", "kwise_ranks"),
    ("completions, ranked or to be ranked", "completions"): ("completions",),
    ("outputs of named models", "completions"): ("model_outputs", "completions_csv", "completions_tsv"),
}  # fmt: skip
AWKWARD = [
    "plain", "\ufeffmark first", "a\r\nb\rc\nd", "\u05e9\u05dc\u05d5\u05dd \u202ebidi\u202c \u0639\u0631",
    "\U0001f469\u200d\U0001f680 e\u0301 \u00e9", "=1+1", "'=1", "  -2", "@x", '"quoted", "', "a\tb",
    "\u2028 and \u0085", "\u202e", "nul-free \x01\x7f", " blanks around ", "[list]", '{"a": 1}',
    "\uffff\U0010ffff", "<|endoftext|>", "a;b,c", "Human: no", "\uff1d1", "'", "''",
]  # fmt: skip


def user(text):
    return [{"role": "user", "content": text}]


def rows_of(kind):
    """A row for each awkward text, which stands in its prompt and in each answer."""
    for number, text in enumerate(AWKWARD):
        name, messages = f"r{number}", user(f"{text}")
        if kind == "prompts":
            yield prompt_row(id=name, prompt_id=name, messages=messages)
        elif kind == "sft":
            yield sft_row(id=name, prompt_id=name, messages=messages, answer=text, source={})
        else:
            texts = (text, f"{text}2", f"x{text}")
            held = [{"id": f"{name}-{n}", "text": each, "generator": f"m{n}"} for n, each in enumerate(texts)]
            if kind == "comparison":
                yield comparison_row(
                    id=name, prompt_id=name, messages=messages, completions=held, ranks=[2, 1, 2], source={}
                )
            else:
                yield completions_row(prompt_id=name, messages=messages, completions=held)


def test_every_shape_that_is_read_is_written_or_said_to_be_read_only():
    read_only = DOC.split("### Read only")[1].split("\n## ")[0].split("\n### ")[0]
    excused = set(re.findall(r"^\| (.+?) \|", read_only, flags=re.MULTILINE)) - {"Shape"}
    written = {shape for shape, _kind in WRITTEN_BY}
    assert written.isdisjoint(excused)
    assert {shape.name for shape in SHAPES} == written | (excused & {shape.name for shape in SHAPES})
    assert set(FORMATS) - {"jsonl", "json", "csv", "tsv", "text", "parquet"} <= excused


def test_every_format_but_the_canonical_one_is_in_the_table():
    written = set(itertools.chain.from_iterable(WRITTEN_BY.values()))
    assert written == set(EXPORT_FORMATS) - {"canonical"}


@pytest.mark.parametrize(
    ("shape", "kind", "format"),
    [(shape, kind, format) for (shape, kind), formats in WRITTEN_BY.items() for format in formats],
)
def test_a_format_writes_the_shape_it_is_read_as(shape, kind, format):
    [of] = EXPORT_FORMATS[format].kinds
    row = next(rows_of(of))
    values = next(iter(encoded_rows([row], format)))
    assert choose_shape(dict(values), kind).name == shape


def told(record):
    """(prompt, what was answered) of a record, whatever its kind."""
    prompt = record.messages[-1]["content"]
    if hasattr(record, "text"):
        return prompt, record.text
    return prompt, frozenset(each.text for each in getattr(record, "completions", ()))


def is_part(found, row):
    """Whether a record says nothing that its row does not: one of its texts or pairs of them."""
    prompt, said = found
    if prompt.removesuffix("\n\n###\n\n") != row["messages"][0]["content"]:
        return False
    if isinstance(said, str):
        answer = row["messages"][-1]["content"]
        return said == answer or said == f" {answer} END"  # the marks of openai_legacy
    return said <= {each["text"] for each in row.get("completions", ())}


@pytest.mark.parametrize("kind", DATASET_KINDS)
@pytest.mark.parametrize("format", EXPORT_FORMATS)
def test_awkward_texts_come_back_as_they_were(format, kind):
    """Rows that a format leaves out are counted; every other one is read again, character for character."""
    export = EXPORT_FORMATS[format]
    if kind not in export.kinds:
        return
    as_kind = next((read for (_, read), formats in WRITTEN_BY.items() if format in formats), KIND_OF[kind])
    rows, stream = list(rows_of(kind)), io.BytesIO()
    summary = write_rows(rows, format, stream)
    stream.seek(0)
    records = list(read_file(stream, filename=f"x.{export.extension}", kind=as_kind))
    if as_kind == "completions":
        records = list(group_completions(records))
    kept = len(rows) - sum(summary.left_out.values())
    assert kept >= 10
    answered = {row["messages"][0]["content"]: row for row in rows}
    found = [told(record) for record in records]
    prompts = [prompt.removesuffix("\n\n###\n\n") for prompt, _ in found]
    assert len(set(prompts)) == kept and all(
        is_part(each, answered[p]) for each, p in zip(found, prompts, strict=True)
    )
    if (
        kind == "completions"
        and "asked" not in format
        or format.startswith(("kwise", "oasst_ranked", "stack"))
    ):
        assert all(len(said) == 3 for _, said in found)  # groups whole


@pytest.mark.parametrize("kind", DATASET_KINDS)
def test_parquet_gives_back_every_awkward_text(kind, tmp_path):
    rows = list(rows_of(kind))
    [shard] = write_shards(lambda: iter(rows), tmp_path, "train")
    found = [told(record) for record in read_file(shard, kind=KIND_OF[kind])]
    assert len(found) == len(rows)
    assert all(is_part(each, row) for each, row in zip(found, rows, strict=True))


@pytest.mark.parametrize("format", [name for name, each in EXPORT_FORMATS.items() if "sft" in each.kinds])
def test_half_a_surrogate_is_refused_on_the_way_out(format):
    row = sft_row(id="d", prompt_id="p", messages=user("a"), answer="b \ud800 c", source={})
    with pytest.raises((ExportError, UnicodeEncodeError)):
        write_rows([row], format, io.BytesIO())


@pytest.mark.parametrize(
    ("name", "data", "field"),
    [
        ("x.jsonl", rb'{"prompt": "a\u0000b", "response": "c"}', "prompt"),
        ("x.jsonl", rb'{"prompt": "a\ud800b", "response": "c"}', "prompt"),
        ("x.json", rb'[{"prompt": "a", "response": "c\u0000"}]', "response"),
        ("x.csv", b"prompt,response\na\0b,c\n", "prompt"),
        ("x.tsv", b"prompt\tresponse\na\tb\0\n", "response"),
    ],
)
def test_nul_and_half_surrogates_are_refused_on_the_way_in(name, data, field):
    with pytest.raises(FormatError) as refused:
        list(read_file(io.BytesIO(data), filename=name, kind="demonstrations"))
    assert (refused.value.file, refused.value.row, refused.value.field) == (name, 1, field)

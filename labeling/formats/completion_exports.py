"""Export formats of completions without an order."""

from .export_base import (
    CSV,
    JSONL,
    TEXT,
    TSV,
    CannotHold,
    ExportFormat,
    check_tabs,
    flat_prompt,
    one_line,
)

_KIND = ("completions",)
_ONE_TURN = "single-turn prompts only: others are left out and counted"
_NO_SYSTEM = "no system message"
_NAMES = ("id", "text", "generator", "sampling")


def _completions(row):
    held = [{name: each[name] for name in _NAMES if name in each} for each in row["completions"]]
    yield {"messages": row["messages"], "completions": held}


def _model_outputs(row):
    prompt = flat_prompt(row["messages"])
    if "system" in prompt:
        raise CannotHold("the format has no place for a system message")
    for each in row["completions"]:
        yield {"instruction": prompt["prompt"], "output": each["text"], "generator": each["generator"]}


def _table(row):
    prompt = flat_prompt(row["messages"])
    for each in row["completions"]:
        yield {**prompt, "completion": each["text"], "generator": each["generator"]}


def _tabbed(row):
    for out in _table(row):
        check_tabs(out)
        yield out


def _asked(row):
    yield {"messages": row["messages"]}


def _asked_lines(row):
    prompt = flat_prompt(row["messages"])
    if "system" in prompt:
        raise CannotHold("the format has no place for a system message")
    yield {"text": one_line(prompt["prompt"])}


COMPLETION_FORMATS = (
    ExportFormat(
        "completions",
        _KIND,
        "jsonl",
        JSONL,
        "messages, completions with id, text, generator and sampling settings: everything but lineage",
        _completions,
    ),
    ExportFormat(
        "model_outputs",
        _KIND,
        "jsonl",
        JSONL,
        "instruction, output, generator, one row per completion (AlpacaEval); the same text of one model once"
        f" when it is read; {_NO_SYSTEM}; {_ONE_TURN}",
        _model_outputs,
    ),
    ExportFormat(
        "completions_csv",
        _KIND,
        "csv",
        CSV,
        f"prompt, completion, generator as a table, one row per completion; {_ONE_TURN}; cells that a"
        " spreadsheet would run get a leading apostrophe",
        _table,
        ("system", "prompt", "completion", "generator"),
    ),
    ExportFormat(
        "completions_tsv",
        _KIND,
        "tsv",
        TSV,
        "the same with tabs between cells, no quoting: texts with tabs or line breaks are left out;"
        f" {_ONE_TURN}",
        _tabbed,
        ("system", "prompt", "completion", "generator"),
    ),
    ExportFormat("asked_prompts", _KIND, "jsonl", JSONL, "messages of each prompt alone", _asked),
    ExportFormat(
        "asked_prompts_text",
        _KIND,
        "txt",
        TEXT,
        f"one prompt a line, alone; {_NO_SYSTEM}; {_ONE_TURN}",
        _asked_lines,
        is_text=True,
        holds_fields=False,
    ),
)

"""What becomes of each real file of the shared data folder, where that folder stands beside the checkout.

The project ships none of these files. `CASES` names, for every file, how it is imported and how many records
that gives, or the sentence that it is refused with. Where the folder is missing there are no cases.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

FOLDER = Path(os.environ.get("REAL_DATA_DIR") or Path(__file__).parents[3] / "shared" / "data")


@dataclass(frozen=True)
class Case:
    """`records`: what reading gives; `left_out`: rows that are faulty, so that without leaving them out the
    file is refused with `refusal`. No records: it is refused in any case."""

    pattern: str
    kind: str
    records: int | None = None
    left_out: int = 0
    refusal: str = ""
    columns: dict[str, str] = field(default_factory=dict)
    format: str | None = None


CASES = (
    Case(
        "demonstrations/stanford_alpaca/alpaca_data-0-*",
        "demonstrations",
        3248,
        4,
        "row 285, field output: empty",
    ),
    Case("demonstrations/stanford_alpaca/alpaca_data-3252-*", "demonstrations", 3130),
    Case(
        "demonstrations/stanford_alpaca/alpaca_data-6382-*",
        "demonstrations",
        3023,
        2,
        "row 1342, field output: empty",
    ),
    Case(
        "demonstrations/stanford_alpaca/alpaca_data-9407-*",
        "demonstrations",
        2935,
        3,
        "row 1857, field output: empty",
    ),
    Case(
        "demonstrations/stanford_alpaca/alpaca_data-12345-*",
        "demonstrations",
        2976,
        2,
        "row 2290, field output: empty",
    ),
    Case("demonstrations/stanford_alpaca/alpaca_data-15323-*", "demonstrations", 2957),
    Case("demonstrations/stanford_alpaca/seed_tasks.jsonl", "demonstrations", 175),
    Case("demonstrations/alpaca_zh/*", "demonstrations", 3243, 4, "row 285, field output: empty"),
    Case("demonstrations/gsm8k/*", "demonstrations", 7473),
    Case("demonstrations/gpteacher/*", "demonstrations", 1923),
    Case("demonstrations/llama_factory/alpaca_en_demo.json.gz", "demonstrations", 999),
    Case("demonstrations/llama_factory/alpaca_zh_demo.json.gz", "demonstrations", 1000),
    Case("demonstrations/llama_factory/identity.json", "demonstrations", 91),
    Case("demonstrations/llama_factory/v1_sft_demo.jsonl.gz", "demonstrations", 500),
    Case(
        "demonstrations/llama_factory/dataset_info.json",
        "demonstrations",
        refusal="A record must stand on one line",
    ),
    Case("demonstrations/t0_prompt_completion/*", "demonstrations", 200),
    Case("demonstrations/openai_cookbook/*", "demonstrations", 4, 1, "row 4, field messages: no user turn"),
    Case("pairwise/ukpconvarg1_strict/*", "comparisons"),
    Case("pairwise/alpaca_eval/gpt35*", "comparisons", 472, 1, "row 410, field output_2: empty"),
    Case("pairwise/alpaca_eval/phi-2/*", "comparisons", 471, 2, "row 132, field output_2: empty"),
    Case("pairwise/alpaca_eval/text_davinci_001/*", "comparisons", 472, 1, "row 248, field output_2: empty"),
    Case("pairwise/alpaca_eval/*", "comparisons", 473),
    Case("pairwise/hh_rlhf/*", "comparisons", 553, 2, "row 309, field chosen: two assistant turns in a row"),
    Case(
        "pairwise/llms_from_scratch/*",
        "comparisons",
        1094,
        6,
        "row 123, field rejected: chosen and rejected are",
    ),
    Case("pairwise/llama_factory/dpo_*", "comparisons", 300),
    Case("pairwise/llama_factory/kto_en_demo.json.gz", "completions", 297),
    Case("pairwise/llama_factory/v1_dpo_demo.jsonl", "comparisons", 10),
    Case("kwise/alpaca_eval/text_davinci_003/*", "completions", 472, 1, "row 248, field output: empty"),
    Case("kwise/alpaca_eval/*", "completions"),
    Case("kwise/llmzoo/*", "comparisons", 70),
    Case("kwise/gsm8k/*", "comparisons", 1000),
    Case("kwise/stackexchange/*", "completions", 652, 19, "row 28, field answers: no answers"),
    Case("kwise/ukpconvarg1_ranking/*", "comparisons"),
    Case("kwise/open_assistant/*", "comparisons", 212),
    Case("multiturn/sharegpt_zh/*", "demonstrations", 990, 8, "row 59, field conversations[3].value: empty"),
    Case("multiturn/llama_factory/glaive*", "demonstrations", 147, 153, "unknown role 'function_call'"),
    Case("multiturn/llama_factory/reason*", "demonstrations", refusal="a part of kind 'reasoning'"),
    Case("multiturn/taskmaster4/*", "demonstrations", 491, 9, "ends with the user"),
    Case("multiturn/schema_guided_dialogue/*", "demonstrations", 128),
    Case(
        "multiturn/open_assistant/*",
        "demonstrations",
        252,
        2,
        "row 159, field role: two turns of one speaker",
    ),
    Case("reward_pointwise/TM-4-2024/*", "completions"),
    Case("safety/xstest/xstest_prompts.csv", "prompts", 224),
    Case("safety/xstest/model_completions/*", "completions", 224),
    Case("safety/advbench/*", "prompts", 514, columns={"prompt": "goal"}),
    Case("safety/do_not_answer/*", "completions", 615),
    Case("safety/moderation/*", "prompts", 714),
    Case(
        "safety/purple_llama/prompt_injection/*",
        "prompts",
        None,
        columns={"system": "test_case_prompt", "prompt": "user_input"},
    ),
    Case("safety/purple_llama/mitre_frr/*", "prompts", 361, columns={"prompt": "mutated_prompt"}),
    Case("safety/model_written_evals/*", "prompts", 1000),
    Case("blocklists/ldnoobw/*", "prompts"),
    Case("pii/presidio/*", "prompts", 1500, columns={"prompt": "full_text"}),
    Case("awkward/filenames/*", "demonstrations", 992, 1, "row 380, field output: empty"),
    Case("awkward/blns/blns.json", "prompts", 513, 2, "row 1, field prompt: empty"),
    Case("awkward/blns/blns.txt", "prompts", 665, format="text"),
    Case("awkward/csv_spectrum/*", "prompts", refusal="the fields of prompts were not found"),
    Case("awkward/csv_multiline/*", "prompts", 328),
    Case("awkward/rtl/*", "demonstrations"),
)


def data_files() -> list[str]:
    """The files that hold data, as paths below the folder; parsers' suites have tests of their own."""
    if not FOLDER.is_dir():
        return []
    paths = (path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*") if path.is_file())
    apart = ("malformed/", "LICENSES/", "awkward/json_test_suite/")
    return sorted(path for path in paths if "/" in path and not path.startswith(apart))


def case_of(path: str) -> Case | None:
    return next((case for case in CASES if fnmatch(path, case.pattern)), None)


@dataclass(frozen=True)
class Malformed:
    """A line of the folder's own table. `accepted`: how many records may come of it, None where none may;
    `refused`: it may be. `row`, `field`: where the fault is, as far as the table says."""

    name: str
    kind: str
    accepted: int | None
    refused: bool
    row: int | None = None
    field: str | None = None


def malformed_files() -> list[Malformed]:
    table = FOLDER / "malformed" / "README.md"
    lines = table.read_text(encoding="utf-8").splitlines() if table.is_file() else []
    rows = [line for line in lines if re.match(r"\| [\w.]+ \| [\d,]+ \|", line)]
    return [_malformed([cell.strip() for cell in row.strip("| ").split("|")]) for row in rows]


def _malformed(cells: list[str]) -> Malformed:
    name, kind, expected = cells[0], cells[2], cells[-1]
    count = re.search(r"ACCEPT (\d+)", expected) or re.search(r"(\d+) good", cells[3])
    where = re.search(r"REFUSE,? row (\d+)(?:, field (\w+))?", expected)
    return Malformed(
        name, kind, int(count[1]) if count and "ACCEPT" in expected else None, "REFUSE" in expected,
        int(where[1]) if where else None, where[2] if where else None,
    )  # fmt: skip


def json_suite() -> list[Path]:
    return sorted((FOLDER / "awkward" / "json_test_suite" / "test_parsing").glob("*"))

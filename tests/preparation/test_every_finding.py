"""Each finding is brought up by rows that have the fault, shows rows to look at, and is gone once its fix is
applied."""

from __future__ import annotations

import pytest

from labeling.preparation import FIXES, Unit
from labeling.preparation_words import FINDINGS, meaning_of
from tests.preparation.rows import findings_of, fixed, ranked, shown, user

LONG = "please tell me in a few words how a steam engine turns heat into work"
ENGLISH = "The steam pushes a piston to and fro, for the {n}th time today, and so on and on."
GERMAN = "Der Dampf bewegt einen Kolben hin und her, und so geht es immer weiter."


def each(prompt: str, answer: str, size: int = 12) -> list[Unit]:
    return [shown(prompt.format(n=n), answer.format(n=n), n + 1) for n in range(size)]


def classes(**sizes: int) -> list[Unit]:
    return [shown(f"{name} {n}", name, n + 1) for name, size in sizes.items() for n in range(size)]


def with_side(unit: Unit, side: str) -> Unit:
    return Unit(unit.row, unit.messages, unit.answers, side=side)


# finding: (rows, options, fixes that make it go away, the first row to look at; None: it is about all rows)
CASES = {
    "empty_answers": (
        [shown("One?", "Yes."), shown("Two?", "…<|endoftext|>", 2)], {}, ["drop_empty_answers"], 2,
    ),
    "equal_pairs": ([ranked("One?", "Yes.", "Yes.", row=7)], {}, ["drop_equal_pairs"], 7),
    "leakage": (
        [with_side(shown("One?", "Yes."), "train"), with_side(shown("ONE?", "No.", 2), "validation")], {},
        ["drop_leaks"], 1,
    ),
    "too_few_rows": (each("{n}?", "Yes, {n}."), {}, [], None),
    "few_rows": (each("{n}?", "Yes, {n}.", 200), {}, [], None),
    "small_classes": (classes(good=100, bad=99), {}, [], 1),
    "uneven_classes": (classes(good=500, bad=100), {}, ["cap_classes"], 1),
    "class_tokens": (
        classes(good=100, bad=100), {"single_token": lambda text: text == "good"}, [], 1,
    ),
    "exact_duplicates": (
        [shown("One?", "Yes."), shown("One?", "Yes.", 2)], {}, ["drop_exact_duplicates"], 2,
    ),
    "near_duplicates": (
        [shown(LONG, ENGLISH), shown(f"{LONG}!", ENGLISH.replace(",", ""), 2)], {}, ["drop_near_duplicates"],
        2,
    ),
    "both_ways": (
        [ranked("One?", "a", "b"), ranked("One?", "b", "a", row=2)], {}, ["drop_contradictions"], 1,
    ),
    "circles": (
        [ranked("One?", *pair, row=n) for n, pair in enumerate(("ab", "bc", "ca"), start=1)], {},
        ["drop_contradictions"], 1,
    ),
    "over_long": (
        [shown("One?", "Yes."), shown("a b c", "d e f", 2)], {"context": 5}, ["drop_over_long"], 2,
    ),
    "prompt_ends": (each("Number {n}", " Yes, {n}.###"), {"is_plain": True}, ["mark_prompt_ends"], 1),
    "answer_starts": (
        [*each("{n}?", " Yes, {n}."), shown("Why?", "No.", 13)], {"is_plain": True}, ["lead_with_blank"], 13,
    ),
    "answer_leads": (each("{n}?", "Yes, {n}."), {"is_plain": True}, ["lead_with_blank"], 1),
    "answer_stops": (
        [*each("{n}?", "Yes, {n}.</s>"), shown("Why?", "No.", 13)], {}, ["mark_answer_ends"], 13,
    ),
    "no_stops": (each("{n}?", "Yes, {n}."), {"is_plain": True}, ["mark_answer_ends"], 1),
    "shared_prompt_prefix": (each("Translate this: {n}", "{n}."), {}, ["strip_prompt_prefix"], 1),
    "shared_answer_prefix": (each("{n}?", "The answer is: {n}"), {}, ["strip_answer_prefix"], 1),
    "shared_answer_suffix": (each("{n}?", "{n} and that is all."), {}, ["strip_answer_suffix"], 1),
    "upper_case": (
        [shown("One?", "Yes."), shown("WHY DOES NOBODY EVER ANSWER ME", "No.", 2)], {},
        ["lower_upper_case", "drop_upper_case"], 2,
    ),
    "personal_data": (
        [shown("One?", "Yes."), shown("Who?", "ada@example.org", 2)], {},
        ["mask_personal_data", "drop_personal_data"], 2,
    ),
    "other_languages": (
        [*each("{n}?", ENGLISH), shown("Wie?", GERMAN, 13)], {}, ["drop_other_languages"], 13,
    ),
}  # fmt: skip
NOT_OF_ROWS = {"unreadable"}  # told by the reader: tests/labeling/test_preparation.py, tests/commands


def test_every_finding_and_every_fix_has_a_case():
    assert CASES.keys() == FINDINGS.keys() - NOT_OF_ROWS
    assert {fix for _, _, fixes, _ in CASES.values() for fix in fixes} == set(FIXES)


@pytest.mark.parametrize("key", CASES)
def test_a_fault_is_found_shown_and_mended(key):
    rows, options, fixes, first = CASES[key]
    found = findings_of(rows, **options)[key]
    assert found["count"] and "%(" not in str(meaning_of(found))
    assert [each["row"] for each in found["rows"]][:1] == ([] if first is None else [first])
    assert [fix["key"] for fix in found["fixes"]] == fixes
    for fix in fixes:
        kept, counts = fixed(rows, fix, **options)
        assert key not in findings_of(kept, **options)
        assert counts == {fix: next(each["rows"] for each in found["fixes"] if each["key"] == fix)}
        assert len(kept) == len(rows) - (counts[fix] if fix.startswith(("drop", "cap")) else 0)


def test_rows_without_a_fault_bring_up_nothing():
    rows = [
        Unit(
            n,
            user(f"What is {n} times {n}?\n\n###\n\n"),
            (f" It is {n * n}, {n} groups of {n}.###",),
            side=side,
        )
        for n, side in enumerate(["train", "validation"] * 1000)
    ]
    options = {"is_plain": True, "single_token": lambda text: False, "evaluation": ("What is the time?",)}
    assert findings_of(rows, **options).keys() <= {"near_duplicates"}  # one question about many numbers


def test_an_ending_that_all_answers_share_goes_and_their_stop_mark_stays():
    rows = each("{n}?", "{n} and that is all.###")
    assert findings_of(rows)["shared_answer_suffix"]["values"] == {"text": "and that is all."}
    kept, _ = fixed(rows, "strip_answer_suffix")
    assert [unit.answers for unit in kept] == [(f"{n} ###",) for n in range(12)]
    assert "shared_answer_suffix" not in findings_of(kept)
    assert "shared_answer_suffix" not in findings_of(each("{n}?", "{n} END"))  # a mark alone is no ending

"""What is said about rows, and what the fixes make of them."""

import time
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labeling.preparation import FIXES, PREPARATION_LOOKS
from labeling.preparation.comparisons import strong_parts
from labeling.preparation.languages import Languages
from labeling.preparation_words import FINDINGS
from labeling.preparation_words import FIXES as FIX_WORDS
from tests.preparation.rows import findings_of, fixed, options, ranked, shown

LONG = "please tell me in a few words how a steam engine turns heat into work"


def plain(size=12, prompt="Question {n}?", answer="Answer {n}."):
    return [shown(prompt.format(n=n), answer.format(n=n), n) for n in range(size)]


def test_the_same_row_again_is_counted_once_less_than_it_stands_there():
    rows = [
        shown("One?", "Yes."),
        shown("One?", "Yes.", 2),
        shown("One?", "No.", 3),
        shown("One?", "Yes.", 4),
    ]
    found = findings_of(rows)["exact_duplicates"]
    assert (found["count"], [each["row"] for each in found["rows"]]) == (2, [2, 4])
    assert [each["row"] for each in found["groups"][0]["rows"]] == [1, 2, 4]
    kept, counts = fixed(rows, "drop_exact_duplicates")
    assert ([unit.row for unit in kept], counts) == ([1, 3], {"drop_exact_duplicates": 2})


def test_near_duplicates_are_alike_in_prompt_and_answer():
    rows = [
        shown(LONG, "It boils water and the steam pushes a piston to and fro"),
        shown(f"{LONG}!", "It boils water, and the steam pushes a piston to and fro.", 2),
        shown(LONG, "Not now.", 3),
        shown(LONG, "Not ever.", 4),
    ]
    found = findings_of(rows)["near_duplicates"]
    assert (found["count"], found["values"]["groups"]) == (1, 1)
    kept, _ = fixed(rows, "drop_near_duplicates")
    assert [unit.row for unit in kept] == [1, 3, 4]


def test_the_other_order_of_one_pair_is_no_duplicate():
    rows = [ranked(LONG, LONG, "No."), ranked(LONG, LONG, "No.", ranks=(2, 1), row=2)]
    assert "near_duplicates" not in findings_of(rows)
    assert findings_of(rows)["both_ways"]["count"] == 1


def test_pairs_both_ways_and_circles_are_told_apart():
    rows = [ranked("Q?", *pair, row=n) for n, pair in enumerate(["ab", "bc", "ca", "ax", "xa"], start=1)]
    found = findings_of(rows)
    assert [each["row"] for each in found["both_ways"]["rows"]] == [4, 5]
    assert [each["row"] for each in found["circles"]["rows"]] == [1, 2, 3]
    kept, counts = fixed([*rows, ranked("R?", "c", "a", row=6)], "drop_contradictions")
    assert ([unit.row for unit in kept], counts) == ([6], {"drop_contradictions": 5})


def test_an_order_that_can_all_be_right_is_no_circle():
    assert (
        not {"both_ways", "circles"}
        & findings_of([ranked("Q?", *pair) for pair in ("ab", "bc", "ac")]).keys()
    )


def reachable(pairs, start):
    seen, work = set(), [start]
    while work:
        for better, worse in pairs:
            if better == work[-1] and worse not in seen:
                seen.add(worse)
                work.append(worse)
                break
        else:
            work.pop()
    return seen


@settings(max_examples=150, deadline=None)
@given(st.sets(st.sampled_from(list(permutations(range(6), 2)))))
def test_strong_parts_are_nodes_that_reach_one_another(pairs):
    pairs = sorted(pairs)
    reach = {node: reachable(pairs, node) for node in range(6)}
    expected = {
        frozenset(other for other in range(6) if other in reach[node] and node in reach[other])
        for node in range(6)
        if node in reach[node]
    }
    assert {frozenset(part) for part in strong_parts(pairs)} == {part for part in expected if len(part) > 1}


def test_equal_texts_of_which_one_is_chosen():
    rows = [
        ranked("Q?", "Yes.", "Yes. "),
        ranked("Q?", "Yes.", "No.", row=2),
        ranked("Q?", "a", "a", ranks=(1, 1)),
    ]
    assert findings_of(rows)["equal_pairs"]["count"] == 1
    assert fixed(rows, "drop_equal_pairs")[1] == {"drop_equal_pairs": 1}


@pytest.mark.parametrize("answer", [" ", "<|endoftext|>", "...", "\u200b"])
def test_an_answer_that_says_nothing(answer):
    assert findings_of([shown("Q?", answer)])["empty_answers"]["count"] == 1


def test_long_rows_are_measured_with_the_tokenizer_given():
    rows = [shown("a b c", "d e"), shown("a b c", "d e f", 2)]
    assert "over_long" not in findings_of(rows, context=6)
    found = findings_of(rows, context=5)["over_long"]
    assert (found["count"], found["values"]) == (1, {"context": 5, "longest": 6})


def test_the_longest_answer_is_the_one_of_most_tokens():
    """By characters the first is: a word of fifty against nine of one letter."""
    rows = [ranked("Say it.", "x" * 50, "a b c d e f g h i")]
    found = findings_of(rows, context=8)["over_long"]
    assert (found["count"], found["values"]["longest"]) == (1, 11)
    assert fixed(rows, "drop_over_long", context=8)[0] == []


def test_the_end_of_plain_prompts_is_marked_with_what_none_of_them_holds():
    rows = plain(prompt="Question {n}")
    rows[3] = shown("What does ### mean?", "A heading.", 3)
    assert findings_of(rows, is_plain=True)["prompt_ends"]["count"] == 12
    assert "prompt_ends" not in findings_of(rows)  # chat formats mark it by themselves
    kept, counts = fixed(rows, "mark_prompt_ends", is_plain=True)
    assert counts == {"mark_prompt_ends": 12}
    assert all(unit.messages[-1]["content"].endswith("\n\n===\n\n") for unit in kept)
    assert "prompt_ends" not in findings_of(kept, is_plain=True)


@pytest.mark.parametrize("mark", ["\n\n###\n\n", " ->", "\n\nAnswer:", "\n\n~~\n"])
def test_where_most_prompts_end_with_a_mark_the_others_get_it(mark):
    rows = [shown(f"A\nquestion {n}{'?.!'[n % 3]}{mark}", f"Answer {n}.", n) for n in range(1, 301)]
    rows[6] = shown("Question 7?", "Answer 7.", 7)
    rows[8] = shown(f"Question 9? {mark.strip()}", "Answer 9.", 9)
    found = findings_of(rows, is_plain=True)["prompt_ends"]
    odd = [7] if mark == " ->" else [7, 9]
    assert (found["count"], [each["row"] for each in found["rows"]]) == (len(odd), odd)
    assert (found["fixes"], found["values"]["mark"]) == (
        [{"key": "mark_prompt_ends", "rows": len(odd), "of": 300}],
        mark.strip(),
    )
    kept, counts = fixed(rows, "mark_prompt_ends", is_plain=True)
    assert counts == {"mark_prompt_ends": len(odd)}
    assert [unit for unit in kept if unit.row not in odd] == [unit for unit in rows if unit.row not in odd]
    assert kept[6].prompt == f"Question 7?{mark}" and kept[8].prompt == f"Question 9?{mark}"
    assert "prompt_ends" not in findings_of(kept, is_plain=True)


@pytest.mark.parametrize("end", ["?", "...", "?\n", "\nThanks!"])
def test_what_sentences_end_with_marks_no_end_of_prompts(end):
    rows = [shown(f"Question {n}{end}", f"Answer {n}.", n) for n in range(20)]
    rows[3] = shown("Question 3;", "Answer 3.", 3)
    assert findings_of(rows, is_plain=True)["prompt_ends"]["count"] == 20


def test_answers_that_begin_in_two_ways_are_made_to_begin_in_one():
    rows = [shown(f"{n}?", f"{' ' * (n % 3 == 0)}Yes {n}.", n) for n in range(12)]
    found = findings_of(rows, is_plain=True)["answer_starts"]
    assert (found["count"], found["values"]) == (4, {"with": 4, "without": 8})
    kept, _ = fixed(rows, "lead_with_blank")
    assert not {"answer_starts", "answer_leads"} & findings_of(kept, is_plain=True).keys()


def test_the_stop_mark_of_most_is_given_to_the_others():
    rows = [shown(f"{n}?", f"Yes {n}.{'<|endoftext|>' * (n != 5)}", n) for n in range(12)]
    found = findings_of(rows)["answer_stops"]
    assert (found["count"], [each["row"] for each in found["rows"]]) == (1, [5])
    kept, counts = fixed(rows, "mark_answer_ends")
    assert kept[5].answers == ("Yes 5.<|endoftext|>",)
    assert counts == {"mark_answer_ends": 1}


def test_a_beginning_that_all_prompts_share_is_taken_off():
    rows = plain(prompt="Summarise the following text: text {n}")
    assert findings_of(rows)["shared_prompt_prefix"]["values"] == {
        "text": "Summarise the following text: text "
    }
    kept, _ = fixed(rows, "strip_prompt_prefix")
    assert [unit.messages[-1]["content"] for unit in kept] == [str(n) for n in range(12)]


def test_capitals_are_a_finding_and_names_or_formulas_are_not():
    rows = [
        shown("WHY DOES NOBODY EVER ANSWER ME", "Sorry."),
        shown("D-C-B-A-D G-A-G-F-E-D D-C-B-A-D E-G-A-G", "?", 2),
    ]
    assert findings_of(rows)["upper_case"]["count"] == 1
    kept, _ = fixed(rows[:1], "lower_upper_case")
    assert kept[0].messages[0]["content"] == "why does nobody ever answer me"


def classes(**sizes):
    return [shown(f"{name} {n}", f" {name}") for name, size in sizes.items() for n in range(size)]


def test_classes_are_counted_and_capped():
    rows = classes(good=120, bad=20)
    found = findings_of(rows, single_token=lambda text: text == "good")
    assert found["small_classes"]["values"]["classes"] == {"bad": 20}
    assert found["class_tokens"]["values"]["classes"] == {"bad": 20}
    kept, counts = fixed(rows, "cap_classes")
    assert (len(kept), counts) == (100, {"cap_classes": 40})
    assert "too_few_rows" not in found


def test_rows_in_all_are_held_against_what_a_task_needs():
    assert findings_of(plain(199))["too_few_rows"]["values"]["rows"] == 199
    assert findings_of(plain(200))["few_rows"]["severity"] == "info"
    assert not {"few_rows", "too_few_rows"} & findings_of(plain(2000)).keys()


def test_personal_data_is_masked_or_left_out():
    rows = [shown("Who?", "ada@example.org or +49 30 901820"), shown("Who?", "Ada.", 2)]
    assert findings_of(rows)["personal_data"]["values"]["kinds"] == {"email": 1, "phone": 1}
    assert fixed(rows, "mask_personal_data")[0][0].answers == ("[email] or [phone]",)
    assert [unit.row for unit in fixed(rows, "drop_personal_data")[0]] == [2]


def test_a_language_that_few_rows_are_in():
    english = [
        shown(LONG, f"The steam pushes a piston to and fro, for the {n}th time today.", n) for n in range(8)
    ]
    german = shown("Bitte erkläre mir, wie eine Dampfmaschine arbeitet.", "Der Dampf bewegt einen Kolben.", 9)
    found = findings_of([*english, german])["other_languages"]
    assert (found["count"], found["values"]) == (1, {"main": "en", "languages": {"de": 1}})


def test_training_prompts_that_are_held_out_are_found_by_their_words():
    rows = [
        shown(LONG, "So.", side="train"),
        shown(f"{LONG}, would you", "So.", 2, side="validation"),
        shown("Capital of Fiji?", "Suva.", 3, side="train"),
        shown("Another one?", "Yes.", 4, side="train"),
    ]
    found = findings_of(rows, evaluation=("capital  of FIJI?",))["leakage"]
    assert [each["row"] for each in found["rows"]] == [1, 3]
    assert [unit.row for unit in fixed(rows, "drop_leaks", evaluation=("capital  of FIJI?",))[0]] == [2, 4]


def test_a_row_goes_for_one_reason_only_and_all_are_counted():
    rows = [shown("Q?", "..."), shown("Q?", "...", 2), shown("Q?", "Yes.", 3)]
    kept, counts = fixed(rows, *(name for name in FIXES if name.startswith("drop_")))
    assert counts == {"drop_empty_answers": 2}
    assert len(kept) + sum(counts.values()) == len(rows)


def test_every_fix_belongs_to_a_look_and_has_words():
    of_looks = [name for look in PREPARATION_LOOKS for name in look.fixes]
    assert sorted(of_looks) == sorted(FIXES) == sorted(FIX_WORDS)


def test_rows_that_are_fine_bring_no_remark():
    rows = [shown(f"What is {n} times {n}?", f"It is {n * n}, as {n} groups of {n}.", n) for n in range(2000)]
    assert findings_of(rows).keys() <= {"near_duplicates"}
    assert set(findings_of(rows)) <= set(FINDINGS)


def test_as_many_languages_as_rows():
    """More than 65,535, in a time that does not grow with the square of them."""
    look = Languages(options())
    started = time.perf_counter()
    for n in range(70_000):
        look.see(n, shown("?", "!", language=f"x{n}"))
    look.see(70_000, shown("?", "!", language="x69999"))
    assert time.perf_counter() - started < 10
    counts = look.counts()
    assert len(counts) == 70_000 and next(iter(counts.items())) == ("x69999", 2)
    assert look.findings() == []  # none of them is the main one


def test_personal_data_beside_the_texts_is_found_masked_and_left_out():
    rows = [
        shown("Who?", "Me.", 1, beside=("ada@example.org", "law")),
        shown("Who?", "You.", 2, beside=("law",)),
        shown("Who?", "bob@example.org", 3),
    ]
    found = findings_of(rows)["personal_data"]
    assert (found["count"], found["values"]["kinds"]) == (2, {"email": 2})
    assert [(fix["key"], fix["rows"]) for fix in found["fixes"]] == [
        ("mask_personal_data", 2), ("drop_personal_data", 2),
    ]  # fmt: skip
    masked, counts = fixed(rows, "mask_personal_data")
    assert (masked[0].beside, counts) == (("[email]", "law"), {"mask_personal_data": 2})
    assert [unit.row for unit in fixed(rows, "drop_personal_data")[0]] == [2]

"""ROUGE-L, BLEU and distinct-n: by hand, against the slow obvious version, and against the published one."""

import functools
import json
import random
from pathlib import Path

import pytest

from training.rlhf.text_metrics import bleu, distinct_n, longest_common_subsequence, rouge_l, words

from .conftest import events, result, run_here


def slow_subsequence(ours, theirs) -> int:
    @functools.cache
    def longest(i: int, j: int) -> int:
        if i == len(ours) or j == len(theirs):
            return 0
        if ours[i] == theirs[j]:
            return 1 + longest(i + 1, j + 1)
        return max(longest(i + 1, j), longest(i, j + 1))

    return longest(0, 0)


def test_the_longest_common_subsequence_is_that_of_the_slow_version():
    chance = random.Random(0)
    for size in (1, 2, 3, 8):
        for _ in range(60):
            ours = [chance.randrange(size) for _ in range(chance.randrange(80))]
            theirs = [chance.randrange(size) for _ in range(chance.randrange(80))]
            assert longest_common_subsequence(ours, theirs) == slow_subsequence(tuple(ours), tuple(theirs))


def test_rouge_l_by_hand():
    """Lin 2004's example: of "police killed the gunman", "police kill the gunman" has 3 words in order, and
    "the gunman kill police" 2."""
    reference = "police killed the gunman"
    assert rouge_l("police kill the gunman", reference).f1 == 0.75
    assert rouge_l("The gunman kill police!", reference).f1 == 0.5
    found = rouge_l("police the gunman", reference)
    assert (found.precision, found.recall) == (1.0, 0.75) and found.f1 == pytest.approx(6 / 7)


@pytest.mark.parametrize(
    ("one", "other", "f1"),
    [("", "", 1.0), ("", "a", 0.0), ("!?", "a", 0.0), ("Ça VA, Ωμέγα", "ça va ωμέγα.", 1.0)],
)
def test_edges_of_rouge_l(one, other, f1):
    assert rouge_l(one, other).f1 == f1


def test_words_are_those_of_any_script():
    assert words("Don't_stop: 3.5 ÄPFEL") == ["don", "t_stop", "3", "5", "äpfel"]


def test_bleu_by_hand():
    """4 of 5 words, 3 of 4 pairs, 2 of 3 triples, 1 of 2 quadruples; nothing for length: 6 of 5 words."""
    found = bleu(["the cat sat on mats"], ["the cat sat on a mat"])
    expected = 100 * (4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25 * 2.718281828459045 ** (1 - 6 / 5)
    assert found == pytest.approx(expected, rel=1e-9)
    assert bleu(["the cat sat on a mat"], ["the cat sat on a mat"]) == pytest.approx(100.0)


def test_bleu_is_of_the_corpus_not_the_mean_of_sentences():
    pairs = [("the cat sat on a mat", "the cat sat on a mat"), ("no", "the dog ran over the hill")]
    together = bleu([one for one, _ in pairs], [other for _, other in pairs])
    assert together != pytest.approx(sum(bleu([one], [other]) for one, other in pairs) / 2, rel=0.05)


def test_distinct_n_by_hand():
    texts = [["a", "b", "a"], ["a", "b"], ["c"]]
    assert distinct_n(texts, 1) == 3 / 6 and distinct_n(texts, 2) == 2 / 3 and distinct_n(texts, 4) == 0.0
    assert distinct_n([["a"] * 9], 2) == 1 / 8  # what has collapsed


def test_an_evaluation_compares_answers_with_references(world, sft_model, tmp_path):
    """The very texts that the sampler writes at temperature 0, and the metrics of those."""
    rows = [json.loads(line) for line in Path(world.sft_held_out).read_text().splitlines()]
    config = world.config(
        "evaluate", model=str(sft_model), messages_file=world.sft_held_out, max_new_tokens=16, batch_size=5
    )
    assert run_here("evaluate", config, tmp_path / "e") == 0
    prompts = world.write("held_out_prompts.jsonl", [{"messages": row["messages"][:-1]} for row in rows])
    sampling = world.config(
        "sample", prompts_file=prompts, checkpoints=[str(sft_model)], temperature=0.0, max_new_tokens=16
    )
    assert run_here("sample", sampling, tmp_path / "s") == 0
    sampled = [json.loads(line) for line in (tmp_path / "s" / "completions.jsonl").read_text().splitlines()]
    texts = [row["text"] for row in sorted(sampled, key=lambda row: row["prompt_index"])]
    references = [row["messages"][-1]["content"] for row in rows]
    metrics = result(tmp_path / "e")["metrics"]
    alike = [rouge_l(text, reference).f1 for text, reference in zip(texts, references, strict=True)]
    assert metrics["answers"] == len(rows)
    assert metrics["rouge_l"] == pytest.approx(sum(alike) / len(alike))
    assert metrics["bleu"] == pytest.approx(bleu(texts, references))
    assert metrics["distinct_1"] == distinct_n([words(text) for text in texts], 1)
    (event,) = events(tmp_path / "e", "report")
    shown = event["data"]["report"]["rows"]
    assert [row["rouge_l"] for row in shown] == sorted(alike)
    assert {row["answer"] for row in shown} == set(texts)


def test_an_evaluation_without_answers_tells_none(world, sft_model, tmp_path):
    config = world.config("evaluate", model=str(sft_model), messages_file=world.sft_held_out, answers=0)
    assert run_here("evaluate", config, tmp_path / "e") == 0
    assert "rouge_l" not in result(tmp_path / "e")["metrics"] and not events(tmp_path / "e", "report")
    # Where no prompt leaves room for an answer, the rest is measured all the same, and that is said.
    config |= {"answers": 5, "max_new_tokens": 60}
    assert run_here("evaluate", config, tmp_path / "f") == 0
    assert "perplexity" in result(tmp_path / "f")["metrics"]
    assert any("leave no room" in event["data"]["message"] for event in events(tmp_path / "f", "log"))

"""The four speed benchmarks run, and compare what computes the same: no seconds are judged here."""

import argparse
import json
import os

import pytest
import torch

from training.rlhf.bench import compare
from training.rlhf.bench.cases import cases
from training.rlhf.bench.corpus import read_corpus
from training.rlhf.bench.ppo import standard_errors_apart

pytestmark = pytest.mark.slow
EQUAL = 1e-5


def rows_of(name, folder, monkeypatch):
    monkeypatch.setattr(compare, "clock", iter(range(10_000)).__next__)  # numbers, whatever the machine does
    chosen = argparse.Namespace(name=name, shape="1x64", text="", repeats=1, threads=1, quick=True)
    return dict(cases(chosen, folder, small=True))


@pytest.mark.parametrize(("name", "expected"), [("sft", {"uneven", "even"}), ("reward", {"K=4", "K=9"})])
def test_losses_of_both_sides_are_equal(name, expected, tmp_path, monkeypatch):
    rows = rows_of(name, tmp_path, monkeypatch)
    assert set(rows) == expected
    for numbers in rows.values():
        assert 0 <= numbers["loss_difference"] <= EQUAL
        assert numbers["times"] > 0


def test_both_samplers_write_as_much(tmp_path, monkeypatch):
    numbers = rows_of("sample", tmp_path, monkeypatch)["K=8"]
    assert numbers["mean_length"] == pytest.approx(numbers["reference_mean_length"], rel=0.35)
    assert 1 <= numbers["mean_length"] <= 64


def test_both_loops_of_ppo_start_from_the_same_policy(tmp_path, monkeypatch):
    numbers = rows_of("ppo", tmp_path, monkeypatch)["64 episodes"]
    # Before any update the policy is the reference, on either side.
    assert numbers["kl_last"] == pytest.approx(0, abs=1e-4)
    assert numbers["reference_kl_last"] == pytest.approx(0, abs=1e-4)
    assert numbers["score_apart"] < 4
    assert numbers["mean_prompt"] < numbers["longest_prompt"]
    for side in ("", "reference_"):
        shares = [numbers[f"{side}share_{part}"] for part in ("generation", "scoring", "update")]
        assert sum(shares) == pytest.approx(1)
        assert 1 <= numbers[f"{side}response"] <= 64


def test_standard_errors_apart_by_hand():
    # Means 2 and 4; variances 1 and 4 of three values each: 2 / sqrt(1/3 + 4/3).
    ours, theirs = torch.tensor([1.0, 2, 3]), torch.tensor([2.0, 4, 6])
    assert standard_errors_apart(ours, theirs) == pytest.approx(2 / (5 / 3) ** 0.5)
    same = torch.ones(3)
    assert standard_errors_apart(same, same) == 0
    assert standard_errors_apart(same, same + 1) == float("inf")


def test_several_files_are_one_corpus(tmp_path):
    files = []
    for name in ("plums", "pears"):
        files.append(tmp_path / f"{name}.jsonl")
        lines = [{"prompt": f"{name} {n}", "completion": f"I like {name} {n}."} for n in range(60)]
        files[-1].write_text("\n".join(map(json.dumps, lines)))
    corpus = read_corpus(os.pathsep.join(map(str, files)), 120)
    assert len(corpus.rows) == 120
    assert {question.split()[0] for question, _ in corpus.texts} == {"plums", "pears"}

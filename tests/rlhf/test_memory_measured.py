"""The estimate made before the start against the most that a run in a process of its own ever held."""

from __future__ import annotations

import pytest

from training.rlhf.bench.corpus import read_corpus
from training.rlhf.bench.memory import PAIRS, memory

pytestmark = pytest.mark.slow
LEAST, MOST = 0.8, 1.3


@pytest.fixture(scope="module")
def corpus():
    return read_corpus("", 300)


@pytest.mark.parametrize("method", ["full", "lora"])
@pytest.mark.parametrize("stage", ["sft", PAIRS, "reward", "ppo"])
def test_what_a_run_takes_is_within_the_tolerance_of_what_it_said(corpus, tmp_path, stage, method):
    ((_, found),) = memory(corpus, "2x128", tmp_path, [(stage, method, 2048)])
    assert LEAST < found["ratio"] < MOST, found

"""The sample project's prompts are the same everywhere, answerable, and split without overlap."""

import subprocess
import sys

from labeling.sample_project.prompts import conversation_key, held_out_prompts, prompts, training_prompts


def test_there_are_enough_prompts_in_many_categories():
    assert len(training_prompts()) >= 400
    assert len(held_out_prompts()) >= 150
    assert len({prompt.category for prompt in training_prompts()}) >= 12


def test_no_conversation_is_in_both_splits():
    train = {conversation_key(prompt.messages) for prompt in training_prompts()}
    held_out = {conversation_key(prompt.messages) for prompt in held_out_prompts()}
    assert len(train) == len(training_prompts())
    assert not train & held_out


def test_keys_are_unique():
    keys = [prompt.key for prompt in prompts()]
    assert len(set(keys)) == len(keys)


def test_some_prompts_are_conversations_that_end_with_the_user():
    multi_turn = [prompt for prompt in prompts() if len(prompt.messages) > 1]
    assert len(multi_turn) >= 30
    assert all([m["role"] for m in prompt.messages] == ["user", "assistant", "user"] for prompt in multi_turn)


def test_another_seed_splits_otherwise():
    assert held_out_prompts(0) != held_out_prompts(1)


def test_prompts_do_not_depend_on_the_hash_seed():
    program = "from labeling.sample_project import prompts; print([p.key for p in prompts(3)])"
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1

"""The sample project is learnable: the recipe is valid, everything fits, and judgments carry the guideline.

The whole loop is run by the demo; these are its cheap preconditions.
"""

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from labeling.sample_project import (
    SimulatedAnnotator,
    guideline_score,
    pretraining_text,
    prompts,
    reference_answers,
    team,
    training_prompts,
)
from labeling.sample_project.recipe import MAXIMUM_NEW_TOKENS, RECIPE
from training.rlhf.config import validate

FILES = {
    "pretrain": {"text_files": ["text.jsonl"]},
    "sft": {"model": "base", "train_file": "train.jsonl"},
    "reward": {"model": "sft", "train_file": "train.jsonl"},
    "ppo": {"policy": "sft", "reward_model": "reward", "prompts_file": "prompts.jsonl"},
    "sample": {"prompts_file": "prompts.jsonl", "checkpoints": ["sft"]},
}


@pytest.fixture(scope="module")
def tokenizer():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=RECIPE["pretrain"]["vocabulary_size"], show_progress=False)
    tokenizer.train_from_iterator(pretraining_text(pages=3000), trainer)
    return tokenizer


def length(tokenizer, *texts):
    return sum(len(tokenizer.encode(text).ids) + 1 for text in texts)


@pytest.mark.parametrize("stage", RECIPE)
def test_the_training_library_accepts_the_recipe(stage):
    config = validate(stage, RECIPE[stage] | FILES[stage])
    assert all(getattr(config, name) == value for name, value in RECIPE[stage].items())


def test_every_stage_has_a_recipe():
    assert set(RECIPE) == set(FILES)


def test_sampling_and_practice_use_one_temperature():
    assert RECIPE["sample"]["temperature"] == RECIPE["ppo"]["temperature"]
    assert RECIPE["sample"]["max_new_tokens"] == RECIPE["ppo"]["maximum_new_tokens"]


def test_every_prompt_leaves_room_for_an_answer(tokenizer):
    longest = max(length(tokenizer, *(m["content"] for m in prompt.messages)) for prompt in prompts())
    assert longest <= RECIPE["ppo"]["maximum_prompt_length"]
    assert longest + MAXIMUM_NEW_TOKENS <= RECIPE["pretrain"]["context"]


def test_every_good_answer_can_be_generated(tokenizer):
    longest = max(length(tokenizer, answer) for prompt in prompts() for answer in reference_answers(prompt))
    assert longest <= MAXIMUM_NEW_TOKENS


def test_hardly_any_demonstration_is_too_long_to_train_on(tokenizer):
    people = team()
    lengths = [
        length(
            tokenizer,
            *(m["content"] for m in prompt.messages),
            people[number % len(people)].demonstrate(prompt),
        )
        for number, prompt in enumerate(training_prompts())
    ]
    too_long = sum(size > RECIPE["sft"]["maximum_length"] for size in lengths)
    assert too_long <= 0.02 * len(lengths)


def test_what_people_rank_first_keeps_the_guideline_better_than_what_they_write():
    writers, judges = team(seed=5, size=4), team(seed=6, size=6)
    first, everything = [], []
    for number, prompt in enumerate(training_prompts()):
        texts = [writer.demonstrate(prompt) for writer in writers]
        scores = [guideline_score(prompt.messages, text).total for text in texts]
        best_tier = judges[number % len(judges)].rank(prompt, texts).tiers[0]
        first.append(sum(scores[n] for n in best_tier) / len(best_tier))
        everything.append(sum(scores) / len(scores))
    gain = (sum(first) - sum(everything)) / len(first)
    assert gain > 0.1


def test_a_judge_who_sees_nothing_wrong_prefers_nothing():
    blind = SimulatedAnnotator(1, noise=0.0, style="balanced")
    prompt = training_prompts()[0]
    assert len(blind.rank(prompt, reference_answers(prompt)[:2]).tiers) == 1

"""PPO with a smaller reward model that has a tokenizer and a template of its own: it reads text."""

import shutil

import pytest
import torch

from training.rlhf.chat import PLAIN_TEMPLATE, ChatEncoder
from training.rlhf.config import validate
from training.rlhf.data import read_prompts
from training.rlhf.generation import Sampled
from training.rlhf.models import context_length, load_causal_lm, load_reward_model
from training.rlhf.rollout import Episodes
from training.rlhf.run import Run
from training.rlhf.session import open_accelerator
from training.rlhf.stages.ppo import PpoTrainer
from training.rlhf.stages.score import SCORES, scored

from .conftest import World, events, final_checkpoint, result, run_here
from .test_kill_and_resume import assert_same_weights, curve, kill_midway, long_config


@pytest.fixture(scope="module")
def foreign_reward(world, tmp_path_factory):
    """Another vocabulary, width and depth, another template; learnt from the same rankings."""
    folder = tmp_path_factory.mktemp("foreign")
    shape = {"vocabulary_size": 340, "layers": 1, "hidden": 16, "context": 96}
    assert run_here("pretrain", world.config("pretrain", **shape), folder / "base") == 0
    base = final_checkpoint(folder / "base")
    tokenizer = base / "chat_template.jinja"
    tokenizer.write_text(PLAIN_TEMPLATE)
    (base / "manifest.json").unlink()
    assert run_here("reward", world.config("reward", model=str(base)), folder / "reward") == 0
    return final_checkpoint(folder / "reward")


def make_trainer(world: World, sft_model, reward, out, **changes) -> PpoTrainer:
    values = world.config("ppo", policy=str(sft_model), reward_model=str(reward), **changes)
    with Run(out, "ppo") as run:
        return PpoTrainer(run, validate("ppo", values), open_accelerator(validate("ppo", values)), None)


@pytest.fixture
def trainer(world, sft_model, foreign_reward, tmp_path):
    return make_trainer(world, sft_model, foreign_reward, tmp_path / "run")


def said(trainer: PpoTrainer, texts: list[str], *, ended: bool = True) -> Episodes:
    """Episodes in which the policy says these texts to the first prompts."""
    encoder = trainer.roller.encoder
    responses = [encoder.encode_response(text) for text in texts]
    rows = [Sampled(ids if ended else ids[:-1], ended) for ids in responses]
    return Episodes(trainer.prompts[: len(texts)], rows)


def directly(reward, prompt, text: str, *, ended: bool = True) -> float:
    """Oracle: the plain model on the plain text in its own template, read at the last token."""
    model, tokenizer = load_reward_model(str(reward), allowed_hub_ids=[])
    encoder = ChatEncoder(tokenizer)
    ids = encoder.encode(prompt, text).ids
    with torch.no_grad():
        logits = model.eval()(input_ids=torch.tensor([ids if ended else ids[:-1]])).logits
    return float(logits) - model.config.reward_bias


TEXTS = ["The cat is black.", "The dog is brown. I like it.", "Grün — naïve 🦊", "It ends <|endoftext|> here"]


def test_scores_are_those_of_the_text_scored_directly(world, trainer, foreign_reward):
    prompts = [row.prompt for row in read_prompts(world.prompts)]
    found = trainer.roller.scores(said(trainer, TEXTS))
    expected = [directly(foreign_reward, prompt, text) for prompt, text in zip(prompts, TEXTS, strict=False)]
    torch.testing.assert_close(found, torch.tensor(expected), atol=1e-5, rtol=1e-5)
    assert len({round(score, 3) for score in expected}) == len(TEXTS)


def test_scores_are_those_of_the_score_stage(world, trainer, foreign_reward, tmp_path):
    rows = [
        {"messages": prompt.prompt, "text": text, "completion_id": number}
        for number, (prompt, text) in enumerate(zip(read_prompts(world.prompts), TEXTS, strict=False))
    ]
    config = world.config(
        "score", reward_model=str(foreign_reward), completions_file=world.write("said.jsonl", rows)
    )
    assert run_here("score", config, tmp_path / "score") == 0
    found = trainer.roller.scores(said(trainer, TEXTS)).tolist()
    assert found == pytest.approx(list(scored(tmp_path / "score" / SCORES).values()), abs=1e-5)


def test_what_did_not_end_is_read_at_its_last_word_and_charged(world, trainer, foreign_reward):
    prompts = [row.prompt for row in read_prompts(world.prompts)]
    found = trainer.roller.scores(said(trainer, TEXTS[:2], ended=False))
    for score, prompt, text in zip(found.tolist(), prompts, TEXTS, strict=False):
        expected = directly(foreign_reward, prompt, text, ended=False) - 1.0  # missing_eos_penalty
        assert score == pytest.approx(expected, abs=1e-5)


def test_a_spelled_special_token_is_text_to_the_reward_model(trainer):
    reward = trainer.rereader.reward
    episodes = said(trainer, ["It ends <|endoftext|> here"])
    ids = trainer.rereader.sequences(episodes.prompts, episodes.responses)[0]
    after_prompt = ids[len(reward.encode_prompt([{"role": "user", "content": "x"}])) :]
    assert after_prompt.count(reward.stop_id) == 1 and ids[-1] == reward.stop_id


def test_an_answer_of_nothing_still_has_a_last_token(trainer):
    prompt = trainer.prompts[0]
    stop = trainer.roller.encoder.stop_id
    pad = trainer.roller.encoder.pad_id
    for sampled in (Sampled([stop], True), Sampled([pad], False)):
        ids = trainer.rereader.sequences([prompt], [sampled])[0]
        assert ids[-1] == trainer.rereader.reward.stop_id
    assert torch.isfinite(trainer.roller.scores(Episodes([prompt], [Sampled([pad], False)]))).all()


def test_what_is_longer_than_the_reward_model_reads_is_read_as_far_as_it_can(trainer):
    trainer.rereader.context = 40
    episodes = said(trainer, ["zebra quiz " * 8, "Black."])
    ids = trainer.rereader.sequences(episodes.prompts, episodes.responses)
    assert len(ids[0]) == 40 and len(ids[1]) < 40 and trainer.rereader.cut_share == 0.5


def test_the_value_model_starts_from_the_policy_and_the_run_says_so(trainer, sft_model, tmp_path):
    value = trainer.networks.value.model
    policy = load_causal_lm(str(sft_model), allowed_hub_ids=[])[0]
    torch.testing.assert_close(
        value.transformer.h[0].attn.c_attn.weight, policy.transformer.h[0].attn.c_attn.weight
    )
    logged = [event["data"]["message"] for event in events(tmp_path / "run", "log")]
    assert any("another tokenizer" in line and "starts from the policy" in line for line in logged)


def test_it_runs_and_a_killed_run_ends_as_if_nothing_had_happened(world, sft_model, foreign_reward, tmp_path):
    config = long_config(world, "ppo", {"policy": str(sft_model), "reward_model": str(foreign_reward)})
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert run_here("ppo", config, whole) == 0
    first = next(e["data"] for e in events(whole, "metrics") if "policy_loss" in e["data"])
    assert first["first_ratio_deviation"] == 0.0 and first["scores_cut"] == 0.0
    kill_midway("ppo", config, broken)
    assert run_here("ppo", config, broken, "--resume") == 0
    assert curve(broken) == curve(whole)
    assert_same_weights(final_checkpoint(whole), final_checkpoint(broken))


def test_adapters_too(world, sft_model, foreign_reward, tmp_path):
    models = {"policy": str(sft_model), "reward_model": str(foreign_reward)}
    config = world.config("ppo", method="lora", lora_rank=4, steps=2, save_every=1, **models)
    assert run_here("ppo", config, tmp_path / "run") == 0
    assert (final_checkpoint(tmp_path / "run") / "value_model" / "adapter").is_dir()
    assert result(tmp_path / "run")["metrics"]["validation_reward"] is not None


def test_prompts_that_a_reward_model_of_little_context_cannot_read_are_left_out(
    world, sft_model, reward_model, tmp_path
):
    """The same tokenizer: without this its positions would run out in the middle of a run."""
    small = tmp_path / "small"
    shutil.copytree(reward_model, small)
    model, tokenizer = load_reward_model(str(reward_model), allowed_hub_ids=[])
    room = max(map(len, make_trainer(world, sft_model, reward_model, tmp_path / "all").prompts)) + 15
    model.config.n_positions = room
    model.transformer.wpe = torch.nn.Embedding.from_pretrained(model.transformer.wpe.weight[:room])
    model.save_pretrained(small)
    (small / "manifest.json").unlink()
    assert context_length(model) == room
    trainer = make_trainer(world, sft_model, small, tmp_path / "run")
    assert trainer.rereader is None and 0 < len(trainer.prompts) < 14
    assert all(len(ids) + 16 <= room for ids in trainer.prompts)

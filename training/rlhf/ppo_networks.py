"""The four networks of PPO: loaded, adapted, frozen; and how large they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from training.rlhf import memory
from training.rlhf.adapters import add_adapter
from training.rlhf.models import (
    SequenceScores,
    TokenLogits,
    load_causal_lm,
    load_reward_model,
    new_reward_model,
    silence_dropout,
)
from training.rlhf.rollout import Networks, frozen

VALUE_MODEL = "value_model"


def load_networks(config: Any, resume: Path | None, *, rereads: bool) -> tuple[Networks, Any]:
    """(networks, the policy's tokenizer).

    The value model starts from the reward model. It reads the policy's tokens, so where the reward model
    reads others (`rereads`) it starts from the policy, with a fresh head.
    """
    hub = config.allowed_hub_ids
    adapted = config.method == "lora"
    policy: Any
    value: Any
    policy, tokenizer = load_causal_lm(
        str(resume) if resume and not adapted else config.policy, allowed_hub_ids=hub, field="policy"
    )
    reference, _ = load_causal_lm(config.policy, allowed_hub_ids=hub, field="policy")
    reward, _ = load_reward_model(config.reward_model, allowed_hub_ids=hub)
    if resume and not adapted:
        value, _ = load_reward_model(str(resume / VALUE_MODEL), allowed_hub_ids=hub)
    elif rereads:
        value, _ = new_reward_model(config.policy, allowed_hub_ids=hub, seed=config.seed)
    else:
        value, _ = load_reward_model(config.reward_model, allowed_hub_ids=hub)
    if adapted:
        policy = add_adapter(policy, config, classifier=False, resume=resume)
        value = add_adapter(value, config, classifier=True, resume=resume / VALUE_MODEL if resume else None)
    for model in (policy, value, reference, reward):
        silence_dropout(model)
    if config.gradient_checkpointing:
        policy.gradient_checkpointing_enable()
        value.gradient_checkpointing_enable()
    policy_scorer = TokenLogits(policy, packing=config.packing)
    value_scorer = SequenceScores(value, packing=config.packing)
    policy_scorer.eval()
    value_scorer.eval()
    networks = Networks(
        policy_scorer,
        frozen(TokenLogits(reference, packing=config.packing)),
        frozen(SequenceScores(reward, packing=config.packing)),
        value_scorer,
    )
    return networks, tokenizer


def network_sizes(config: Any, *, rereads: bool) -> list[memory.ModelSize]:
    """Of all that is held at once, the average of the weights among them."""
    policy = memory.language_model(config.policy, config)
    value = memory.reward_model(config.policy if rereads else config.reward_model, config)
    still = [
        memory.language_model(config.policy, config, learns=False),
        memory.reward_model(config.reward_model, config, learns=False),
    ]
    average = [still[0]] if config.ema_decay else []
    return [policy, value, *still, *average]

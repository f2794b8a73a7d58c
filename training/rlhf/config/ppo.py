"""Fields of proximal policy optimization from a reward model."""

from __future__ import annotations

from dataclasses import dataclass

from training.rlhf.config.common import (
    DATA,
    INSTRUCT,
    LORA,
    MODEL,
    N_DETAILS,
    OPTIMIZER,
    OUR_NUMBER,
    PARTS,
    SUMMARIZE,
    TIMING,
    OptimizerConfig,
)
from training.rlhf.config.fields import boolean, choice, integer, number, ours, path, paths
from training.rlhf.errors import ConfigError

# What the best checkpoint is chosen by where there are no held-out prompts.
OF_ROLLOUTS = {"validation_reward": "reward_mean", "validation_objective": "objective_mean"}
PPO = "PPO, arXiv 1707.06347"
PREFERENCES = "Fine-tuning language models from human preferences, arXiv 1909.08593"
ROLLOUT, KL, SURROGATE = "rollout", "KL", "objective"


@dataclass(frozen=True, kw_only=True)
class PpoConfig(OptimizerConfig):
    """Policy, frozen reference, reward model and value model."""

    policy: str = path(
        "Folder of the SFT checkpoint to improve; also the frozen reference.", required=True, group=MODEL
    )
    reward_model: str = path(
        "Folder of the reward model, of any size; the value model starts from it. With another tokenizer or "
        "chat template than the policy's it reads responses again as text, and the value model starts from "
        "the policy.",
        required=True,
        source=SUMMARIZE + ", section 3.4",
        group=MODEL,
    )
    prompts_file: str = path("JSONL file of prompts to practise on.", required=True, group=DATA)
    validation_prompts_file: str = path(
        "JSONL file of held-out prompts for reward and KL before, during and after.", group=DATA
    )
    validation_prompts: int = integer(
        128,
        1,
        100_000,
        "Most held-out prompts used per evaluation.",
        group=DATA,
        source=ours("a mean reward within a tenth of its spread, in reasonable time"),
    )
    maximum_prompt_length: int = integer(
        256,
        1,
        1_000_000,
        "Longer prompts (in tokens) are dropped and counted.",
        group=DATA,
        source=ours("short enough for two cores; presets name the papers' lengths"),
    )
    steps: int = integer(
        100,
        1,
        10_000_000,
        "Rounds of rollout and update.",
        group=TIMING,
        source=ours("enough to see whether reward rises; the papers' presets run for 500 to 1,953"),
    )
    batch_size: int = integer(
        64, 1, 65_536, "Episodes per step.", source=INSTRUCT + ", C.4 (512)", group=TIMING
    )
    minibatch_size: int = integer(
        64, 1, 65_536, "Episodes per optimizer step.", source=INSTRUCT + ", C.4 (64)", group=TIMING
    )
    ppo_epochs: int = integer(
        4,
        1,
        100,
        "Passes over each batch of episodes.",
        source=SUMMARIZE + " (4); InstructGPT (1)",
        group=TIMING,
    )
    maximum_new_tokens: int = integer(53, 1, 100_000, "Longest response.", source=N_DETAILS, group=ROLLOUT)
    temperature: float = number(
        1.0,
        0.01,
        10.0,
        "Divides the logits in rollout, reference and update alike.",
        source=INSTRUCT + ", C.4 (1.0); N+ (0.7)",
        group=ROLLOUT,
    )
    missing_eos_penalty: float = number(
        1.0, 0.0, 1000.0, "What a response that does not end is charged.", source=N_DETAILS, group=ROLLOUT
    )
    missing_eos_mode: str = choice(
        "subtract",
        ("subtract", "replace"),
        "Subtract it from the score, or make the score minus the penalty whatever was written.",
        source=N_DETAILS + " (replace)",
        group=ROLLOUT,
    )
    score_clip: float = number(
        0.0,
        0.0,
        1e6,
        "Clip scores to plus or minus this; 0 never.",
        group=ROLLOUT,
        source=ours(
            "off: what the reward model says is what is learnt; the KL penalty and kl_budget bound it"
        ),
    )
    learning_rate: float = number(
        1e-5,
        1e-9,
        1.0,
        "Peak learning rate of the policy.",
        source=PREFERENCES + ", its code (1e-5); InstructGPT, E.9 (swept, 2.55e-6 to 2.55e-5)",
        group=OPTIMIZER,
    )
    value_learning_rate: float = number(
        9e-6, 1e-9, 1.0, "Peak learning rate of the value model.", source=INSTRUCT + ", C.4", group=OPTIMIZER
    )
    schedule: str = choice(
        "linear",
        ("constant", "linear", "cosine"),
        "How both rates fall after the warm-up.",
        source=SUMMARIZE,
        group=OPTIMIZER,
    )
    minimum_rate_ratio: float = number(
        0.0, 0.0, 1.0, "The rates at the end, as a share of the peak.", source=SUMMARIZE, group=OPTIMIZER
    )
    kl_coefficient: float = number(
        0.05,
        0.0,
        10.0,
        "Weight of the per-token penalty for leaving the reference; where the adaptive controller starts.",
        source=SUMMARIZE + " (0.05); InstructGPT (0.02)",
        group=KL,
    )
    kl_controller: str = choice(
        "fixed",
        ("fixed", "adaptive"),
        "Keep the weight, or steer towards kl_target.",
        source=PREFERENCES,
        group=KL,
    )
    kl_target: float = number(
        6.0,
        0.001,
        10_000.0,
        "KL in nats per response that the adaptive controller seeks.",
        source=PREFERENCES,
        group=KL,
    )
    kl_horizon: float = number(
        10_000.0, 1.0, 1e9, "Episodes over which the adaptive controller moves.", source=PREFERENCES, group=KL
    )
    kl_budget: float = number(
        0.0,
        0.0,
        10_000.0,
        "Stop when KL on held-out prompts (on practice prompts without "
        "them) exceeds this many nats, and choose the best checkpoint within; 0 has no limit.",
        group=KL,
        source=ours(
            "no limit unless asked for; the N+ details (2403.17031) saw a 1B policy over-optimised at a KL "
            "of 50 to 85"
        ),
    )
    best_metric: str = choice(
        "validation_reward",
        ("validation_reward", "validation_objective"),
        "What the best checkpoint within kl_budget is best at, which is kept, and early stopping waits for: "
        "held-out reward, or that less kl_coefficient times held-out KL, what PPO seeks. Without "
        "validation_prompts_file both are of the practice prompts.",
        source=INSTRUCT + ", equation 2, without the pretraining term",
        group=TIMING,
    )
    gamma: float = number(1.0, 0.0, 1.0, "Discount per token.", source=SUMMARIZE, group=SURROGATE)
    gae_lambda: float = number(
        0.95,
        0.0,
        1.0,
        "Bias against variance of the advantages.",
        source="GAE, arXiv 1506.02438; " + SUMMARIZE,
        group=SURROGATE,
    )
    clip_range: float = number(
        0.2, 0.001, 1.0, "Clipping of the probability ratio.", source=PPO, group=SURROGATE
    )
    value_clip_range: float = number(
        0.2, 0.001, 1000.0, "How far a value may move from its old one.", source=N_DETAILS, group=SURROGATE
    )
    value_coefficient: float = number(
        0.1, 0.0, 100.0, "Weight of the value loss.", source=N_DETAILS, group=SURROGATE
    )
    whiten_rewards: bool = boolean(
        False,
        "Scale the shaped rewards to variance one, mean kept.",
        source=N_DETAILS + ", detail 24 (optional; on in its code)",
        group=SURROGATE,
    )
    whiten_advantages: bool = boolean(
        True,
        "Bring advantages to mean zero and variance one.",
        source=N_DETAILS + ", detail 25",
        group=SURROGATE,
    )
    ema_decay: float = number(
        0.0,
        0.0,
        0.99999,
        "Decay per step of a moving average of the policy's weights, which is what is evaluated and saved; 0 "
        "saves the policy itself.",
        source=INSTRUCT + ", C.4 (0.992)",
        group=SURROGATE,
    )
    pretrain_files: list[str] = paths(
        "Plain text or JSONL files with a text field, which the policy goes on predicting while it learns "
        "from rewards (PPO-ptx).",
        source=INSTRUCT + ", C.4",
        group=DATA,
    )
    pretrain_coefficient: float = number(
        0.0,
        0.0,
        10_000.0,
        "Weight of the loss per token on pretrain_files; 0 leaves them out.",
        source=INSTRUCT + ", C.4 (27.8)",
        group=SURROGATE,
    )
    pretrain_rows: int = integer(
        8,
        1,
        1000,
        "Pieces of pretraining text per episode of a minibatch.",
        source=INSTRUCT + ", C.4 (8)",
        group=SURROGATE,
    )
    pretrain_length: int = integer(
        128,
        8,
        131_072,
        "Tokens of a piece of pretraining text, at most the model's context.",
        group=DATA,
        source=ours("short enough for two cores; the papers do not state theirs"),
    )
    method: str = choice(
        "full",
        ("full", "lora"),
        "Train all weights of policy and value model, or adapters.",
        source=LORA,
        group=PARTS,
    )
    lora_rank: int = integer(16, 1, 1024, "Rank of the adapters.", source=LORA + OUR_NUMBER, group=PARTS)
    lora_alpha: float = number(
        32.0, 0.01, 10_000.0, "Adapters are scaled by alpha / rank.", source=LORA + OUR_NUMBER, group=PARTS
    )

    def check(self) -> None:
        super().check()
        if self.minibatch_size > self.batch_size:
            raise ConfigError("minibatch_size", f"must be at most batch_size ({self.batch_size})")
        if self.batch_size % self.minibatch_size:
            raise ConfigError("minibatch_size", f"must divide batch_size ({self.batch_size})")
        if self.pretrain_coefficient and not self.pretrain_files:
            raise ConfigError("pretrain_files", "is needed where pretrain_coefficient is not 0")

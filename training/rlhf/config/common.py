"""Fields common to several stages, and where their defaults come from."""

from __future__ import annotations

from dataclasses import dataclass

from training.rlhf.config.fields import boolean, choice, integer, number, ours, path, strings
from training.rlhf.errors import ConfigError

INSTRUCT = "InstructGPT, arXiv 2203.02155"
SUMMARIZE = "Learning to summarize, arXiv 2009.01325"
N_DETAILS = "The N+ implementation details of RLHF with PPO, arXiv 2403.17031"
LLAMA2 = "Llama 2, arXiv 2307.09288"
LORA = "LoRA, arXiv 2106.09685"
OUR_NUMBER = " (the method; the number is our choice)"
GPT3 = "GPT-3, arXiv 2005.14165"
OPENAI_DATA = "OpenAI's command for preparing fine-tuning data, openai 0.28"

TIMING, OPTIMIZER, DATA, MODEL, DEVICE, PARTS = (
    "schedule",
    "optimizer",
    "data",
    "model",
    "device",
    "fine-tuning",
)


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """What every stage has."""

    seed: int = integer(
        0,
        0,
        2**31 - 1,
        "All randomness of the run follows from this number.",
        group=DEVICE,
        source=ours("any number will do, and a fixed one makes a run repeatable"),
    )
    device: str = choice(
        "auto",
        ("auto", "cpu", "cuda"),
        "Where to compute; auto takes a GPU if there is one.",
        group=DEVICE,
        source=ours("take what is there"),
    )
    precision: str = choice(
        "fp32",
        ("fp32", "bf16", "fp16"),
        "Precision of forward and backward passes; weights and optimizer always stay in 32 bits. fp16 is for "
        "GPUs without bf16: its loss is scaled, and an update whose gradients overflow is left out.",
        source=SUMMARIZE + ", footnote 11",
        group=DEVICE,
    )
    threads: int = integer(
        0,
        0,
        1024,
        "CPU threads; 0 takes the cores this process may use. Resuming is exact only with the same number.",
        group=DEVICE,
        source=ours("all cores that this process may use"),
    )
    allowed_hub_ids: list[str] = strings(
        [],
        "Names on the Hugging Face hub that this run may load; all other models must be local folders.",
        group=MODEL,
    )

    def check(self) -> None:
        """Rules that concern several fields at once; ConfigError names one of them."""


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig(RunConfig):
    """AdamW, its schedule, and when to save; shared by everything that learns."""

    learning_rate: float = number(
        1e-4,
        1e-9,
        1.0,
        "Peak learning rate.",
        group=OPTIMIZER,
        source=ours("what trains models of some ten million weights; presets name the papers' rates"),
    )
    schedule: str = choice(
        "cosine",
        ("constant", "linear", "cosine"),
        "How the rate falls after the warm-up.",
        source=INSTRUCT + ", C.1",
        group=OPTIMIZER,
    )
    warmup_ratio: float = number(
        0.0,
        0.0,
        0.9,
        "Share of all steps during which the rate rises from zero.",
        group=OPTIMIZER,
        source=INSTRUCT + ", C.1 (SFT: none)",
    )
    minimum_rate_ratio: float = number(
        0.1,
        0.0,
        1.0,
        "The rate at the end, as a share of the peak.",
        source=INSTRUCT + ", C.1",
        group=OPTIMIZER,
    )
    weight_decay: float = number(
        0.0,
        0.0,
        1.0,
        "Decoupled decay of matrices (not of biases and norms).",
        group=OPTIMIZER,
        source=ours("off, so that nothing but the loss pulls at the weights of a trained model"),
    )
    adam_beta1: float = number(
        0.9, 0.0, 0.9999, "Decay of the mean of gradients.", group=OPTIMIZER, source=INSTRUCT + ", appendix C"
    )
    adam_beta2: float = number(
        0.95, 0.0, 0.99999, "Decay of the mean of squared gradients.", source=INSTRUCT, group=OPTIMIZER
    )
    adam_epsilon: float = number(
        1e-5, 1e-12, 1e-2, "Added to the root of the second moment.", source=N_DETAILS, group=OPTIMIZER
    )
    maximum_gradient_norm: float = number(
        1.0,
        0.0,
        1e6,
        "Gradients longer than this are scaled down; 0 never.",
        group=OPTIMIZER,
        source=GPT3 + ", appendix B (1.0)",
    )
    log_every: int = integer(
        1,
        1,
        100_000,
        "Steps between two rows of metrics.",
        group=TIMING,
        source=ours("every step, so that the first curve is seen at once"),
    )
    evaluate_every: int = integer(
        0,
        0,
        1_000_000,
        "Steps between evaluations; 0 evaluates at both ends only.",
        group=TIMING,
        source=ours("evaluations cost time, so more than two are asked for"),
    )
    save_every: int = integer(
        0,
        0,
        1_000_000,
        "Steps between checkpoints; 0 saves the best and the last only.",
        group=TIMING,
        source=ours("checkpoints cost room on the disk, so more than two are asked for"),
    )
    keep_checkpoints: int = integer(
        2,
        1,
        1000,
        "Newest checkpoints kept; the best is kept besides.",
        group=TIMING,
        source=ours("the newest may turn out damaged, and then there is one more"),
    )
    early_stopping_patience: int = integer(
        0,
        0,
        10_000,
        "Stop after so many evaluations that are not better by the metric that chooses the best checkpoint "
        "(best_metric; in pretraining the validation loss); 0 never.",
        group=TIMING,
        source=ours(
            "off: InstructGPT preferred SFT models of 16 epochs though their validation loss rose after "
            "one (C.1)"
        ),
    )
    micro_batch_tokens: int = integer(
        8192,
        0,
        10_000_000,
        "Most tokens, padding included, in one forward pass; 0 takes the most that fits the free memory. A "
        "batch is gathered from as many passes as it needs, so results stay the same.",
        group=DEVICE,
        source=ours("fits models up to GPT-2 small in 8 GB; 0 measures instead"),
    )
    packing: bool = boolean(
        True,
        "Compute rows side by side without padding, blind to one another; models that cannot be packed are "
        "padded. Pretraining has nothing to pack.",
        group=DEVICE,
        source=ours("the same results in less time; docs/experiments.md has the figures"),
    )
    gradient_checkpointing: bool = boolean(
        False,
        "Recompute activations in the backward pass: slower, smaller.",
        group=DEVICE,
        source=ours("off, since it costs time, and models that need it are the exception here"),
    )

    def check(self) -> None:
        super().check()
        if 0 < self.micro_batch_tokens < 16:
            raise ConfigError("micro_batch_tokens", "must be 0, for the most that fits, or at least 16")
        if self.save_every and self.evaluate_every and self.save_every % self.evaluate_every:
            raise ConfigError(
                "save_every",
                f"must be a multiple of evaluate_every ({self.evaluate_every}), so that "
                "each checkpoint has its metrics",
            )


@dataclass(frozen=True, kw_only=True)
class SupervisedConfig(OptimizerConfig):
    """Stages that pass over labelled rows."""

    batch_size: int = integer(
        32, 1, 65_536, "Rows per step.", group=TIMING, source=INSTRUCT + ", C.1 (SFT, 1.3B and 6B: 32)"
    )
    epochs: int = integer(
        1,
        1,
        10_000,
        "Passes over the training rows.",
        group=TIMING,
        source=ours(
            "one, as Learning to summarize does for SFT and reward models; InstructGPT's SFT takes 16"
        ),
    )
    maximum_steps: int = integer(
        0,
        0,
        10_000_000,
        "Stop after so many steps; 0 goes by epochs.",
        group=TIMING,
        source=ours("epochs say how long a run is, as in the papers"),
    )

    @property
    def peak_rate(self) -> float:
        return self.learning_rate


@dataclass(frozen=True, kw_only=True)
class FineTuneConfig(SupervisedConfig):
    """Stages that start from an existing model."""

    model: str = path(
        "Folder of the model to start from (one of our checkpoints or any Hugging Face causal "
        "language model), or an allowed hub id.",
        required=True,
        group=MODEL,
    )
    train_file: str = path("JSONL file with the training rows.", required=True, group=DATA)
    validation_file: str = path(
        "JSONL file with held-out rows; without it there are no validation metrics.", group=DATA
    )
    train_share: float = number(
        1.0,
        0.001,
        1.0,
        "Share of the training prompts that is learnt from, the same ones each time and those of a smaller "
        "share among them: runs on 0.25, 0.5 and 1 show whether more data would help.",
        group=DATA,
        source=ours("all there is, unless a learning curve is wanted"),
    )
    mix_file: str = path(
        "JSONL file of former training rows that are mixed in, so that what was learnt from them stays.",
        group=DATA,
    )
    mix_ratio: float = number(
        1.0,
        0.001,
        1000.0,
        "Rows of mix_file for each row of train_file, drawn once by the seed; at most all there are.",
        group=DATA,
        source=ours("as many former rows as new ones, so that neither side outweighs the other"),
    )
    learning_rate_multiplier: float = number(
        1.0,
        0.0001,
        100.0,
        "Multiplies the learning rate: going on from a trained checkpoint often wants a fraction of it.",
        group=OPTIMIZER,
        source=ours("the rate as it stands, unless one goes on from a checkpoint"),
    )
    maximum_length: int = integer(
        512,
        8,
        1_000_000,
        "Most tokens of a row, prompt and response together.",
        group=DATA,
        source=ours(
            "short enough for two cores, long enough for most conversations of one turn; presets name the "
            "papers' lengths"
        ),
    )
    over_long: str = choice(
        "drop",
        ("drop", "refuse"),
        "Rows longer than that: drop and count them, or refuse the file. They are never cut.",
        source=ours(
            "half an answer teaches a model to stop anywhere; 2009.01325 cut its posts at newlines (B.2)"
        ),
        group=DATA,
    )
    method: str = choice(
        "full", ("full", "lora"), "Train all weights, or low-rank adapters.", source=LORA, group=PARTS
    )
    lora_rank: int = integer(16, 1, 1024, "Rank of the adapters.", source=LORA + OUR_NUMBER, group=PARTS)
    lora_alpha: float = number(
        32.0, 0.01, 10_000.0, "Adapters are scaled by alpha / rank.", source=LORA + OUR_NUMBER, group=PARTS
    )
    lora_dropout: float = number(
        0.0, 0.0, 0.9, "Dropout before the adapters.", source=LORA + OUR_NUMBER, group=PARTS
    )

    @property
    def peak_rate(self) -> float:
        return self.learning_rate * self.learning_rate_multiplier

"""Fields common to all training stages, and those of pretrain, sft and reward."""

from __future__ import annotations

from dataclasses import dataclass

from training.rlhf.config.fields import boolean, choice, integer, number, path, paths, strings, text
from training.rlhf.errors import ConfigError
from training.rlhf.template_styles import STYLES, template_of

INSTRUCT = "InstructGPT, arXiv 2203.02155"
SUMMARIZE = "Learning to summarize, arXiv 2009.01325"
N_DETAILS = "The N+ implementation details of RLHF with PPO, arXiv 2403.17031"
LLAMA2 = "Llama 2, arXiv 2307.09288"
LORA = "LoRA, arXiv 2106.09685"

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

    seed: int = integer(0, 0, 2**31 - 1, "All randomness of the run follows from this number.", group=DEVICE)
    device: str = choice(
        "auto", ("auto", "cpu", "cuda"), "Where to compute; auto takes a GPU if there is one.", group=DEVICE
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

    learning_rate: float = number(1e-4, 1e-9, 1.0, "Peak learning rate.", group=OPTIMIZER)
    schedule: str = choice(
        "cosine",
        ("constant", "linear", "cosine"),
        "How the rate falls after the warm-up.",
        source=INSTRUCT + ", C.1",
        group=OPTIMIZER,
    )
    warmup_ratio: float = number(
        0.0, 0.0, 0.9, "Share of all steps during which the rate rises from zero.", group=OPTIMIZER
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
        0.0, 0.0, 1.0, "Decoupled decay of matrices (not of biases and norms).", group=OPTIMIZER
    )
    adam_beta1: float = number(0.9, 0.0, 0.9999, "Decay of the mean of gradients.", group=OPTIMIZER)
    adam_beta2: float = number(
        0.95, 0.0, 0.99999, "Decay of the mean of squared gradients.", source=INSTRUCT, group=OPTIMIZER
    )
    adam_epsilon: float = number(
        1e-5, 1e-12, 1e-2, "Added to the root of the second moment.", source=N_DETAILS, group=OPTIMIZER
    )
    maximum_gradient_norm: float = number(
        1.0, 0.0, 1e6, "Gradients longer than this are scaled down; 0 never.", group=OPTIMIZER
    )
    log_every: int = integer(1, 1, 100_000, "Steps between two rows of metrics.", group=TIMING)
    evaluate_every: int = integer(
        0, 0, 1_000_000, "Steps between evaluations; 0 evaluates at both ends only.", group=TIMING
    )
    save_every: int = integer(
        0, 0, 1_000_000, "Steps between checkpoints; 0 saves the best and the last only.", group=TIMING
    )
    keep_checkpoints: int = integer(
        2, 1, 1000, "Newest checkpoints kept; the best is kept besides.", group=TIMING
    )
    micro_batch_tokens: int = integer(
        8192,
        0,
        10_000_000,
        "Most tokens, padding included, in one forward pass; 0 takes the most that fits the free memory. A "
        "batch is gathered from as many passes as it needs, so results stay the same.",
        group=DEVICE,
    )
    packing: bool = boolean(
        True,
        "Compute rows side by side without padding, blind to one another; models that cannot be packed are "
        "padded. Pretraining has nothing to pack.",
        group=DEVICE,
    )
    gradient_checkpointing: bool = boolean(
        False, "Recompute activations in the backward pass: slower, smaller.", group=DEVICE
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

    batch_size: int = integer(32, 1, 65_536, "Rows per step.", group=TIMING)
    epochs: int = integer(1, 1, 10_000, "Passes over the training rows.", group=TIMING)
    maximum_steps: int = integer(
        0, 0, 10_000_000, "Stop after so many steps; 0 goes by epochs.", group=TIMING
    )
    early_stopping_patience: int = integer(
        0,
        0,
        10_000,
        "Stop after so many evaluations without a better validation loss; 0 never.",
        group=TIMING,
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
    )
    learning_rate_multiplier: float = number(
        1.0,
        0.0001,
        100.0,
        "Multiplies the learning rate: going on from a trained checkpoint often wants a fraction of it.",
        group=OPTIMIZER,
    )
    maximum_length: int = integer(
        512, 8, 1_000_000, "Most tokens of a row, prompt and response together.", group=DATA
    )
    over_long: str = choice(
        "drop",
        ("drop", "refuse"),
        "Rows longer than that: drop and count them, or refuse the file. They are never cut.",
        source=SUMMARIZE + ", B.2",
        group=DATA,
    )
    method: str = choice(
        "full", ("full", "lora"), "Train all weights, or low-rank adapters.", source=LORA, group=PARTS
    )
    lora_rank: int = integer(16, 1, 1024, "Rank of the adapters.", source=LORA, group=PARTS)
    lora_alpha: float = number(
        32.0, 0.01, 10_000.0, "Adapters are scaled by alpha / rank.", source=LORA, group=PARTS
    )
    lora_dropout: float = number(0.0, 0.0, 0.9, "Dropout before the adapters.", source=LORA, group=PARTS)

    @property
    def peak_rate(self) -> float:
        return self.learning_rate * self.learning_rate_multiplier


@dataclass(frozen=True, kw_only=True)
class PretrainConfig(SupervisedConfig):
    """A tokenizer and a small GPT-2-shaped model from plain text."""

    text_files: list[str] = paths(
        "Plain text files (one document each) or JSONL files with a text field.", required=True, group=DATA
    )
    validation_fraction: float = number(0.02, 0.0, 0.5, "Share of the text blocks held out.", group=DATA)
    vocabulary_size: int = integer(
        1024, 300, 200_000, "Size of the byte-level BPE vocabulary to be learnt.", group=MODEL
    )
    layers: int = integer(4, 1, 96, "Transformer blocks.", group=MODEL)
    hidden: int = integer(128, 8, 16_384, "Width of the model.", group=MODEL)
    heads: int = integer(4, 1, 256, "Attention heads.", group=MODEL)
    context: int = integer(128, 16, 131_072, "Longest sequence the model can read.", group=MODEL)
    block_length: int = integer(0, 0, 131_072, "Tokens of a training row; 0 takes the context.", group=DATA)
    dropout: float = number(0.0, 0.0, 0.9, "Dropout of residuals, embeddings and attention.", group=MODEL)
    learning_rate: float = number(1e-3, 1e-9, 1.0, "Peak learning rate.", group=OPTIMIZER)
    warmup_ratio: float = number(
        0.05, 0.0, 0.9, "Share of all steps during which the rate rises from zero.", group=OPTIMIZER
    )
    weight_decay: float = number(
        0.1, 0.0, 1.0, "Decoupled decay of matrices (not of biases and norms).", group=OPTIMIZER
    )

    def check(self) -> None:
        super().check()
        if self.hidden % self.heads:
            raise ConfigError("heads", f"must divide hidden ({self.hidden}), {self.heads} does not")
        if self.block_length > self.context:
            raise ConfigError("block_length", f"must be at most the context ({self.context})")
        if self.block_length and self.block_length < 8:
            raise ConfigError("block_length", "must be 0 or at least 8")


@dataclass(frozen=True, kw_only=True)
class SftConfig(FineTuneConfig):
    """Supervised fine-tuning on demonstrations."""

    dropout: float = number(
        0.0, 0.0, 0.9, "Residual dropout while training.", source=INSTRUCT + ", C.1 (0.2)", group=PARTS
    )
    group_by_length: bool = boolean(
        True, "Put rows of like length into one batch, where rows are padded.", group=DATA
    )
    template: str = choice(
        "own",
        STYLES,
        "How conversations are written down: own is the model's chat template, or our simple one for a model "
        "without; simple is ours in any case; gpt3 is prompt, separator, space, answer, stop sequence. The "
        "checkpoint carries it.",
        group=MODEL,
    )
    separator: str = text(
        "\\n\\n###\\n\\n", "Text after a prompt, of template = gpt3; \\n is a new line.", group=MODEL
    )
    stop_sequence: str = text(
        " END",
        "Text after an answer, of template = gpt3: sampling stops there. It must not occur in the rows.",
        group=MODEL,
    )
    chat_template: str = text(
        "",
        "Jinja chat template to use instead of the model's own; empty keeps that, or "
        "gives a base model our plain one.",
        group=MODEL,
    )

    def check(self) -> None:
        super().check()
        _ = self.template_text

    @property
    def template_text(self) -> str:
        """As `chat.load_tokenizer` takes it."""
        return template_of(
            self.template,
            separator=self.separator,
            stop_sequence=self.stop_sequence,
            chat_template=self.chat_template,
        )


@dataclass(frozen=True, kw_only=True)
class RewardConfig(FineTuneConfig):
    """A reward model from K-wise rankings."""

    learning_rate: float = number(
        9e-6, 1e-9, 1.0, "Peak learning rate.", source=INSTRUCT + ", C.2", group=OPTIMIZER
    )
    batch_size: int = integer(
        64,
        1,
        65_536,
        "Rankings (prompts with all their completions) per step.",
        source=INSTRUCT + ", C.2",
        group=TIMING,
    )
    labels: str = choice(
        "ranks",
        ("ranks", "preferences", "scores"),
        "What the rows hold and how it is learnt: ranks; scores of single completions (say 1 to 10), turned "
        "into preferences within a prompt; or such scores, regressed. Dataset versions hold ranks, and "
        "scores where their recipe includes them; several people's scores of a completion are averaged.",
        group=DATA,
    )
    margin_scale: float = number(
        0.0,
        0.0,
        100.0,
        "How far apart scores should be where people said by how much a completion is better: the margin of "
        "a pair (1 significantly, 2/3 clearly, 1/3 slightly, 0 negligibly; summed over the places between) "
        "times this number is asked for on top. 0 ignores margins. Validation is measured without it.",
        source=LLAMA2 + ", section 3.2.2 (1 small, 3 large)",
        group=DATA,
    )
    demonstrations_file: str = path(
        "JSONL file of demonstrations whose mean reward is shifted to zero; without "
        "it the mean over training completions is.",
        source=INSTRUCT + ", section 3.5",
        group=DATA,
    )
    demonstration_limit: int = integer(512, 1, 100_000, "Rows used for that mean.", group=DATA)
    best_metric: str = choice(
        "validation_loss",
        ("validation_loss", "validation_accuracy"),
        "What the best checkpoint is best at.",
        group=TIMING,
    )

    def check(self) -> None:
        super().check()
        if self.margin_scale and self.labels != "ranks":
            raise ConfigError(
                "margin_scale",
                f"goes with rankings, whose margins people chose; with labels = {self.labels} use 0",
            )

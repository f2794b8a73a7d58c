"""Fields of pretrain, sft and reward."""

from __future__ import annotations

from dataclasses import dataclass

from training.rlhf.config.common import (
    DATA,
    GPT3,
    INSTRUCT,
    LLAMA2,
    MODEL,
    OPENAI_DATA,
    OPTIMIZER,
    PARTS,
    TIMING,
    FineTuneConfig,
    SupervisedConfig,
)
from training.rlhf.config.fields import boolean, choice, integer, number, ours, path, paths, text
from training.rlhf.errors import ConfigError
from training.rlhf.template_styles import STYLES, template_of


@dataclass(frozen=True, kw_only=True)
class PretrainConfig(SupervisedConfig):
    """A tokenizer and a small GPT-2-shaped model from plain text."""

    text_files: list[str] = paths(
        "Plain text files (one document each) or JSONL files with a text field.", required=True, group=DATA
    )
    validation_fraction: float = number(
        0.02,
        0.0,
        0.5,
        "Share of the text blocks held out.",
        group=DATA,
        source=ours("enough to see overfitting, too little to be missed"),
    )
    vocabulary_size: int = integer(
        1024,
        300,
        200_000,
        "Size of the byte-level BPE vocabulary to be learnt.",
        group=MODEL,
        source=ours("small texts fill no larger vocabulary"),
    )
    layers: int = integer(
        4, 1, 96, "Transformer blocks.", group=MODEL, source=ours("a model that two cores train in minutes")
    )
    hidden: int = integer(
        128,
        8,
        16_384,
        "Width of the model.",
        group=MODEL,
        source=ours("a model that two cores train in minutes"),
    )
    heads: int = integer(
        4, 1, 256, "Attention heads.", group=MODEL, source=ours("32 numbers a head at the width of 128")
    )
    context: int = integer(
        128,
        16,
        131_072,
        "Longest sequence the model can read.",
        group=MODEL,
        source=ours("a model that two cores train in minutes"),
    )
    block_length: int = integer(
        0,
        0,
        131_072,
        "Tokens of a training row; 0 takes the context.",
        group=DATA,
        source=ours("rows as long as the model can read waste nothing"),
    )
    dropout: float = number(
        0.0,
        0.0,
        0.9,
        "Dropout of residuals, embeddings and attention.",
        group=MODEL,
        source=ours("off, since most text is seen only a few times"),
    )
    learning_rate: float = number(
        1e-3,
        1e-9,
        1.0,
        "Peak learning rate.",
        group=OPTIMIZER,
        source=ours("for a few million weights; GPT-3 took 6e-4 at 125 million (2005.14165, table 2.1)"),
    )
    warmup_ratio: float = number(
        0.05,
        0.0,
        0.9,
        "Share of all steps during which the rate rises from zero.",
        group=OPTIMIZER,
        source=ours("weights that start at random bear no full step at once"),
    )
    weight_decay: float = number(
        0.1,
        0.0,
        1.0,
        "Decoupled decay of matrices (not of biases and norms).",
        group=OPTIMIZER,
        source=GPT3 + ", appendix B (0.1)",
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
    best_metric: str = choice(
        "validation_loss",
        ("validation_loss", "validation_accuracy"),
        "What the best checkpoint is best at, which is kept, and early stopping waits for: loss per token of "
        "held-out responses, or the share of these tokens that the model finds likeliest.",
        group=TIMING,
        source=ours(
            "the loss is what is learnt; InstructGPT, C.1, chooses by a reward model, if there is one"
        ),
    )
    group_by_length: bool = boolean(
        True,
        "Put rows of like length into one batch, where rows are padded.",
        group=DATA,
        source=ours("less padding; which rows meet in a batch still follows the seed"),
    )
    template: str = choice(
        "own",
        STYLES,
        "How conversations are written down: own is the model's chat template, or our simple one for a model "
        "without; simple is ours in any case; gpt3 is prompt, separator, space, answer, stop sequence. The "
        "checkpoint carries it.",
        group=MODEL,
        source=ours("a model goes on with the template that it knows"),
    )
    separator: str = text(
        "\\n\\n###\\n\\n",
        "Text after a prompt, of template = gpt3; \\n is a new line.",
        group=MODEL,
        source=OPENAI_DATA + " (separator)",
    )
    stop_sequence: str = text(
        " END",
        "Text after an answer, of template = gpt3: sampling stops there. It must not occur in the rows.",
        group=MODEL,
        source=OPENAI_DATA + " (stop sequence)",
    )
    chat_template: str = text(
        "",
        "Jinja chat template to use instead of the model's own; empty keeps that, or "
        "gives a base model our plain one.",
        group=MODEL,
        source="Chat templates of Hugging Face transformers",
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
        source=ours("people rank here; scores are for data from elsewhere"),
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
    demonstration_limit: int = integer(
        512, 1, 100_000, "Rows used for that mean.", group=DATA, source=ours("enough for a mean, and quick")
    )
    best_metric: str = choice(
        "validation_loss",
        ("validation_loss", "validation_accuracy"),
        "What the best checkpoint is best at, which is kept, and early stopping waits for: loss over "
        "held-out rankings, or accuracy over their untied pairs.",
        group=TIMING,
        source=ours("the loss also tells how sure the model is, accuracy only who is ahead"),
    )

    def check(self) -> None:
        super().check()
        if self.margin_scale and self.labels != "ranks":
            raise ConfigError(
                "margin_scale",
                f"goes with rankings, whose margins people chose; with labels = {self.labels} use 0",
            )

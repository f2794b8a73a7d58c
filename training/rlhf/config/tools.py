"""Fields of the stages that use models without changing them: sample, evaluate, export."""

from __future__ import annotations

import re
from dataclasses import dataclass

from training.rlhf.config.common import DATA, DEVICE, MODEL, RunConfig
from training.rlhf.config.fields import boolean, choice, integer, number, ours, path, paths, text
from training.rlhf.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class SampleConfig(RunConfig):
    """Completions for prompts, from one or several checkpoints."""

    prompts_file: str = path("JSONL file of prompts.", required=True, group=DATA)
    checkpoints: list[str] = paths(
        "Folders (or allowed hub ids) of the models that answer.", required=True, group=MODEL
    )
    completions_per_prompt: int = integer(
        1,
        1,
        1000,
        "Completions per prompt and checkpoint.",
        group=DATA,
        source=ours("one answer, unless people are to rank several"),
    )
    temperature: float = number(
        1.0,
        0.0,
        10.0,
        "Divides the logits; 0 always takes the likeliest token.",
        source=ours("the model's own distribution, as InstructGPT samples (C.4)"),
    )
    top_p: float = number(
        1.0,
        0.01,
        1.0,
        "Sample from the likeliest tokens that make up this probability.",
        source="Nucleus sampling, arXiv 1904.09751",
    )
    max_new_tokens: int = integer(
        64, 1, 100_000, "Longest completion in tokens.", source=ours("a short answer")
    )
    maximum_prompt_length: int = integer(
        0,
        0,
        1_000_000,
        "Refuse longer prompts; 0 allows what fits the model beside the longest completion.",
        group=DATA,
        source=ours("whatever the model can read"),
    )
    batch_size: int = integer(
        64,
        1,
        65_536,
        "Completions generated at a time.",
        group=DEVICE,
        source=ours("keeps two cores busy and fits small memories"),
    )


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig(RunConfig):
    """How well a model predicts held-out demonstrations, or a reward model orders held-out completions."""

    model: str = path("Folder of a language model to measure on messages_file.", group=MODEL)
    messages_file: str = path("JSONL file of demonstrations.", group=DATA)
    reward_model: str = path("Folder of a reward model to measure on comparisons_file.", group=MODEL)
    comparisons_file: str = path("JSONL file of K-wise rankings.", group=DATA)
    safety_file: str = path(
        "JSONL file of safety prompts (messages or prompt, expected: refuse or answer, category), or a text "
        "file with one a line, that the model answers: how often does it refuse?",
        group=DATA,
    )
    answered_categories: str = text(
        "",
        "Categories of safety prompts that ought to be answered, between commas; all others ought to be "
        "refused, unless their row says what is expected.",
        group=DATA,
        source=ours("every safety prompt ought to be refused unless somebody says otherwise"),
    )
    classification: str = choice(
        "off",
        ("off", "found", "named"),
        "Measure answers as one of a few classes, each one token: found takes the different answers of "
        "messages_file, named those of classes.",
        group=DATA,
        source=ours("most projects have answers and no classes"),
    )
    classes: str = text(
        "",
        "Classes of classification = named, between commas or one a line.",
        group=DATA,
        source=ours("nothing is assumed about a project's classes"),
    )
    maximum_length: int = integer(
        512,
        8,
        1_000_000,
        "Longer rows are left out and counted.",
        group=DATA,
        source=ours("the same as for training, so that both see the same rows"),
    )
    answers: int = integer(
        100,
        0,
        100_000,
        "So many prompts of messages_file, evenly spread, are answered by the model (the likeliest token "
        "each time) and compared with the references by ROUGE-L and BLEU; 0 leaves that out.",
        source="ROUGE, Lin 2004; BLEU as in sacrebleu, arXiv 1804.08771",
        group=DATA,
    )
    max_new_tokens: int = integer(
        128,
        1,
        100_000,
        "Longest of these answers in tokens.",
        group=DATA,
        source=ours("room for most answers, so that few are cut"),
    )
    batch_size: int = integer(
        64,
        1,
        65_536,
        "Answers generated at a time.",
        group=DEVICE,
        source=ours("keeps two cores busy and fits small memories"),
    )
    micro_batch_tokens: int = integer(
        8192,
        16,
        10_000_000,
        "Most tokens in one forward pass.",
        group=DEVICE,
        source=ours("fits models up to GPT-2 small in 8 GB"),
    )
    packing: bool = boolean(
        True,
        "Compute rows side by side, without padding.",
        group=DEVICE,
        source=ours("the same results in less time; docs/experiments.md has the figures"),
    )

    def check(self) -> None:
        super().check()
        if bool(self.reward_model) != bool(self.comparisons_file):
            missing = "comparisons_file" if self.reward_model else "reward_model"
            raise ConfigError(missing, "reward_model and comparisons_file go together")
        has_data = bool(self.messages_file or self.safety_file)
        if bool(self.model) != has_data:
            missing = "messages_file" if self.model else "model"
            raise ConfigError(missing, "model goes together with messages_file or safety_file")
        if not self.model and not self.reward_model:
            raise ConfigError(
                "model", "give model and messages_file or safety_file, or reward_model and comparisons_file"
            )
        if self.classification != "off" and not self.messages_file:
            raise ConfigError("classification", "needs messages_file, whose answers are the classes")
        named = [name for name in re.split(r"[\n,]", self.classes) if name.strip()]
        if self.classification == "named" and not 2 <= len(named) <= 50:
            raise ConfigError("classes", "must name 2 to 50 classes, between commas or one a line")
        if named and self.classification != "named":
            raise ConfigError("classes", f"goes with classification = named, not {self.classification}")


@dataclass(frozen=True, kw_only=True)
class ScoreConfig(RunConfig):
    """What a reward model gives completions, one by one."""

    completions_file: str = path("JSONL file of prompts with a completion each.", required=True, group=DATA)
    reward_model: str = path("Folder of the reward model.", required=True, group=MODEL)
    maximum_length: int = integer(
        0,
        0,
        1_000_000,
        "Longer completions are left out and counted; 0 allows what the model reads.",
        group=DATA,
        source=ours("whatever the model can read"),
    )
    micro_batch_tokens: int = integer(
        8192,
        16,
        10_000_000,
        "Most tokens in one forward pass.",
        group=DEVICE,
        source=ours("fits models up to GPT-2 small in 8 GB"),
    )
    packing: bool = boolean(
        True,
        "Compute rows side by side, without padding.",
        group=DEVICE,
        source=ours("the same results in less time; docs/experiments.md has the figures"),
    )


@dataclass(frozen=True, kw_only=True)
class ExportConfig(RunConfig):
    """A checkpoint as a folder to give away: weights, tokenizer, template and a card; no optimizer state.
    What was written is read again and compared with the original.
    """

    checkpoint: str = path("Folder of the checkpoint.", required=True, group=MODEL)
    format: str = choice(
        "safetensors",
        ("safetensors", "onnx", "gguf"),
        "safetensors for transformers and what builds on it; onnx for onnxruntime; gguf for llama.cpp "
        "(language models of the GPT-2, Llama, Qwen 2 and GPT-NeoX families).",
        source="safetensors, ONNX and GGUF, as their projects define them",
    )
    weights: str = choice(
        "float32",
        ("float32", "bfloat16", "float16"),
        "Number format of the weights.",
        source=ours("the weights as they were trained"),
    )
    name: str = text(
        "", "Name of the model, on its card.", source=ours("a plain heading, where no name is given")
    )
    license: str = text(
        "other",
        "Licence of the weights, as the hub names it (apache-2.0, mit, cc-by-4.0, …); other where it is none "
        "of these.",
        source="Model cards of the Hugging Face hub",
    )
    license_name: str = text(
        "", "Name of a licence that is “other”.", source=ours("nothing is assumed about a licence")
    )
    license_link: str = text(
        "",
        "Where the licence stands: an address that begins with http.",
        source=ours("nothing is assumed about a licence"),
    )
    card_file: str = path(
        "JSON of what made the model, for its card; without it the manifests and run folders are read."
    )

    def check(self) -> None:
        super().check()
        if not re.fullmatch(r"[a-z0-9][a-z0-9.+-]{0,59}", self.license):
            raise ConfigError("license", "must be small letters, digits, dots and dashes, as in apache-2.0")
        for name in ("name", "license_name"):
            if len(getattr(self, name)) > 100 or "\n" in getattr(self, name):
                raise ConfigError(name, "must be one line of at most 100 characters")
        if self.license_name and self.license != "other":
            raise ConfigError("license_name", f"goes with license = other, not with {self.license}")
        if self.license_link and not re.fullmatch(r"https?://[^\s<>\"]{3,300}", self.license_link):
            raise ConfigError("license_link", "must be an address that begins with http:// or https://")
        if self.format == "onnx" and self.weights != "float32":
            raise ConfigError(
                "weights",
                "must be float32 for onnx; convert the file afterwards where a runtime wants halves",
            )

"""Which checkpoints a format can hold: read from the folder's JSON, before any weight is. Loads no torch.

ONNX holds whatever torch can trace. GGUF has a fixed set of tensors and settings for each family, so what has
no place there is refused, in a sentence, before the start.
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

from training.rlhf.errors import ConfigError, ModelFolderError
from training.rlhf.model_folders import is_reward_model

FOLDER = "model"  # in the run folder
SAFETENSORS, ONNX, GGUF = FORMATS = ("safetensors", "onnx", "gguf")
LIBRARIES = {SAFETENSORS: (), ONNX: ("onnx", "onnxscript", "onnxruntime"), GGUF: ("gguf",)}
REQUIREMENTS = "requirements/export.txt"

# transformers' model_type: the name that GGUF has for the family.
FAMILIES = {"gpt2": "gpt2", "llama": "llama", "qwen2": "qwen2", "gpt_neox": "gptneox"}
# What GGUF has no field for, by family: (field of config.json, the values that are implied).
IMPLIED: dict[str, tuple[tuple[str, tuple[Any, ...]], ...]] = {
    "gpt2": (
        ("activation_function", (None, "gelu_new", "gelu_pytorch_tanh")),
        ("scale_attn_by_inverse_layer_idx", (None, False)),
        ("scale_attn_weights", (None, True)),
        ("reorder_and_upcast_attn", (None, False)),
    ),
    "llama": (
        ("hidden_act", (None, "silu")),
        ("attention_bias", (None, False)),
        ("mlp_bias", (None, False)),
    ),
    "qwen2": (("hidden_act", (None, "silu")), ("use_sliding_window", (None, False))),
    "gpt_neox": (("hidden_act", (None, "gelu")), ("attention_bias", (None, True))),
}
LLAMA3_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
COMPOSED = "NFC"  # what Qwen 2 does to text first, and llama.cpp does not: the card says so
SPLITS = {LLAMA3_SPLIT: "llama-bpe", QWEN2_SPLIT: "qwen2"}


def require_libraries(format: str) -> None:
    """ConfigError where what writes or checks `format` is not installed."""
    missing = [name for name in LIBRARIES[format] if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(
            "format",
            f"{format} needs {' and '.join(missing)}, which is not installed: pip install -r {REQUIREMENTS}",
        )


def require_holdable(folder: Path, format: str) -> None:
    """ModelFolderError where `format` cannot hold the model in a checked `folder`."""
    if format != GGUF:
        return
    if is_reward_model(str(folder)):
        raise ModelFolderError(
            "gguf holds language models, and this is a reward model whose head has no place there; choose "
            "safetensors or onnx"
        )
    config = json.loads((folder / "config.json").read_bytes())
    family = config.get("model_type")
    if family not in FAMILIES:
        raise ModelFolderError(
            f"gguf is written for {', '.join(FAMILIES)}, not for {family}; choose safetensors or onnx"
        )
    for name, implied in IMPLIED[family]:
        if config.get(name) not in implied:
            raise ModelFolderError(
                f"gguf has no place for {name} = {config[name]!r} of a {family} model; choose "
                "safetensors or onnx"
            )
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    if (kind := rope.get("rope_type") or rope.get("type") or "default") != "default":
        raise ModelFolderError(
            f"gguf is written for plain rotary positions, not for {kind} scaling; choose safetensors or onnx"
        )
    if rotary_width(config) % 2:
        raise ModelFolderError(
            f"gguf turns rotary positions in pairs, and this {family} model turns {rotary_width(config)} "
            "numbers of each head; choose safetensors or onnx"
        )
    try:
        tokenizer = json.loads((folder / "tokenizer.json").read_bytes())
        pre_tokenizer_of(tokenizer)
    except (OSError, ValueError, KeyError) as error:
        raise ModelFolderError(f"gguf needs the tokenizer as tokenizer.json, which {folder} lacks") from error


def rotary_width(config: dict[str, Any]) -> int:
    """How many numbers of each head positions turn; 0 where none are turned."""
    if config.get("model_type") not in ("llama", "qwen2", "gpt_neox"):
        return 0
    head = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    rope = config.get("rope_parameters") or {}
    part = rope.get("partial_rotary_factor", config.get("rotary_pct", 1.0))
    return int(head * part)


def pre_tokenizer_of(tokenizer: dict[str, Any]) -> str:
    """GGUF's name for how a tokenizer, described as in tokenizer.json, splits text; ModelFolderError where it
    has none that we know, or where text is changed before.
    """
    kind, split = tokenizer["model"]["type"], tokenizer.get("pre_tokenizer") or {}
    if (normalizer := tokenizer.get("normalizer")) and normalizer.get("type") != COMPOSED:
        raise ModelFolderError(
            f"gguf has no place for what this tokenizer does to text before it splits it "
            f"({normalizer.get('type')}); choose safetensors or onnx"
        )
    parts = split.get("pretokenizers", [split])
    if kind == "BPE" and parts[-1].get("type") == "ByteLevel" and not parts[-1].get("add_prefix_space"):
        if len(parts) == 1 and parts[0].get("use_regex", True):
            return "gpt-2"
        pattern = parts[0].get("pattern", {}).get("Regex", "") if len(parts) == 2 else ""
        if pattern in SPLITS and parts[0].get("behavior") == "Isolated" and not parts[0].get("invert"):
            return SPLITS[pattern]
    raise ModelFolderError(
        "gguf is written for byte-level BPE tokenizers that split as those of GPT-2, Llama 3 or Qwen 2 do, "
        "and this one does not; choose safetensors or onnx"
    )

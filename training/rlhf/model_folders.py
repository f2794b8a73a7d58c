"""May this model be loaded? Looked at before torch is: a clear sentence instead of a stack trace.

Refused: folders that are missing, without weights, with pickled weights only, damaged, or that ask for
foreign code; hub names that the run does not allow.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from training.rlhf import checkpoints
from training.rlhf.errors import CheckpointError, ConfigError, ModelFolderError, first_line
from training.rlhf.weight_files import check_entries, check_sizes, weight_files

UNBOUNDED = 1_000_000  # tokens; of a model that names no longest sequence


def check_model(name: str, *, allowed_hub_ids: list[str], field: str = "model", digests: bool = True) -> str:
    """The name to load, after all checks that need no torch; ModelFolderError says what is wrong.

    Without `digests` the weights of a checkpoint are not read.
    """
    folder = Path(name)
    if folder.is_dir():
        check_folder(folder, field=field, digests=digests)
        return str(folder)
    if name in allowed_hub_ids:
        return name
    if folder.exists():
        raise ModelFolderError(f"{field}: {name} is a file, not a model folder")
    looks_like_hub = name.count("/") <= 1 and not name.startswith((".", "/", "~"))
    hint = " (a name on the hub must be listed in allowed_hub_ids)" if looks_like_hub else ""
    raise ModelFolderError(f"{field}: there is no model folder {name}{hint}")


def check_folder(folder: Path, *, field: str = "model", digests: bool = True) -> dict[str, Any]:
    """The folder's parsed `config.json`."""
    config = _read_object(
        folder / "config.json", f"{field}: {folder} has no config.json: it is not a model folder"
    )
    if "auto_map" in config:
        raise ModelFolderError(
            f"{field}: {folder} asks to run its own Python code (auto_map in config.json); "
            "such models are never loaded; choose one of a family that transformers knows"
        )
    check_entries(folder, config, field)
    check_sizes(folder, weight_files(folder, field), config, field)
    if not any(
        (folder / name).is_file()
        for name in ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model")
    ):
        raise ModelFolderError(f"{field}: {folder} has no tokenizer (tokenizer.json)")
    tokenizer_config = folder / "tokenizer_config.json"
    if tokenizer_config.is_file() and "auto_map" in _read_object(tokenizer_config, ""):
        raise ModelFolderError(
            f"{field}: {folder} asks to run its own Python code (auto_map in "
            "tokenizer_config.json); such models are never loaded; choose one of a family that "
            "transformers knows"
        )
    if digests and (folder / checkpoints.MANIFEST).is_file():
        try:
            checkpoints.verify(folder)
        except CheckpointError as error:
            raise ModelFolderError(f"{field}: {error.message}") from error
    return config


def template_in(folder: Path) -> str | dict[str, Any]:
    """The chat template of a checked local folder, or several by name; empty where it has none."""
    own = folder / "chat_template.jinja"
    if own.is_file():
        return own.read_text(encoding="utf-8", errors="replace")
    settings = folder / "tokenizer_config.json"
    found = _read_object(settings, "").get("chat_template") if settings.is_file() else ""
    if isinstance(found, list):
        return {str(each.get("name")): each.get("template") for each in found if isinstance(each, dict)}
    return found if isinstance(found, str | dict) else ""


def is_reward_model(folder: str) -> bool:
    """Whether a checked local folder holds a sequence classifier."""
    config = _read_object(Path(folder) / "config.json", "")
    return any(name.endswith("ForSequenceClassification") for name in config.get("architectures") or [])


def is_encoder_decoder(name: str) -> bool:
    """Whether a checked model, a local folder or on the hub, has an encoder for the prompt (T5, BART)."""
    config = Path(name) / "config.json"
    if config.is_file():
        return bool(_read_object(config, "").get("is_encoder_decoder"))
    from transformers import AutoConfig  # takes a while, and only a hub's name needs it

    return bool(
        getattr(AutoConfig.from_pretrained(name, trust_remote_code=False), "is_encoder_decoder", False)
    )


def refuse_encoder_decoder(name: str, field: str) -> None:
    """Raises ModelFolderError where a checked model has an encoder and the stage needs one that has none."""
    if is_encoder_decoder(name):
        raise ModelFolderError(
            f"{field}: {name} is an encoder–decoder model, which can be fine-tuned (sft), sampled and "
            "evaluated; a reward model or PPO needs a causal language model: fine-tune one of the GPT-2, "
            "Llama, Qwen or GPT-NeoX families on the same demonstrations and start from that"
        )


def context_of(config: Any) -> int:
    """Most tokens a model of this transformers configuration can read at once."""
    for key in ("n_positions", "max_position_embeddings", "n_ctx", "max_seq_len"):
        value = getattr(config, key, None)
        if isinstance(value, int) and value > 0:
            return value
    return UNBOUNDED


def config_context(folder: str) -> int:
    """`context_of` the configuration in a checked folder (or of a hub id). Loads no torch."""
    from transformers import AutoConfig  # takes half a second

    try:
        return context_of(AutoConfig.from_pretrained(folder, trust_remote_code=False))
    except Exception as error:  # the library raises whatever the broken file provokes
        raise ModelFolderError(f"the config.json of {folder} cannot be read: {first_line(error)}") from error


def room_beside(max_new_tokens: int, context: int) -> int:
    """Tokens left for a prompt; ConfigError where an answer of that length fills all that the model reads."""
    if max_new_tokens >= context:
        raise ConfigError(
            "max_new_tokens",
            f"is {max_new_tokens}, but the model reads {context} tokens, which leaves none for a prompt, so "
            f"that nothing could be answered; lower it to {context // 2}, say",
        )
    return context - max_new_tokens


def _read_object(path: Path, missing: str) -> dict[str, Any]:
    try:
        value = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise ModelFolderError(missing or f"{path} is missing") from None
    except (ValueError, RecursionError) as error:
        raise ModelFolderError(f"{path} is not readable JSON ({error})") from error
    if not isinstance(value, dict):
        raise ModelFolderError(f"{path} must hold a JSON object")
    return value

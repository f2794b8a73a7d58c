"""Which files hold a model's weights, and whether its sizes fit them: looked at before anything is built.

The library that loads models takes whatever an index names, a pickle or a file elsewhere, and builds as many
layers as the configuration asks for before it opens a file. So both are held against the folder first.
Nothing here loads torch.
"""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path
from typing import Any

from training.rlhf.errors import ModelFolderError

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
SUFFIX = ".safetensors"
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
LAYERS = (
    *("n_layer", "n_layers", "num_layers", "num_hidden_layers", "encoder_layers", "decoder_layers"),
    *("num_encoder_layers", "num_decoder_layers"),
)
WIDTHS = (
    *("vocab_size", "hidden_size", "n_embd", "d_model", "word_embed_proj_dim", "head_dim", "d_kv"),
    *("n_inner", "intermediate_size", "d_ff", "ffn_dim", "encoder_ffn_dim", "decoder_ffn_dim"),
    *("n_head", "num_heads", "num_attention_heads", "num_key_value_heads", "encoder_attention_heads"),
    *("decoder_attention_heads", "num_experts", "num_local_experts", "n_routed_experts", "num_labels"),
)
POSITIONS = ("n_positions", "n_ctx", "max_position_embeddings")  # of the weights where a table is learnt
POSITION_TABLES = ("wpe.weight", "embed_positions.weight", "position_embeddings.weight")
SMALL = 1000  # built at once whatever the file says: some families share the weights of their layers
MOST_LAYERS, WIDEST = 10_000, 100_000_000  # where the file does not say
LONGEST_HEADER = 100_000_000  # bytes; the format's own bound


def weight_files(folder: Path, field: str) -> list[Path]:
    """The safetensors files of a model's folder. ModelFolderError where there are none, or where an index
    names what is not one, or not in the folder.
    """
    if (folder / INDEX).is_file():
        return [folder / name for name in _shards(folder, field)]
    if (folder / SINGLE).is_file():
        return [folder / SINGLE]
    if any(next(folder.glob(pattern), None) for pattern in PICKLES):
        raise ModelFolderError(
            f"{field}: {folder} has its weights only as pickle, which can run code when loaded; "
            "convert them to safetensors"
        )
    if (folder / "adapter_model.safetensors").is_file():
        raise ModelFolderError(
            f"{field}: {folder} holds an adapter without its base model; give the merged folder"
        )
    raise ModelFolderError(
        f"{field}: {folder} has no weights ({SINGLE}); copy them there, or give another folder"
    )


def check_sizes(folder: Path, files: list[Path], config: dict[str, Any], field: str) -> None:
    """Raises ModelFolderError where config.json asks for a larger network than the weights are of."""
    shapes: dict[str, list[int]] = {}
    for path in files:
        shapes |= _shapes(path) or {}
    most, widest = MOST_LAYERS, WIDEST
    if shapes:
        most = max(SMALL, len(shapes))
        widest = max(most, *(size for shape in shapes.values() for size in shape[:8]))
    bounds = dict.fromkeys(LAYERS, most) | dict.fromkeys(WIDTHS, widest) | dict.fromkeys(POSITIONS, WIDEST)
    if any(name.endswith(POSITION_TABLES) for name in shapes):
        bounds |= dict.fromkeys(POSITIONS, widest)
    parts = [("", config), *((f"{key}.", each) for key, each in config.items() if isinstance(each, dict))]
    for prefix, part in parts:
        for name, bound in bounds.items():
            value = part.get(name)
            where = f"{field}: {folder}/config.json: {prefix}{name}"
            if isinstance(value, bool | str | float | dict):
                raise ModelFolderError(f"{where} must be a whole number, and is {value!r:.80}")
            if isinstance(value, int) and value > bound:
                raise ModelFolderError(
                    f"{where} is {value:,}, more than its weights are of (at most {bound:,}): the two files "
                    "do not belong together; copy both from where the model is from"
                )


def check_entries(folder: Path, config: dict[str, Any], field: str) -> None:
    """Raises ModelFolderError for what would end in an error of the language, or load other files."""
    where = f"{field}: {folder}/config.json:"
    names = config.get("architectures")
    if names is not None and not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        raise ModelFolderError(f"{where} architectures must be a list of names, and is {names!r:.80}")
    bias = config.get("reward_bias", 0.0)
    if isinstance(bias, bool) or not isinstance(bias, int | float) or not math.isfinite(bias):
        raise ModelFolderError(f"{where} reward_bias must be a finite number, and is {bias!r:.80}")
    if "transformers_weights" in config:
        raise ModelFolderError(
            f"{where} transformers_weights names another file of weights; call that file {SINGLE}, and "
            "take the entry out"
        )
    if (folder / "adapter_config.json").is_file():
        raise ModelFolderError(
            f"{field}: {folder} has an adapter beside its weights (adapter_config.json), which would be "
            "loaded with them; give the merged folder, or take the adapter's files out"
        )


def _shards(folder: Path, field: str) -> list[str]:
    """The files that the index names. Each is a plain name: nothing outside the folder is ever read."""
    path = folder / INDEX
    try:
        index = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ModelFolderError(f"{field}: {path} is not readable JSON ({error})") from error
    found = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(found, dict) or not found:
        raise ModelFolderError(
            f"{field}: {path}: weight_map must be an object that names the file of each weight"
        )
    for weight, name in found.items():
        if not isinstance(name, str) or Path(name).name != name or "\\" in name or "\0" in name:
            raise ModelFolderError(
                f"{field}: {path}: weight_map gives {name!r:.80} for {weight:.80}; it must be the plain name "
                "of a file in the same folder"
            )
        if not name.endswith(SUFFIX):
            raise ModelFolderError(
                f"{field}: {path}: weight_map gives {name!r:.80} for {weight:.80}, which is no {SUFFIX} "
                "file: a pickle can run code when loaded; convert it to safetensors"
            )
    names = sorted(set(found.values()))
    for name in names:
        if not (folder / name).is_file():
            raise ModelFolderError(f"{field}: {folder} lacks {name}, a part of its weights")
    return names


def _shapes(path: Path) -> dict[str, list[int]] | None:
    """Name and shape of each tensor, from the file's header; None where it has none that can be read, which
    whoever loads it will say.
    """
    try:
        with open(path, "rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > min(LONGEST_HEADER, path.stat().st_size):
                return None
            header = json.loads(file.read(length))
        return {
            name: [int(size) for size in entry["shape"]]
            for name, entry in header.items()
            if name != "__metadata__"
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, struct.error):
        return None

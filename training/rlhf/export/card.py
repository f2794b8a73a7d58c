"""The model card: Hugging Face front matter with licence, where the model comes from, what it was measured
at, how to load it.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

from training.rlhf.checkpoints import Manifest
from training.rlhf.errors import ConfigError
from training.rlhf.export.shapes import GGUF, ONNX


class Kind(NamedTuple):
    """What a model is: for people, for the hub, and the class that loads it."""

    noun: str
    task: str
    loader: str


LANGUAGE = Kind("Language model", "text-generation", "AutoModelForCausalLM")
PAIR = Kind("Encoder–decoder language model", "text2text-generation", "AutoModelForSeq2SeqLM")
REWARD = Kind("Reward model", "text-classification", "AutoModelForSequenceClassification")


def read_card(path: str) -> dict[str, Any]:
    """{"lineage": [...]} of a `card_file`, as `lineage.lineage_of` has it. ConfigError where it is not."""
    try:
        told = json.loads(Path(path).read_bytes())
        lineage = told["lineage"]
        for step in lineage:
            if not all(
                isinstance(row[key], str) for row in step["data"] for key in ("role", "name", "sha256")
            ):
                raise TypeError
            str(step["stage"]), int(step["step"])
    except OSError as error:
        raise ConfigError("card_file", f"cannot read {path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            "card_file", f'{path} must hold {{"lineage": [{{"stage", "step", "data": [...]}}]}} as JSON'
        ) from error
    return told


def model_card(
    config: Any,
    manifest: Manifest | None,
    lineage: list[dict[str, Any]],
    *,
    parameters: int,
    kind: Kind,
    reward_bias: float,
    checks: dict[str, Any],
) -> str:
    front = {"library_name": "transformers", "pipeline_tag": kind.task, "license": config.license}
    if config.license == "other":
        front["license_name"] = config.license_name or "not-stated"
    if config.license_link:
        front["license_link"] = config.license_link
    lines = ["---", *(f"{key}: {json.dumps(value)}" for key, value in front.items()), "---", ""]
    lines += [f"# {plain(config.name) or kind.noun}", ""]
    lines += [f"{kind.noun}, {parameters:,} weights, {config.weights}.", ""]
    lines += _licence(config)
    lines += _lineage(lineage)
    if manifest and manifest.metrics:
        lines += ["## Metrics", "", "| metric | value |", "|---|---|"]
        lines += [f"| {plain(name)} | {value:.6g} |" for name, value in sorted(manifest.metrics.items())]
        lines.append("")
    lines += ["## Checked", "", _checked(config.format, checks), "", "## How to load it", ""]
    lines += _loading(config.format, kind, "normalizer" in checks)
    if kind == REWARD:
        lines += [
            f"Subtract `reward_bias` of config.json ({json.dumps(reward_bias)}) from the score: "
            "demonstrations then average zero.",
            "",
        ]
    return "\n".join(lines)


def plain(text: Any) -> str:
    """Text of people in one line that is neither markup nor the end of a table's cell."""
    return re.sub(r"([\\`*_{}\[\]<>|#])", r"\\\1", " ".join(str(text).split()))


def _licence(config: Any) -> list[str]:
    if config.license == "other" and not config.license_name:
        said = "Nobody has stated a licence. Ask whoever gave you this model before you use it."
    else:
        said = plain(config.license_name if config.license == "other" else config.license) + "."
    link = f" <{config.license_link}>" if config.license_link.startswith("http") else ""
    return ["## Licence", "", said + link, ""]


def _lineage(lineage: list[dict[str, Any]]) -> list[str]:
    if not lineage:
        return []
    lines = ["## Where it comes from", "", "The model itself first, then what it was made with.", ""]
    for step in lineage:
        name = f" ({plain(step['name'])})" if step.get("name") else ""
        base = f", started from {plain(step['base'])}" if step.get("base") else ""
        lines.append(f"- **{plain(step['stage'])}**, step {step['step']}{name}{base}")
        if step.get("manifest_sha256"):
            lines.append(f"  - manifest, SHA-256 `{plain(step['manifest_sha256'])}`")
        for data in step["data"]:
            digest = f"SHA-256 `{plain(data['sha256'])}`" if data["sha256"] else "no longer there"
            rows = f", {data['rows']:,} rows" if isinstance(data.get("rows"), int) else ""
            lines.append(f"  - {plain(data['role'])}: {plain(data['name'])}{rows}, {digest}")
    return [*lines, ""]


def _checked(format: str, checks: dict[str, Any]) -> str:
    readers = {ONNX: "onnxruntime", GGUF: "a reader of GGUF"}
    said = [
        f"Read again with {readers.get(format, 'transformers')}: the largest difference of its logits from "
        f"the original's is {checks['difference']:.3g} ({checks['limit']:.3g} allowed)"
    ]
    if "tokens" in checks:
        said.append(f"{checks['tokens_equal']} of {checks['tokens']} likeliest tokens are the same")
    if "texts" in checks:
        said.append(f"{checks['texts']} texts are split alike")
    return "; ".join(said) + "."


def _loading(format: str, kind: Kind, composes: bool) -> list[str]:
    loader = kind.loader
    if format == ONNX and kind == PAIR:
        code = [
            "import numpy",
            "import onnxruntime",
            "from transformers import AutoConfig, AutoTokenizer",
            "",
            'encoder = onnxruntime.InferenceSession("folder/encoder_model.onnx")',
            'decoder = onnxruntime.InferenceSession("folder/decoder_model.onnx")',
            'prompt = AutoTokenizer.from_pretrained("folder")("text", return_tensors="np")',
            "hidden = encoder.run(None, dict(prompt))[0]",
            'read = {"encoder_hidden_states": hidden, "encoder_attention_mask": prompt["attention_mask"]}',
            'said = numpy.array([[AutoConfig.from_pretrained("folder").decoder_start_token_id]])',
            'logits = decoder.run(None, {"input_ids": said, **read})[0]  # of the first token',
        ]
    elif format == ONNX:
        code = [
            "import onnxruntime",
            "from transformers import AutoTokenizer",
            "",
            'session = onnxruntime.InferenceSession("folder/model.onnx")',
            'tokenizer = AutoTokenizer.from_pretrained("folder")',
            'logits = session.run(None, dict(tokenizer("text", return_tensors="np")))[0]',
        ]
    else:
        more = ', gguf_file="model.gguf"' if format == GGUF else ""
        code = [
            f"from transformers import {loader}, AutoTokenizer",
            "",
            f'model = {loader}.from_pretrained("folder"{more})',
            f'tokenizer = AutoTokenizer.from_pretrained("folder"{more})',
        ]
    told = ["llama.cpp reads it too: `llama-cli -m model.gguf -cnv`.", ""] if format == GGUF else []
    if composes:
        told[0] += (
            " The model learnt from text in composed characters (Unicode NFC), and llama.cpp does not "
            "compose any: give it such text."
        )
    return [*told, "```python", *code, "```", ""]

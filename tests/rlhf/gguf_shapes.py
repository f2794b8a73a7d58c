"""Tiny models whose every weight is known, exported as GGUF: what llama.cpp said of them is in
fixtures/llama_cpp.json, and `ask_llama_cpp.py` beside this file asks it again:

    python -m tests.rlhf.gguf_shapes FOLDER                     # here: models, GGUF files, shapes.json
    python tests/rlhf/ask_llama_cpp.py FOLDER > …/llama_cpp.json  # where llama-cpp-python is installed
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import torch

from training.rlhf.chat import ChatEncoder, load_tokenizer, prepare_tokenizer
from training.rlhf.export.shapes import LLAMA3_SPLIT, QWEN2_SPLIT

END, PAD, ROLES = "<|endoftext|>", "<|pad|>", ("<|system|>", "<|user|>", "<|assistant|>")
SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "max_position_embeddings": 64,
    "bos_token_id": 0,
    "eos_token_id": 0,
    "pad_token_id": 1,
}
GROUPED = {"num_key_value_heads": 1}
# name: (family, how the tokenizer splits, what is special about the shape)
SHAPES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "gpt2": ("gpt2", "gpt-2", {}),
    "llama": ("llama", "llama-bpe", GROUPED),
    "llama, wide heads, tied": ("llama", "qwen2", GROUPED | {"head_dim": 24, "tie_word_embeddings": True}),
    "qwen2": ("qwen2", "qwen2", GROUPED),
    "gpt_neox": ("gpt_neox", "gpt-2", {}),
    "gpt_neox, in turn, half turned": (
        "gpt_neox",
        "gpt-2",
        {
            "use_parallel_residual": False,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "partial_rotary_factor": 0.5},
        },
    ),
}
MERGES = """
Ġ t|h e|Ġt he|i n|o u|Ġ a|e r|r e|Ġ c|a t|Ġc at|i s|Ġ is|Ġ Ġ|Ċ Ċ|1 2|' t|n t|l l|Ã ©|o r|Ġ b
"""
TEXTS = [
    "The cat is on the couch, isn't it?",
    "  Two  spaces, a tab\t, 12345 and\n\na new line; DON'T! I'll\r\n",
    "Grüße aus Köln — 日本語 العربية हिन्दी 🙂👩‍👧",
    "a\u00a0b\u2003c\u200b ſ K'S ǅ Ⅷ ² é",
    "foo_bar.baz(qux) {\n    return 3.14159;\n}\n\n\n",
    " ",
    "",
    "trailing   ",
]
TURNS = [
    {"role": "user", "content": "What is the cat?"},
    {"role": "assistant", "content": "The cat is black."},
    {"role": "user", "content": "Is it in the other couch?"},
]


def make_tokenizer(kind: str) -> Any:
    """Bytes, MERGES and our special tokens, cut as `kind` cuts."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    merges = [tuple(merge.split(" ")) for merge in MERGES.strip().split("|")]
    pieces = [END, PAD, *ROLES, *sorted(pre_tokenizers.ByteLevel.alphabet()), *map("".join, merges)]
    core = Tokenizer(models.BPE(vocab={piece: number for number, piece in enumerate(pieces)}, merges=merges))
    if kind == "gpt-2":
        core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    else:
        pattern = Regex({"llama-bpe": LLAMA3_SPLIT, "qwen2": QWEN2_SPLIT}[kind])
        bytes_only = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        core.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(pattern, "isolated"), bytes_only])
    core.decoder = decoders.ByteLevel()
    core.add_special_tokens([AddedToken(text, special=True) for text in (END, PAD, *ROLES)])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        eos_token=END,
        bos_token=END,
        pad_token=PAD,
        additional_special_tokens=list(ROLES),
        model_max_length=SMALL["max_position_embeddings"],
        clean_up_tokenization_spaces=False,
    )
    prepare_tokenizer(tokenizer)
    return tokenizer


def make_model(family: str, tokens: int, more: dict[str, Any]) -> Any:
    """Weights are integers over a prime: the same on every machine and with every version of anything."""
    import transformers as hub

    names = {"gpt2": "GPT2", "llama": "Llama", "qwen2": "Qwen2", "gpt_neox": "GPTNeoX"}
    config = getattr(hub, f"{names[family]}Config")(vocab_size=tokens, **(SMALL | more))
    kind = "GPT2LMHeadModel" if family == "gpt2" else f"{names[family]}ForCausalLM"
    model = getattr(hub, kind)(config)
    start = 1
    with torch.no_grad():
        for name, weight in sorted(model.named_parameters()):
            numbers = torch.arange(start, start + weight.numel(), dtype=torch.int64)
            scattered = (numbers * 7919 + numbers // 31 * 104729) % 1009
            values = ((scattered - 504).double() / 1009 * 0.6).float().reshape(weight.shape)
            is_scale = name.endswith("weight") and weight.dim() == 1
            weight.copy_(1 + values if is_scale else values)
            start += weight.numel()
    return model.eval()


def make(name: str, folder: Path) -> Path:
    """The model's folder, in the Hugging Face layout."""
    family, kind, more = SHAPES[name]
    tokenizer = make_tokenizer(kind)
    make_model(family, len(tokenizer) + 2, more).save_pretrained(folder)  # with rows that no token has
    tokenizer.save_pretrained(folder)
    return folder


def told(folder: Path) -> dict[str, Any]:
    """What llama.cpp is asked about a model, with transformers' answers."""
    from transformers import AutoModelForCausalLM

    tokenizer = load_tokenizer(str(folder))
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    ids = ChatEncoder(tokenizer).encode_prompt(TURNS)[:32]
    greedy: list[int] = []
    with torch.no_grad():
        for _ in range(16):
            greedy.append(int(model(torch.tensor([ids + greedy])).logits[0, -1].argmax()))
        logits = model(torch.tensor([ids + greedy])).logits[0]
    return {
        "texts": [[text, tokenizer.encode(text, add_special_tokens=False)] for text in TEXTS],
        "chat": tokenizer.apply_chat_template(TURNS, tokenize=False, add_generation_prompt=True),
        "chat_ids": ChatEncoder(tokenizer).encode_prompt(TURNS),
        "ids": ids,
        "greedy": greedy,
        "logits": [[round(value, 4) for value in row] for row in logits[:, :8].tolist()],
    }


def content(file: Path) -> str:
    """A digest of all that a GGUF file says: fields and tensors, however they are laid out."""
    import gguf

    reader = gguf.GGUFReader(file)
    digest = hashlib.sha256()
    for name in sorted(reader.fields):
        if not name.startswith("GGUF."):
            digest.update(json.dumps([name, reader.fields[name].contents()], default=str).encode())
    for tensor in sorted(reader.tensors, key=lambda tensor: tensor.name):
        digest.update(f"{tensor.name} {tensor.tensor_type.name} {tensor.shape.tolist()}".encode())
        digest.update(tensor.data.tobytes())
    return digest.hexdigest()


def main(folder: Path) -> None:
    from training.rlhf.cli import main as rlhf

    asked = {}
    for number, name in enumerate(SHAPES):
        source, out = make(name, folder / f"{number}" / "source"), folder / f"{number}" / "run"
        status = rlhf(["export", "--checkpoint", str(source), "--format", "gguf", "--out", str(out)])
        if status:
            raise SystemExit(status)
        file = out / "model" / "model.gguf"
        asked[name] = {"file": str(file), "content": content(file), **told(source)}
    (folder / "shapes.json").write_text(json.dumps(asked))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""Rows for benchmarks: real text where a file is given, else words whose lengths are as uneven."""

from __future__ import annotations

import gzip
import json
import os
import random
from pathlib import Path
from typing import Any, NamedTuple

from transformers import GPT2Config, GPT2LMHeadModel, T5Config, T5ForConditionalGeneration

from training.rlhf.chat import ChatEncoder, Encoded
from training.rlhf.stages.pretrain import train_tokenizer

CONTEXT, VOCABULARY = 512, 8000
PROMPTS, ANSWERS = ("instruction", "prompt", "question"), ("output", "response", "answer", "completion")


class Corpus(NamedTuple):
    """A tokenizer, and questions with answers that fit the context."""

    tokenizer: Any
    texts: list[tuple[str, str]]
    rows: list[Encoded]


def read_corpus(paths: str, count: int, seed: int = 0) -> Corpus:
    """`count` rows, shuffled, of one file or several (`a.json:b.json`). The vocabulary is of all text."""
    files = [Path(path) for path in paths.split(os.pathsep) if path]
    texts = [pair for path in files for pair in read_pairs(path)] if files else invented(max(count, 1500))
    random.Random(seed).shuffle(texts)
    tokenizer = train_tokenizer([f"{question}\n{answer}" for question, answer in texts], VOCABULARY, CONTEXT)
    encoder = ChatEncoder(tokenizer)
    kept: list[tuple[str, str]] = []
    rows: list[Encoded] = []
    for question, answer in texts:
        row = encoder.encode([{"role": "user", "content": question}], answer)
        if len(row) <= CONTEXT and answer.strip():
            kept.append((question, answer))
            rows.append(row)
        if len(rows) == count:
            break
    return Corpus(tokenizer, kept, rows)


def read_pairs(path: Path) -> list[tuple[str, str]]:
    """Questions and answers of a JSON array or of JSON lines, compressed or not."""
    raw = path.read_bytes()
    text = (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw).decode()
    items = json.loads(text) if text.lstrip().startswith("[") else map(json.loads, text.splitlines())
    pairs = []
    for item in items:
        question = next((item[key] for key in PROMPTS if isinstance(item.get(key), str)), "")
        answer = next((item[key] for key in ANSWERS if isinstance(item.get(key), str)), "")
        if question and answer:
            pairs.append((f"{question}\n{item.get('input') or ''}".strip(), answer))
    if not pairs:
        raise ValueError(f"{path} holds no questions with answers")
    return pairs


def invented(count: int) -> list[tuple[str, str]]:
    """Made-up words; lengths are lognormal, with a long tail as people's are."""
    chance = random.Random(7)  # noqa: S311 - not for secrets
    syllables = ["ka", "lo", "mi", "ter", "an", "sel", "vor", "ne", "du", "pri", "os", "eth"]
    words = ["".join(chance.choices(syllables, k=chance.randint(1, 4))) for _ in range(3000)]

    def text(median: float) -> str:
        return " ".join(chance.choices(words, k=1 + int(median * chance.lognormvariate(0.0, 0.9))))

    return [(text(16), text(36)) for _ in range(count)]


def new_model(tokenizer: Any, shape: str) -> GPT2LMHeadModel:
    """`2x128`: two layers of width 128; no dropout, so that both sides compute the same."""
    layers, width = (int(part) for part in shape.split("x"))
    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=len(tokenizer),
            n_positions=CONTEXT,
            n_embd=width,
            n_layer=layers,
            n_head=max(2, width // 64),
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def new_pair_model(tokenizer: Any, shape: str) -> T5ForConditionalGeneration:
    """As many layers in the encoder and in the decoder as `shape` says; T5's proportions."""
    layers, width = (int(part) for part in shape.split("x"))
    return T5ForConditionalGeneration(
        T5Config(
            vocab_size=len(tokenizer),
            d_model=width,
            d_kv=64,
            d_ff=4 * width,
            num_layers=layers,
            num_heads=max(2, width // 64),
            dropout_rate=0.0,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            decoder_start_token_id=tokenizer.pad_token_id,
        )
    )

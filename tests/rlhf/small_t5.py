"""A tiny encoder–decoder model with a tokenizer of its own kind, saved as its makers would."""

from __future__ import annotations

import json
from pathlib import Path

import torch

SPECIAL = ["<pad>", "</s>", "<unk>"]


def make_t5(folder: Path, text_file: str) -> Path:
    """T5's shape in miniature: a unigram tokenizer learnt from `text_file`, sentinels, seeded weights."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import T5Config, T5ForConditionalGeneration, T5Tokenizer

    texts = [json.loads(line)["text"] for line in Path(text_file).read_text().splitlines()]
    texts += ["What colour is the? Tell me about the, please. User: Assistant: I like it. and it sees the"]
    learner = Tokenizer(models.Unigram())
    learner.pre_tokenizer = pre_tokenizers.Metaspace()
    learner.decoder = decoders.Metaspace()
    alphabet = sorted({chr(code) for code in range(32, 127)})
    learner.train_from_iterator(
        texts,
        trainers.UnigramTrainer(
            vocab_size=260, special_tokens=SPECIAL, unk_token="<unk>", initial_alphabet=alphabet
        ),
    )
    pieces = json.loads(learner.to_str())["model"]["vocab"]
    tokenizer = T5Tokenizer(vocab=[(piece, score) for piece, score in pieces], extra_ids=4)
    torch.manual_seed(0)
    model = T5ForConditionalGeneration(
        T5Config(
            vocab_size=len(tokenizer) + 5,  # as in the published ones, more rows than tokens
            d_model=32,
            d_kv=16,
            d_ff=48,
            num_layers=2,
            num_heads=2,
            dropout_rate=0.1,
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id,
            decoder_start_token_id=tokenizer.pad_token_id,
        )
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder

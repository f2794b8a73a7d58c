"""A tokenizer and a small GPT-2-shaped language model from plain text."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import nn
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from training.rlhf import memory
from training.rlhf.adapters import save_model
from training.rlhf.batches import TokenBatch, micro_batches, pad_right
from training.rlhf.chat import END_TOKEN, PAD_TOKEN, ROLE_TOKENS, prepare_tokenizer
from training.rlhf.data import read_documents
from training.rlhf.errors import DataError
from training.rlhf.models import TokenLogits, load_causal_lm, load_reader
from training.rlhf.run import Run
from training.rlhf.session import Session, open_accelerator
from training.rlhf.stages.language import LanguageTask
from training.rlhf.supervised import steps_in, train


def execute(run: Run, config: Any, resume: Path | None) -> None:
    accelerator = open_accelerator(config)
    documents = [text for path in config.text_files for text in read_documents(path) if text.strip()]
    if not documents:
        raise DataError("has no text", file=config.text_files[0])
    if resume is not None:
        tokenizer, _ = load_reader(str(resume), allowed_hub_ids=[])
    else:
        tokenizer = train_tokenizer(documents, config.vocabulary_size, config.context)
    blocks = cut_blocks(documents, tokenizer, config.block_length or config.context)
    training, held_out = split_blocks(blocks, config.validation_fraction, config.seed)
    config = _fit(run, config, accelerator, tokenizer, training, resumed=resume is not None)
    if resume is not None:
        model, tokenizer = load_causal_lm(str(resume), allowed_hub_ids=[], dropout=config.dropout)
    else:
        model = new_model(tokenizer, config)
        run.log(
            f"learnt a vocabulary of {len(tokenizer)} tokens; the model has "
            f"{sum(p.numel() for p in model.parameters()):,} weights"
        )
    if config.gradient_checkpointing:
        model.gradient_checkpointing_enable()
    task = BlockTask(model, tokenizer, training, held_out, config, accelerator)
    session = Session(
        run,
        config,
        accelerator,
        kind="causal_lm",
        base="",
        modules={"model": model},
        rates={"model": config.learning_rate},
        total_steps=steps_in(task, config),
        save_models=task.save,
        best=("validation_loss", "min"),
    )
    session.resume_from(resume)
    session.finish(train(session, task))


def train_tokenizer(documents: list[str], vocabulary_size: int, context: int) -> PreTrainedTokenizerFast:
    """Byte-level BPE: any text can be encoded, and decodes to itself. Roles and end of text are special
    tokens.
    """
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size,
        special_tokens=[END_TOKEN, PAD_TOKEN, *ROLE_TOKENS.values()],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(documents, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        eos_token=END_TOKEN,
        bos_token=END_TOKEN,
        pad_token=PAD_TOKEN,
        additional_special_tokens=list(ROLE_TOKENS.values()),
        model_max_length=context,
        clean_up_tokenization_spaces=False,
    )
    prepare_tokenizer(tokenizer)
    return tokenizer


def new_model(tokenizer: PreTrainedTokenizerFast, config: Any) -> nn.Module:
    torch.manual_seed(config.seed)
    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=len(tokenizer),
            n_positions=config.context,
            n_embd=config.hidden,
            n_layer=config.layers,
            n_head=config.heads,
            resid_pdrop=config.dropout,
            embd_pdrop=config.dropout,
            attn_pdrop=config.dropout,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def _fit(
    run: Run,
    config: Any,
    accelerator: Any,
    tokenizer: PreTrainedTokenizerFast,
    training: list[list[int]],
    *,
    resumed: bool,
) -> Any:
    lengths = [len(block) for block in training]

    def network() -> list[memory.ModelSize]:
        with torch.device("meta"):
            model = new_model(tokenizer, config)
        return [memory.size_of(model, config)]

    load = memory.load_of(lengths, lengths, config.batch_size)
    return memory.fit(run, config, accelerator, load, network, resumed=resumed, shorten="block_length")


def cut_blocks(documents: list[str], tokenizer: PreTrainedTokenizerFast, length: int) -> list[list[int]]:
    """All documents, each closed by the end token, as one stream in blocks of `length`; a short rest is
    left out.
    """
    stream: list[int] = []
    for start in range(0, len(documents), 1000):
        for ids in tokenizer(documents[start : start + 1000], add_special_tokens=False)["input_ids"]:
            stream += [*ids, tokenizer.eos_token_id]
    blocks = [stream[start : start + length] for start in range(0, len(stream) - length + 1, length)]
    return blocks or [stream]


def split_blocks(
    blocks: list[list[int]], fraction: float, seed: int
) -> tuple[list[list[int]], list[list[int]]]:
    """(training, held out), disjoint; a single block trains."""
    order = list(range(len(blocks)))
    random.Random(f"{seed}/blocks").shuffle(order)
    held_out = min(round(len(blocks) * fraction), len(blocks) - 1)
    return [blocks[i] for i in sorted(order[held_out:])], [blocks[i] for i in sorted(order[:held_out])]


class BlockTask(LanguageTask):
    """Every token of a block is predicted from those before it."""

    group_by_length = False

    def __init__(
        self,
        model: nn.Module,
        tokenizer: Any,
        training: list[list[int]],
        held_out: list[list[int]],
        config: Any,
        accelerator: Any,
    ) -> None:
        super().__init__(TokenLogits(model, packing=False), tokenizer, config, accelerator)
        self.model = model
        self.training, self.held_out = training, held_out
        self.lengths = [len(block) for block in training]
        self.labelled = [len(block) - 1 for block in training]

    def batches(self, held_out: bool, rows: list[int]) -> Iterator[tuple[TokenBatch, list[int]]]:
        blocks = self.held_out if held_out else self.training
        lengths = [len(block) for block in blocks]
        for group in micro_batches(rows, lengths, self.config.micro_batch_tokens):
            ids, attention, positions = pad_right([blocks[row] for row in group], self.tokenizer.pad_token_id)
            predicts = attention.bool()
            predicts[torch.arange(len(group)), attention.sum(dim=1) - 1] = False
            yield TokenBatch(ids, attention, positions, predicts, torch.roll(ids, -1, dims=1)), group

    def place(self, held_out: bool, row: int) -> str:
        return f"block {row + 1} of the {'validation ' if held_out else ''}text"

    def held_out_rows(self) -> list[int]:
        return list(range(len(self.held_out)))

    def save(self, folder: Path) -> None:
        save_model(self.model, self.tokenizer, folder)

"""Supervised fine-tuning: cross-entropy on the tokens of the response, its stop token included, and no
others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from torch import nn

from training.rlhf import memory
from training.rlhf.adapters import add_adapter, save_model
from training.rlhf.batches import TokenBatch, micro_batches, supervise_responses
from training.rlhf.chat import ChatEncoder, Encoded
from training.rlhf.culprits import place_in
from training.rlhf.data import drawn_rows, read_demonstrations, share_of_prompts
from training.rlhf.encoder_decoder import PairBatch, PairLogits, logits_of, pair_up, start_token
from training.rlhf.encoding import encode_rows
from training.rlhf.model_folders import is_encoder_decoder
from training.rlhf.models import load_language_model, load_reader
from training.rlhf.pair_memory import load_of_pairs, pair_size
from training.rlhf.run import Run
from training.rlhf.session import Session, open_accelerator
from training.rlhf.sharding import shard_if_asked, share_of
from training.rlhf.stages.language import LanguageTask
from training.rlhf.supervised import require_a_batch, steps_in, train


def execute(run: Run, config: Any, resume: Path | None) -> None:
    accelerator = open_accelerator(config, in_team=True, can_shard=True)
    training_rows = share_of_prompts(read_demonstrations(config.train_file), config.train_share)
    held_out_rows = read_demonstrations(config.validation_file) if config.validation_file else []
    start = str(resume) if resume is not None and config.method == "full" else config.model
    reader, context = load_reader(
        start,
        allowed_hub_ids=config.allowed_hub_ids,
        chat_template=config.template_text,
        encoder_decoder=True,
    )
    encoder = ChatEncoder(reader)
    limit = min(config.maximum_length, context)
    training = encode_rows(training_rows, encoder, limit, config.over_long, config.train_file, run)
    if config.mix_file:
        former = drawn_rows(
            read_demonstrations(config.mix_file), config.mix_ratio * len(training_rows), config.seed
        )
        training += encode_rows(former, encoder, limit, config.over_long, config.mix_file, run)
        run.log(f"{len(former)} rows of {config.mix_file} are mixed in")
    require_a_batch(len(training), config)
    held_out = encode_rows(held_out_rows, encoder, limit, config.over_long, config.validation_file, run)
    if is_encoder_decoder(start):
        load: memory.Load = load_of_pairs(
            [(len(row.prompt), len(row.response)) for row in training], config.batch_size
        )
        measure: Callable[[str, Any], memory.ModelSize] = pair_size
    else:
        lengths, labelled = [len(row) for row in training], [len(row.response) for row in training]
        load, measure = memory.load_of(lengths, labelled, config.batch_size), memory.language_model
    config = memory.fit(
        run, config, accelerator, load, lambda: [share_of(measure(start, config))], resumed=resume is not None
    )
    model, tokenizer = load_language_model(
        start,
        allowed_hub_ids=config.allowed_hub_ids,
        dropout=config.dropout,
        chat_template=config.template_text,
    )
    if config.method == "lora":
        model = add_adapter(model, config, classifier=False, resume=resume)
    if config.gradient_checkpointing:
        model.gradient_checkpointing_enable()
    task = ResponseTask(model, tokenizer, training, held_out, config, accelerator)
    session = Session(
        run,
        config,
        accelerator,
        kind="causal_lm",
        base=config.model,
        modules={"model": model},
        rates={"model": config.peak_rate},
        total_steps=steps_in(task, config),
        save_models=task.save,
        prepare_save=task.prepare_save,
        sharding=shard_if_asked(task, run, accelerator.device),
        best=(config.best_metric, "max" if config.best_metric == "validation_accuracy" else "min"),
    )
    session.resume_from(resume)
    metrics = train(session, task)
    session.finish(metrics | {"train_rows": len(training), "validation_rows": len(held_out)})


class ResponseTask(LanguageTask):
    """Demonstrations; labels are exactly the response tokens."""

    def __init__(
        self,
        model: nn.Module,
        tokenizer: Any,
        training: list[Encoded],
        held_out: list[Encoded],
        config: Any,
        accelerator: Any,
    ) -> None:
        super().__init__(logits_of(model, packing=config.packing), tokenizer, config, accelerator)
        self.model = model
        self.training, self.held_out = training, held_out
        # Packed rows are never padded, so nothing is gained by keeping likes together.
        self.group_by_length = getattr(config, "group_by_length", True) and not self.scorer.packs
        self.lengths = [len(row) for row in training]
        self.labelled = [len(row.response) for row in training]

    def batches(self, held_out: bool, rows: list[int]) -> Iterator[tuple[TokenBatch | PairBatch, list[int]]]:
        source = self.held_out if held_out else self.training
        lengths = [len(row) for row in source]
        packed, limit = self.scorer.packs, self.config.micro_batch_tokens
        for group in micro_batches(rows, lengths, limit, packed=packed):
            yield self._together([source[row] for row in group], packed), group

    def _together(self, rows: list[Encoded], packed: bool) -> TokenBatch | PairBatch:
        prompts, pad_id = [row.prompt for row in rows], self.tokenizer.pad_token_id
        if isinstance(self.scorer, PairLogits):
            return pair_up(prompts, [row.response for row in rows], pad_id, start_token(self.model))
        return supervise_responses([row.ids for row in rows], list(map(len, prompts)), pad_id, packed=packed)

    def place(self, held_out: bool, row: int) -> str:
        found = (self.held_out if held_out else self.training)[row]
        return place_in(found.file, found.row)

    def held_out_rows(self) -> list[int]:
        return list(range(len(self.held_out)))

    def save(self, folder: Path) -> None:
        save_model(self.saved(), self.tokenizer, folder)

"""A reward model from K-wise rankings.

Each completion is encoded once; all pairs of a prompt are one element of the batch (InstructGPT, section
3.5). The score is read at the last token of the response. At every checkpoint the mean score of
demonstrations is stored as `reward_bias` in the model's configuration, and subtracted wherever the model is
used.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from training.rlhf import memory
from training.rlhf.adapters import add_adapter, save_model
from training.rlhf.batches import TokenBatch, branch, micro_batches, read_ends
from training.rlhf.chat import ChatEncoder
from training.rlhf.culprits import culprit, place_in, together
from training.rlhf.data import drawn_rows, read_demonstrations, read_rankings, read_scores, share_of_prompts
from training.rlhf.encoding import EncodedRanking, encode_rankings, encode_rows
from training.rlhf.errors import DataError
from training.rlhf.losses import pairwise_loss, score_loss
from training.rlhf.models import (
    SequenceScores,
    inner_model,
    load_reader,
    load_reward_model,
    new_reward_model,
    silence_dropout,
)
from training.rlhf.run import Run
from training.rlhf.session import Session, open_accelerator
from training.rlhf.sharding import shard_if_asked, share_of
from training.rlhf.supervised import MicroLoss, require_a_batch, steps_in, train
from training.rlhf.team import Team


def execute(run: Run, config: Any, resume: Path | None) -> None:
    accelerator = open_accelerator(config, in_team=True, can_shard=True)
    read = read_rankings if config.labels == "ranks" else read_scores
    regress = config.labels == "scores"
    held_out_rows = read(config.validation_file) if config.validation_file else []
    start = str(resume) if resume is not None and config.method == "full" else config.model
    reader, context = load_reader(start, allowed_hub_ids=config.allowed_hub_ids)
    encoder = ChatEncoder(reader)
    limit = min(config.maximum_length, context)
    training = _training(config, read, encoder, limit, run, regress=regress)
    require_a_batch(len(training), config)
    scale = scale_of(training, config.train_file) if regress else None
    # A few held-out rankings may happen to prefer nothing: then there is no validation, and still a model.
    held_out = encode_rankings(
        held_out_rows,
        encoder,
        limit,
        config.over_long,
        config.validation_file,
        run,
        may_be_empty=True,
        regress=regress,
    )
    anchors = _demonstrations(config, encoder, limit, run)
    anchors = anchors or [sequence for row in training for sequence in row.sequences]
    sizes = [row.packed_tokens if config.packing else row.padded_tokens for row in training]
    config = memory.fit(
        run,
        config,
        accelerator,
        memory.load_of(sizes, [], config.batch_size),
        lambda: [share_of(memory.reward_model(start, config))],
        resumed=resume is not None,
    )
    model, tokenizer = _load(start, config, resume)
    task = RankingTask(model, tokenizer, training, held_out, config, accelerator, scale)
    task.anchors = anchors[: config.demonstration_limit]
    direction = "max" if config.best_metric == "validation_accuracy" else "min"
    session = Session(
        run,
        config,
        accelerator,
        kind="reward_model",
        base=config.model,
        modules={"model": model},
        rates={"model": config.peak_rate},
        total_steps=steps_in(task, config),
        save_models=task.save,
        prepare_save=task.prepare_save,
        sharding=shard_if_asked(task, run, accelerator.device),
        best=(config.best_metric, direction),
    )
    session.resume_from(resume)
    metrics = train(session, task)
    session.finish(metrics | {"train_rankings": len(training), "validation_rankings": len(held_out)})


def _training(
    config: Any, read: Any, encoder: ChatEncoder, limit: int, run: Run, *, regress: bool
) -> list[Any]:
    """The rankings to learn from, those mixed in from former data among them. Raises DataError where a margin
    is to count and none is given."""
    rows = share_of_prompts(read(config.train_file), config.train_share)
    training = encode_rankings(
        rows, encoder, limit, config.over_long, config.train_file, run, regress=regress
    )
    if config.mix_file:
        former = drawn_rows(read(config.mix_file), config.mix_ratio * len(rows), config.seed)
        training += encode_rankings(
            former, encoder, limit, config.over_long, config.mix_file, run, regress=regress
        )
        run.log(f"{len(former)} rankings of {config.mix_file} are mixed in")
    if config.margin_scale and not any(any(row.margins or ()) for row in training):
        raise DataError(
            "no ranking says by how much one completion is better (margins), so margin_scale has nothing to "
            "scale; collect rankings with margins, or set margin_scale to 0",
            file=config.train_file,
        )
    return training


def _demonstrations(config: Any, encoder: ChatEncoder, limit: int, run: Run) -> list[list[int]]:
    """What is to average zero; empty where no file is given. DataError where none of it fits."""
    path = config.demonstrations_file
    rows = read_demonstrations(path) if path else []
    return [row.ids for row in encode_rows(rows, encoder, limit, "drop", path, run, learns=False)]


def _load(start: str, config: Any, resume: Path | None) -> tuple[Any, Any]:
    """(model that learns, tokenizer)."""
    model: Any
    if resume is not None and config.method == "full":
        model, tokenizer = load_reward_model(start, allowed_hub_ids=[])
    else:
        model, tokenizer = new_reward_model(start, allowed_hub_ids=config.allowed_hub_ids, seed=config.seed)
    # Training sees raw scores: subtracting a bias would change their last bits, even where it cancels.
    model.config.reward_bias = 0.0
    silence_dropout(model)
    if config.method == "lora":
        model = add_adapter(model, config, classifier=True, resume=resume)
    if config.gradient_checkpointing:
        model.gradient_checkpointing_enable()
    return model, tokenizer


class Scale(NamedTuple):
    """Mean and deviation of the training scores; a regressed model predicts (score - mean) / deviation."""

    mean: float
    deviation: float

    def standardized(self, scores: list[float]) -> list[float]:
        return [(score - self.mean) / self.deviation for score in scores]


def scale_of(rows: list[EncodedRanking], file: str) -> Scale:
    scores = [score for row in rows for score in row.scores]
    if len(set(scores)) < 2:
        raise DataError(
            "all scores are the same, so there is nothing to learn; collect some that differ", file=file
        )
    return Scale(statistics.fmean(scores), statistics.pstdev(scores))


class RankingTask:
    """Pairwise loss over rankings, or with a `scale` squared error of scores; mean over a batch's prompts."""

    def __init__(
        self,
        model: nn.Module,
        tokenizer: Any,
        training: list[EncodedRanking],
        held_out: list[EncodedRanking],
        config: Any,
        accelerator: Any,
        scale: Scale | None = None,
    ) -> None:
        self.scale = scale
        self.team = Team(accelerator)
        self.model, self.tokenizer, self.config, self.accelerator = model, tokenizer, config, accelerator
        self.scorer = SequenceScores(model, packing=config.packing)
        self.group_by_length = not self.scorer.packs
        self.training, self.held_out = training, held_out
        self.anchors: list[list[int]] = []
        self.bias = 0.0  # of the next checkpoint
        self.lengths = [row.padded_tokens for row in training]

    def training_mode(self, on: bool) -> None:
        # The model's own dropout is off for good; that of adapters and gradient checkpointing go by this.
        self.scorer.train(on)

    def culprit(self, rows: list[int], *, held_out: bool = False) -> str:
        """As LanguageTask.culprit."""
        rankings = self.held_out if held_out else self.training

        def place(row: int) -> str:
            return place_in(rankings[row].file, rankings[row].row)

        if self.team.in_step:
            return together(rows, place)
        scale = 0.0 if held_out else self.config.margin_scale
        return culprit(
            self.scorer, rows, place, lambda row: self._measure([rankings[row]], scale)["loss"].item()
        )

    def scores(self, batch: TokenBatch) -> Tensor:
        """(N,) scores where the batch is read: at each response's last token."""
        with self.accelerator.autocast():
            return self.scorer(batch.to(self.accelerator.device))

    def batch(self, rankings: list[EncodedRanking]) -> TokenBatch:
        """All completions of all rankings, in order; each prompt once where the model can be packed."""
        if self.scorer.packs:
            return branch([(ranking.prompt, ranking.responses) for ranking in rankings])
        sequences = [ids for ranking in rankings for ids in ranking.sequences]
        return read_ends(sequences, self.tokenizer.pad_token_id)

    def groups(self, rows: Iterable[int], rankings: list[EncodedRanking]) -> Iterator[list[int]]:
        limit = self.config.micro_batch_tokens
        if self.scorer.packs:
            sizes = [ranking.packed_tokens for ranking in rankings]
            return micro_batches(list(rows), sizes, limit, packed=True)
        return groups_within(rows, rankings, limit)

    def _evenly(
        self, rows: Sequence[int], rankings: list[EncodedRanking]
    ) -> Iterator[tuple[list[int], bool]]:
        """This process's groups, and whether each counts (see Team.evenly)."""
        return self.team.evenly(self.groups(self.team.share(rows), rankings), lambda: list(rows[:1]))

    def losses(self, rows: list[int]) -> Iterator[MicroLoss]:
        for group, counts in self._evenly(rows, self.training):
            found = self._measure([self.training[row] for row in group], self.config.margin_scale)
            if not counts:
                yield MicroLoss(found["loss"] * 0.0, {}, tokens=0, rows=group)
                continue
            weight = len(group)
            yield MicroLoss(
                found["loss"] / len(rows),
                {
                    "train_loss": (found["loss"].item(), weight),
                    "train_accuracy": (found["correct"], found["pairs"]),
                },
                tokens=found["tokens"],
                rows=group,
            )

    @torch.no_grad()
    def evaluate(self, seen: Callable[[EncodedRanking, list[float]], None] | None = None) -> dict[str, float]:
        """Loss, accuracy over untied pairs, mean score gap, and how often the longer completion wins.

        `seen` is told each ranking with the scores of its completions.
        """
        if not self.held_out:
            return {}
        self.training_mode(False)
        loss = correct = pairs = longer = 0.0
        with self.team.together():
            for group, counts in self._evenly(range(len(self.held_out)), self.held_out):
                found = self._measure([self.held_out[row] for row in group])
                problem = None
                if not math.isfinite(found["loss"].item()):
                    problem = f"the validation loss is not finite ({self.culprit(group, held_out=True)})"
                self.team.refuse(problem)
                if not counts:
                    continue
                if seen:
                    scores = iter(found["scores"].tolist())
                    for ranking in (self.held_out[row] for row in group):
                        seen(ranking, [next(scores) for _ in ranking.responses])
                loss += found["loss"].item()
                correct += found["correct"]
                pairs += found["pairs"]
                longer += found["longer"]
        loss, correct, pairs, longer = self.team.add_up({"": [loss, correct, pairs, longer]})[""]
        metrics = {"validation_loss": loss / len(self.held_out), "validation_pairs": pairs}
        if self.scale:  # in the units of the people who scored
            metrics["validation_score_error"] = math.sqrt(loss / len(self.held_out)) * self.scale.deviation
        if pairs:
            metrics |= {"validation_accuracy": correct / pairs, "validation_longer_wins": longer / pairs}
        return metrics

    def _measure(self, rankings: list[EncodedRanking], margin_scale: float = 0.0) -> dict[str, Any]:
        batch = self.batch(rankings)
        scores = self.scores(batch)
        loss, correct, pairs, longer, start = scores.new_zeros(()), 0.0, 0, 0, 0
        for ranking in rankings:
            count = len(ranking.responses)
            lengths = [len(response) for response in ranking.responses]
            mine = scores[start : start + count]
            found = pairwise_loss(
                mine, ranking.ranks, lengths, margins=ranking.margins, margin_scale=margin_scale
            )
            if self.scale:
                loss = loss + score_loss(mine, self.scale.standardized(ranking.scores))
            else:
                loss = loss + found.loss
            correct, pairs, longer = correct + found.correct, pairs + found.pairs, longer + found.longer_wins
            start += count
        return {
            "loss": loss,
            "correct": correct,
            "pairs": pairs,
            "longer": longer,
            "tokens": batch.tokens,
            "scores": scores.detach(),  # (completions,) in the order of rankings
        }

    @torch.no_grad()
    def mean_anchor_score(self) -> float:
        """Mean raw score of the demonstrations; without any, of the training completions."""
        lengths = [len(ids) for ids in self.anchors]
        self.training_mode(False)
        total = 0.0
        packed, limit = self.scorer.packs, self.config.micro_batch_tokens
        for group in micro_batches(range(len(lengths)), lengths, limit, packed=packed):
            sequences = [self.anchors[row] for row in group]
            batch = read_ends(sequences, self.tokenizer.pad_token_id, packed=packed)
            total += float(self.scores(batch).double().sum())
        return total / len(self.anchors)

    def prepare_save(self) -> None:
        self.bias = self.mean_anchor_score()

    def saved(self) -> nn.Module:
        """The network whose weights a checkpoint holds."""
        return self.model

    def save(self, folder: Path) -> None:
        model = self.saved()
        config = inner_model(model).config
        config.reward_bias = self.bias
        if self.scale:  # so that scores can be told in people's units again
            config.reward_scale = self.scale._asdict()
        save_model(model, self.tokenizer, folder)
        config.reward_bias = 0.0


def groups_within(
    rows: Iterable[int], rankings: list[EncodedRanking], token_limit: int
) -> Iterator[list[int]]:
    """Micro-batches of whole rankings whose padded size stays within `token_limit`."""
    group: list[int] = []
    longest = sequences = 0
    for row in sorted(rows, key=lambda row: (rankings[row].longest, row)):
        longest = rankings[row].longest
        sequences += len(rankings[row].responses)
        if group and longest * sequences > token_limit:
            yield group
            group, sequences = [], len(rankings[row].responses)
        group.append(row)
    if group:
        yield group

"""From a run's row to a folder in which the trainer can start: the configuration file and the files it reads.

Dataset versions are read through labeling.services.datasets, row by row, and written in the form the
trainer takes.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from django.conf import settings

from annotate.errors import Invalid
from annotate.words import _
from labeling.formats import prompt_digest
from labeling.models import DatasetVersion, Prompt
from labeling.services.datasets import open_split
from labeling.services.scores import unscored_completions
from training.models import RunInputRole, TrainingRun

from .checkpoints import registered_folder
from .lineage import card_lineage
from .locations import run_directory, texts_directory
from .rankings import ranking_of
from .scoring import reward_model_of

LAUNCH, INPUTS = "launch.json", "inputs"
Row = dict[str, Any]


class Preparation:
    """Writes the input files of one run and collects the fields of its configuration.

    `report(message)` is called for what a person should know (rows left out); `beat()` between chunks of
    rows, so that a lease can be renewed while a large version is copied.
    """

    def __init__(self, run: TrainingRun, *, report: Callable[[str], None], beat: Callable[[], None]) -> None:
        self.run = run
        self.report = report
        self.beat = beat
        self.folder = run_directory(run)
        self.config: dict[str, Any] = {}
        rows = list(run.inputs.select_related("dataset_version__dataset", "checkpoint"))
        self.versions: dict[str, list[DatasetVersion]] = {}
        self.models: dict[str, list[str]] = {}  # folders of checkpoints
        for row in rows:
            if row.dataset_version is not None:
                self.versions.setdefault(row.role, []).append(row.dataset_version)
            elif row.checkpoint is not None:
                self.models.setdefault(row.role, []).append(str(registered_folder(row.checkpoint)))

    def prepare(self) -> Path:
        """The path of the configuration file.

        Raises Invalid where an input has no rows of the split that is needed.
        """
        (self.folder / INPUTS).mkdir(parents=True, exist_ok=True, mode=0o700)
        getattr(self, f"_{self.run.stage}")()
        if settings.ALLOWED_HUB_MODELS:
            self.config["allowed_hub_ids"] = list(settings.ALLOWED_HUB_MODELS)
        path = self.folder / LAUNCH
        temporary = path.with_suffix(".writing")
        temporary.write_text(
            json.dumps({**self.run.hyperparameters, **self.config}, indent=2, sort_keys=True)
        )
        temporary.replace(path)
        return path

    # --- One method a stage ---------------------------------------------------------------------------------
    def _pretrain(self) -> None:
        texts = self._texts()
        for number, version in enumerate(self.versions.get(RunInputRole.TRAIN_DATA, []), start=1):
            rows = ({"text": conversation_text(row)} for row in self._rows(version, ["train"]))
            texts.append(self._write(f"text-{number}.jsonl", rows))
        self.config["text_files"] = texts

    def _sft(self) -> None:
        version = self._one(RunInputRole.TRAIN_DATA)
        self._learning_files(version, lambda rows: rows)
        self.config["model"] = self._start()

    def _reward(self) -> None:
        version = self._one(RunInputRole.TRAIN_DATA)
        learns_ranks = self.run.hyperparameters.get("labels", "ranks") == "ranks"
        self._learning_files(version, self._rankings if learns_ranks else self._scores)
        demonstrations = self.versions.get(RunInputRole.DEMONSTRATIONS)
        if demonstrations:
            self.config["demonstrations_file"] = self._write(
                "demonstrations.jsonl", self._rows(demonstrations[0], ["train"])
            )
        self.config["model"] = self._start()

    def _ppo(self) -> None:
        version = self._one(RunInputRole.PROMPTS)
        self.config["prompts_file"] = self._write(
            "prompts.jsonl", self._prompts(self._rows(version, ["train"]))
        )
        if version.row_counts.get("validation"):
            self.config["validation_prompts_file"] = self._write(
                "validation_prompts.jsonl", self._prompts(self._rows(version, ["validation"]))
            )
        self.config["policy"] = self.models[RunInputRole.MODEL][0]
        self.config["reward_model"] = self.models[RunInputRole.REWARD_MODEL][0]
        if texts := self._texts():
            self.config["pretrain_files"] = texts

    def _texts(self) -> list[str]:
        """Files uploaded to the project that this run was told to read."""
        folder = texts_directory(self.run.project)
        return [str(folder / name) for name in self.run.options.get("text_files", [])]

    def _sample(self) -> None:
        versions = self.versions.get(RunInputRole.PROMPTS)
        if versions:
            splits = self.run.options.get("splits") or ["train"]
            rows = self._with_our_ids(self._prompts(self._rows(versions[0], splits)))
        else:
            rows = self._chosen_prompts(self.run.options["prompt_ids"])
        self.config["prompts_file"] = self._write("prompts.jsonl", rows)
        self.config["checkpoints"] = self.models[RunInputRole.SAMPLE_FROM]

    def _evaluate(self) -> None:
        if RunInputRole.MODEL in self.models:
            self.config["model"] = self.models[RunInputRole.MODEL][0]
            if demonstrations := self.versions.get(RunInputRole.DEMONSTRATIONS):
                version = demonstrations[0]
                self.config["messages_file"] = self._write(
                    "messages.jsonl", self._rows(version, [held_out_split(version)])
                )
            if prompts := self.versions.get(RunInputRole.PROMPTS):
                rows = self._safety_prompts(self._rows(prompts[0], ["train", "validation", "test"]))
                self.config["safety_file"] = self._write("safety.jsonl", rows)
            elif texts := self._texts():
                self.config["safety_file"] = texts[0]
        if RunInputRole.REWARD_MODEL in self.models:
            version = self._one(RunInputRole.TRAIN_DATA)
            self.config["reward_model"] = self.models[RunInputRole.REWARD_MODEL][0]
            rows = self._described(self._rows(version, [held_out_split(version)]))
            self.config["comparisons_file"] = self._write("comparisons.jsonl", rows)

    def _score(self) -> None:
        self.config["completions_file"] = self._write("completions.jsonl", self._unscored_completions())
        self.config["reward_model"] = self.models[RunInputRole.REWARD_MODEL][0]

    def _export(self) -> None:
        self.config["checkpoint"] = self.models[RunInputRole.MODEL][0]
        path = self.folder / INPUTS / "card.json"
        path.write_text(json.dumps({"lineage": card_lineage(self.run)}), encoding="utf-8")
        self.config["card_file"] = str(path)

    # --- Pieces ---------------------------------------------------------------------------------------------
    def _learning_files(
        self, version: DatasetVersion, convert: Callable[[Iterator[Row]], Iterator[Row]]
    ) -> None:
        self.config["train_file"] = self._write("train.jsonl", convert(self._rows(version, ["train"])))
        if former := self.versions.get(RunInputRole.MIX_DATA):
            self.config["mix_file"] = self._write("mix.jsonl", convert(self._rows(former[0], ["train"])))
        if version.row_counts.get("validation"):
            rows = convert(self._rows(version, ["validation"]))
            if (first := next(rows, None)) is None:
                self.report("No row of the validation split can be used: this run has no validation.")
                return
            self.config["validation_file"] = self._write("validation.jsonl", itertools.chain([first], rows))

    def _one(self, role: str) -> DatasetVersion:
        return self.versions[role][0]

    def _start(self) -> str:
        return (
            self.models[RunInputRole.MODEL][0] if RunInputRole.MODEL in self.models else self.run.base_model
        )

    def _rows(self, version: DatasetVersion, splits: Iterable[str]) -> Iterator[Row]:
        for split in splits:
            if version.row_counts.get(split):
                yield from open_split(version=version, split=split)

    def _write(self, name: str, rows: Iterable[Row]) -> str:
        """A JSONL file under inputs/.

        The same bytes each time, so that a resumed run reads what it read before.
        """
        path = self.folder / INPUTS / name
        temporary = path.with_suffix(".writing")
        count = 0
        with open(temporary, "w", encoding="utf-8") as file:
            for count, row in enumerate(rows, start=1):
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
                if count % 1000 == 0:
                    self.beat()
        if count == 0:
            raise Invalid(
                _("There is not one usable row for %(name)s.") % {"name": name},
                code="no_rows",
                hint="Freeze a version with more.",
            )
        temporary.replace(path)
        return str(path)

    def _rankings(self, rows: Iterator[Row], *, with_source: bool = False) -> Iterator[Row]:
        """Canonical comparison rows as the trainer reads them; on demand with person and prompt.

        The trainer scores the last token of a text, so empty completions are left out, and rankings that have
        fewer than two others; both are counted and said.
        """
        empty = short = 0
        for row in rows:
            empty += sum(not completion["text"].strip() for completion in row["completions"])
            ranking = ranking_of(row)
            if ranking is None:
                short += 1
            elif with_source:
                who = row["source"].get("annotator") or ""
                yield ranking | {"annotator": who, "prompt_id": row["prompt_id"]}
            else:
                yield ranking
        if empty:
            self.report(
                f"{empty} empty completions were left out, "
                f"and {short} rankings of which less than two remained."
            )

    def _scores(self, rows: Iterator[Row]) -> Iterator[Row]:
        """Each prompt's completions with the mean of the scores that people gave them.

        Rows of one prompt are neighbours in a version. What nobody scored, and empty texts, are left out.
        """
        empty = unscored = 0
        for _prompt, judged in itertools.groupby(rows, key=lambda row: row["prompt_id"]):
            found: dict[str, tuple[str, list[float]]] = {}
            for row in judged:
                messages, scores = row["messages"], row.get("scores") or [None] * len(row["completions"])
                for completion, score in zip(row["completions"], scores, strict=True):
                    entry = found.setdefault(completion["id"], (completion["text"], []))
                    if score is not None:
                        entry[1].append(score)
            scored = [(text, given) for text, given in found.values() if text.strip() and given]
            empty += sum(not text.strip() for text, _ in found.values())
            unscored += sum(bool(text.strip()) and not given for text, given in found.values())
            if scored:
                means = [sum(given) / len(given) for _, given in scored]
                yield {"messages": messages, "completions": [text for text, _ in scored], "scores": means}
        if empty or unscored:
            self.report(f"Left out: {unscored} completions that nobody scored, and {empty} empty ones.")

    def _described(self, rows: Iterator[Row]) -> Iterator[Row]:
        """Rankings with what a report is broken down by: pseudonym of the person, category of the prompt."""
        rankings = self._rankings(rows, with_source=True)
        while chunk := list(itertools.islice(rankings, 500)):
            ids = [int(row["prompt_id"]) for row in chunk if row["prompt_id"].isdecimal()]
            found = Prompt.objects.filter(project=self.run.project_id, pk__in=ids)
            categories = {str(pk): name for pk, name in found.values_list("pk", "category")}
            for row in chunk:
                yield row | {"category": categories.get(row["prompt_id"]) or ""}

    def _prompts(self, rows: Iterator[Row]) -> Iterator[Row]:
        """The prompts of any kind of row, each once."""
        seen: set[str] = set()
        for row in rows:
            messages = row["messages"]
            if messages[-1]["role"] == "assistant":
                messages = messages[:-1]
            digest = prompt_digest(messages)
            if digest not in seen:
                seen.add(digest)
                yield {"messages": messages, "digest": digest}

    def _safety_prompts(self, rows: Iterator[Row]) -> Iterator[Row]:
        """Each prompt once, with its category in this project. Nobody learns from them: all splits count."""
        prompts = self._prompts(rows)
        while chunk := list(itertools.islice(prompts, 500)):
            found = Prompt.objects.filter(
                project=self.run.project_id, digest__in=[row["digest"] for row in chunk]
            )
            categories = dict(found.values_list("digest", "category"))
            for row in chunk:
                yield {"messages": row["messages"], "category": categories.get(row["digest"]) or ""}

    def _with_our_ids(self, rows: Iterator[Row]) -> Iterator[Row]:
        """Rows of `_prompts` with the number of the prompt in this project, so that answers find their way
        back.
        """
        gone = 0
        while chunk := list(itertools.islice(rows, 500)):
            by_digest = dict(
                Prompt.objects.filter(
                    project=self.run.project_id, digest__in=[row["digest"] for row in chunk]
                ).values_list("digest", "pk")
            )
            for row in chunk:
                if row["digest"] in by_digest:
                    yield {"messages": row["messages"], "prompt_id": by_digest[row["digest"]]}
                else:
                    gone += 1
        if gone:
            self.report(f"{gone} prompts of the version are no longer in the project and are not answered.")

    def _unscored_completions(self) -> Iterator[Row]:
        """What people rank and this reward model has not scored, without empty texts: a score is read at the
        last token of a text.
        """
        scorer = reward_model_of(self.run)
        rows = unscored_completions(project=self.run.project, scorer_key=scorer.pk).select_related("prompt")
        empty = 0
        for completion in rows.iterator(chunk_size=500):
            if not completion.text.strip():
                empty += 1
                continue
            yield {
                "messages": completion.prompt.messages,
                "text": completion.text,
                "completion_id": completion.pk,
            }
        if empty:
            self.report(f"{empty} empty completions get no score.")

    def _chosen_prompts(self, prompt_ids: list[int]) -> Iterator[Row]:
        for start in range(0, len(prompt_ids), 500):
            chunk = Prompt.objects.in_bulk(prompt_ids[start : start + 500])
            for pk in prompt_ids[start : start + 500]:
                if pk in chunk:
                    yield {"messages": chunk[pk].messages, "prompt_id": pk}


def conversation_text(row: Row) -> str:
    """A row of any kind as plain text to pretrain on: the turns, and of a comparison every completion."""
    turns = [message["content"] for message in row["messages"]]
    turns += [completion["text"] for completion in row.get("completions", [])]
    return "\n".join(turns)


def held_out_split(version: DatasetVersion) -> str:
    """The split to measure on: test where it has rows, else validation, else train."""
    return next((split for split in ("test", "validation") if version.row_counts.get(split)), "train")

"""Rows of an uploaded file or a frozen version as preparation sees them, and fixes carried out on them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import orjson

from annotate.errors import Invalid
from annotate.words import _
from labeling.formats import SPLITS, FormatError, Record, detect, read_file
from labeling.models import DatasetVersion, ImportRecord, Preparation, Project, Prompt
from labeling.preparation import (
    Options,
    Plan,
    Unit,
    masked,
    record_of_unit,
    source_of,
    unit_of_record,
    unit_of_row,
)

from . import import_files
from .dataset_files import folder_of
from .evaluation_sets import check_evaluation, prompts_of
from .export_encoders import ModelTokenizer, encoder
from .import_preview import checked_columns
from .masked_rows import mask_within
from .preparation_options import DEFAULT_CONTEXT
from .prompts import chunked
from .token_counts import context_of, count_tokens

MASK = "mask_personal_data"
PLAIN_SHAPES = ("prompt and completion",)
OnFault = Callable[[FormatError], None]


def options_for(
    project: Project,
    *,
    context: int | None = None,
    tokenizer: str = "",
    is_plain: bool = False,
    evaluation: Iterable[int] = (),
) -> Options:
    """`tokenizer`: a model by whose tokens rows are measured, and by its context where none is given.
    `evaluation`: ids of imports of the project whose prompts may not be trained on. Raises Invalid where the
    model, or its tokenizer.json, is gone; DomainError where the file of an evaluation set is."""
    chosen = chosen_tokenizer(project, tokenizer)
    file = chosen.file if chosen is not None else None

    def tokens(text: str) -> int:
        return count_tokens(project=project, text=text, file=file).count

    def is_one(text: str) -> bool:
        # As the first of an answer, or after a blank, as most tokenizers write a word amid a text.
        return tokens(text) == 1 or tokens(f" {text}") == 1

    knows_tokens = not count_tokens(project=project, text="a", file=file).is_estimate
    if chosen is not None and not knows_tokens:
        raise Invalid(
            _("The tokenizer of %(name)s cannot be read.") % {"name": chosen.name}, field="tokenizer"
        )
    held_out = tuple(evaluation)
    if held_out:
        check_evaluation(project, held_out)
    return Options(
        count_tokens=tokens,
        context=context or default_context(project, chosen),
        single_token=is_one if knows_tokens else None,
        is_plain=is_plain,
        evaluation=partial(prompts_of, project, held_out) if held_out else None,
    )


def default_context(project: Project, chosen: ModelTokenizer | None) -> int:
    """Tokens that the chosen model reads at once, or the one whose tokenizer counts where none is chosen."""
    return (context_of(project) if chosen is None else chosen.context) or DEFAULT_CONTEXT


def chosen_tokenizer(project: Project, model: str) -> ModelTokenizer | None:
    """The tokenizer of a model, None where none is chosen. Raises Invalid for one that cannot be counted
    with here."""
    if not model:
        return None
    found = encoder().tokenizer(project, model)
    if found.file is None:
        raise Invalid(
            _("%(name)s has no tokenizer.json on this machine.") % {"name": found.name}, field="tokenizer"
        )
    return found


def units_of_import(
    import_record: ImportRecord,
    *,
    kind: str,
    format: str = "",
    columns: Mapping[str, str] | None = None,
    on_fault: OnFault | None = None,
) -> Iterator[Unit]:
    """The rows of the stored file, read that way. Raises FormatError as `read_file` does."""
    records = read_file(
        import_files.path_of(import_record),
        filename=import_record.filename,
        kind=kind,
        format=format or None,
        columns=checked_columns(columns),
        on_fault=on_fault,
    )
    return map(unit_of_record, records)


def is_plain_file(import_record: ImportRecord, kind: str) -> bool:
    """Whether rows are of the legacy prompt/completion kind, whose texts alone mark where a prompt ends."""
    path = import_files.path_of(import_record)
    return detect(path, filename=import_record.filename, kind=kind).shape in PLAIN_SHAPES


def units_of_version(version: DatasetVersion) -> Iterator[Unit]:
    """All splits, one after the other; categories and languages are those of the prompts now."""
    kind = version.dataset.kind
    for split in SPLITS:
        for chunk in chunked(enumerate(_rows(folder_of(version) / f"{split}.jsonl"), start=1), 500):
            ids = [int(row["prompt_id"]) for _, row in chunk]
            named = Prompt.objects.in_bulk(ids).get
            for number, row in chunk:
                prompt = named(int(row["prompt_id"]))
                more: dict[str, Any] = {"number": number, "side": split}
                if prompt is not None:
                    more |= {"category": prompt.category, "language": prompt.language}
                    more["source"] = source_of(prompt.import_record_id)
                yield unit_of_row(kind, row, **more)


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with path.open("rb") as file:
        for line in file:
            yield orjson.loads(line)


class ImportPlan:
    """The fixes chosen for an import, carried out record by record while its file is read.

    `dropped` counts records left out; `counts` is {fix: records left out or changed}. `without`: places (from
    0) of records that turned out to be refused in the end: they are in nobody's plan, so that no good row is
    left out as the double of one that is not taken.
    """

    def __init__(
        self,
        import_record: ImportRecord,
        tell: Callable[[str, int, int | None], None],
        without: Collection[int] = (),
    ) -> None:
        preparation = Preparation.objects.filter(import_record=import_record).first()
        self.dropped = 0
        self._without = without
        self._place = self._seen = 0
        self._plan: Plan | None = None
        if preparation is None or not preparation.fixes:
            return
        options = options_for(
            import_record.project,
            context=preparation.options.get("context"),
            tokenizer=preparation.options.get("tokenizer", ""),
            is_plain=is_plain_file(import_record, import_record.kind),
            evaluation=preparation.options.get("evaluation", ()),
        )
        units = units_of_import(
            import_record,
            kind=import_record.kind,
            format=import_record.format,
            columns=import_record.column_mapping,
            # What is faulty is noted when the rows are read for good.
            on_fault=_pass_over if import_record.leave_out_faulty_rows or import_record.is_dry_run else None,
        )
        taken = (unit for place, unit in enumerate(units) if place not in without)
        self._plan = Plan(taken, preparation.fixes, options, lambda done: tell("looking through", done, None))

    @property
    def is_chosen(self) -> bool:
        """Whether there are any fixes."""
        return self._plan is not None

    @property
    def counts(self) -> dict[str, int]:
        return dict(self._plan.counts) if self._plan is not None else {}

    def carry_out(self, record: Record) -> Record | None:
        """The next record as the fixes leave it, or None where one leaves it out."""
        if self._plan is None:
            return record
        self._place += 1
        if self._place - 1 in self._without:
            return self._rewritten(record, unit_of_record(record))
        unit, _reason = self._plan.carry_out(self._seen, before := unit_of_record(record))
        self._seen += 1
        if unit is None:
            self.dropped += 1
            return None
        return self._rewritten(record, unit, is_same=unit == before)

    def _rewritten(self, record: Record, unit: Unit, *, is_same: bool = True) -> Record:
        changed = record if is_same else record_of_unit(record, unit)
        if self._plan is not None and MASK in self._plan.names and record.metadata:
            changed = dataclasses.replace(changed, metadata=mask_within(record.metadata, masked))
        return changed

    def keep_counts(self, import_record: ImportRecord) -> None:
        """Store what was done beside the import, in the caller's transaction."""
        if self._plan is not None:
            Preparation.objects.filter(import_record=import_record).update(counts=self.counts)


def _pass_over(_error: FormatError) -> None:
    """A faulty row is in nobody's plan."""

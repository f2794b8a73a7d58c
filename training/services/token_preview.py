"""Which tokens a run would learn, for a page: the library's own preview, in a process of its own.

The web process loads no tokenizer of a model and no torch; the child reads a tokenizer, no weights, and has
two minutes. Nobody waits for it within a request (services.preview_jobs).
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from annotate.errors import Conflict, Invalid
from annotate.words import _
from labeling.models import DatasetKind, DatasetVersion
from labeling.services.datasets import open_split
from training.models import Checkpoint, Stage

from .library_calls import answer_of, places
from .locations import check_base_model, checkpoint_directory
from .rankings import ranking_of

STAGE_OF: dict[str, Stage] = {DatasetKind.SFT: Stage.SFT, DatasetKind.COMPARISON: Stage.REWARD}
MEASURED_ROWS = 2_000  # evenly spread over the split: seconds, whatever its size
PATIENCE_SECONDS = 120.0
QUEUE_SECONDS = 120.0


def preview_tokens(
    *,
    version: DatasetVersion,
    split: str,
    checkpoint: Checkpoint | None = None,
    base_model: str = "",
    maximum_length: int,
    rows: int,
    template: dict[str, str] | None = None,
) -> dict[str, Any]:
    """What `python -m training.rlhf preview` says of a split (training/rlhf/preview.py).

    `template`: template, separator and stop_sequence as an SFT run takes them. Raises Invalid with the
    sentence of the library where it cannot read the model or a row, Conflict while two others are at it.
    """
    stage = STAGE_OF.get(version.dataset.kind)
    if stage is None:
        raise Invalid("Prompts alone teach no tokens: choose demonstrations or comparisons.", field="version")
    model = str(checkpoint_directory(checkpoint)) if checkpoint else check_base_model(base_model)
    if not places.acquire(timeout=QUEUE_SECONDS):
        raise Conflict("Two previews are being made already.", hint="Try again in a moment.")
    try:
        with tempfile.TemporaryDirectory(prefix="preview-") as folder:
            data = Path(folder) / f"{split}.jsonl"
            total = version.row_counts.get(split, 0)
            _write(data, open_split(version=version, split=split), total, str(stage))
            asked = ["--json", "--stage", str(stage), "--model", model]
            asked += ["--maximum-length", str(maximum_length), "--rows", str(rows)]
            asked += [f"--{name.replace('_', '-')}={text}" for name, text in (template or {}).items()]
            found = answer_of("preview", asked, data=data, patience=PATIENCE_SECONDS, field="model")
    finally:
        places.release()
    return found | {"rows": total}


def _write(path: Path, rows: Iterator[dict[str, Any]], total: int, stage: str) -> None:
    """At most MEASURED_ROWS rows, each on the line that bears its number; the others are empty lines."""
    count = min(total, MEASURED_ROWS)
    wanted = {index * total // count for index in range(count)}
    written = 0
    with open(path, "w", encoding="utf-8") as file:
        for index, row in enumerate(rows):
            kept: dict[str, Any] | None = row if index in wanted else None
            if kept is not None and stage == Stage.REWARD:
                kept = ranking_of(kept)
            file.write((json.dumps(kept, ensure_ascii=False) if kept else "") + "\n")
            written += kept is not None
    if not written:
        raise Invalid(_("There is not one usable row in %(name)s.") % {"name": path.stem}, field="split")

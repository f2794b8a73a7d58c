"""A model as an ONNX graph: ids and attention in, logits out, any number of rows and tokens; no cache."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

NAME = "model.onnx"
LARGEST_IN_ONE_FILE = 1_900_000_000  # bytes; protobuf takes 2 GB


class _Graph(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        return self.model(input_ids=input_ids, attention_mask=attention_mask, use_cache=False).logits


@torch.no_grad()
def write_onnx(model: Any, folder: Path) -> None:
    """`model.onnx` in `folder`, and `model.onnx.data` beside it where the weights need their own."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # complains of libraries that nobody needs
    model.set_attn_implementation("eager")
    ids = torch.ones((2, 7), dtype=torch.long)
    rows, length = torch.export.Dim("batch"), torch.export.Dim("sequence")
    size = sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        program: Any = torch.onnx.export(
            _Graph(model),
            (ids, torch.ones_like(ids)),
            dynamo=True,
            verbose=False,
            input_names=["input_ids", "attention_mask"],
            output_names=["logits"],
            dynamic_shapes=({0: rows, 1: length}, {0: rows, 1: length}),
        )
        program.save(str(folder / NAME), external_data=size > LARGEST_IN_ONE_FILE)


def read_onnx(folder: Path) -> Any:
    """Ids (B, T) -> logits, computed by onnxruntime on the CPU."""
    import onnxruntime

    onnxruntime.set_default_logger_severity(3)
    session = onnxruntime.InferenceSession(str(folder / NAME), providers=["CPUExecutionProvider"])

    def logits(ids: Tensor) -> Tensor:
        given = {"input_ids": ids.numpy(), "attention_mask": torch.ones_like(ids).numpy()}
        return torch.from_numpy(session.run(None, given)[0])

    return logits

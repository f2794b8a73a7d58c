"""A model as an ONNX graph: ids and attention in, logits out, any number of rows and tokens; no cache.

An encoder–decoder model is two graphs, as other tools name them: one reads the prompt once, the other is
asked for each further token.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutput

from training.rlhf.export.check import Logits, halves

NAME, ENCODER, DECODER = "model.onnx", "encoder_model.onnx", "decoder_model.onnx"
LARGEST_IN_ONE_FILE = 1_900_000_000  # bytes; protobuf takes 2 GB
Axes = dict[int, str]


class _Graph(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        return self.model(input_ids=input_ids, attention_mask=attention_mask, use_cache=False).logits


class _Encoder(_Graph):
    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        encoder: Any = self.model.get_encoder()  # type: ignore[operator]
        return encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state


class _Decoder(_Graph):
    def forward(  # type: ignore[override]
        self, input_ids: Tensor, encoder_hidden_states: Tensor, encoder_attention_mask: Tensor
    ) -> Tensor:
        return self.model(
            encoder_outputs=BaseModelOutput(last_hidden_state=encoder_hidden_states),
            attention_mask=encoder_attention_mask,
            decoder_input_ids=input_ids,
            use_cache=False,
        ).logits


@torch.no_grad()
def write_onnx(model: Any, folder: Path) -> None:
    """`model.onnx` in `folder`, or the two of an encoder–decoder model; each with a file of data beside it
    where the weights need their own.
    """
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # complains of libraries that nobody needs
    model.set_attn_implementation("eager")
    ids, prompt = torch.ones((2, 7), dtype=torch.long), {0: "batch", 1: "sequence"}
    inputs: dict[str, tuple[Tensor, Axes]] = {
        "input_ids": (ids, prompt),
        "attention_mask": (torch.ones_like(ids), prompt),
    }
    if not model.config.is_encoder_decoder:
        _write(_Graph(model), inputs, "logits", folder / NAME)
        return
    _write(_Encoder(model), inputs, "last_hidden_state", folder / ENCODER)
    fed = torch.ones((2, 5), dtype=torch.long)
    read = {
        "input_ids": (fed, {0: "batch", 1: "decoder_sequence"}),
        "encoder_hidden_states": (torch.zeros(2, 7, model.config.hidden_size), prompt),
        "encoder_attention_mask": (torch.ones_like(ids), prompt),
    }
    _write(_Decoder(model), read, "logits", folder / DECODER)


def _write(graph: nn.Module, inputs: dict[str, tuple[Tensor, Axes]], answer: str, path: Path) -> None:
    sizes = {name: torch.export.Dim(name) for _, axes in inputs.values() for name in axes.values()}
    bytes_of = sum(parameter.numel() * parameter.element_size() for parameter in graph.parameters())
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        program: Any = torch.onnx.export(
            graph,
            tuple(tensor for tensor, _ in inputs.values()),
            dynamo=True,
            verbose=False,
            input_names=list(inputs),
            output_names=[answer],
            dynamic_shapes=tuple(
                {axis: sizes[name] for axis, name in axes.items()} for _, axes in inputs.values()
            ),
        )
        program.save(str(path), external_data=bytes_of > LARGEST_IN_ONE_FILE)


def read_onnx(folder: Path, start: int | None = None) -> Logits:
    """Ids (B, T) -> logits, computed by onnxruntime on the CPU. `start`: what a decoder is fed first."""
    if start is None:
        whole = _session(folder / NAME)
        return lambda ids: _run(whole, input_ids=ids, attention_mask=torch.ones_like(ids))
    encoder, decoder = _session(folder / ENCODER), _session(folder / DECODER)

    def logits(ids: Tensor) -> Tensor:
        prompt, fed = halves(ids, start)
        seen = torch.ones_like(prompt)
        hidden = _run(encoder, input_ids=prompt, attention_mask=seen)
        return _run(decoder, input_ids=fed, encoder_hidden_states=hidden, encoder_attention_mask=seen)

    return logits


def _session(path: Path) -> Any:
    import onnxruntime

    onnxruntime.set_default_logger_severity(3)
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def _run(session: Any, **given: Tensor) -> Tensor:
    return torch.from_numpy(session.run(None, {name: tensor.numpy() for name, tensor in given.items()})[0])

"""What llama.cpp says of the GGUF files of `gguf_shapes.py`, as JSON. Needs llama-cpp-python and numpy."""

from __future__ import annotations

import json
import sys
from pathlib import Path


def ask(shape: dict) -> dict:
    import llama_cpp
    import numpy

    # Keys and values in 32 bits, as transformers keeps them.
    model = llama_cpp.Llama(
        shape["file"], n_ctx=64, n_threads=1, logits_all=True, type_k=0, type_v=0, verbose=False
    )

    def read(ids: list[int]) -> numpy.ndarray:
        model.reset()
        model.eval(ids)
        return numpy.array(model.scores[: len(ids)])

    greedy: list[int] = []
    for _ in shape["greedy"]:
        greedy.append(int(read(shape["ids"] + greedy)[-1].argmax()))
    found = read(shape["ids"] + greedy)
    expected = numpy.array(shape["logits"])
    return {
        "content": shape["content"],
        "texts": [
            [text, model.tokenize(text.encode(), add_bos=False, special=False)] for text, _ in shape["texts"]
        ],
        "with_start": model.tokenize(b"cat", add_bos=True, special=False),
        "chat_ids": model.tokenize(shape["chat"].encode(), add_bos=False, special=True),
        "end": model.token_eos(),
        "greedy": greedy,
        "difference": float(abs(found[:, : expected.shape[1]] - expected).max()),
        "largest": float(abs(found).max()),
    }


if __name__ == "__main__":
    import llama_cpp

    shapes = json.loads((Path(sys.argv[1]) / "shapes.json").read_text())
    told = {
        "llama_cpp_python": llama_cpp.__version__,
        "shapes": {name: ask(each) for name, each in shapes.items()},
    }
    print(json.dumps(told, ensure_ascii=False, indent=1))

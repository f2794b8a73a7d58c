"""Demonstrations as the token ids that SFT would see: `input_ids`, `attention_mask` and `labels`.

    python -m training.rlhf encode --model DIR --data FILE --out FILE

Reads a tokenizer and no weights, and loads no torch. Labels are -100 where nothing is learnt, as in
`transformers`: everywhere but in the answer and the stop token that ends it. Rows are neither padded nor
packed. For an encoder–decoder model `input_ids` are the prompt and `labels` the answer.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from training.rlhf.chat import ChatEncoder, load_tokenizer
from training.rlhf.data import read_demonstrations
from training.rlhf.encoding import learning_problem, length_problem, naming_row
from training.rlhf.errors import DataError
from training.rlhf.model_folders import check_model, is_encoder_decoder

IGNORED = -100  # torch's cross-entropy skips it


def encode_file(
    *,
    model: str,
    data: str,
    out: str,
    maximum_length: int,
    chat_template: str = "",
    allowed_hub_ids: Sequence[str] = (),
) -> dict[str, int]:
    """{"written", "too_long"}: rows over `maximum_length` tokens are left out, never cut, as in a run.

    Raises RlhfError where the model, the file or a row cannot be used, as a run would.
    """
    folder = check_model(model, allowed_hub_ids=list(allowed_hub_ids), digests=False)
    encoder = ChatEncoder(load_tokenizer(folder, chat_template=chat_template))
    has_encoder = is_encoder_decoder(folder)
    counts = {"written": 0, "too_long": 0}
    with open(out, "w", encoding="ascii") as file:
        for row in read_demonstrations(data):
            with naming_row(data, row.row):
                encoded = encoder.encode(row.prompt, row.response)
                problem = learning_problem(encoder, row.prompt, row.response, encoded.response)
            if problem is not None:
                raise DataError(problem.message, file=data, row=row.row)
            if length_problem(encoded.prompt, encoded.response, maximum_length) is not None:
                counts["too_long"] += 1
                continue
            read, labels = encoded.ids, [IGNORED] * len(encoded.prompt) + encoded.response
            if has_encoder:
                read, labels = encoded.prompt, encoded.response
            columns = {"input_ids": read, "attention_mask": [1] * len(read), "labels": labels}
            file.write(json.dumps(columns) + "\n")
            counts["written"] += 1
    return counts

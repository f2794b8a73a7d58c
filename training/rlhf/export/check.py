"""Is it still the same model: what was written, read again by another hand, against the original."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from training.rlhf.encoder_decoder import is_encoder_decoder, start_token
from training.rlhf.errors import CheckpointError

ROWS, READ, CONTINUED = 2, 24, 8  # probe rows, their tokens, and tokens the original adds to them
RELATIVE = 5e-4  # of the largest logit: kernels of another library sum in another order
SAYINGS = (
    "What colour is the cat?",
    "  Two  spaces, a tab\t, 12345 and\n\na new line; don't, DON'T!",
    "Grüße aus Köln — 日本語 العربية हिन्दी 🙂",
)

PROMPT = 16  # of the tokens of a row, what the encoder of an encoder–decoder model reads

Logits = Callable[[Tensor], Tensor]  # (B, T) ids -> (B, T, V), or (B, 1) scores of a reward model


@torch.no_grad()
def compare(original: Logits, again: Logits, *, vocabulary: int, context: int, exact: bool) -> dict[str, Any]:
    """{"difference", "limit", "tokens", "tokens_equal"}; CheckpointError where the two are not the same.

    `difference` is the largest between logits of some rows of random tokens and what the original itself adds
    to them (of a reward model: between scores). `limit` is 0 if `exact`. A token counts as another one where
    the copy's choice is worse than the original's best by more than the limit: two that are equal are both
    right.
    """
    length = min(READ, context - CONTINUED) if context > CONTINUED + 1 else 1
    drawn = torch.randint(vocabulary, (ROWS, length), generator=torch.Generator().manual_seed(0))
    ids = drawn
    for _ in range(CONTINUED if original(drawn).dim() == 3 and context > CONTINUED + 1 else 0):
        ids = torch.cat([ids, original(ids)[:, -1:].argmax(dim=-1)], dim=1)
    first, second = original(ids), again(ids)
    if first.shape != second.shape:
        raise CheckpointError(
            f"the exported model answers in another shape, {tuple(second.shape)} and not {tuple(first.shape)}"
        )
    difference = float((first - second).abs().max())
    limit = 0.0 if exact else RELATIVE * float(first.abs().max())
    found: dict[str, Any] = {"difference": difference, "limit": limit}
    if first.dim() == 3:
        chosen = second.argmax(dim=-1, keepdim=True)
        worse = first.max(dim=-1, keepdim=True).values - first.gather(-1, chosen)
        found |= {"tokens": worse.numel(), "tokens_equal": int((worse <= limit).sum())}
    if not difference <= limit or found.get("tokens_equal") != found.get("tokens"):
        raise CheckpointError(
            f"the exported model answers differently from the original: by {difference:.3g}, where "
            f"{limit:.3g} is allowed; nothing was kept"
        )
    return found


def compare_tokenizers(original: Any, again: Any) -> int:
    """How many texts both split alike, special ones among them; CheckpointError names one they do not."""
    ending = original.eos_token
    texts = [*SAYINGS, *(f"{saying}{ending}{saying}" for saying in SAYINGS)]
    for text in texts:
        first = original.encode(text, add_special_tokens=False)
        second = again.encode(text, add_special_tokens=False)
        if first != second or original.decode(first) != again.decode(second):
            raise CheckpointError(f"the exported tokenizer splits {text!r} differently from the original")
    return len(texts)


def logits_of(model: nn.Module) -> Logits:
    if is_encoder_decoder(model):
        start = start_token(model)

        def logits(ids: Tensor) -> Tensor:
            prompt, fed = halves(ids, start)
            return model(
                input_ids=prompt, attention_mask=torch.ones_like(prompt), decoder_input_ids=fed
            ).logits.float()

        return logits
    return lambda ids: model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits.float()


def halves(ids: Tensor, start: int) -> tuple[Tensor, Tensor]:
    """What the encoder reads of a probe row, and what the decoder is fed."""
    rest = ids[:, PROMPT:]
    return ids[:, :PROMPT], torch.cat([torch.full_like(ids[:, :1], start), rest], dim=1)

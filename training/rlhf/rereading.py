"""A reward model with another tokenizer: what the policy said is decoded, and read again as text.

The two need share nothing but language, so that a reward model may be of another family and size. Special
tokens of the policy are gone from the text; one that is spelled there stays text to the reward model, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from training.rlhf.chat import ChatEncoder
from training.rlhf.data import Messages
from training.rlhf.generation import Sampled


def reads_alike(policy: Any, reward: Any) -> bool:
    """Whether one tokenizer's sequences mean the same to the other: vocabulary, template and stop token."""
    return (
        policy.get_vocab() == reward.get_vocab()
        and policy.chat_template == reward.chat_template
        and policy.eos_token_id == reward.eos_token_id
    )


class Rereader:
    """Turns episodes in the policy's tokens into sequences in the reward model's."""

    def __init__(self, policy: ChatEncoder, reward: ChatEncoder, context: int) -> None:
        self.policy, self.reward, self.context = policy, reward, context
        self.pad_id = reward.pad_id
        self.cut_share = 0.0  # of the episodes read last, those not read to their end
        self._prompts: dict[tuple[int, ...], list[int]] = {}

    def learn(self, prompt: Messages, ids: list[int], room: int) -> bool:
        """Remember what a prompt, `ids` to the policy, is to the reward model; False where that leaves fewer
        than `room` tokens for a response. Prompts that the policy cannot tell apart are one.
        """
        found = self.reward.encode_prompt(prompt)
        self._prompts[tuple(ids)] = found
        return len(found) + room <= self.context

    def sequences(self, prompts: Sequence[list[int]], responses: Sequence[Sampled]) -> list[list[int]]:
        """Prompt and response each, to be scored at the last token: the stop token, if the response ended.

        A response that is longer than the reward model can read is read as far as it can.
        """
        found, cut = [], 0
        for prompt, response in zip(prompts, responses, strict=True):
            text = self.policy.decode(response.tokens)
            cut_off = [] if response.ended else self.reward.encode_answer(text)
            ids = self._prompts[tuple(prompt)] + (cut_off or self.reward.encode_response(text))
            cut += len(ids) > self.context
            found.append(ids[: self.context])
        self.cut_share = cut / max(1, len(found))
        return found

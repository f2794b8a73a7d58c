"""From chat messages to token ids: which tokens are prompt, which are response, and what stays plain text.

The model's own chat template is used where it has one. Text typed by people never becomes a special token:
where a message spells one (say `<|endoftext|>`), that stretch is encoded in two halves, which no added
token can match.
"""

from __future__ import annotations

import ctypes
import re
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from training.rlhf.errors import ModelFolderError, first_line
from training.rlhf.model_folders import is_encoder_decoder
from training.rlhf.template_styles import SIMPLE, wrapping_of
from training.rlhf.template_trial import check_template

ROLE_TOKENS = {"system": "<|system|>", "user": "<|user|>", "assistant": "<|assistant|>"}
END_TOKEN, PAD_TOKEN = "<|endoftext|>", "<|pad|>"

# A template is foreign code: how long one rendering may take, and how much it may add to what was said.
RENDER_SECONDS = 5.0
MOST_ADDED = 200_000  # characters

# For tokenizers we train: roles are tokens of their own, which nobody can type.
MARKED_TEMPLATE = (
    "{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] }}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
# For base models of others, whose vocabulary has no role tokens.
PLAIN_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'system' %}{{ message['content'] + '\n\n' }}"
    "{% elif message['role'] == 'user' %}{{ 'User: ' + message['content'] + '\n\n' }}"
    "{% else %}{{ 'Assistant: ' + message['content'] + eos_token + '\n\n' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant: ' }}{% endif %}"
)
# For encoder–decoder models: what the encoder reads ends with the end token, as in T5's own training.
ENCODER_TEMPLATE = PLAIN_TEMPLATE.replace("'Assistant: ' }}", "'Assistant: ' + eos_token }}")

OUR_TEMPLATES = (MARKED_TEMPLATE, PLAIN_TEMPLATE, ENCODER_TEMPLATE)


@dataclass(frozen=True)
class Encoded:
    """Token ids of a prompt and of the response to it, stop token included."""

    prompt: list[int]
    response: list[int]
    file: str = ""
    row: int = 0  # of the file, from 1; 0 for what is of none

    @property
    def ids(self) -> list[int]:
        return self.prompt + self.response

    def __len__(self) -> int:
        return len(self.prompt) + len(self.response)


def read_tokenizer(name: str) -> Any:
    """As transformers reads it."""
    from transformers import AutoTokenizer  # takes seconds

    try:
        return AutoTokenizer.from_pretrained(name, trust_remote_code=False)
    except Exception as error:  # the library raises whatever the broken file provokes
        raise ModelFolderError(f"the tokenizer of {name} cannot be read: {first_line(error)}") from error


def load_tokenizer(name: str, *, chat_template: str = "", read: Callable[[str], Any] = read_tokenizer) -> Any:
    """A tokenizer with stop token, pad token and chat template. `read`: plain_tokenizer.py has another."""
    tokenizer = read(name)
    takes_ours = chat_template == SIMPLE or not (chat_template or tokenizer.chat_template)
    if takes_ours and is_encoder_decoder(name):
        chat_template = ENCODER_TEMPLATE
    prepare_tokenizer(tokenizer, chat_template)
    if tokenizer.chat_template not in OUR_TEMPLATES:
        check_template(tokenizer.chat_template)
    tokenizer.padding_side = "right"
    return tokenizer


def prepare_tokenizer(tokenizer: Any, chat_template: str = "") -> bool:
    """Give a tokenizer what training needs: a stop token, a pad token that is not the stop token, a template.

    `chat_template` is Jinja, or “simple” for ours even where the model has one of its own. Returns whether a
    token was added, in which case the model's embeddings must grow.
    """
    if tokenizer.eos_token_id is None:
        raise ModelFolderError(
            "the tokenizer has no end-of-text token (eos_token), so a response could never end"
        )
    added = 0
    if tokenizer.pad_token_id is None or tokenizer.pad_token_id == tokenizer.eos_token_id:
        # With pad == eos the stop token would be masked out of the loss and never learnt.
        added = tokenizer.add_special_tokens({"pad_token": PAD_TOKEN})
    if chat_template:
        tokenizer.chat_template = "" if chat_template == SIMPLE else chat_template
    if not tokenizer.chat_template:
        vocabulary = tokenizer.get_vocab()
        marked = all(token in vocabulary for token in ROLE_TOKENS.values())
        tokenizer.chat_template = MARKED_TEMPLATE if marked else PLAIN_TEMPLATE
    return added > 0


class ChatEncoder:
    """Encodes conversations for one tokenizer."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.pad_id: int = tokenizer.pad_token_id
        # Some vocabularies have runs of spaces among the added tokens (GPT-NeoX, Gemma): those are text.
        self._added = {
            str(token): number
            for number, token in tokenizer.added_tokens_decoder.items()
            if token.special or not str(token).replace("▁", " ").isspace()
        }
        self._added_ids = frozenset(self._added.values())
        # Some tokenizers look for these in what they have normalized: full-width or upper-case letters too.
        self._folds = any(token.normalized for token in tokenizer.added_tokens_decoder.values())
        # The longest first: one token may begin with another.
        spelled = sorted(filter(None, self._added), key=len, reverse=True)
        self._spelled = re.compile("|".join(map(re.escape, spelled)) or r"(?!)")
        self.wrapping = wrapping_of(tokenizer.chat_template)
        self.stop_id = self._find_stop_token()
        self.stop_text = str(tokenizer.convert_ids_to_tokens(self.stop_id))

    @property
    def added_ids(self) -> list[int]:
        """Tokens that are no pieces of text: roles, ends, padding."""
        return list(self._added.values())

    def encode_prompt(self, messages: list[dict[str, str]]) -> list[int]:
        """Ids of the turns so far, up to where the assistant begins to speak."""
        return self._encode_turns(messages, add_generation_prompt=True)

    def encode_response(self, text: str) -> list[int]:
        """Ids of an answer, closed by the template's stop sequence, if it has one, and the stop token."""
        return [*self.encode_answer(text), *self._plain(self.wrapping.stop_sequence), self.stop_id]

    def encode_answer(self, text: str) -> list[int]:
        """Ids of an answer as it begins after a prompt, not closed."""
        return self._encode_typed(self.wrapping.lead + text)

    def encode(self, prompt: list[dict[str, str]], response: str) -> Encoded:
        return Encoded(self.encode_prompt(prompt), self.encode_response(response))

    def decode(self, ids: list[int]) -> str:
        """Text of a response: everything before the stop token or stop sequence, special tokens left out."""
        if self.stop_id in ids:
            ids = ids[: ids.index(self.stop_id)]
        text = self.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        if self.wrapping.stop_sequence:
            text = text.split(self.wrapping.stop_sequence, 1)[0].removeprefix(self.wrapping.lead)
        return text

    @property
    def says_it_is_over(self) -> Callable[[list[int]], bool] | None:
        """Whether a response ends in the template's stop sequence, as text: however it was cut into tokens.
        None where the stop token alone says so."""
        sequence = self.wrapping.stop_sequence
        if not sequence:
            return None
        enough = (
            len(sequence.encode()) + 4
        )  # no token is shorter than a byte; 4 bytes may be of one character
        return lambda ids: sequence in self.tokenizer.decode(ids[-enough:], skip_special_tokens=True)

    def closes_turn(self, prompt: list[dict[str, str]], response: str) -> bool:
        """Whether the template itself ends this answer with the stop token."""
        answer = {"role": "assistant", "content": response}
        # What was said may be found in the stop token's own name: its end is marked instead.
        mark = self._unused_mark([*prompt, answer])
        rendered = self._render([*prompt, answer | {"content": response.strip() + mark}], False)
        _, marked, closing = rendered.rpartition(mark)
        return bool(marked) and self.stop_text in closing and self.wrapping.stop_sequence in closing

    def _encode_turns(self, messages: list[dict[str, str]], *, add_generation_prompt: bool) -> list[int]:
        """Render with the template, and encode so that only the template's own special tokens count as
        such.
        """
        contents = [turn["content"] for turn in messages]
        spelled = [token for token in self._added if any(token in content for content in contents)]
        spelled += [content for content in contents if self._folds and self._holds_special(content)]
        if not spelled:
            return self._plain(self._render(messages, add_generation_prompt))
        # Each spelled token, and each text that would be folded into one, travels through the template under
        # a private-use name, and is put back afterwards.
        mark = self._unused_mark(messages)
        names = {
            f"{mark}{index}{mark}": token
            for index, token in enumerate(sorted(spelled, key=len, reverse=True))
        }
        masked = []
        for turn in messages:
            content = turn["content"]
            for name, token in names.items():
                content = content.replace(token, name)
            masked.append({**turn, "content": content})
        ids: list[int] = []
        for index, piece in enumerate(self._render(masked, add_generation_prompt).split(mark)):
            # Pieces alternate: template and plain text, then the number of a spelled token.
            ids += self._encode_typed(names[f"{mark}{piece}{mark}"]) if index % 2 else self._plain(piece)
        return ids

    def _encode_typed(self, text: str) -> list[int]:
        """Ids of text typed by a person: added tokens it spells are cut in two, and so stay ordinary text."""
        ids: list[int] = []
        begin = 0
        while (found := self._spelled.search(text, begin)) is not None:
            if len(found[0]) == 1:
                raise ModelFolderError(
                    f"the tokenizer has a special token of one character ({found[0]!r}), which text "
                    "typed by people cannot be kept apart from"
                )
            cut = found.start() + 1
            ids += self._never_special(text[begin:cut])
            begin = cut
        return ids + self._never_special(text[begin:])

    def _never_special(self, text: str) -> list[int]:
        """Ids of a stretch that spells no added token; one that the tokenizer folds into one (full-width or
        upper-case letters) is cut in two until it does not.
        """
        if not (self._folds and self._holds_special(text)):
            return self._plain(text)
        middle = len(text) // 2
        if not middle:
            raise ModelFolderError(
                f"the tokenizer makes a special token of the character {text!r}, which text typed by people "
                "cannot be kept apart from"
            )
        return self._never_special(text[:middle]) + self._never_special(text[middle:])

    def _holds_special(self, text: str) -> bool:
        return not self._added_ids.isdisjoint(self._plain(text))

    def _plain(self, text: str) -> list[int]:
        return self.tokenizer.encode(text, add_special_tokens=False) if text else []

    def _render(self, messages: list[dict[str, str]], add_generation_prompt: bool) -> str:
        try:
            with _time_limit(RENDER_SECONDS):
                rendered = self.tokenizer.apply_chat_template(
                    messages, tokenize=False, add_generation_prompt=add_generation_prompt
                )
        except Exception as error:  # the template is foreign code: whatever it raises is the template's fault
            raise ModelFolderError(
                f"the model's chat template cannot render a conversation ({first_line(error)}); "
                "mend it, or give another (chat_template)"
            ) from error
        if len(rendered) > MOST_ADDED + 20 * sum(len(turn["content"]) for turn in messages):
            raise ModelFolderError(
                f"the model's chat template makes {len(rendered):,} characters of a short conversation; "
                "mend it, or give another (chat_template)"
            )
        return rendered

    def _find_stop_token(self) -> int:
        """The token with which the template closes the assistant's turn, else the tokenizer's end of text."""
        probe = "0123456789 probe"
        messages = [{"role": "user", "content": "question"}, {"role": "assistant", "content": probe}]
        rendered = self._render(messages, add_generation_prompt=False)
        if probe not in rendered:
            raise ModelFolderError("the model's chat template leaves out what the assistant said")
        closing = rendered[rendered.rindex(probe) + len(probe) :]
        special = self._added_ids.union(self.tokenizer.all_special_ids)
        for token_id in self._plain(closing):
            if token_id in special and token_id != self.pad_id:
                return token_id
        return self.tokenizer.eos_token_id

    @staticmethod
    def _unused_mark(messages: list[dict[str, str]]) -> str:
        everything = "".join(turn["content"] for turn in messages)
        for code in range(0xE000, 0xF8FF):
            if chr(code) not in everything:
                return chr(code)
        raise ModelFolderError(
            "a conversation uses every private-use character, so none is left to mark with"
        )


@contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """TimeoutError in the block once it takes too long."""
    if threading.current_thread() is not threading.main_thread():
        with _time_limit_of_a_thread(seconds):
            yield
        return

    def give_up(*_: object) -> None:
        raise TimeoutError(f"it takes longer than {seconds:g} seconds: does it loop?")

    previous = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


class _TookTooLong(BaseException):
    """Raised in another thread, by its name alone; nothing that a template does catches it."""


@contextmanager
def _time_limit_of_a_thread(seconds: float) -> Iterator[None]:
    """As `_time_limit` where signals do not reach. It acts between two steps of the interpreter."""
    thread, done, lock = threading.get_ident(), threading.Event(), threading.Lock()

    def give_up() -> None:
        with lock:
            if not done.is_set():
                raised = ctypes.py_object(_TookTooLong)
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), raised)

    timer = threading.Timer(seconds, give_up)
    timer.daemon = True
    timer.start()
    try:
        yield
        with lock:  # from here on nothing is raised any more
            done.set()
    except _TookTooLong:
        raise TimeoutError(f"it takes longer than {seconds:g} seconds: does it loop?") from None
    finally:
        done.set()
        timer.cancel()

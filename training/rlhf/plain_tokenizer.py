"""A model's tokenizer and chat template as `chat.ChatEncoder` takes them, read without transformers.

That library takes seconds to import, and torch with it; the file `tokenizer.json` and a sandboxed Jinja
template take a tenth of a second. For a tokenizer whose class is the file alone, as those we train and most
others are, both split alike (tests/rlhf/test_prompt_lengths.py). A class of its own may build a tokenizer
that differs from the file by a token here and there: `is_exact` says which it is.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from training.rlhf.errors import ModelFolderError, first_line
from training.rlhf.model_folders import template_in
from training.rlhf.template_child import sandbox

TOKENIZER, SETTINGS, NAMES = "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"
LARGEST = 64 * 2**20  # bytes of a tokenizer that is read here
LARGEST_VOCABULARY = 100_000  # beyond, transformers looks for tokenizers to mend
FILE_ALONE = ("PreTrainedTokenizerFast", "TokenizersBackend")
NAMED = tuple(f"{name}_token" for name in ("bos", "eos", "unk", "sep", "pad", "cls", "mask"))


class PlainTokenizer:
    """Raises ModelFolderError where the folder has no tokenizer.json that can be read."""

    def __init__(self, folder: Path) -> None:
        from tokenizers import Tokenizer

        file = folder / TOKENIZER
        if not file.is_file() or file.stat().st_size > LARGEST:
            raise ModelFolderError(f"{folder} has no {TOKENIZER} that is read here")
        try:
            self._core = Tokenizer.from_file(str(file))
        except Exception as error:  # the library raises plain Exception
            raise ModelFolderError(f"{file} cannot be read: {first_line(error)}") from error
        self._core.no_truncation()
        self._core.no_padding()
        settings = _object(folder / SETTINGS)
        self._named = _named(_object(folder / NAMES) | settings)
        self.chat_template: Any = template_in(folder)
        self.padding_side = "right"
        self._add_missing(settings.get("added_tokens_decoder"), settings.get("extra_special_tokens"))
        size = self._core.get_vocab_size()
        self.is_exact = settings.get("tokenizer_class") in FILE_ALONE and size <= LARGEST_VOCABULARY

    @property
    def eos_token_id(self) -> int | None:
        return self._id_of("eos_token")

    @property
    def pad_token_id(self) -> int | None:
        return self._id_of("pad_token")

    @property
    def all_special_ids(self) -> list[int]:
        found = (self._core.token_to_id(text) for text in self._named.values())
        return [number for number in found if number is not None]

    @property
    def added_tokens_decoder(self) -> dict[int, Any]:
        found: dict[int, Any] = self._core.get_added_tokens_decoder()
        return found

    def get_vocab(self) -> dict[str, int]:
        found: dict[str, int] = self._core.get_vocab()
        return found

    def add_special_tokens(self, tokens: dict[str, str]) -> int:
        self._named |= tokens
        before = self._core.get_vocab_size()
        self._core.add_special_tokens(list(tokens.values()))
        return int(self._core.get_vocab_size() - before)

    def convert_ids_to_tokens(self, number: int) -> str:
        return str(self._core.id_to_token(number))

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
        found: list[int] = self._core.encode(text, add_special_tokens=add_special_tokens).ids
        return found

    def apply_chat_template(
        self, messages: list[dict[str, str]], *, tokenize: bool, add_generation_prompt: bool
    ) -> str:
        assert not tokenize  # noqa: S101 - ChatEncoder cuts into tokens itself
        template = self.chat_template
        if isinstance(template, dict):
            template = template["default"]
        return _compiled(template).render(
            messages=messages, add_generation_prompt=add_generation_prompt, tools=None, documents=None,
            **self._named,
        )  # fmt: skip

    def _id_of(self, name: str) -> int | None:
        text = self._named.get(name)
        return None if text is None else self._core.token_to_id(text)

    def _add_missing(self, listed: Any, extra: Any) -> None:
        """Tokens that the settings name and the file does not hold as added ones: transformers adds them."""
        from tokenizers import AddedToken

        there = {str(token) for token in self._core.get_added_tokens_decoder().values()}
        fields = [each for _, each in sorted((listed or {}).items(), key=lambda item: int(item[0]))]
        named = [*self._named.values(), *(_text(each) for each in _listed(extra))]
        fields += [{"content": text, "special": True} for text in named if text]
        for each in fields:
            if isinstance(each, dict) and each.get("content") not in there:
                there.add(each["content"])
                known = ("single_word", "lstrip", "rstrip", "normalized", "special")
                given = {name: bool(each[name]) for name in known if name in each}
                self._core.add_tokens([AddedToken(each["content"], **given)])


@lru_cache(maxsize=8)
def _compiled(template: str) -> Any:
    return sandbox().from_string(template)


def _named(settings: dict[str, Any]) -> dict[str, str]:
    found = {name: _text(settings.get(name)) for name in NAMED}
    return {name: text for name, text in found.items() if text}


def _text(token: Any) -> str:
    """Of a token by its text, or with what belongs to it."""
    found = token.get("content") if isinstance(token, dict) else token
    return found if isinstance(found, str) else ""


def _listed(extra: Any) -> list[Any]:
    if isinstance(extra, dict):
        return list(extra.values())
    return extra if isinstance(extra, list) else []


def _object(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise ModelFolderError(f"{path} cannot be read: {first_line(error)}") from error
    return found if isinstance(found, dict) else {}

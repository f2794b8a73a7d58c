"""Rows that become prompts."""

from ..chat import user_prompt
from ..records import PromptRecord
from .base import Row, Shape


def _read_prompt(row: Row):
    yield PromptRecord(messages=row.prompt(), **row.common())


def _read_text(row: Row):
    yield PromptRecord(messages=user_prompt(row.text("text")), **row.common())


PROMPT_SHAPES = (
    Shape("messages", ("prompts",), (("messages",),), _read_prompt, without=("prompt",)),
    Shape("ShareGPT conversations", ("prompts",), (("conversations",),), _read_prompt, without=("prompt",)),
    Shape("prompt", ("prompts",), (("prompt",),), _read_prompt, optional=("system",)),
    Shape("instruction", ("prompts",), (("instruction",),), _read_prompt, optional=("input", "system")),
    Shape("question", ("prompts",), (("question",),), _read_prompt),
    Shape("text", ("prompts",), (("text",),), _read_text),
)

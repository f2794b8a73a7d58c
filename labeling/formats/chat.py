"""Texts and conversations: the checks that every shape shares."""

import re
from collections.abc import Iterable, Mapping

from .errors import RowError
from .limits import Limits
from .records import Messages

ROLES = ("system", "user", "assistant")
_ROLE_NAMES = {
    "system": "system",
    "developer": "system",  # as OpenAI's newer models have it
    "user": "user",
    "human": "user",
    "prompter": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bot": "assistant",
}


def read_text(value, field: str, limits: Limits) -> str:
    """`value` exactly as it is. Raises RowError unless it is text, not blank, storable and within the
    limit."""
    if type(value) is not str:
        raise RowError(f"must be text, not {describe_type(value)}", field=field)
    if not value or value.isspace():
        raise RowError("empty", field=field, hint="Write the text, or leave the row out.")
    if len(value) > limits.max_text_characters:
        raise RowError(f"{len(value):,} characters; the limit is {limits.max_text_characters:,}", field=field)
    if "\0" in value:
        raise RowError("has a NUL character, which cannot be stored", field=field)
    return value


def describe_type(value) -> str:
    if value is None:
        return "null"
    names = {bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "an object"}
    return names.get(type(value), "something else")


def user_prompt(text: str, system: str | None = None) -> Messages:
    turn = {"role": "user", "content": text}
    return ({"role": "system", "content": system}, turn) if system else (turn,)


def read_messages(value, field: str, limits: Limits) -> Messages:
    """A conversation: an optional system message, then user and assistant in turn, the user first.

    Turns are {"role", "content"} or ShareGPT's {"from", "value"}; content is text, or parts of type text,
    which are joined. Other keys of a turn (names, weights) are not kept, as docs/formats.md says. Raises
    RowError naming the turn (from 1).
    """
    if type(value) is not list:
        raise RowError(f"must be a list of chat messages, not {describe_type(value)}", field=field)
    if not value:
        raise RowError("no messages", field=field)
    if len(value) > limits.max_messages:
        raise RowError(f"{len(value):,} messages; the limit is {limits.max_messages:,}", field=field)
    messages = tuple(_read_turn(turn, f"{field}[{n}]", limits) for n, turn in enumerate(value, start=1))
    _check_order([message["role"] for message in messages], field)
    return messages


def read_turn(value, field: str, limits: Limits) -> dict[str, str]:
    """One message as {"role", "content"}; see `read_messages`."""
    return _read_turn(value, field, limits)


def _read_turn(turn, where, limits):
    if type(turn) is not dict:
        raise RowError(f"must be an object with role and content, not {describe_type(turn)}", field=where)
    role_key, text_key = ("from", "value") if "from" in turn and "role" not in turn else ("role", "content")
    for key in (role_key, text_key):
        if key not in turn:
            raise RowError("missing", field=f"{where}.{key}")
    role = turn[role_key]
    if type(role) is not str or role not in _ROLE_NAMES:
        raise RowError(
            f"unknown role {str(role)[:40]!r}",
            field=f"{where}.{role_key}",
            hint="Roles are system, user and assistant; calls of tools cannot be imported.",
        )
    content = turn[text_key]
    if type(content) is list:
        content = _join_parts(content, f"{where}.{text_key}")
    return {"role": _ROLE_NAMES[role], "content": read_text(content, f"{where}.{text_key}", limits)}


def _join_parts(parts, where):
    texts = []
    for part in parts:
        if type(part) is not dict or part.get("type") != "text":
            kind = part.get("type") if type(part) is dict else describe_type(part)
            raise RowError(f"a part of kind {kind!r}; only parts of kind 'text' can be imported", field=where)
        text = part.get("text", part.get("value"))
        if type(text) is not str:
            raise RowError("a text part without text", field=where)
        texts.append(text)
    return "".join(texts)


def _check_order(roles, field):
    turns = roles[1:] if roles[0] == "system" else roles
    if "system" in turns:
        raise RowError("a system message in the middle; it can only be the first", field=field)
    if "user" not in turns:
        raise RowError("no user turn", field=field)
    if turns[0] != "user":
        raise RowError("begins with the assistant; the user must speak first", field=field)
    for before, after in zip(turns, turns[1:], strict=False):
        if before == after:
            raise RowError(f"two {after} turns in a row", field=field, hint="Join them into one.")


def as_prompt(messages: Messages, field: str) -> Messages:
    if messages[-1]["role"] != "user":
        raise RowError(
            f"ends with the {messages[-1]['role']}; a prompt ends with the user",
            field=field,
            hint="If it holds the answer too, import it as demonstrations.",
        )
    return messages


def split_answer(messages: Messages, field: str) -> tuple[Messages, str]:
    """(prompt, answer) of a conversation that ends with the assistant."""
    if messages[-1]["role"] != "assistant":
        raise RowError(
            f"ends with the {messages[-1]['role']}; the assistant's answer is missing", field=field
        )
    return messages[:-1], messages[-1]["content"]


_TURN_MARK = re.compile(r"\n\n(Human|Assistant):")


def has_turn_mark(text: str) -> bool:
    """Whether `text` would add a turn to a transcript that it is written into."""
    return _TURN_MARK.search(text) is not None


def parse_transcript(value, field: str, limits: Limits) -> Messages:
    """An Anthropic HH transcript: "\\n\\nHuman: …\\n\\nAssistant: …". One blank after the colon is a
    separator."""
    if type(value) is not str:
        raise RowError(f"must be text, not {describe_type(value)}", field=field)
    if len(value) > limits.max_text_characters:
        raise RowError(f"longer than {limits.max_text_characters:,} characters", field=field)
    before, *turns = _TURN_MARK.split(value)
    if before.strip() or not turns:
        raise RowError(
            'no turns: a transcript begins with a blank line and "Human:"',
            field=field,
            hint="If these are plain answers, the column prompt is missing.",
        )
    messages = []
    for speaker, text in zip(turns[::2], turns[1::2], strict=True):
        role = "user" if speaker == "Human" else "assistant"
        messages.append({"role": role, "content": read_text(text.removeprefix(" "), field, limits)})
    _check_order([message["role"] for message in messages], field)
    return tuple(messages)


def render_transcript(messages: Iterable[Mapping[str, str]]) -> str:
    """The inverse of `parse_transcript` for conversations without a system message or turn marks in their
    texts."""
    names = {"user": "Human", "assistant": "Assistant"}
    return "".join(f"\n\n{names[m['role']]}: {m['content']}" for m in messages)

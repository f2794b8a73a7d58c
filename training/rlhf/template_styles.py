"""Ways to write a conversation down: the model's own template, our simple one, and the style of GPT-3.

The GPT-3 style (the legacy fine-tuning guide of its makers) has no roles: a prompt ends with a separator, the
answer begins with a space and ends with a stop sequence of ordinary text. The template names the three
itself, so that a checkpoint carries them wherever its template goes. After the stop sequence comes the
end-of-text token, which PPO and other programs wait for; sampling stops at whichever is first.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from training.rlhf.errors import ConfigError

OWN, SIMPLE, GPT3 = STYLES = ("own", "simple", "gpt3")
LEAD = " "
MOST_CHARACTERS = 100
# `{!r}` of Jinja and of JSON agree on texts of printable characters and \n, \t.
_GPT3 = (
    "{{%- set separator = {separator} -%}}{{%- set lead = {lead} -%}}{{%- set stop_sequence = {stop} -%}}"
    "{{% for message in messages %}}"
    "{{% if message['role'] == 'assistant' %}}{{{{ lead + message['content'] + stop_sequence + eos_token }}}}"
    "{{% if not loop.last %}}{{{{ '\\n\\n' }}}}{{% endif %}}"
    "{{% elif message['role'] == 'system' %}}{{{{ message['content'] + '\\n\\n' }}}}"
    "{{% else %}}{{{{ message['content'] + separator }}}}{{% endif %}}{{% endfor %}}"
)


@dataclass(frozen=True)
class Wrapping:
    """What a template puts around texts as ordinary text; empty for templates that name nothing."""

    separator: str = ""
    lead: str = ""
    stop_sequence: str = ""


def template_of(style: str, *, separator: str, stop_sequence: str, chat_template: str = "") -> str:
    """What `chat.prepare_tokenizer` takes: a Jinja template, `simple`, or nothing for the model's own.

    In `separator` and `stop_sequence` a backslash with n or t stands for a new line or a tab. ConfigError
    where the two cannot do their work.
    """
    if style != OWN and chat_template:
        raise ConfigError("chat_template", f"goes with template = {OWN}, not with {style}")
    if style == OWN:
        return chat_template
    if style == SIMPLE:
        return SIMPLE
    parts = {"separator": _plain(separator), "stop_sequence": _plain(stop_sequence)}
    for name, text in parts.items():
        if not text.strip() or len(text) > MOST_CHARACTERS or "{" in text or "\\" in text:
            raise ConfigError(
                name,
                f"must be a text of 1 to {MOST_CHARACTERS} characters that are not all white space, without "
                "braces; \\n and \\t stand for a new line and a tab",
            )
    if parts["stop_sequence"] in parts["separator"] or parts["separator"] in parts["stop_sequence"]:
        raise ConfigError(
            "stop_sequence", "must be another text than the separator, neither within the other"
        )
    return _GPT3.format(
        separator=json.dumps(parts["separator"], ensure_ascii=False),
        lead=json.dumps(LEAD),
        stop=json.dumps(parts["stop_sequence"], ensure_ascii=False),
    )


def wrapping_of(template: Any) -> Wrapping:
    """What the template names. Its text is parsed, not run."""
    if not isinstance(template, str) or "stop_sequence" not in template:
        return Wrapping()
    from jinja2 import Environment, TemplateSyntaxError, nodes

    try:
        parsed = Environment().parse(template)  # noqa: S701 - nothing is rendered
    except TemplateSyntaxError:
        return Wrapping()  # whoever renders it says what is wrong
    named = {
        node.target.name: node.node.value
        for node in parsed.find_all(nodes.Assign)
        if isinstance(node.target, nodes.Name) and isinstance(node.node, nodes.Const)
    }
    found = [named.get(name) for name in ("separator", "lead", "stop_sequence")]
    texts = [text for text in found if isinstance(text, str)]
    return Wrapping(*texts) if len(texts) == len(found) else Wrapping()


def _plain(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\\n", "\n").replace("\\t", "\t")

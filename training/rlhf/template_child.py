"""Renders a few short conversations with the chat template that stands in its input, as JSON.

A script that is run alone (see template_trial), so that what loops or grows takes this process with it and no
other. It answers {"characters": most of a conversation}, {"problem": "memory"}, or dies of its time limit.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import resource
import signal
import sys
from typing import Any

from jinja2.exceptions import TemplateError
from jinja2.ext import Extension
from jinja2.sandbox import ImmutableSandboxedEnvironment

USER, ANSWER = {"role": "user", "content": "What is it?"}, {"role": "assistant", "content": "A test."}
SYSTEM = {"role": "system", "content": "Be brief."}
NAMES = {f"{name}_token": f"<{name}>" for name in ("bos", "eos", "unk", "sep", "pad", "cls", "mask")}
CONVERSATIONS = [[USER], [USER, ANSWER], [SYSTEM, USER, ANSWER], [SYSTEM, *[USER, ANSWER] * 4, USER]]


class Generation(Extension):
    """{% generation %} marks what an assistant says, for those who look for it; here it changes nothing."""

    tags = {"generation"}

    def parse(self, parser: Any) -> Any:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def main() -> None:
    asked = json.load(sys.stdin)
    _limit(resource.RLIMIT_AS, asked["memory"])
    _limit(resource.RLIMIT_CORE, 0)
    # The processor's time, not the clock's: other work on the machine is not the template's fault. SIGPROF
    # ends the process, also in the middle of a single long operation.
    signal.setitimer(signal.ITIMER_PROF, asked["seconds"])
    try:
        found: dict[str, Any] = {"characters": most_characters(asked)}
    except (MemoryError, OverflowError):
        found = {"problem": "memory"}
    except Exception:  # noqa: BLE001 - what else it may raise is told when it is used, with the row
        found = {"characters": 0}
    print(json.dumps(found))


def _limit(kind: int, most: int) -> None:
    """As little as the system allows us at most; some systems take no limit of memory at all."""
    _, hard = resource.getrlimit(kind)
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(kind, (most, most))


def sandbox() -> ImmutableSandboxedEnvironment:
    """What transformers renders templates in."""
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, "jinja2.ext.loopcontrols"]
    )
    environment.filters["tojson"] = _as_json
    environment.globals |= {
        "raise_exception": _refuse,
        "strftime_now": lambda form: datetime.datetime.now().strftime(form),
    }
    return environment


def _as_json(value: Any, ensure_ascii: bool = False, **more: Any) -> str:
    """`more`: indent, separators, sort_keys."""
    return json.dumps(value, ensure_ascii=ensure_ascii, **more)


def most_characters(asked: dict[str, Any]) -> int:
    """Of the longest conversation; counting ends above the limit."""
    template = sandbox().from_string(asked["template"])
    most = 0
    for messages in CONVERSATIONS:
        for opens in (False, True):
            count = 0
            try:
                for piece in template.generate(
                    messages=messages, add_generation_prompt=opens, tools=None, documents=None, **NAMES
                ):
                    count += len(piece)
                    if count > asked["most"]:
                        return count
            except (TemplateError, TypeError, ValueError, LookupError, AttributeError):
                pass  # many refuse a system's turn, say
            most = max(most, count)
    return most


def _refuse(message: str) -> None:
    raise TemplateError(message)


if __name__ == "__main__":
    main()

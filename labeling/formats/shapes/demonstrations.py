"""Rows that become demonstrations: a prompt and a person's answer to it."""

from ..chat import read_messages, read_text, split_answer, user_prompt
from ..errors import RowError
from ..records import DemonstrationRecord
from .base import Row, Shape

_KIND = ("demonstrations",)


def _read_conversation(row: Row):
    name = row.which("messages", "conversations")
    if type(row.values.get("label")) is bool:
        raise RowError(
            "true/false feedback on one answer, which is not a demonstration",
            field="label",
            hint="Import unpaired (KTO) feedback as completions, or as comparisons.",
        )
    said = row.with_system(read_messages(row.values[name], name, row.limits), name)
    messages, text = split_answer(said, name)
    yield DemonstrationRecord(messages=messages, text=text, **row.common())


def _read_pair(row: Row):
    messages = row.prompt()
    answer = row.which("completion", "response", "output", "answer")
    value = row.values[answer]
    if type(value) is list and len(value) == 1:  # conversational prompt/completion: one assistant message
        text = read_messages([*messages, value[0]], answer, row.limits)[-1]["content"]
    else:
        text = read_text(value, answer, row.limits)
    yield DemonstrationRecord(messages=messages, text=text, **row.common())


def _read_instances(row: Row):
    """Self-Instruct's seed tasks: one instruction, several {input, output}."""
    instruction = row.text("instruction")
    instances = row.take("instances")
    if type(instances) is not list or not instances:
        raise RowError("must be a list of {input, output}", field="instances")
    common = row.common()
    for number, instance in enumerate(instances, start=1):
        where = f"instances[{number}]"
        if type(instance) is not dict or "output" not in instance:
            raise RowError("missing", field=f"{where}.output")
        context = instance.get("input") or ""
        prompt = (
            f"{instruction}\n\n{read_text(context, f'{where}.input', row.limits)}" if context else instruction
        )
        text = read_text(instance["output"], f"{where}.output", row.limits)
        yield DemonstrationRecord(messages=user_prompt(prompt), text=text, **common)


_SPEAKERS = {"user": "user", "assistant": "assistant", "system": "assistant", "agent": "assistant"}


def _read_dialogue(row: Row):
    """Taskmaster's `utterances` and Schema-Guided Dialogue's `turns`, where the system is who answers."""
    name = row.which("utterances", "turns")
    value = row.values[name]
    if type(value) is not list:
        raise RowError("must be a list of turns", field=name)
    turns = []
    for number, turn in enumerate(value, start=1):
        speaker = turn.get("speaker") if type(turn) is dict else None
        if type(speaker) is not str or speaker.lower() not in _SPEAKERS:
            raise RowError("must be user, assistant or system", field=f"{name}[{number}].speaker")
        turns.append({"role": _SPEAKERS[speaker.lower()], "content": turn.get("text", turn.get("utterance"))})
    messages, text = split_answer(read_messages(turns, name, row.limits), name)
    yield DemonstrationRecord(messages=messages, text=text, **row.common())


_ANSWER = ("completion", "response", "output", "answer")

DEMONSTRATION_SHAPES = (
    Shape(
        "messages",
        _KIND,
        (("messages",),),
        _read_conversation,
        without=("completion",),
        optional=("system",),
    ),
    Shape(
        "ShareGPT conversations",
        _KIND,
        (("conversations",),),
        _read_conversation,
        without=("completion",),
        optional=("system",),
    ),
    Shape(
        "prompt and completion", _KIND, (("prompt", "messages"), _ANSWER), _read_pair, optional=("system",)
    ),
    Shape("dialogues with speakers", _KIND, (("utterances", "turns"),), _read_dialogue),
    Shape("seed tasks", _KIND, (("instruction",), ("instances",)), _read_instances),
    Shape(
        "instruction, input and output",
        _KIND,
        (("instruction",), ("output", "response", "completion")),
        _read_pair,
        without=("instances",),
        optional=("input", "system", "history"),
    ),
    Shape("question and answer", _KIND, (("question",), ("answer", "response", "completion")), _read_pair),
)

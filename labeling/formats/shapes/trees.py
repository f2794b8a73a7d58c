"""Open-Assistant's message trees, nested or as a flat list: every path a conversation, ranked replies a
ranking. Deleted messages, and what was said after them, are no data."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..chat import read_text
from ..errors import RowError
from ..limits import Limits
from ..records import CompletionRecord, DemonstrationRecord, Messages, PromptRecord, RankingRecord
from .base import Gathering, Row, Shape
from .orders import tiers_from_ranks

_KINDS = ("comparisons", "completions", "demonstrations", "prompts")
_ROLES = {"prompter": "user", "assistant": "assistant"}


@dataclass(slots=True)
class _Node:
    """One message. `rank`: among its siblings, the lowest is the best; None where nobody ranked it."""

    role: str
    text: str
    row: int
    rank: float | None = None
    is_deleted: bool = False
    generator: str = ""
    language: str = ""
    key: str = ""
    parent: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)
    replies: list["_Node"] = field(default_factory=list)


def _node(value: Any, where: str, number: int, limits: Limits) -> _Node:
    if type(value) is not dict:
        raise RowError("must be a message: an object with text and role", field=where)
    role = value.get("role")
    if role not in _ROLES:
        raise RowError(f"unknown role {str(role)[:40]!r}; it is prompter or assistant", field=f"{where}.role")
    rank = value.get("rank")
    if rank is not None and type(rank) not in (int, float):
        raise RowError("must be a number or null", field=f"{where}.rank")
    is_deleted = value.get("deleted") is True
    text = value.get("text") if is_deleted else read_text(value.get("text"), f"{where}.text", limits)
    return _Node(
        role=_ROLES[role],
        text=text or "",
        row=number,
        rank=rank,
        is_deleted=is_deleted,
        generator=str(value.get("model_name") or ""),
        language=str(value.get("lang") or "")[:20],
    )


def _read_tree(row: Row):
    limits = row.limits
    root_value = row.take("prompt")
    row.which("message_tree_id")
    root = _node(root_value, "prompt", row.number, limits)
    waiting = [(root, root_value, "prompt")]
    while waiting:  # the reader has bounded how deep a row may be
        node, value, where = waiting.pop()
        replies = value.get("replies") or []
        if type(replies) is not list:
            raise RowError("must be a list of messages", field=f"{where}.replies")
        for n, reply in enumerate(replies, start=1):
            place = f"{where}.replies[{n}]"
            node.replies.append(_node(reply, place, row.number, limits))
            waiting.append((node.replies[-1], reply, place))
    root.metadata = row.common()["metadata"] | {"message_tree_id": row.values["message_tree_id"]}
    records = list(_records(root, row.kind, limits))
    if not records:
        raise _nothing(row.kind, row.number)
    yield from records


def _nothing(kind: str, number: int) -> RowError:
    problems = {
        "comparisons": "no message of this tree has two ranked replies",
        "completions": "no message of this tree has a reply of the assistant",
        "demonstrations": "no message of this tree has a reply of the assistant",
        "prompts": "this tree has no message of a prompter",
    }
    return RowError(problems[kind], row=number, hint="Import it as another kind, or leave such rows out.")


def _records(root: _Node, kind: str, limits: Limits) -> Iterator[Any]:
    """The records of one tree, parents before their replies, siblings in the file's order."""
    waiting: list[tuple[_Node, Messages]] = [(root, ())]
    while waiting:
        node, before = waiting.pop()
        if node.is_deleted:
            continue
        if before and before[-1]["role"] == node.role or not before and node.role != "user":
            who = "two turns of one speaker in a row" if before else "begins with the assistant"
            raise RowError(who, row=node.row, field="role")
        if len(before) >= limits.max_messages:
            problem = f"more than {limits.max_messages:,} messages on one path"
            raise RowError(problem, row=node.row, field="replies")
        path = (*before, {"role": node.role, "content": node.text})
        waiting.extend((reply, path) for reply in reversed(node.replies))
        if node.role == "user":
            yield from _records_at(node, path, root, kind, limits)


def _records_at(node: _Node, path: Messages, root: _Node, kind: str, limits: Limits) -> Iterator[Any]:
    common = {"row": node.row, "language": node.language, "metadata": root.metadata}
    if kind == "prompts":
        yield PromptRecord(messages=path, **common)
        return
    answers = [reply for reply in node.replies if reply.role == "assistant" and not reply.is_deleted]
    ranked = [reply for reply in answers if reply.rank is not None]
    if kind == "demonstrations":
        best = min((reply.rank for reply in ranked if reply.rank is not None), default=None)
        for reply in answers:
            if reply.rank == best:  # with no rank at all: every answer
                yield DemonstrationRecord(messages=path, text=reply.text, **common)
        return
    ranked = list({reply.text: reply for reply in reversed(ranked)}.values())[::-1]
    ranked = ranked if len(ranked) > 1 else []
    groups = -(-len(ranked) // limits.max_ranked)
    for number in range(groups):
        some = ranked[len(ranked) * number // groups : len(ranked) * (number + 1) // groups]
        yield RankingRecord(
            messages=path,
            completions=tuple(CompletionRecord(reply.text, reply.generator) for reply in some),
            tiers=tiers_from_ranks([reply.rank for reply in some], len(some)) if len(some) > 1 else None,
            **common,
        )
    if kind == "completions":
        others = [reply for reply in answers if all(reply is not each for each in ranked)]
        for start in range(0, len(others), limits.max_completions):
            yield RankingRecord(
                messages=path,
                completions=tuple(
                    CompletionRecord(reply.text, reply.generator)
                    for reply in others[start : start + limits.max_completions]
                ),
                tiers=None,
                **common,
            )


_ID, _PARENT = ("user_message_id", "message_id", "task_message_id"), ("parent_id", "parent_message_id")


def _read_message(row: Row):
    node = _node(row.values, "message", row.number, row.limits)
    name = row.which(*_ID)
    for which, names in (("key", (name,)), ("parent", _PARENT)):
        value = next((row.values[each] for each in names if row.values.get(each) is not None), "")
        if type(value) not in (str, int):
            raise RowError("must be text", field=names[0])
        setattr(node, which, str(value))
    if tree := row.values.get("message_tree_id"):
        node.metadata = {"message_tree_id": tree}
    yield node


def _join_messages(gathering: Gathering) -> Iterator[Any]:
    """Trees out of messages that name their parent. A parent that the file does not hold, or a circle of
    parents, is a fault of the row."""
    nodes: dict[str, _Node] = {}
    for node in gathering.parts:
        if node.key in nodes:
            gathering.fault(RowError(f"message {node.key[:40]!r} is there twice", row=node.row))
            continue
        nodes[node.key] = node
    roots = []
    for node in nodes.values():
        if not node.parent:
            roots.append(node)
        elif node.parent in nodes:
            nodes[node.parent].replies.append(node)
    seen = _reachable(roots)
    for node in nodes.values():
        if id(node) not in seen:
            problem = f"its parent {node.parent[:40]!r} is not in the file, or is said in a circle"
            gathering.fault(RowError(problem, row=node.row, field="parent_id"))
    found = False
    for root in roots:
        try:
            records = list(_records(root, gathering.kind, gathering.limits))
        except RowError as error:
            gathering.fault(error)
            continue
        found = found or bool(records)
        yield from records
    if roots and not found:
        gathering.fault(_nothing(gathering.kind, roots[0].row))


def _reachable(roots: list[_Node]) -> set[int]:
    seen: set[int] = set()
    waiting = list(roots)
    while waiting:
        node = waiting.pop()
        seen.add(id(node))
        waiting.extend(node.replies)
    return seen


def _is_tree(values: Mapping[str, Any]) -> bool:
    return type(values.get("prompt")) is dict


TREE_SHAPES = (
    Shape("OASST message trees", _KINDS, (("message_tree_id",), ("prompt",)), _read_tree, accepts=_is_tree),
    Shape("OASST messages", ("demonstrations", "comparisons", "completions", "prompts"),
          (_ID, ("text",), ("role",)), _read_message, without=("prompt", "messages"),
          optional=_PARENT, gather=_join_messages),
)  # fmt: skip

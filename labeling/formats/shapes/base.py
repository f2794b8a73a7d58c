"""One row being read, and what a shape is."""

import difflib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from ..chat import as_prompt, read_messages, read_text, user_prompt
from ..errors import RowError
from ..limits import Limits
from ..records import Messages, Record
from ..strict_json import parse_json

FIELDS, LONGEST_LABEL = "fields", 100
PROMPT_FIELDS = ("prompt", "instruction", "question", "messages", "conversations")


@dataclass(frozen=True)
class Shape:
    """`required`: for each thing a row must have, the names that it may go by, ours first.

    `accepts`: whether the values of a first row are of this shape too, where names alone do not tell.
    `gather`: for shapes whose rows make sense together only (answers with a score each, messages of a tree):
    `read` then gives parts, and this makes records of all parts of the file. A RowError that it raises ends
    the import; one that it hands to `on_fault(error)` leaves those parts out.
    """

    name: str
    kinds: tuple[str, ...]
    required: tuple[tuple[str, ...], ...]
    read: Callable[["Row"], Iterable[Any]]
    without: tuple[str, ...] = ()  # names that make a row another shape
    optional: tuple[str, ...] = ()
    accepts: Callable[[Mapping[str, Any]], bool] | None = None
    gather: Callable[["Gathering"], Iterable[Record]] | None = None

    def score(self, names: Collection[str]) -> int:
        """How many required things are among `names`; -1 where a name or a value says that it is another
        shape."""
        if any(name in names for name in self.without):
            return -1
        if self.accepts is not None and isinstance(names, Mapping) and not self.accepts(names):
            return -1
        return sum(any(name in names for name in group) for group in self.required)

    def is_whole(self, names: Collection[str]) -> bool:
        return self.score(names) == len(self.required)


@dataclass(frozen=True)
class Gathering:
    """The parts of a whole file, in their order. `fault` raises, or notes and goes on, as the caller
    chose."""

    parts: Sequence[Any]
    kind: str
    limits: Limits
    fault: Callable[[RowError], None]


def name_beside(name: str, names: Collection[str]) -> str:
    """What a file's own field goes by where its name is taken.

    >>> name_beside("source", {"source", "source (of the file)"})
    'source (of the file) (of the file)'
    """
    while name in names:
        name = f"{name} (of the file)"
    return name


class Row:
    """The values of one row. Remembers which were used: the others become the record's metadata."""

    __slots__ = ("_taken", "filename", "kind", "limits", "number", "values")

    def __init__(self, values: dict[str, Any], *, number: int, kind: str, filename: str, limits: Limits):
        self.values = values
        self.number = number
        self.kind = kind
        self.filename = filename
        self.limits = limits
        self._taken: set[str] = set()

    def which(self, *names: str) -> str:
        """The first of `names` that the row has. Raises RowError, with a hint at a close name, for none."""
        for name in names:
            if name in self.values:
                self._taken.add(name)
                return name
        raise RowError("missing", field=names[0], hint=self._close_name(names))

    def take(self, *names: str) -> Any:
        return self.values[self.which(*names)]

    def text(self, *names: str) -> str:
        name = self.which(*names)
        return read_text(self.values[name], name, self.limits)

    def optional_text(self, *names: str) -> str:
        """Text that may be absent, null or blank: "" then."""
        for name in names:
            value = self.values.get(name)
            if value is not None:
                self._taken.add(name)
                if type(value) is str and not value.strip():
                    return ""
                return read_text(value, name, self.limits)
        return ""

    def mark_used(self, name: str) -> None:
        self._taken.add(name)

    def number_at(self, name: str) -> float | None:
        """A finite number that is not negative; None where the row has none."""
        value = self.values.get(name)
        if value is None or value == "":
            return None
        self._taken.add(name)
        if type(value) is str:  # a cell of a table
            try:
                value = float(value)
            except ValueError:
                raise RowError("must be a number", field=name) from None
        if type(value) not in (int, float) or not 0 <= value < float("inf"):
            raise RowError("must be a finite number, zero or more", field=name)
        return float(value)

    def prompt(self) -> Messages:
        """The prompt under any of its names: text with an optional `input` and `system`, or messages."""
        name = self.which(*PROMPT_FIELDS)
        value = self.values[name]
        if name in ("messages", "conversations") or (name == "prompt" and type(value) is list):
            return as_prompt(self.with_system(read_messages(value, name, self.limits), name), name)
        text = read_text(value, name, self.limits)
        before: Messages = ()
        if name == "instruction":
            if context := self.optional_text("input"):
                text = f"{text}\n\n{context}"
            before = self._history()
        return self.with_system((*before, *user_prompt(text)), name)

    def with_system(self, messages: Messages, name: str) -> Messages:
        """A conversation after what stands beside it as `system`; a second such message is one too many."""
        if type(self.values.get("system")) is not str or not (system := self.optional_text("system")):
            return messages
        if messages[0] == {"role": "system", "content": system}:
            return messages
        if messages[0]["role"] == "system":
            raise RowError(
                f"the conversation in {name} has another system message",
                field="system",
                hint="Leave one of the two out.",
            )
        return ({"role": "system", "content": system}, *messages)

    def _history(self) -> Messages:
        """LLaMA-Factory's turns before an instruction: pairs of what was asked and answered."""
        pairs = self.values.get("history")
        if type(pairs) is not list:
            return ()
        self._taken.add("history")
        if not pairs:
            return ()
        if not all(type(pair) is list and len(pair) == 2 for pair in pairs):
            raise RowError("must be a list of pairs of question and answer", field="history")
        roles = ("user", "assistant")
        turns = [
            {"role": role, "content": text} for pair in pairs for role, text in zip(roles, pair, strict=True)
        ]
        return read_messages(turns, "history", self.limits)

    def common(self) -> dict[str, Any]:
        """Keyword arguments that every record takes; call it last."""
        further = self._further_fields()
        labels = {"category": self._label("category"), "language": self._label("language", "lang")}
        for name, value in labels.items():
            given = further.get(name)
            if value and given not in (None, ""):
                del further[name]  # not by a name that is a column of the prompt's, where nobody would see it
                if given != value:
                    further[name_beside(name, {**self.values, **further, name: value})] = given
            elif not value and type(given) is str and len(given) <= LONGEST_LABEL:
                labels[name] = further.pop(name).strip()
        return {"row": self.number, **labels, "metadata": self._metadata(further)}

    def _further_fields(self) -> dict[str, Any]:
        """What stands under `fields`, as our own files have it: an object, in tables its JSON; {} else."""
        value = self.values.get(FIELDS)
        if type(value) is str and value.startswith("{"):
            try:
                value = parse_json(value.encode("utf-8", "surrogatepass"), limits=self.limits)
            except RowError:
                return {}  # somebody else's words: metadata like any other
        if type(value) is not dict:
            return {}
        self._taken.add(FIELDS)
        return dict(value)

    def _label(self, *names):
        for name in names:
            value = self.values.get(name)
            if type(value) is str and len(value) <= LONGEST_LABEL:
                self._taken.add(name)
                return value.strip()
        return ""

    def _metadata(self, further):
        """The `further` fields, and the unused ones as they are; of those too large only the names, under
        "left_out". An unused one whose name is taken goes by `name_beside`: the further ones are as somebody
        chose them, and come back under their names."""
        metadata, left_out = {}, []
        fields = {name: value for name, value in further.items() if value is not None and value != ""}
        for name, value in self.values.items():
            if name in self._taken or value is None or value == "":
                continue
            if name not in fields:
                fields[name] = value
            elif type(fields[name]) is not type(value) or fields[name] != value:
                fields[name_beside(name, {**self.values, **fields})] = value
        for name, value in fields.items():
            if type(value) in (str, list, dict) and len(orjson.dumps(value)) > self.limits.max_metadata_bytes:
                left_out.append(name)
            else:
                metadata[name] = value
        if left_out:
            if "left_out" in metadata:
                metadata[name_beside("left_out", metadata)] = metadata["left_out"]
            metadata["left_out"] = left_out
        return metadata

    def _close_name(self, names):
        folded = {name.strip().casefold(): name for name in self.values}
        for name in names:
            close = difflib.get_close_matches(name, folded, n=1, cutoff=0.75)
            if close and folded[close[0]] not in self._taken:
                return f"Did you mean {folded[close[0]]!r}?"
        return None

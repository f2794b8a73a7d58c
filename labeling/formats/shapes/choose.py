"""Which shape a file has, told by the fields of its first row."""

from collections.abc import Mapping
from typing import Any

from ..errors import FormatError
from .base import Shape
from .demonstrations import DEMONSTRATION_SHAPES
from .prompts import PROMPT_SHAPES
from .rankings import RANKING_SHAPES
from .scored import SCORED_SHAPES
from .several import SEVERAL_SHAPES
from .trees import TREE_SHAPES

# Those with the most telling fields first: the first whole shape of a kind is taken.
_COMMON: tuple[Shape, ...] = (*PROMPT_SHAPES, *DEMONSTRATION_SHAPES, *RANKING_SHAPES)
_SPECIAL: tuple[Shape, ...] = (*TREE_SHAPES, *SEVERAL_SHAPES, *SCORED_SHAPES)
SHAPES: tuple[Shape, ...] = (*_SPECIAL, *_COMMON)
_LABELS = ("category", "language", "lang", "fields")


def known_fields() -> frozenset[str]:
    """Every field name that some shape reads; a table's columns are matched to them without regard to
    case."""
    names = {name for shape in SHAPES for group in shape.required for name in group}
    return frozenset(names.union(_LABELS, *(shape.optional for shape in SHAPES)))


def matching_kinds(names) -> tuple[str, ...]:
    """The kinds a file with these fields can be imported as, the most telling first. `names`: the fields, or
    a row itself, whose values then have their say."""
    best: dict[str, int] = {}
    for shape in SHAPES:
        if shape.is_whole(names):
            for kind in shape.kinds:
                best[kind] = max(best.get(kind, 0), len(shape.required))
    is_answered = isinstance(names, Mapping) and _ends_with_an_answer(names)
    return tuple(sorted(best, key=lambda kind: (-best[kind], is_answered and kind == "prompts")))


def _ends_with_an_answer(values: Mapping[str, Any]) -> bool:
    """Whether a row's conversation ends with the assistant, so that it is more than a prompt."""
    turns = values.get("messages", values.get("conversations"))
    last = turns[-1] if type(turns) is list and turns else None
    return type(last) is dict and last.get("role", last.get("from")) in ("assistant", "gpt", "chatgpt", "bot")


def choose_shape(names, kind: str) -> Shape:
    """The shape of `kind` that `names` fill, or the one they come nearest to, whose missing field the row
    will then be refused for. Raises FormatError where they fill no part of any."""
    shapes = [shape for shape in SHAPES if kind in shape.kinds]
    for shape in shapes:
        if shape.is_whole(names):
            return shape
    shapes = [shape for shape in _COMMON if kind in shape.kinds]  # half a rare shape is nobody's meaning
    nearest = max(shapes, key=lambda shape: shape.score(names))
    if nearest.score(names) > 0:
        return nearest
    raise FormatError(_no_shape(names, shapes, kind), hint=_hint(names, shapes))


def _no_shape(names, shapes, kind):
    found = ", ".join(name[:60] for name in sorted(names)[:12]) or "nothing"
    wanted = "; ".join(dict.fromkeys(" and ".join(group[0] for group in shape.required) for shape in shapes))
    return f"the fields of {kind} were not found: {wanted}. Found these: {found}"


def _hint(names, shapes):
    folded = {name.strip().casefold(): name for name in names}
    for shape in shapes:
        close = [folded[group[0]] for group in shape.required if group[0] in folded]
        if len(close) == len(shape.required):
            return f"Did you mean {' and '.join(repr(name.lower()) for name in close)}, in small letters?"
    return "Map the columns, or rename them."

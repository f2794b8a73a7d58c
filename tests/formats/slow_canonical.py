"""Canonical JSON written the slow and obvious way, to hold the fast one against."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any


def slow_line(row: Any) -> bytes:
    """UTF-8, keys by code point, no blanks, the shortest digits that give the number back, one line."""
    return (_written(row) + "\n").encode()


def _written(value: Any) -> str:
    if isinstance(value, dict):
        pairs = (f"{_text(key)}:{_written(value[key])}" for key in sorted(value))
        return "{" + ",".join(pairs) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(_written, value)) + "]"
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, float):
        return _number(repr(value))
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)


def _number(digits: str) -> str:
    """As Python writes it, but for small ones: 1e-05 is 0.00001, 1e-07 is 1e-7."""
    if "e-" not in digits:
        return digits
    mantissa, exponent = digits.split("e-")
    return f"{Decimal(digits):f}" if int(exponent) == 5 else f"{mantissa}e-{int(exponent)}"  # noqa: PLR2004


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)

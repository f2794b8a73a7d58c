"""JSON read strictly: what a lax parser would silently change is refused, with the field's name.

orjson reads the ordinary record; whatever it refuses or cannot vouch for goes to the standard library's
decoder with hooks, which is slower and knows the field. Both give the same value for the same bytes.
"""

import json
import math
import re

import orjson

from .errors import RowError
from .limits import DEFAULT_LIMITS

_KEY = re.compile(rb'"[ \t\r\n]*:')  # at least one match per key, so never fewer than there are keys
_BRACKET = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\Z)|[\[\]{}]', re.DOTALL)
_BIG_INTEGER = re.compile(rb"[0-9]{19}")
_SURROGATE = re.compile("[\ud800-\udfff]")


class _Unusable:
    """Stands for a number that JSON or our stores cannot hold, until the field that holds it is known."""

    def __init__(self, problem):
        self.problem = problem


def parse_json(data: bytes, *, limits=DEFAULT_LIMITS, is_last_line=False):
    """One JSON value from `data`.

    Raises RowError for bytes that are not UTF-8, for anything that is not JSON (NaN, comments, trailing
    commas, raw control characters, two values), and for JSON that loses or breaks something on its way:
    duplicate keys, lone surrogates, NUL, integers beyond 64 bits, numbers beyond a float, nesting beyond
    `limits.max_depth`.
    `is_last_line` says that no line end followed, which turns "not JSON" into "cut off" where that is the
    cause.
    """
    _check_depth(data, limits.max_depth)
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        return _parse_slowly(data, is_last_line)
    if b"\\u0000" in data or _BIG_INTEGER.search(data) or _count_keys(value) != len(_KEY.findall(data)):
        return _parse_slowly(data, is_last_line)
    return value


def _count_keys(value):
    if type(value) is dict:
        return len(value) + sum(_count_keys(v) for v in value.values() if type(v) in (dict, list))
    if type(value) is list:
        return sum(_count_keys(v) for v in value if type(v) in (dict, list))
    return 0


def _check_depth(data, max_depth):
    if data.count(b"[") + data.count(b"{") <= max_depth:
        return
    depth = 0
    for match in _BRACKET.finditer(data):
        mark = match[0]
        if mark in (b"[", b"{"):
            depth += 1
            if depth > max_depth:
                raise RowError(f"nested more than {max_depth} levels deep")
        elif mark in (b"]", b"}"):
            depth -= 1


def _parse_slowly(data, is_last_line):
    text = decode_utf8(data)
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        if is_last_line and not text.rstrip().endswith(("}", "]")):
            raise RowError("the record is cut off: the file ends inside it") from error
        raise RowError(_describe(error), hint=_json_hint(error)) from error
    _check_value("", value)
    return value


def _describe(error):
    if error.msg == "Extra data":
        return f"extra data after the record, at column {error.colno}"
    if error.msg.startswith("Invalid control character"):
        code = ord(error.doc[error.pos])
        return f"control character U+{code:04X} inside a string, at column {error.colno}"
    return f"not JSON at column {error.colno}: {error.msg[0].lower()}{error.msg[1:]}"


def _json_hint(error):
    if error.msg == "Extra data":
        return "Each record needs a line of its own, ended by a line feed."
    if error.msg.startswith("Invalid control character"):
        return None if error.doc[error.pos] == "\0" else "Write it as an escape, such as \\t."
    return None


def decode_utf8(data: bytes) -> str:
    """`data` as text. Raises RowError with the first bad byte and its position (from 1)."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise RowError(
            f"not UTF-8 (byte 0x{data[error.start]:02X} at position {error.start + 1} of the row)",
            hint="Save the file as UTF-8 and import it again.",
        ) from error


def _collect(pairs):
    result = {}
    for key, value in pairs:
        if key in result:
            raise RowError("given twice", field=key)
        _check_value(key, value)
        result[key] = value
    if any(_SURROGATE.search(key) or "\0" in key for key in result):
        raise RowError("a field's name has a lone surrogate or a NUL character")
    return result


def _check_value(key, value):
    kind = type(value)
    if kind is _Unusable:
        raise RowError(value.problem, field=key or None)
    if kind is str:
        if _SURROGATE.search(value):
            raise RowError("half of a surrogate pair (such as \\ud800), which is not text", field=key or None)
        if "\0" in value:
            raise RowError("has a NUL character (\\u0000), which cannot be stored", field=key or None)
    elif kind is list:
        for item in value:
            _check_value(key, item)


def _float(digits):
    number = float(digits)
    return number if math.isfinite(number) else _Unusable("must be a finite number")


def _integer(digits):
    if len(digits) <= 20 and -(2**63) <= int(digits) < 2**64:
        return int(digits)
    return _Unusable("an integer beyond 64 bits; write it as text")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_collect,
    parse_float=_float,
    parse_int=_integer,
    parse_constant=lambda name: _Unusable("must be a finite number"),
)

"""How a configuration field is declared, described and checked: one definition for form, API and `--help`."""

from __future__ import annotations

import dataclasses
import difflib
import math
from dataclasses import dataclass
from typing import Any

from training.rlhf.errors import ConfigError

OUR_CHOICE = "our choice: "
# Of fields that name files and models: there is no default that could have a source.
OF_FILES = OUR_CHOICE + "none, since whoever starts a run says what it reads"
TYPES = ("integer", "number", "boolean", "text", "choice", "path", "paths", "list")


@dataclass(frozen=True)
class FieldSpec:
    """What a form, an API schema or `--help` needs to know about one field.

    `type` is one of TYPES; `minimum` and `maximum` are inclusive; `group` names the section of a form.
    `source` says whence the default is, or whence another value that is named with it: a paper and its
    section, a library, or `ours`, with the reason.
    """

    name: str
    type: str
    default: Any
    minimum: float | None
    maximum: float | None
    choices: tuple[str, ...] | None
    help: str
    source: str
    required: bool = False
    group: str = ""

    @property
    def bounds(self) -> str:
        """The permitted values in words, as used in every refusal."""
        if self.choices:
            return "one of " + ", ".join(self.choices)
        noun = {
            "integer": "a whole number",
            "number": "a finite number",
            "boolean": "true or false",
            "paths": "a list of paths",
            "list": "a list of texts",
        }.get(self.type, "a text")
        if self.minimum is not None and self.maximum is not None:
            return f"{noun} from {figure(self.minimum)} to {figure(self.maximum)}"
        return noun


def figure(value: float) -> str:
    """A bound as people write it: 1,000,000, not 1e+06."""
    return f"{int(value):,}" if float(value).is_integer() and abs(value) < 1e15 else f"{value:g}"


def ours(why: str) -> str:
    """The source of a default that no paper gives."""
    return OUR_CHOICE + why


def _declare(
    kind: str,
    default: Any,
    text: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] | None = None,
    source: str,
    required: bool = False,
    group: str = "",
) -> Any:
    metadata = {
        "type": kind,
        "help": text,
        "minimum": minimum,
        "maximum": maximum,
        "choices": choices,
        "source": source,
        "required": required,
        "group": group,
    }
    if isinstance(default, list):
        return dataclasses.field(default_factory=lambda: list(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def integer(default: int, low: int, high: int, text: str, **more: Any) -> Any:
    return _declare("integer", default, text, minimum=low, maximum=high, **more)


def number(default: float, low: float, high: float, text: str, **more: Any) -> Any:
    return _declare("number", default, text, minimum=low, maximum=high, **more)


def boolean(default: bool, text: str, **more: Any) -> Any:
    return _declare("boolean", default, text, **more)


def choice(default: str, choices: tuple[str, ...], text: str, **more: Any) -> Any:
    return _declare("choice", default, text, choices=choices, **more)


def text(default: str, help_text: str, **more: Any) -> Any:
    return _declare("text", default, help_text, **more)


def path(help_text: str, **more: Any) -> Any:
    return _declare("path", "", help_text, **{"source": OF_FILES} | more)


def paths(help_text: str, **more: Any) -> Any:
    return _declare("paths", [], help_text, **{"source": OF_FILES} | more)


def strings(default: list[str], help_text: str, **more: Any) -> Any:
    return _declare("list", default, help_text, **{"source": OF_FILES} | more)


def specs_of(config_type: type) -> list[FieldSpec]:
    """The fields of a configuration dataclass in the order of declaration."""
    found = []
    for item in dataclasses.fields(config_type):
        made = item.default_factory
        default = item.default if made is dataclasses.MISSING else made()
        meta = item.metadata
        found.append(
            FieldSpec(
                item.name,
                meta["type"],
                default,
                meta["minimum"],
                meta["maximum"],
                meta["choices"],
                meta["help"],
                meta["source"],
                meta["required"],
                meta["group"],
            )
        )
    return found


def check_value(spec: FieldSpec, value: Any) -> Any:
    """`value` as the field's type, or ConfigError with the permitted values."""
    refusal = ConfigError(spec.name, f"must be {spec.bounds}, not {_shown(value)}")
    if spec.type == "boolean":
        if not isinstance(value, bool):
            raise refusal
    elif spec.type in ("integer", "number"):
        value = _check_number(spec, value, refusal)
    elif spec.type == "choice":
        if value not in (spec.choices or ()):
            raise refusal
    elif spec.type in ("text", "path"):
        if not isinstance(value, str) or "\x00" in value:
            raise refusal
    elif not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
        raise refusal
    if spec.required and value in ("", []):
        raise ConfigError(spec.name, f"is required: {spec.help}")
    return value


def _check_number(spec: FieldSpec, value: Any, refusal: ConfigError) -> float | int:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise refusal
    if isinstance(value, float) and not math.isfinite(value):
        raise refusal
    if spec.type == "integer":
        if value != int(value):
            raise refusal
        value = int(value)
    if not (spec.minimum or 0) <= value <= (spec.maximum or 0):
        raise refusal
    return value if spec.type == "integer" else float(value)


def _shown(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else shown[:57] + "..."


def unknown_field(name: str, specs: list[FieldSpec]) -> ConfigError:
    near = difflib.get_close_matches(name, [spec.name for spec in specs], n=1)
    return ConfigError(name, "there is no such field" + (f"; did you mean {near[0]}?" if near else ""))

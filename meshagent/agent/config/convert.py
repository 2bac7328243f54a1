"""One value of a file or flag as the value of an option.

Source: surface row G3: durations are Go strings; values are not converted between types ("80" is no port), as upstream.
A new kind of option is one row of `_CONVERT`. Messages say what was expected; the caller adds key and place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from meshagent.agent.config.option import Option
from meshagent.agent.decode import Problem, Seconds, decode_file_value
from meshagent.durations import format_duration

__all__ = ["convert", "show"]

_TYPES: dict[str, Any] = {
    "string": str,
    "bool": bool,
    "int": int,
    "float": float,
    "duration": Seconds,
    "list": tuple[str, ...],
    "map": dict[str, str],
    "durations": dict[str, Seconds],
    "free": dict[str, Any],
    "free-list": tuple[dict[str, Any], ...],
}


def convert(option: Option, value: Any, problems: list[Problem]) -> Any:
    """The typed value; None where `problems` says why there is none."""
    before = len(problems)
    row: Any = option.type
    type_: Any = tuple[row, ...] if option.kind == "rows" else _TYPES[option.kind]
    result = decode_file_value(type_, _listed(option, value), problems)
    if len(problems) > before:
        return result if option.kind == "rows" else None
    check = _CHECKS.get(option.kind)
    if check is not None and (text := check(option, result)):
        problems.append(Problem("", text))
        return None
    if option.choices and option.kind == "string":
        return next(choice for choice in option.choices if choice.casefold() == str(result).casefold())
    return result


def _listed(option: Option, value: Any) -> Any:
    """`service { }` and `"service": {}` are lists of one."""
    return [value] if option.kind == "rows" and isinstance(value, dict) else value


def _bounds(option: Option, value: float) -> str:
    low, high = option.low, option.high
    if (low is None or value >= low) and (high is None or value <= high):
        return ""
    if low is not None and high is not None:
        return f"must be between {show(option, low)} and {show(option, high)}, not {show(option, value)}"
    limit = f"at least {show(option, low)}" if low is not None else f"at most {show(option, high)}"
    return f"must be {limit}, not {show(option, value)}"


def _choice(option: Option, value: str) -> str:
    if not option.choices or value.casefold() in {choice.casefold() for choice in option.choices}:
        return ""
    return f"must be one of {', '.join(choice or '(empty)' for choice in option.choices)}, not {value!r}"


_CHECKS: dict[str, Callable[[Option, Any], str]] = {
    "int": _bounds,
    "float": _bounds,
    "duration": _bounds,
    "string": _choice,
}


def show(option: Option, value: Any) -> str:
    """A value as a person would write it in a file."""
    if value is None:
        return option.default_text or "none"
    if option.kind == "duration":
        return format_duration(round(value * 1e9))
    if option.kind == "durations":
        return "{" + ", ".join(f"{k} = {format_duration(round(v * 1e9))}" for k, v in value.items()) + "}"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if option.kind in {"map", "free"}:
        return "{" + ", ".join(f"{key} = {inner!r}" for key, inner in value.items()) + "}"
    if option.kind == "list":
        return "[" + ", ".join(f'"{item}"' for item in value) + "]"
    return f"{len(value)} given" if isinstance(value, tuple) else str(value)

"""The list of all options, as text for people (`meshagent reference config`) and as values.

Derived from the options; nothing is written here by hand. The form may change; the order is that of root.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from meshagent.agent.config.convert import show
from meshagent.agent.config.enterprise import ENTERPRISE
from meshagent.agent.config.option import Group, Option
from meshagent.agent.config.root import Config
from meshagent.agent.decode import field_names

__all__ = ["reference", "shown"]


def reference(format: str = "markdown") -> str:
    """All options: `markdown`, or `text` for a terminal."""
    lines = list(_markdown() if format == "markdown" else _text())
    return "\n".join(lines) + "\n"


def _markdown() -> Iterator[str]:
    yield "# Configuration options"
    yield ""
    yield (
        "Keys of `.hcl` and `.json` files; durations are Go strings such as `10s`. *reload*: needs no restart. "
        "*no effect*: accepted so that existing files load."
    )
    for title, rows in _sections(Config, ""):
        yield ""
        yield f"## {title}"
        yield ""
        yield "| key | type | default | what it does |"
        yield "| --- | --- | --- | --- |"
        for key, option in rows:
            help_ = _help(key, option).replace("|", "\\|")
            yield f"| `{key}` | {_type(option)} | {_default(option)} | {help_} |"
    yield ""
    yield "## Not offered"
    yield ""
    yield "Keys of Consul Enterprise are refused: " + ", ".join(f"`{key}`" for key in ENTERPRISE) + "."


def _text() -> Iterator[str]:
    for title, rows in _sections(Config, ""):
        yield f"{title}"
        for key, option in rows:
            yield f"  {key} ({_type(option)}, default {_default(option)})"
            yield f"      {_help(key, option)}"
        yield ""


def _sections(type_: type[Group], prefix: str) -> Iterator[tuple[str, list[tuple[str, Option]]]]:
    own = [(prefix + name, option) for name, option in type_.options.items() if option.kind != "group"]
    about = (type_.__doc__ or "").strip().partition("\n")[0].rstrip(".")
    if own:
        yield f"{prefix.rstrip('.')}: {about}" if prefix else about, own
    for name, option in type_.options.items():
        if option.kind == "group":
            yield from _sections(option.type, f"{prefix}{name}.")


def _type(option: Option) -> str:
    names = {
        "list": "list of strings",
        "map": "map of strings",
        "durations": "map of durations",
        "free": "object",
        "free-list": "list of objects",
        "rows": "list of objects",
        "int": "whole number",
        "float": "number",
        "bool": "boolean",
    }
    return names.get(option.kind, option.kind) + (f", {option.unit}" if option.unit else "")


def _default(option: Option) -> str:
    return option.default_text or f"`{show(option, option.default)}`"


def _help(key: str, option: Option) -> str:
    notes = [option.help]
    if option.choices:
        notes.append("One of " + ", ".join(f"`{choice}`" for choice in option.choices if choice) + ".")
    elif option.low or option.high:
        low = show(option, option.low) if option.low is not None else ""
        high = show(option, option.high) if option.high is not None else ""
        notes.append(f"From {low} to {high}." if high else f"At least {low}.")
    if option.kind == "rows":
        notes.append("Keys: " + ", ".join(f"`{name}`" for name in field_names(option.type)) + ".")
    if option.also:
        notes.append("Also " + ", ".join(f"`{name}`" for name in option.also) + ".")
    if option.flags:
        notes.append("Flag " + ", ".join(f"`{name}`" for name in option.flags) + ".")
    if option.former:
        notes.append("Formerly " + ", ".join(f"`{name}`" for name in option.former) + ".")
    if option.reload:
        notes.append("*reload*" if not option.by_hand else "*reload*, when asked for.")
    if option.inert:
        notes.append("*no effect*")
    return " ".join(notes)


def shown(config: Config) -> dict[str, Any]:
    """Every option's value by full key, as plain data; secrets that are set read `hidden`."""
    return {key: _shown(option, _value(config, key)) for key, option in Config.every_option()}


def _value(config: Group, key: str) -> Any:
    value: Any = config
    for name in key.split("."):
        value = getattr(value, name)
    return value


def _shown(option: Option, value: Any) -> Any:
    if option.secret:
        return "hidden" if value else ""
    if option.kind == "rows":
        return [
            {**msgspec.to_builtins(row), **({"Token": "hidden"} if getattr(row, "token", "") else {})} for row in value
        ]
    return list(value) if isinstance(value, tuple) else value

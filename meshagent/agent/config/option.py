"""What an option is, and what a group of them is.

An option is declared once, as an attribute of a `Group`: its kind, default, help with the trade-off, bounds, whether a
reload takes it, its flags and its former names. Reading, merging, checking, flags and the reference derive from that
(style rule 13). Durations are seconds, as float. Example:

    class Ports(Group):
        dns: int = whole(8600, "Port of DNS ...", low=-1, high=65535, flags=("-dns-port",))

A group instance is frozen; `replace` gives a changed copy. A new kind of option needs a row in `convert.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, TypeVar

import msgspec

__all__ = [
    "Group",
    "Option",
    "duration",
    "free",
    "group",
    "number",
    "rows",
    "switch",
    "table",
    "text",
    "whole",
    "words",
]

G = TypeVar("G", bound="Group")
R = TypeVar("R")


class Option(msgspec.Struct, frozen=True, kw_only=True):
    """One option; `kind` is a row of convert.py. A default of None means that `resolve.py` decides (`default_text`)."""

    kind: str
    default: Any
    help: str
    type: Any = None
    unit: str = ""
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    reload: bool = False
    """Whether a reload applies it; everything else needs a restart."""
    by_hand: bool = False
    """Only a reload that somebody asks for applies it, not one because a file has changed (`auto_reload_config`)."""
    flags: tuple[str, ...] = ()
    former: tuple[str, ...] = ()
    """Full keys it had before; they still work, with a warning."""
    also: tuple[str, ...] = ()
    """Other names that are not deprecated (`service` for `services`)."""
    inert: bool = False
    """Accepted so that files load, but nothing here depends on it."""
    secret: bool = False
    """Never shown in logs, reports or `agent/self`."""
    default_text: str = ""


class Group:
    """Options under one key. Attributes have the names of the file's keys."""

    options: ClassVar[dict[str, Option]] = {}

    def __init_subclass__(cls) -> None:
        found = {name: value for name, value in vars(cls).items() if isinstance(value, Option)}
        cls.options = {**cls.options, **found}
        for name in found:
            delattr(cls, name)

    def __init__(self, **values: Any) -> None:
        for name, option in self.options.items():
            value = values.pop(name) if name in values else option.default
            object.__setattr__(self, name, option.type() if option.kind == "group" and value is None else value)
        if values:
            raise TypeError(f"{type(self).__name__} has no option {', '.join(values)}")

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen; use replace({name}=...)")

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        """What differs from the defaults; secrets are hidden, so that a configuration may be logged."""
        given = []
        for name, option in self.options.items():
            value = getattr(self, name)
            if value != (option.type() if option.kind == "group" else option.default):
                shown = "hidden" if option.secret else len(value) if option.kind == "rows" else value
                given.append(f"{name}={shown!r}")
        return f"{type(self).__name__}({', '.join(given)})"

    def replace(self: G, **changes: Any) -> G:
        """A copy with `changes`."""
        return type(self)(**{**vars(self), **changes})

    @classmethod
    def every_option(cls, prefix: str = "") -> Iterator[tuple[str, Option]]:
        """(full key, option) of all options, groups left out but followed."""
        for name, option in cls.options.items():
            if option.kind == "group":
                yield from option.type.every_option(f"{prefix}{name}.")
            else:
                yield prefix + name, option


def text(default: str | None, help: str, **more: Any) -> Any:
    """A string."""
    return Option(kind="string", default=default, help=help, **more)


def switch(default: bool | None, help: str, **more: Any) -> Any:
    """True or false."""
    return Option(kind="bool", default=default, help=help, **more)


def whole(default: int | None, help: str, **more: Any) -> Any:
    """A whole number."""
    return Option(kind="int", default=default, help=help, **more)


def number(default: float | None, help: str, **more: Any) -> Any:
    """A number."""
    return Option(kind="float", default=default, help=help, **more)


def duration(default: float | None, help: str, **more: Any) -> Any:
    """A duration: a Go string outside, seconds inside."""
    return Option(kind="duration", default=default, help=help, **more)


def words(help: str, *, default: tuple[str, ...] = (), **more: Any) -> Any:
    """A list of strings; several sources append."""
    return Option(kind="list", default=default, help=help, **more)


def table(help: str, *, durations: bool = False, **more: Any) -> Any:
    """A map of strings (or durations) by name; several sources merge."""
    kind = "durations" if durations else "map"
    empty: Mapping[str, Any] = {}
    return Option(kind=kind, default=empty, help=help, **more)


def rows(type_: type[Any], help: str, **more: Any) -> Any:
    """A list of structures; several sources append."""
    return Option(kind="rows", type=type_, default=(), help=help, **more)


def free(help: str, *, listed: bool = False, **more: Any) -> Any:
    """A value without a schema of its own: an object, or with `listed` a list of objects that sources append to."""
    empty: Mapping[str, Any] = {}
    return Option(kind="free-list" if listed else "free", default=() if listed else empty, help=help, **more)


def group(type_: type[Any], help: str, **more: Any) -> Any:
    """A nested group."""
    return Option(kind="group", type=type_, default=None, help=help, **more)

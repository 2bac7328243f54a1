"""Reading the free-form arguments of an extension as a typed value.

Names count without case and underscores ("ProxyType", "proxyType", "proxy_type"), a number may stand as a text, one
value stands for a list of it, and what is not known is passed over: so Consul reads them.

Source: developer.hashicorp.com/consul/docs/connect/proxies/envoy-extensions; pkg.go.dev/github.com/mitchellh/
mapstructure (weak decoding). What may change here: nothing; fields are those of the types.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, Union

import msgspec

from meshagent.durations import parse_seconds

__all__ = ["MAX_DEPTH", "Arguments", "BadArguments", "duration_problem", "one_of", "read"]

#: Values in each other; the deepest extension has eight.
MAX_DEPTH = 16
T = TypeVar("T", bound=msgspec.Struct)


class BadArguments(ValueError):
    """Arguments of another shape; the message names the field."""


class Arguments(msgspec.Struct, frozen=True, kw_only=True):
    """What all extensions have."""

    proxy_type: str = "connect-proxy"

    def problems(self, *, debug: bool = False) -> list[str]:
        """What is wrong with them, in Consul's words where they are known."""
        return []

    def proxy_type_problems(self, *others: str) -> list[str]:
        """Whether the proxy is one that the extension is for."""
        if self.proxy_type in ("", "connect-proxy", *others):
            return []
        return [f'unexpected ProxyType "{self.proxy_type}"']


def read(raw: Mapping[str, Any] | None, kind: type[T]) -> T:
    """The typed value. Raises BadArguments."""
    try:
        return msgspec.convert(_shaped(raw or {}, kind, "", 0), kind, strict=False)
    except msgspec.ValidationError as error:
        what, _, path = str(error).partition(" - at `$.")
        where = ".".join(_spelled(part) for part in path.rstrip("`").split(".")) if path else ""
        raise BadArguments(f"{where}: {what}" if where else what) from None


def duration_problem(name: str, value: str) -> list[str]:
    """Whether a text is no duration that is more than nothing; "" is none at all."""
    if not value:
        return []
    try:
        seconds = parse_seconds(value)
    except ValueError:
        return [f'{name}: "{value}" is not a duration']
    return [] if seconds > 0 else [f"{name} must be more than 0"]


def one_of(name: str, value: str, allowed: Sequence[str]) -> list[str]:
    """Whether a text is none of the words it may be."""
    return [] if value in allowed else [f'unexpected {name} "{value}"']


# --- inside ---------------------------------------------------------------------------------------------------------


def _spelled(attribute: str) -> str:
    name, bracket, at = attribute.partition("[")
    return "".join(word[:1].upper() + word[1:] for word in name.split("_")) + bracket + at


def _plain(name: str) -> str:
    return name.replace("_", "").lower()


def _shaped(value: Any, kind: Any, where: str, depth: int) -> Any:
    """`value` with the names and lists that `kind` has."""
    if depth > MAX_DEPTH:
        raise BadArguments(f"{where}: more than {MAX_DEPTH} values in each other")
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin in (Union, types.UnionType):
        if value is None:
            return None
        return _shaped(value, next(part for part in parts if part is not type(None)), where, depth)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        if isinstance(value, (list, tuple)) and len(value) == 1:
            value = value[0]  # a block of HCL is a list of one
        if not isinstance(value, Mapping):
            raise BadArguments(f"{where or 'Arguments'}: a map is wanted")
        hints = typing.get_type_hints(kind)
        known = {_plain(name): name for name in hints}
        found = {}
        for key, inner in value.items():
            name = known.get(_plain(str(key)))
            if name is not None and inner is not None:
                below = f"{where}.{_spelled(name)}" if where else _spelled(name)
                found[name] = _shaped(inner, hints[name], below, depth + 1)
        return found
    if origin is tuple:
        many = value if isinstance(value, (list, tuple)) else [value]
        return [_shaped(one, parts[0], f"{where}[{at}]", depth + 1) for at, one in enumerate(many)]
    if origin is dict:
        if isinstance(value, (list, tuple)) and len(value) == 1:
            value = value[0]
        if not isinstance(value, Mapping):
            raise BadArguments(f"{where}: a map is wanted")
        return {str(key): _shaped(inner, parts[1], f"{where}.{key}", depth + 1) for key, inner in value.items()}
    if kind is str and isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    return value

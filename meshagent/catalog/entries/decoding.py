"""JSON-like values to entries, as forgiving as Consul: any case of a key, snake_case too, and weak types.

A number is taken for a string, one object for a list of one, and so on. Wrong types are reported with the words of
mapstructure, the library Consul decodes with, all at once; unknown keys after them.

Source: surface rows C7, CF1 (watched on a running Consul); github.com/mitchellh/mapstructure, README. What may change
here: wording towards Consul's, types as entries need them.
"""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar

import msgspec

from meshagent.catalog.entries.entry import GoDuration, Nanoseconds, multierror
from meshagent.durations import MAX_NS, format_duration, parse_duration
from meshagent.errors import BadRequest

__all__ = ["PREFIX", "decode"]

PREFIX = "Request decoding failed: "

T = TypeVar("T", bound=msgspec.Struct)
_NUMBER = re.compile(r"[+-]?[0-9]+\Z", re.ASCII)
_TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_FALSE = frozenset({"0", "f", "F", "false", "FALSE", "False"})
_FLOAT = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\Z", re.ASCII)


@dataclass
class _Faults:
    types: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)


class _Wrong(Exception):
    """One value does not fit."""


_Convert = Callable[[Any, str, _Faults], Any]


def decode(type_: type[T], raw: dict[str, Any], ignored: frozenset[str] = frozenset()) -> T:
    """`raw` as a `type_`; folded keys in `ignored` are left out, at the top only.

    Raises:
        BadRequest: with all wrong types, or all unknown keys.
    """
    faults = _Faults()
    kept = {key: value for key, value in raw.items() if _fold(key) not in ignored}
    entry = _plan(type_)(kept, "", faults)
    if faults.types:
        lines = "\n".join(f"* {text}" for text in sorted(faults.types))
        raise BadRequest(f"{PREFIX}{len(faults.types)} error(s) decoding:\n\n{lines}")
    if faults.unknown:
        raise BadRequest(PREFIX + multierror([_unknown(key) for key in faults.unknown]))
    return typing.cast(T, entry)


def _unknown(key: str) -> str:
    hint = ", namespaces are a consul enterprise feature" if key.lower() == "namespace" else ""
    return f'invalid config key "{key}"{hint}'


def _fold(key: str) -> str:
    return key.replace("_", "").lower()


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return "float64"
    if isinstance(value, str):
        return "string"
    return "map" if isinstance(value, dict) else "slice" if isinstance(value, list) else "nil"


def _unconvertible(path: str, wanted: str, value: Any) -> _Wrong:
    shown = {"map": "map[string]interface {}", "slice": "[]interface {}"}.get(_kind(value), _kind(value))
    return _Wrong(f"'{path}' expected type '{wanted}', got unconvertible type '{shown}', value: '{_go(value)}'")


def _go(value: Any) -> str:
    """A value as Go's %v prints it."""
    if isinstance(value, dict):
        return "map[" + " ".join(f"{key}:{_go(value[key])}" for key in sorted(value)) + "]"
    if isinstance(value, list):
        return "[" + " ".join(map(_go, value)) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    return "<nil>" if value is None else str(value)


def _string(value: Any, path: str, _: _Faults) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    if value == [] or value == {}:
        return ""
    raise _unconvertible(path, "string", value)


def _int(value: Any, path: str, _: _Faults) -> int:
    if isinstance(value, int | float):
        return max(-MAX_NS - 1, min(MAX_NS, int(value)))
    if isinstance(value, str):
        text = value or "0"
        if not _NUMBER.match(text):
            raise _Wrong(f"cannot parse '{path}' as int: strconv.ParseInt: parsing \"{text}\": invalid syntax")
        return max(-MAX_NS - 1, min(MAX_NS, int(text[:40])))
    raise _unconvertible(path, "int", value)


def _float(value: Any, path: str, _: _Faults) -> float | int:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, str):
        if not _FLOAT.match(value or "0"):
            raise _Wrong(f"cannot parse '{path}' as float: strconv.ParseFloat: parsing \"{value}\": invalid syntax")
        value = float(value or "0")
    if isinstance(value, int | float):
        return int(value) if float(value).is_integer() and abs(value) < 2**53 else value
    raise _unconvertible(path, "float32", value)


def _bool(value: Any, path: str, _: _Faults) -> bool:
    if isinstance(value, bool | int | float):
        return bool(value)
    if isinstance(value, str):
        if value in _TRUE:
            return True
        if value in _FALSE or not value:
            return False
        raise _Wrong(f"cannot parse '{path}' as bool: strconv.ParseBool: parsing \"{value}\": invalid syntax")
    raise _unconvertible(path, "bool", value)


def _nanoseconds(value: Any, path: str, faults: _Faults) -> int:
    if isinstance(value, str):
        try:
            return parse_duration(value) if value else 0
        except ValueError as error:
            raise _Wrong(f"error decoding '{path}': {error}") from None
    return _int(value, path, faults)


def _duration(value: Any, path: str, faults: _Faults) -> str:
    ns = _nanoseconds(value, path, faults)
    return format_duration(ns) if ns else ""


def _anything(value: Any, _path: str, _: _Faults) -> Any:
    return value


_SCALARS: dict[Any, _Convert] = {str: _string, int: _int, float: _float, bool: _bool, Any: _anything}


def _list_of(inner: _Convert) -> _Convert:
    def convert(value: Any, path: str, faults: _Faults) -> Any:
        if not isinstance(value, list):
            value = [] if value in ("", {}) else [value]
        result = []
        for at, item in enumerate(value):
            result.append(_try(inner, {} if item is None else item, f"{path}[{at}]", faults))
        return tuple(result)

    return convert


def _dict_of(inner: _Convert) -> _Convert:
    def convert(value: Any, path: str, faults: _Faults) -> Any:
        if isinstance(value, list) and all(isinstance(item, dict) for item in value):
            value = {key: item for part in value for key, item in part.items()}
        if not isinstance(value, dict):
            raise _Wrong(f"'{path}' expected a map, got '{_kind(value)}'")
        return {key: _try(inner, "" if v is None else v, f"{path}[{key}]", faults) for key, v in value.items()}

    return convert


def _free_map(value: Any, path: str, _: _Faults) -> Any:
    if isinstance(value, list) and all(isinstance(item, dict) for item in value):
        value = {key: item for part in value for key, item in part.items()}
    if not isinstance(value, dict):
        raise _Wrong(f"'{path}' expected a map, got '{_kind(value)}'")
    return value


def _try(convert: _Convert, value: Any, path: str, faults: _Faults) -> Any:
    try:
        return convert(value, path, faults)
    except _Wrong as wrong:
        faults.types.append(str(wrong))
        return None


@dataclass(frozen=True, slots=True)
class _Field:
    attribute: str
    name: str
    convert: _Convert
    #: An empty map of a field that is left out when empty is nothing.
    drop_empty: bool


def _struct_of(type_: type[msgspec.Struct]) -> _Convert:
    fields: dict[str, _Field] = {}

    def fill() -> None:
        hints = typing.get_type_hints(type_, include_extras=True)
        for info in msgspec.structs.fields(type_):
            fields[_fold(info.encode_name)] = _Field(
                info.name, info.encode_name, _compile(hints[info.name]), info.default is None
            )

    def convert(value: Any, path: str, faults: _Faults) -> Any:
        if not fields:
            fill()
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        if not isinstance(value, dict):
            raise _Wrong(f"'{path}' expected a map, got '{_kind(value)}'")
        values = {}
        for key, inner in value.items():
            known = fields.get(_fold(key))
            if known is None:
                faults.unknown.append(f"{path}.{key}" if path else key)
            elif inner is not None:
                result = _try(known.convert, inner, f"{path}.{known.name}" if path else known.name, faults)
                if result is not None and not (known.drop_empty and result == {}):
                    values[known.attribute] = result
        return type_(**values)

    return convert


_plans: dict[type, _Convert] = {}


def _plan(type_: type[msgspec.Struct]) -> _Convert:
    plan = _plans.get(type_)
    if plan is None:
        plan = _plans[type_] = _struct_of(type_)
    return plan


def _compile(hint: Any) -> _Convert:
    if hint == Nanoseconds:
        return _nanoseconds
    if hint == GoDuration:
        return _duration
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return _compile(args[0])
    if origin in {typing.Union, types.UnionType}:
        rest = [arg for arg in args if arg is not type(None)]
        return _float if len(rest) > 1 else _compile(rest[0])
    if origin is tuple:
        return _list_of(_compile(args[0]))
    if origin is dict:
        return _free_map if args[1] is Any else _dict_of(_compile(args[1]))
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return _plan(hint)
    return _SCALARS[hint]

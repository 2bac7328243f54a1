"""What `?filter` can select in config entries: every field of a kind, from its type.

Source: surface rows F3, F5, F6, CF2. What may change here: nothing for a new field, the types say it all.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable
from typing import Annotated, Any

import msgspec

from meshagent.catalog.entries.entry import Entry
from meshagent.catalog.filters_fields import KINDS, Each, FieldType, Kind, Scalar, Struct, Table

__all__ = ["filter_kind"]

_SCALARS: dict[Any, tuple[Scalar, Any]] = {
    str: (Scalar("string"), ""),
    bool: (Scalar("bool"), False),
    int: (Scalar("int"), 0),
}


def filter_kind(type_: type[Entry]) -> str:
    """The name under which filters know the rows of a kind."""
    name = f"config_entry:{type_.__struct_config__.tag}"
    if name not in KINDS:
        fields = dict(_struct(type_).fields)
        fields["Kind"] = (lambda row: row.kind, Scalar("string"))
        KINDS[name] = Kind(Struct(fields))
    return name


def _struct(type_: type[msgspec.Struct]) -> Struct:
    fields: dict[str, tuple[Callable[[Any], Any], FieldType]] = {}
    hints = typing.get_type_hints(type_)
    for info in msgspec.structs.fields(type_):
        found = _field(hints[info.name])
        if found is not None:
            of, empty = found
            fields[info.encode_name] = (_getter(info.name, empty), of)
    return Struct(fields)


def _getter(attribute: str, empty: Any) -> Callable[[Any], Any]:
    def get(row: Any) -> Any:
        value = getattr(row, attribute, None)
        return empty if value is None else value

    return get


def _field(hint: Any) -> tuple[FieldType, Any] | None:
    """The type of a field and what stands for a missing one; None for what cannot be selected."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return _field(args[0])
    if origin in {typing.Union, types.UnionType}:
        rest = [arg for arg in args if arg is not type(None)]
        return _field(rest[0]) if len(rest) == 1 else None
    if hint in _SCALARS:
        return _SCALARS[hint]
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return _struct(hint), None
    if origin is tuple:
        inner = _field(args[0])
        return (Each(inner[0]), ()) if inner is not None and isinstance(inner[0], Scalar | Struct) else None
    if origin is dict:
        inner = _field(args[1])
        return (Table(inner[0]), {}) if inner is not None else None
    return None

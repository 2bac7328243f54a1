"""Which fields Envoy's resources have, by Envoy's own descriptors: what `builtin/property-override` may set.

The descriptors are those of `xds-protos`, imported when a patch is looked at: who has none never loads them.

Source: surface row M82; developer.hashicorp.com/consul/docs/connect/proxies/envoy-extensions (property-override:
"Constructing paths", what cannot be set); protobuf.dev (field presence, wrappers, oneofs). What may change here: a
further type of resource is a row of `RESOURCES`.
"""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["RESOURCES", "BadPath", "Step", "steps", "value_problem"]

#: Type of resource -> (module, message).
RESOURCES = {
    "cluster": ("envoy.config.cluster.v3.cluster_pb2", "Cluster"),
    "cluster-load-assignment": ("envoy.config.endpoint.v3.endpoint_pb2", "ClusterLoadAssignment"),
    "listener": ("envoy.config.listener.v3.listener_pb2", "Listener"),
    "route": ("envoy.config.route.v3.route_pb2", "RouteConfiguration"),
}
#: How many fields a message of an error names, unless all are asked for.
_SHOWN = 10
_MESSAGE, _ENUM, _BOOL, _STRING, _BYTES = 11, 14, 8, 9, 12
_FLOATS, _WHOLE = {1, 2}, {3, 4, 5, 6, 7, 13, 15, 16, 17, 18}
_WRAPPERS = {
    f"google.protobuf.{name}Value"
    for name in ("Double", "Float", "Int64", "UInt64", "Int32", "UInt32", "Bool", "String", "Bytes")
}
Step = Any
"""A field's descriptor."""


class BadPath(ValueError):
    """A path that leads nowhere, or where nothing may be set."""


def steps(resource_type: str, path: str, *, debug: bool = False) -> list[Step]:
    """The fields on the way that a path ("/outlier_detection/interval") names. Raises BadPath."""
    module, name = RESOURCES[resource_type]
    message = getattr(importlib.import_module(module), name).DESCRIPTOR
    if not path.startswith("/") or path == "/":
        raise BadPath(f"non-empty, non-root Path is required;\n{_available(message, debug)}")
    found: list[Step] = []
    for part in path[1:].split("/"):
        if message is None:
            above = found[-1].name
            raise BadPath(f"path contains member of non-message field '{above}' (type '{_kind(found[-1])}'); ")
        field = message.fields_by_name.get(part)
        if field is None:
            raise BadPath(f"no match for field '{part}'!\n{_available(message, debug)}")
        if found and found[-1].is_repeated:
            what = "map" if _is_map(found[-1]) else "repeated"
            raise BadPath(
                f"path contains member of {what} field '{found[-1].name}'; {what} field members are not supported"
            )
        found.append(field)
        message = field.message_type if field.type == _MESSAGE else None
    return found


def value_problem(field: Step, value: Any) -> str:
    """Why a value cannot be that of a field; "" when it can."""
    if field.is_repeated:
        return f"unsupported target field type '{'map' if _is_map(field) else f'repeated {_kind(field)}'}'"
    if isinstance(value, dict):
        return _map_problem(field, value)
    if field.type == _MESSAGE:
        if field.message_type.full_name in _WRAPPERS:
            return value_problem(field.message_type.fields_by_name["value"], value)
        return f"unsupported target field type '{field.message_type.full_name}'"
    wrong = f"could not set value {value!r} of field '{field.name}': it is no {_kind(field)}"
    if field.type == _ENUM:
        names, numbers = field.enum_type.values_by_name, field.enum_type.values_by_number
        return "" if value in names or (_is_whole(value) and int(value) in numbers) else wrong
    if field.type == _BOOL:
        return "" if isinstance(value, bool) else wrong
    if field.type in (_STRING, _BYTES):
        return "" if isinstance(value, str) else wrong
    if field.type in _FLOATS:
        return "" if isinstance(value, (int, float)) and not isinstance(value, bool) else wrong
    return "" if field.type in _WHOLE and _is_whole(value) else wrong


# --- inside ---------------------------------------------------------------------------------------------------------


def _map_problem(field: Step, value: dict[str, Any]) -> str:
    """A map sets the fields of a message, each to a plain value."""
    if field.type != _MESSAGE or field.message_type.full_name in ("google.protobuf.Any", "google.protobuf.Struct"):
        return f"unsupported target field type '{_kind(field)}' for a map"
    for name, inner in value.items():
        below = field.message_type.fields_by_name.get(name)
        if below is None:
            return f"no match for field '{name}'!\n{_available(field.message_type, False)}"
        if isinstance(inner, dict):
            return f"unsupported value of field '{name}': values inside a map must be plain"
        problem = value_problem(below, inner)
        if problem:
            return problem
    return ""


def _is_whole(value: Any) -> bool:
    return (isinstance(value, int) and not isinstance(value, bool)) or (isinstance(value, float) and value.is_integer())


def _is_map(field: Step) -> bool:
    return bool(field.type == _MESSAGE and field.message_type.GetOptions().map_entry)


def _kind(field: Step) -> str:
    if field.type == _MESSAGE:
        return str(field.message_type.full_name)
    if field.type == _ENUM:
        return str(field.enum_type.full_name)
    if field.type == _BOOL:
        return "bool"
    if field.type in (_STRING, _BYTES):
        return "string" if field.type == _STRING else "bytes"
    return "float" if field.type in _FLOATS else "integer"


def _available(message: Any, debug: bool) -> str:
    names = [field.name for field in message.fields]
    lines = [f"available {message.full_name} fields:", *(names if debug else names[:_SHOWN])]
    if not debug and len(names) > _SHOWN:
        lines.append(f"First {_SHOWN} fields for this message included, configure with `Debug = true` to print all.")
    return "\n".join(lines)

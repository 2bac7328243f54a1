"""Resources of Envoy between their JSON form and bytes, by Envoy's own message types.

The types are those of `xds-protos`, imported when one is needed: the name of a message is its package, and the package
is a folder, so a type that an operator writes into an escape hatch is found like those that are rendered here.

Source: protobuf.dev "ProtoJSON format". What may change here: nothing for a new type.
"""

from __future__ import annotations

import functools
import importlib
import json
import pkgutil
import re
from typing import Any

from google.protobuf import any_pb2 as _any_pb2  # noqa: F401  (a type that resources have inside)
from google.protobuf import descriptor_pool, json_format, message_factory
from google.protobuf.message import DecodeError, Message

from meshagent.connect.envoy.resources import TYPE_PREFIX, Resource
from meshagent.errors import BadRequest

__all__ = ["decode", "encode", "is_message", "message_of", "read"]

_NAME = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*\.[A-Z][A-Za-z0-9]*(\.[A-Z][A-Za-z0-9]*)*")
#: The packages whose messages may be named.
_ROOTS = frozenset({"envoy", "udpa", "xds", "google"})
#: Messages in messages; Envoy's own configurations reach 30.
MAX_DEPTH = 64


def message_of(name: str) -> Message:
    """An empty message by its full name. Raises BadRequest when Envoy has none of that name."""
    kind = _kind(name)
    if kind is None:
        raise BadRequest(f"Envoy has no message {name!r}")
    message: Message = kind()
    return message


def is_message(name: str) -> bool:
    """Whether Envoy has a message of that full name."""
    return _kind(name) is not None


def read(resource: Resource, type_url: str = "") -> Message:
    """The message of a resource in JSON form; `type_url` when it has no "@type" at its top.

    Raises:
        BadRequest: it is none of Envoy's, or a field of it is not.
    """
    name = str(resource.get("@type") or type_url).removeprefix(TYPE_PREFIX)
    _load_nested(resource, MAX_DEPTH)
    message = message_of(name)
    fields = {key: value for key, value in resource.items() if key != "@type"}
    try:
        json_format.ParseDict(fields, message, max_recursion_depth=MAX_DEPTH)
    except (json_format.ParseError, TypeError, ValueError, RecursionError) as error:
        raise BadRequest(f"{name}: {error}") from error
    return message


def encode(resource: Resource, type_url: str = "") -> bytes:
    """The bytes of a resource's message (maps in any order: tell resources apart by their JSON). Raises BadRequest."""
    return read(resource, type_url).SerializeToString()


def decode(data: bytes, type_url: str) -> Resource:
    """The JSON form of some bytes. Raises BadRequest."""
    message = message_of(type_url.removeprefix(TYPE_PREFIX))
    try:
        message.ParseFromString(data)
        found: Resource = json.loads(json_format.MessageToJson(message, preserving_proto_field_name=True))
    except (DecodeError, json_format.Error, TypeError, ValueError) as error:
        raise BadRequest(f"{type_url}: {error}") from error
    return found


def _load_nested(value: Any, depth: int) -> None:
    """Types inside are looked up by the JSON reader, which knows only those that are loaded."""
    if depth < 0:
        raise BadRequest(f"more than {MAX_DEPTH} messages in each other")
    if isinstance(value, dict):
        name = value.get("@type")
        if isinstance(name, str):
            message_of(name.removeprefix(TYPE_PREFIX))
        for part in value.values():
            _load_nested(part, depth - 1)
    elif isinstance(value, list):
        for part in value:
            _load_nested(part, depth - 1)


@functools.lru_cache(maxsize=1024)
def _kind(name: str) -> type[Message] | None:
    if _NAME.fullmatch(name) is None or name.partition(".")[0] not in _ROOTS:
        return None
    pool = descriptor_pool.Default()
    for late in (False, True):
        if late:
            _load(re.split(r"\.(?=[A-Z])", name, maxsplit=1)[0])
        try:
            found = pool.FindMessageTypeByName(name)
        except KeyError:
            continue
        kind: type[Message] = message_factory.GetMessageClass(found)
        return kind
    return None


def _load(package: str) -> None:
    """Import all messages of a package."""
    try:
        folder = importlib.import_module(package)
    except ImportError:
        return
    for module in pkgutil.iter_modules(getattr(folder, "__path__", ())):
        if module.name.endswith("_pb2"):
            importlib.import_module(f"{package}.{module.name}")

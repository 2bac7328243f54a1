"""The file of a service whose messages are tables of ours (`protobuf.py`), as who asks by reflection gets it.

    described("a/b.proto", "a.b.Greeter", (Rpc("Greet", "Hello", "Answer"),), {"Hello": HELLO, "Answer": ANSWER})

Loads protobuf: import it late. Source: google/protobuf/descriptor.proto. What may change here: further kinds of fields.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf import descriptor_pb2

from meshagent.agent.grpc.protobuf import BOOL, BYTES, INT, MANY, MAP, TEXT, UINT, Field, Kind, Schema

__all__ = ["Enum", "Rpc", "described"]

_Type = descriptor_pb2.FieldDescriptorProto
_TYPES: tuple[tuple[Any, Any], ...] = (
    (TEXT, _Type.TYPE_STRING),
    (BYTES, _Type.TYPE_BYTES),
    (BOOL, _Type.TYPE_BOOL),
    (INT, _Type.TYPE_INT32),
    (UINT, _Type.TYPE_UINT64),
)


@dataclass(frozen=True, slots=True)
class Rpc:
    """A method by the names of its messages. `asks`, `answers`: whether there may be several."""

    name: str
    request: str
    response: str
    asks: bool = False
    answers: bool = False


@dataclass(frozen=True, slots=True)
class Enum:
    """A field ("Message.field") whose numbers have names; the type stands in its message."""

    field: str
    name: str
    values: tuple[str, ...]


def described(
    path: str,
    service: str,
    rpcs: Sequence[Rpc],
    messages: Mapping[str, Schema[Any]],
    enums: Sequence[Enum] = (),
    imports: Mapping[Kind, Any] | None = None,
) -> dict[str, bytes]:
    """{path: the serialized file}. `messages` by name, those that are in others too; `imports` are kinds that are a
    message of another file, with its class: those files are given, too, first."""
    package, _, name = service.rpartition(".")
    file = descriptor_pb2.FileDescriptorProto(name=path, package=package, syntax="proto3")
    named = {enum.field: enum for enum in enums}
    names = {id(schema): f".{package}.{message}" for message, schema in messages.items()}
    foreign = {kind: message.DESCRIPTOR for kind, message in (imports or {}).items()}
    for message, schema in messages.items():
        made = file.message_type.add(name=message)
        for field in schema.fields:
            if field.kind in foreign:
                made.field.add(
                    name=field.attribute,
                    number=field.number,
                    label=_Type.LABEL_OPTIONAL,
                    type=_Type.TYPE_MESSAGE,
                    type_name=f".{foreign[field.kind].full_name}",
                )
            else:
                _add(made, field, package, names, named.get(f"{message}.{field.attribute}"))
    listed = file.service.add(name=name)
    for rpc in rpcs:
        listed.method.add(
            name=rpc.name,
            input_type=f".{package}.{rpc.request}",
            output_type=f".{package}.{rpc.response}",
            client_streaming=rpc.asks,
            server_streaming=rpc.answers,
        )
    others = {one.file.name: one.file.serialized_pb for one in foreign.values()}
    file.dependency.extend(sorted(others))
    return {**others, path: file.SerializeToString()}


def _add(message: Any, field: Field, package: str, names: Mapping[int, str], enum: Enum | None) -> None:
    made = message.field.add(name=field.attribute, number=field.number, label=_Type.LABEL_OPTIONAL)
    if field.form == MAP:
        entry = message.nested_type.add(name="".join(map(str.title, field.attribute.split("_"))) + "Entry")
        entry.options.map_entry = True
        _add(entry, Field(1, "key", TEXT), package, names, None)
        _add(entry, Field(2, "value", field.kind), package, names, None)
        made.type, made.type_name = _Type.TYPE_MESSAGE, f".{package}.{message.name}.{entry.name}"
    elif enum is not None:
        kind = message.enum_type.add(name=enum.name)
        for number, text in enumerate(enum.values):
            kind.value.add(name=text, number=number)
        made.type, made.type_name = _Type.TYPE_ENUM, f".{package}.{message.name}.{enum.name}"
    else:
        found = next((kind for ours, kind in _TYPES if ours is field.kind), None)
        if found is not None:
            made.type = found
        else:
            schema = getattr(field.kind.encode, "__self__", None)
            made.type, made.type_name = _Type.TYPE_MESSAGE, names[id(schema)]
    if field.form in {MANY, MAP}:
        made.label = _Type.LABEL_REPEATED

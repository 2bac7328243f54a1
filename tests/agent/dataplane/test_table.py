"""The services and their methods are those that dataplanes call; client agents have none of them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from google.protobuf import descriptor_pool
from meshtest import protos

from meshagent.agent.dataplane.table import SERVICES
from meshagent.agent.grpc.methods import STREAM


def test_every_method_of_the_proto_files_is_there() -> None:
    ours = {
        method.name: (*service.name.rsplit(".", 1), method.kind == STREAM)
        for service in SERVICES
        for method in service.methods
    }
    assert ours == protos.METHODS


def test_servers_have_them() -> None:
    server: Any = SimpleNamespace(upstream=None)
    client: Any = SimpleNamespace(upstream=object())
    assert [(one.present(server), one.present(client)) for one in SERVICES] == [(True, False)] * len(SERVICES)


def test_reflection_tells_the_same_messages_as_the_proto_files() -> None:
    """Field by field: number, name and type, but for enums, which are numbers to us."""
    pool = descriptor_pool.DescriptorPool()
    added: set[str] = set()
    for service in SERVICES:
        assert service.files is not None
        for name, data in service.files().items():
            if name not in added:
                added.add(name)
                pool.AddSerializedFile(data)
    for service in SERVICES:
        for method in pool.FindServiceByName(service.name).methods:
            for ours, theirs in (
                (method.input_type, protos.asked(method.name).DESCRIPTOR),
                (method.output_type, protos.answered(method.name).DESCRIPTOR),
            ):
                assert ours.full_name == theirs.full_name
                assert _fields(ours) == _fields(theirs)


def _fields(message: Any) -> list[tuple[Any, ...]]:
    enum, int32 = 14, 5
    return [
        (one.number, one.name, int32 if one.type == enum else one.type, one.is_repeated,
         _fields(one.message_type) if one.message_type and "google" not in one.message_type.full_name else
         one.message_type and one.message_type.full_name)
        for one in sorted(message.fields, key=lambda one: one.number)
    ]  # fmt: skip

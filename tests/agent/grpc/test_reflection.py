"""X36: what who asks by reflection is told; tests/interop/test_grpc_ports.py asks over a connection."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from google.protobuf import descriptor_pb2
from hypothesis import given
from hypothesis import strategies as st
from meshtest.inprocess import InProcess

from meshagent.agent.grpc.reflection import ANSWERED, ASKED, Answered, Asked, Extension, answer
from meshagent.agent.grpc.server import GrpcServer
from meshagent.agent.grpc.table import SERVICES
from meshagent.errors import RemoteProtocolError


class World:
    def __init__(self) -> None:
        self.agent = InProcess().agent
        self.server = GrpcServer(self.agent, SERVICES)
        self.agent.extras["grpc"] = SimpleNamespace(server=self.server)

    def ask(self, asked: Asked) -> Answered:
        message = ASKED.encode(asked)
        return ANSWERED.decode(ANSWERED.encode(answer(self.server, self.agent, message)))

    def files(self, asked: Asked) -> list[str]:
        found = self.ask(asked).file_descriptor_response
        assert found is not None
        return [descriptor_pb2.FileDescriptorProto.FromString(data).name for data in found.file_descriptor_proto]


@pytest.fixture
async def world() -> World:
    return World()


async def test_services_are_listed(world: World) -> None:
    answered = world.ask(Asked(host="h", list_services="*"))
    assert answered.valid_host == "h"
    assert ASKED.decode(answered.original_request).list_services == "*"
    assert answered.list_services_response is not None
    names = [service.name for service in answered.list_services_response.service]
    assert names == sorted(names)
    assert {"grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection"} <= set(names)


@pytest.mark.parametrize(
    ("symbol", "file"),
    [
        ("grpc.health.v1.Health", "grpc/health/v1/health.proto"),
        ("grpc.health.v1.HealthCheckRequest", "grpc/health/v1/health.proto"),
        ("grpc.reflection.v1alpha.ServerReflection", "grpc/reflection/v1alpha/reflection.proto"),
        ("envoy.config.cluster.v3.Cluster", "envoy/config/cluster/v3/cluster.proto"),
    ],
)
async def test_a_symbol_has_its_file_first(world: World, symbol: str, file: str) -> None:
    assert world.files(Asked(file_containing_symbol=symbol))[0] == file
    assert world.files(Asked(file_by_filename=file))[0] == file


async def test_a_file_comes_with_what_it_imports(world: World) -> None:
    names = world.files(Asked(file_containing_symbol="envoy.config.cluster.v3.Cluster"))
    assert {"envoy/config/core/v3/base.proto", "google/protobuf/any.proto"} <= set(names)
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("asked", "code", "text"),
    [
        (Asked(file_containing_symbol="a.B"), 5, "symbol not found: a.B"),
        (Asked(file_containing_symbol="envoy.nothing.v3.Here"), 5, "symbol not found: envoy.nothing.v3.Here"),
        (Asked(file_by_filename="a.proto"), 5, "file not found: a.proto"),
        (Asked(file_containing_extension=Extension("a.B", 1)), 5, "no message here has extensions"),
        (Asked(all_extension_numbers_of_type="a.B"), 5, "no message here has extensions"),
        (Asked(), 3, "nothing is asked"),
    ],
)
async def test_what_is_not_there(world: World, asked: Asked, code: int, text: str) -> None:
    problem = world.ask(asked).error_response
    assert problem is not None
    assert (problem.error_code, problem.error_message) == (code, text)


@given(st.binary(max_size=100))
def test_any_bytes_are_a_question_or_an_error(data: bytes) -> None:
    try:
        ASKED.decode(data)
    except RemoteProtocolError:
        pass

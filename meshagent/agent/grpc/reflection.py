"""Server reflection, `grpc.reflection.v1` and `v1alpha`: which services are here, and the files that describe them.

The files of Envoy's services are those of `xds-protos`, those of ours are made from their tables (`descriptors.py`);
protobuf is loaded with the first question about one.

Source: surface row X36; github.com/grpc/grpc, doc/server-reflection.md and reflection.proto. Nothing here needs a
token, as in Consul. What may change here: bounds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from meshagent.agent.grpc.connection import INVALID_ARGUMENT, NOT_FOUND, Received
from meshagent.agent.grpc.methods import DIALOGUE, Method, Service
from meshagent.agent.grpc.protobuf import BYTES, INT, MANY, TEXT, Field, Schema, nested

if TYPE_CHECKING:
    from meshagent.agent.core import Agent
    from meshagent.agent.grpc.channel import Call
    from meshagent.agent.grpc.server import GrpcServer

__all__ = ["SERVICES"]


@dataclass(frozen=True, slots=True)
class Asked:
    """A question: one of them is there, `list_services` with any text."""

    host: str = ""
    file_by_filename: str | None = None
    file_containing_symbol: str | None = None
    file_containing_extension: Extension | None = None
    all_extension_numbers_of_type: str | None = None
    list_services: str | None = None


@dataclass(frozen=True, slots=True)
class Extension:
    """An extension by its number."""

    containing_type: str = ""
    extension_number: int = 0


@dataclass(frozen=True, slots=True)
class Files:
    """Serialized files, what they import too."""

    file_descriptor_proto: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Named:
    """A service."""

    name: str = ""


@dataclass(frozen=True, slots=True)
class Listed:
    """All services."""

    service: tuple[Named, ...] = ()


@dataclass(frozen=True, slots=True)
class Problem:
    """A status."""

    error_code: int = 0
    error_message: str = ""


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer to one question."""

    valid_host: str = ""
    original_request: bytes = b""
    file_descriptor_response: Files | None = None
    list_services_response: Listed | None = None
    error_response: Problem | None = None


EXTENSION = Schema(Extension, (Field(1, "containing_type", TEXT), Field(2, "extension_number", INT)))
ASKED = Schema(
    Asked,
    (
        Field(1, "host", TEXT),
        Field(3, "file_by_filename", TEXT),
        Field(4, "file_containing_symbol", TEXT),
        Field(5, "file_containing_extension", nested(EXTENSION)),
        Field(6, "all_extension_numbers_of_type", TEXT),
        Field(7, "list_services", TEXT),
    ),
)
FILES = Schema(Files, (Field(1, "file_descriptor_proto", BYTES, MANY),))
NAMED = Schema(Named, (Field(1, "name", TEXT),))
LISTED = Schema(Listed, (Field(1, "service", nested(NAMED), MANY),))
PROBLEM = Schema(Problem, (Field(1, "error_code", INT), Field(2, "error_message", TEXT)))
ANSWERED = Schema(
    Answered,
    (
        Field(1, "valid_host", TEXT),
        Field(2, "original_request", BYTES),
        Field(4, "file_descriptor_response", nested(FILES)),
        Field(6, "list_services_response", nested(LISTED)),
        Field(7, "error_response", nested(PROBLEM)),
    ),
)


async def reflect(agent: Agent, call: Call) -> None:
    """Answer questions until the caller has no more."""
    server: GrpcServer = agent.extras["grpc"].server
    while isinstance(event := await call.next(), Received):
        call.send(ANSWERED.encode(answer(server, agent, event.message)))
        await call.drained()


def answer(server: GrpcServer, agent: Agent, message: bytes) -> Answered:
    """The answer to one question. Raises RemoteProtocolError."""
    asked = ASKED.decode(message)
    if asked.list_services is not None:
        listed = Listed(tuple(Named(service.name) for service in server.present()))
        return Answered(asked.host, message, list_services_response=listed)
    if asked.file_by_filename is not None:
        found = _described(agent, server).by_path(asked.file_by_filename)
        problem = f"file not found: {asked.file_by_filename}"
    elif asked.file_containing_symbol is not None:
        found = _described(agent, server).by_symbol(asked.file_containing_symbol)
        problem = f"symbol not found: {asked.file_containing_symbol}"
    elif asked.file_containing_extension is not None or asked.all_extension_numbers_of_type is not None:
        found, problem = (), "no message here has extensions"
    else:
        return Answered(asked.host, message, error_response=Problem(INVALID_ARGUMENT, "nothing is asked"))
    if not found:
        return Answered(asked.host, message, error_response=Problem(NOT_FOUND, problem))
    return Answered(asked.host, message, file_descriptor_response=Files(found))


class Described:
    """The files of some services."""

    def __init__(self, services: list[Service]) -> None:
        from google.protobuf import descriptor_pool

        self._own = descriptor_pool.DescriptorPool()
        self._envoy = descriptor_pool.Default()
        for service in services:
            for data in service.files().values() if service.files is not None else ():
                self._own.AddSerializedFile(data)

    def by_path(self, path: str) -> tuple[bytes, ...]:
        """The file and what it imports; () when there is none."""
        return self._first(lambda pool: pool.FindFileByName(path))

    def by_symbol(self, symbol: str) -> tuple[bytes, ...]:
        """The same for the file that has a service, a method or a message."""
        if symbol.startswith(("envoy.", "udpa.", "xds.", "google.")):
            from meshagent.connect.envoy.wire import is_message

            is_message(symbol)  # loads its file
        return self._first(lambda pool: pool.FindFileContainingSymbol(symbol))

    def _first(self, find: Any) -> tuple[bytes, ...]:
        for pool in (self._own, self._envoy):
            try:
                return _with_imports(find(pool))
            except KeyError:
                continue
        return ()


def _with_imports(file: Any) -> tuple[bytes, ...]:
    found: dict[str, bytes] = {}
    waiting = [file]
    while waiting:
        one = waiting.pop()
        if one.name not in found:
            found[one.name] = one.serialized_pb
            waiting += one.dependencies
    return tuple(found.values())


def _described(agent: Agent, server: GrpcServer) -> Described:
    held: Described | None = agent.extras.get("grpc_described")
    if held is None:
        held = agent.extras["grpc_described"] = Described(server.present())
    return held


def _files(version: str) -> dict[str, bytes]:
    from meshagent.agent.grpc.descriptors import Rpc, described

    return described(
        f"grpc/reflection/{version}/reflection.proto",
        f"grpc.reflection.{version}.ServerReflection",
        (Rpc("ServerReflectionInfo", "ServerReflectionRequest", "ServerReflectionResponse", asks=True, answers=True),),
        {
            "ServerReflectionRequest": ASKED,
            "ExtensionRequest": EXTENSION,
            "ServerReflectionResponse": ANSWERED,
            "FileDescriptorResponse": FILES,
            "ListServiceResponse": LISTED,
            "ServiceResponse": NAMED,
            "ErrorResponse": PROBLEM,
        },
    )


def _service(version: str) -> Service:
    methods = (Method("ServerReflectionInfo", DIALOGUE, reflect),)
    return Service(f"grpc.reflection.{version}.ServerReflection", methods, files=lambda: _files(version))


SERVICES = (_service("v1"), _service("v1alpha"))

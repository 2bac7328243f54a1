"""The messages of a stream, and how a resource travels in one: bytes <-> values of the delta machine. Pure.

Source: envoy/service/discovery/v3/discovery.proto (field numbers), google/rpc/status.proto,
google/protobuf/struct.proto. What may change here: further fields of a node.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from meshagent.agent.grpc.protobuf import BYTES, INT, MANY, MAP, TEXT, Field, Schema, nested
from meshagent.connect.envoy.delta import Request
from meshagent.errors import RemoteProtocolError

__all__ = ["Asked", "Peer", "decode_request", "encode_resource", "encode_response"]

#: Of a name, a version, what a client says of an error.
MAX_NAME = 4096
MAX_ERROR = 16 * 1024


@dataclass(frozen=True, slots=True)
class Peer:
    """Who opens a stream: the id of its proxy, what its bootstrap says beside that, the version of its Envoy."""

    id: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    version: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request with who sends it, which only the first one of a stream has to say."""

    request: Request
    peer: Peer | None = None


@dataclass(frozen=True, slots=True)
class _Value:
    text: str = ""


@dataclass(frozen=True, slots=True)
class _Struct:
    fields: dict[str, _Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Semantic:
    major: int = 0
    minor: int = 0
    patch: int = 0


@dataclass(frozen=True, slots=True)
class _Build:
    version: _Semantic | None = None


@dataclass(frozen=True, slots=True)
class _Node:
    id: str = ""
    metadata: _Struct | None = None
    build: _Build | None = None


@dataclass(frozen=True, slots=True)
class _Status:
    code: int = 0
    message: str = ""


@dataclass(frozen=True, slots=True)
class _Request:
    node: _Node | None = None
    type_url: str = ""
    subscribe: tuple[str, ...] = ()
    unsubscribe: tuple[str, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)
    nonce: str = ""
    error: _Status | None = None


@dataclass(frozen=True, slots=True)
class _Any:
    type_url: str
    value: bytes


@dataclass(frozen=True, slots=True)
class _Resource:
    name: str
    version: str
    resource: _Any


@dataclass(frozen=True, slots=True)
class _Response:
    resources: tuple[bytes, ...]
    type_url: str
    nonce: str
    removed: tuple[str, ...]


_VALUE = Schema(_Value, (Field(3, "text", TEXT),))
_STRUCT = Schema(_Struct, (Field(1, "fields", nested(_VALUE), MAP),))
_SEMANTIC = Schema(_Semantic, (Field(1, "major", INT), Field(2, "minor", INT), Field(3, "patch", INT)))
_BUILD = Schema(_Build, (Field(1, "version", nested(_SEMANTIC)),))
_NODE = Schema(_Node, (Field(1, "id", TEXT), Field(3, "metadata", nested(_STRUCT)), Field(8, "build", nested(_BUILD))))
_STATUS = Schema(_Status, (Field(1, "code", INT), Field(2, "message", TEXT)))
_REQUEST = Schema(
    _Request,
    (
        Field(1, "node", nested(_NODE)),
        Field(2, "type_url", TEXT),
        Field(3, "subscribe", TEXT, MANY),
        Field(4, "unsubscribe", TEXT, MANY),
        Field(5, "versions", TEXT, MAP),
        Field(6, "nonce", TEXT),
        Field(7, "error", nested(_STATUS)),
    ),
)
_ANY = Schema(_Any, (Field(1, "type_url", TEXT), Field(2, "value", BYTES)))
_RESOURCE = Schema(_Resource, (Field(1, "version", TEXT), Field(2, "resource", nested(_ANY)), Field(3, "name", TEXT)))
_RESPONSE = Schema(
    _Response,
    (
        Field(2, "resources", BYTES, MANY),
        Field(4, "type_url", TEXT),
        Field(5, "nonce", TEXT),
        Field(6, "removed", TEXT, MANY),
    ),
)


def decode_request(message: bytes) -> Asked:
    """What a DeltaDiscoveryRequest says.

    Raises:
        RemoteProtocolError: it is none, or has names that are too long.
    """
    found = _REQUEST.decode(message)
    names = (*found.subscribe, *found.unsubscribe, *found.versions, *found.versions.values())
    if any(len(name) > MAX_NAME for name in names):
        raise RemoteProtocolError(f"a name of a resource has more than {MAX_NAME} letters")
    error = found.error.message[:MAX_ERROR] if found.error is not None else None
    request = Request(found.type_url, found.subscribe, found.unsubscribe, found.versions, found.nonce, error)
    node = found.node
    if node is None:
        return Asked(request)
    texts = node.metadata.fields if node.metadata is not None else {}
    version = node.build.version if node.build is not None else None
    shown = f"{version.major}.{version.minor}.{version.patch}" if version is not None else ""
    return Asked(request, Peer(node.id, {name: value.text for name, value in texts.items()}, shown))


def encode_resource(type_url: str, name: str, version: str, value: bytes) -> bytes:
    """A resource as it stands in every response: `value` is its own message."""
    return _RESOURCE.encode(_Resource(name, version, _Any(type_url, value)))


def encode_response(type_url: str, nonce: str, resources: tuple[bytes, ...], removed: tuple[str, ...]) -> bytes:
    """A DeltaDiscoveryResponse of resources that are encoded."""
    return _RESPONSE.encode(_Response(resources, type_url, nonce, removed))

"""The messages of the stream between two peers, as values and as bytes.

One stream carries both directions: each side subscribes to kinds of resources (`Request` without a nonce), the other
answers with `Response`s, and each of those is acknowledged by a `Request` with its nonce, with an error when it could
not be taken.

Source: `hashicorp.consul.internal.peerstream` and `...peering` of Consul 1.14 (MPL-2.0), for names and numbers of
fields; surface row X37. What may change here: nothing about numbers; fields that later releases add are skipped.
"""

from __future__ import annotations

from typing import Any

import msgspec

from meshagent.agent.grpc.protobuf import BYTES, INT, MANY, TEXT, Field, Schema, nested
from meshagent.errors import RemoteProtocolError

__all__ = [
    "EXCHANGE",
    "EXCHANGE_METHOD",
    "EXPORTED_SERVICE",
    "EXPORTED_SERVICE_LIST",
    "GIVEN",
    "SERVER_ADDRESSES",
    "SERVICE_NAME",
    "STREAM_METHOD",
    "TRUST_BUNDLE",
    "Exchange",
    "Given",
    "Heartbeat",
    "Message",
    "Names",
    "Open",
    "Packed",
    "Place",
    "Request",
    "Response",
    "RootsOf",
    "Status",
    "Terminated",
    "decode_message",
    "decode_names",
    "decode_roots",
    "encode_message",
    "encode_names",
    "encode_roots",
]

SERVICE_NAME = "hashicorp.consul.internal.peerstream.PeerStreamService"
STREAM_METHOD = f"/{SERVICE_NAME}/StreamResources"
EXCHANGE_METHOD = f"/{SERVICE_NAME}/ExchangeSecret"

#: Kinds of resources.
EXPORTED_SERVICE = "type.googleapis.com/hashicorp.consul.internal.peerstream.ExportedService"
EXPORTED_SERVICE_LIST = "type.googleapis.com/hashicorp.consul.internal.peerstream.ExportedServiceList"
TRUST_BUNDLE = "type.googleapis.com/hashicorp.consul.internal.peering.PeeringTrustBundle"
SERVER_ADDRESSES = "type.googleapis.com/hashicorp.consul.internal.peering.PeeringServerAddresses"

UPSERT = 1


class _Value(msgspec.Struct, frozen=True):
    pass


class Status(_Value, frozen=True):
    """What went wrong: a gRPC code and words."""

    code: int = 0
    message: str = ""


class Place(_Value, frozen=True):
    """Where the sender is."""

    partition: str = ""
    datacenter: str = ""


class Packed(_Value, frozen=True):
    """A resource, packed with its kind."""

    kind: str = ""
    data: bytes = b""


class Open(_Value, frozen=True):
    """The dialing side's first message: who it is to the other side, and the secret that shows it."""

    peer_id: str = ""
    secret: str = ""
    remote: Place = Place()

    def __repr__(self) -> str:
        return f"Open(peer_id={self.peer_id!r}, remote={self.remote!r})"


class Request(_Value, frozen=True):
    """A subscription, or with `nonce` the acknowledgement of a response (`error`: it could not be taken)."""

    peer_id: str = ""
    nonce: str = ""
    kind: str = ""
    error: Status | None = None


class Response(_Value, frozen=True):
    """A resource. `id` is the name of a service, or says which of the single resources of a kind it is."""

    nonce: str = ""
    kind: str = ""
    id: str = ""
    resource: Packed | None = None
    operation: int = UPSERT


class Terminated(_Value, frozen=True):
    """The sender has deleted the peering."""


class Heartbeat(_Value, frozen=True):
    """The sender is there."""


class Exchange(_Value, frozen=True):
    """The secret of a token, to be exchanged."""

    peer_id: str = ""
    secret: str = ""

    def __repr__(self) -> str:
        return f"Exchange(peer_id={self.peer_id!r})"


class Given(_Value, frozen=True):
    """The secret of the stream."""

    secret: str = ""

    def __repr__(self) -> str:
        return "Given()"


class RootsOf(_Value, frozen=True):
    """The roots of the sender's cluster."""

    trust_domain: str = ""
    roots: tuple[str, ...] = ()
    partition: str = ""


class Names(_Value, frozen=True):
    """Names of services, or addresses of servers."""

    names: tuple[str, ...] = ()


Message = Open | Request | Response | Terminated | Heartbeat

_STATUS = Schema(Status, (Field(1, "code", INT), Field(2, "message", TEXT)))
_PLACE = Schema(Place, (Field(1, "partition", TEXT), Field(2, "datacenter", TEXT)))
_ANY = Schema(Packed, (Field(1, "kind", TEXT), Field(2, "data", BYTES)))
_NAMES = Schema(Names, (Field(1, "names", TEXT, MANY),))
_ROOTS = Schema(RootsOf, (Field(1, "trust_domain", TEXT), Field(4, "roots", TEXT, MANY), Field(5, "partition", TEXT)))
EXCHANGE = Schema(Exchange, (Field(1, "peer_id", TEXT), Field(2, "secret", TEXT)))
GIVEN = Schema(Given, (Field(1, "secret", TEXT),))


class _Envelope(_Value, frozen=True):
    """`ReplicationMessage`: one of five."""

    open: Open | None = None
    request: Request | None = None
    response: Response | None = None
    terminated: Terminated | None = None
    heartbeat: Heartbeat | None = None


_OPEN = Schema(
    Open,
    (
        Field(1, "peer_id", TEXT),
        Field(2, "secret", TEXT),
        Field(3, "remote", nested(_PLACE, lambda place: place == Place())),
    ),
)
_REQUEST = Schema(
    Request,
    (Field(1, "peer_id", TEXT), Field(2, "nonce", TEXT), Field(3, "kind", TEXT), Field(5, "error", nested(_STATUS))),
)
_RESPONSE = Schema(
    Response,
    (
        Field(1, "nonce", TEXT),
        Field(2, "kind", TEXT),
        Field(3, "id", TEXT),
        Field(4, "resource", nested(_ANY)),
        Field(5, "operation", INT),
    ),
)
_ENVELOPE = Schema(
    _Envelope,
    (
        Field(1, "open", nested(_OPEN)),
        Field(2, "request", nested(_REQUEST)),
        Field(3, "response", nested(_RESPONSE)),
        Field(4, "terminated", nested(Schema(Terminated, ()))),
        Field(5, "heartbeat", nested(Schema(Heartbeat, ()))),
    ),
)
_MEMBER: dict[type, str] = {
    Open: "open",
    Request: "request",
    Response: "response",
    Terminated: "terminated",
    Heartbeat: "heartbeat",
}


def encode_message(message: Message) -> bytes:
    """A message of the stream."""
    members: dict[str, Any] = {_MEMBER[type(message)]: message}
    return _ENVELOPE.encode(_Envelope(**members))


def decode_message(data: bytes) -> Message:
    """A message of the stream. Raises RemoteProtocolError."""
    envelope = _ENVELOPE.decode(data)
    found = [part for name in _MEMBER.values() if (part := getattr(envelope, name)) is not None]
    if len(found) != 1:
        raise RemoteProtocolError("a message of a peer with nothing that is known in it, or with several things")
    message: Message = found[0]
    return message


def encode_roots(roots: RootsOf) -> Packed:
    """The resource of the roots."""
    return Packed(TRUST_BUNDLE, _ROOTS.encode(roots))


def decode_roots(resource: Packed) -> RootsOf:
    """Raises RemoteProtocolError."""
    return _ROOTS.decode(resource.data)


def encode_names(kind: str, names: tuple[str, ...]) -> Packed:
    """The resource of names of services, or of addresses of servers."""
    return Packed(kind, _NAMES.encode(Names(names)))


def decode_names(resource: Packed) -> tuple[str, ...]:
    """Raises RemoteProtocolError."""
    return _NAMES.decode(resource.data).names
